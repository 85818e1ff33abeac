//! Where a repository is and what is followed in it, as the settings say: what could be read as something
//! else by git, by ssh or by a shell is refused.

use crate::settings::Git;
use steadfast_download::{DownloadError, DownloadErrorKind};

pub(super) fn check_url(git: &Git) -> Result<&str, DownloadError> {
    let wrong = |words: String| Err(DownloadError::new(DownloadErrorKind::Settings, words));
    let url = git.url.as_str();
    let Some((scheme, rest)) = url.split_once("://") else {
        return wrong(format!("`{url}` is not a URL: write https://, ssh:// or file://"));
    };
    if !url.bytes().all(|it| it.is_ascii_graphic() && !matches!(it, b'"' | b'\\' | b'\'')) {
        return wrong("a url has no spaces, quotes or letters beyond ASCII".into());
    }
    if rest.starts_with('-') || rest.is_empty() {
        return wrong(format!("`{url}` names no host"));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    match scheme {
        "https" | "http" if authority.contains('@') => {
            wrong("a URL here has no user and no password: use token_file".into())
        }
        "ssh"
            if authority
                .split('@')
                .next()
                .is_some_and(|it| it.contains(':') && authority.contains('@')) =>
        {
            wrong("a URL here has no password: use ssh_key".into())
        }
        "http" if git.token_file.is_some() => {
            wrong("a token is not sent over http: use https".into())
        }
        "ssh" | "file" if git.proxy.is_some() || git.token_file.is_some() || git.ca.is_some() => {
            wrong(format!("token_file, ca and proxy are for https, and not for {scheme}"))
        }
        "file" if !rest.starts_with('/') || rest.contains('%') => {
            wrong("a file URL is file:///path, without %".into())
        }
        "https" | "http" | "ssh" | "file" => Ok(url),
        other => wrong(format!("`{other}` is not supported: use https, ssh or file")),
    }
}

pub(super) fn check_reference(name: &str) -> Result<&str, DownloadError> {
    let fine = |it: u8| it.is_ascii_alphanumeric() || b"._-/+@=#".contains(&it);
    let good = !name.is_empty()
        && name.len() < 200
        && name.bytes().all(fine)
        && !name.contains("..")
        && !name.contains("//")
        && !name.contains("@{")
        && !name.starts_with(['-', '/', '.'])
        && !name.ends_with(['/', '.'])
        && !name.ends_with(".lock");
    if good {
        return Ok(name);
    }
    Err(DownloadError::new(
        DownloadErrorKind::Settings,
        format!("`{name}` is not the name of a branch or tag"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Reference;

    #[test]
    fn urls_and_names_that_could_be_read_as_something_else_are_refused() {
        let git = |url: &str| Git::new(url, Reference::Branch("main".into()));
        for good in ["https://h/x.git", "ssh://git@h:22/x", "file:///srv/x", "http://h/x"] {
            assert_eq!(check_url(&git(good)).unwrap(), good);
        }
        let bad = [
            "h:x.git",
            "ext::sh -c id",
            "ext://x",
            "https://u:p@h/x",
            "ssh://u:p@h/x",
            "ssh://-oProxyCommand=x/y",
            "file://x",
            "file:///a%20b",
            "https://h/a b",
            "https://h/\"x",
            "git://h/x",
            "",
            "https://",
        ];
        for bad in bad {
            assert_eq!(
                check_url(&git(bad)).unwrap_err().kind,
                DownloadErrorKind::Settings,
                "{bad}"
            );
        }
        let mut token = git("http://h/x");
        token.token_file = Some("/t".into());
        assert!(check_url(&token).unwrap_err().words.contains("not sent over http"));
        for good in ["main", "release/1.0", "v1.2+x"] {
            assert!(check_reference(good).is_ok(), "{good}");
        }
        for bad in ["", "-x", "a..b", "a b", "a:b", "a/", "x.lock", "a@{1}", "+", "*"] {
            assert_eq!(check_reference(bad).is_ok(), bad == "+", "{bad}");
        }
    }
}
