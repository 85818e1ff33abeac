//! How the servers of an artifact are talked to, by the policy of the node: only the secrets that this artifact needs
//! are read.

use std::collections::BTreeMap;
use steadfast_download::transfer::Access;
use steadfast_model::Rendered;
use steadfast_model::application::{Files, Location};
use steadfast_model::deploying::{Deploying, Header, Server};
use steadfast_model::lower::Piece;
use steadfast_system::{ErrorKind, SystemError, secrets};

/// For each place that an artifact may come from, what its policy says of it.
pub fn access_for(
    artifact: &Files,
    policy: &Deploying,
    secrets: &dyn secrets::Read,
) -> Result<Vec<Access>, SystemError> {
    let places = std::iter::once(&artifact.url).chain(&artifact.mirrors);
    let urls = places.filter_map(|it| url(&it.value));
    let servers: BTreeMap<&str, &Server> =
        urls.filter_map(|it| policy.server(&it)).map(|it| (&*it.prefix, it)).collect();
    servers.into_values().map(|it| access(it, secrets)).collect()
}

/// As the policy names it; nothing that is asked of no server.
fn url(place: &Location) -> Option<String> {
    match place {
        Location::Https(url) | Location::Http(url) => Some(url.to_string()),
        Location::Oci { name, sha256 } => Some(format!("oci://{name}@sha256:{sha256}")),
        Location::File(_) | Location::Model(_) => None,
    }
}

fn access(server: &Server, secrets: &dyn secrets::Read) -> Result<Access, SystemError> {
    let headers = headers(&server.header, &server.prefix, secrets)?;
    let ca = server.ca.as_deref().map(|it| String::from_utf8_lossy(it).into_owned());
    Ok(Access { prefix: server.prefix.to_string(), headers, ca })
}

/// Headers with their secrets, for requests to what is named.
pub(crate) fn headers(
    all: &[Header],
    to: &str,
    secrets: &dyn secrets::Read,
) -> Result<Vec<(String, String)>, SystemError> {
    let wrong = |words: String| SystemError::new(ErrorKind::Secret, words);
    let mut headers = vec![];
    for Header { name, value } in all {
        let value = revealed(value, secrets)?;
        let value =
            String::from_utf8(value).map_err(|_| wrong(format!("a header for {to} is no text")))?;
        let value = value.trim();
        let (name, value) = match name {
            Some(name) => (name.to_string(), value.to_owned()),
            None => match value.split_once(':') {
                Some((name, value)) => (name.trim().to_owned(), value.trim().to_owned()),
                None => {
                    let words = "the secret that is a whole header is not `NAME: VALUE`";
                    return Err(wrong(format!("for {to}: {words}")));
                }
            },
        };
        headers.push((name, value));
    }
    Ok(headers)
}

fn revealed(value: &Rendered, secrets: &dyn secrets::Read) -> Result<Vec<u8>, SystemError> {
    let mut bytes = vec![];
    for piece in &*value.pieces {
        match piece {
            Piece::Plain(text) => bytes.extend_from_slice(text.as_bytes()),
            Piece::Secret(name) => {
                let secret = secrets.secret(name)?;
                // As its file has it, with the end of its line.
                bytes.extend_from_slice(secret.reveal().trim_ascii_end());
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use steadfast_model::{Span, Spanned};
    use steadfast_system::secrets::Secret;

    #[derive(Debug)]
    struct Known;

    impl secrets::Read for Known {
        fn secret(&self, name: &str) -> Result<Secret, SystemError> {
            match name {
                "token" => Ok(Secret::new(b"hunter2\n".to_vec())),
                "line" => Ok(Secret::new(b"X-Key: a:b\n".to_vec())),
                _ => Err(SystemError::new(ErrorKind::Secret, format!("there is no secret {name}"))),
            }
        }

        fn keyed_digest(&self, _: &[u8]) -> Result<[u8; 32], SystemError> {
            Ok([0; 32])
        }
    }

    fn server(prefix: &str, name: Option<&str>, secret: &str) -> Server {
        let pieces = match name {
            Some(_) => vec![Piece::Plain("Bearer ".into()), Piece::Secret(secret.into())],
            None => vec![Piece::Secret(secret.into())],
        };
        let header =
            Header { name: name.map(Arc::from), value: Rendered { pieces: pieces.into() } };
        Server { span: Span::default(), prefix: prefix.into(), header: vec![header], ca: None }
    }

    fn artifact(url: &str) -> Files {
        Files {
            url: Spanned::new(Location::Https(url.into()), Span::default()),
            sha256: None,
            size: None,
            unpacked: None,
            mirrors: vec![],
            mode: None,
            name: None,
        }
    }

    #[test]
    fn only_the_secrets_of_the_servers_that_are_asked_are_read() {
        let artifacts = vec![
            server("https://a.example", Some("Authorization"), "token"),
            server("https://b.example/team", None, "line"),
            server("https://c.example", None, "gone"),
        ];
        let policy = Deploying { artifacts, ..Deploying::default() };
        let ask = |url: &str| access_for(&artifact(url), &policy, &Known);
        let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(
            ask("https://a.example/x").unwrap()[0].headers,
            header("Authorization", "Bearer hunter2")
        );
        assert_eq!(ask("https://b.example/team/x").unwrap()[0].headers, header("X-Key", "a:b"));
        assert!(ask("https://b.example/other").unwrap().is_empty());
        assert!(ask("https://a.example.evil/x").unwrap().is_empty());
        assert_eq!(ask("https://c.example/x").unwrap_err().to_string(), "there is no secret gone");
        let plain = |it: &Deploying| access_for(&artifact("https://b.example/team/x"), it, &Known);
        let odd = Deploying {
            artifacts: vec![server("https://b.example", None, "token")],
            ..Deploying::default()
        };
        assert!(plain(&odd).unwrap_err().to_string().ends_with("is not `NAME: VALUE`"));
    }
}
