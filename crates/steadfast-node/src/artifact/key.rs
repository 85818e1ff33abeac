//! What a tree is named by: what it is made of, and how.

use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use steadfast_model::application::component::Unpack;
use steadfast_model::application::{Files, Location};
use steadfast_system::text::hex;

/// The first line of what is hashed. Another form is another tree.
const FORM: &str = "steadfast-tree 1";
/// So many hex digits of the digest are the name.
const DIGITS: usize = 12;

/// A file of a directory of the model that is an artifact.
#[derive(Clone, Copy, Debug)]
pub struct ModelFile<'a> {
    /// Below that directory.
    pub path: &'a str,
    pub is_executable: bool,
    pub content: &'a [u8],
}

/// The digest of a tree, and the name that follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TreeKey {
    digest: [u8; 32],
    name: String,
}

impl TreeKey {
    /// `folder` is what a directory of the model holds, where the artifact is one.
    pub fn new(artifact: &Files, unpack: &Unpack, folder: &[ModelFile<'_>]) -> TreeKey {
        let mut text = format!("{FORM}\n");
        let content = match (&artifact.url.value, &artifact.sha256) {
            (Location::Oci { name: _, sha256 }, _) => format!("oci {sha256}"),
            (Location::Model(_), _) => format!("folder {}", hex(&digest_of(folder))),
            (Location::Https(_) | Location::Http(_) | Location::File(_), sha256) => {
                format!("file {}", sha256.as_deref().unwrap_or_default())
            }
        };
        // `max` bounds the tree, and does not shape it; `adopt` makes another.
        let Unpack { strip, max: _, setuid, links_anywhere, private_to, adopt: _ } = unpack;
        let mut say = |key: &str, value: &str| {
            let _infallible = writeln!(text, "{key} {value}");
        };
        say("content", &content);
        say("strip", &strip.to_string());
        say("setuid", &setuid.to_string());
        say("links", if *links_anywhere { "any" } else { "inside" });
        if let Some(group) = private_to {
            say("private", group);
        }
        if let Some(name) = &artifact.name {
            say("name", &name.value);
        }
        if let Some(mode) = &artifact.mode {
            say("mode", &mode.value);
        }
        TreeKey::of(Sha256::digest(text.as_bytes()).into())
    }

    fn of(digest: [u8; 32]) -> TreeKey {
        TreeKey { digest, name: hex(&digest)[..DIGITS].to_owned() }
    }

    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Of its directory below `releases`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Of paths, what may be run, and contents, in the order of the paths.
fn digest_of(folder: &[ModelFile<'_>]) -> [u8; 32] {
    let mut files: Vec<&ModelFile<'_>> = folder.iter().collect();
    files.sort_by_key(|it| it.path);
    let mut sum = Sha256::new();
    for ModelFile { path, is_executable, content } in files {
        let kind = if *is_executable { "program" } else { "file" };
        sum.update(format!("{kind} {} {} {path}", path.len(), content.len()));
        sum.update(content);
    }
    sum.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use steadfast_model::{Span, Spanned};

    fn artifact(url: Location, sha256: Option<&str>) -> Files {
        let span = Span::default();
        Files {
            url: Spanned::new(url, span),
            sha256: sha256.map(Arc::from),
            size: None,
            unpacked: None,
            mirrors: vec![],
            mode: None,
            name: None,
        }
    }

    /// What was on disk before an upgrade of this program is found again after it.
    #[test]
    fn a_tree_has_its_name_for_good() {
        let zeros = "0".repeat(64);
        let https = artifact(Location::Https("https://h/a.tar".into()), Some(&zeros));
        let key =
            |files: &Files, unpack: &Unpack| TreeKey::new(files, unpack, &[]).name().to_owned();
        let plain = Unpack::default();
        let private = Unpack { strip: 1, private_to: Some("people".into()), ..Unpack::default() };
        let oci = Location::Oci { name: "h/a".into(), sha256: Arc::from(&*zeros) };
        let file = ModelFile { path: "a/b", is_executable: true, content: b"#!" };
        let folder = artifact(Location::Model("site".into()), None);
        assert_eq!(
            [
                key(&https, &plain),
                key(&https, &private),
                key(&artifact(oci, None), &plain),
                TreeKey::new(&folder, &plain, &[file]).name().to_owned(),
            ],
            ["30908e598520", "949aec677a68", "4826a3e9b295", "e9b2aeab58d5"]
        );
    }

    #[test]
    fn what_does_not_shape_a_tree_is_no_part_of_its_name() {
        let zeros = "0".repeat(64);
        let one = artifact(Location::Https("https://h/a.tar".into()), Some(&zeros));
        let two = artifact(Location::File("/srv/b.tar".into()), Some(&zeros));
        let limited = Unpack { max: Some(7), ..Unpack::default() };
        let key = |files: &Files, unpack: &Unpack| TreeKey::new(files, unpack, &[]);
        assert_eq!(key(&one, &Unpack::default()), key(&two, &limited));
        let stripped = Unpack { strip: 1, ..Unpack::default() };
        assert_ne!(key(&one, &Unpack::default()), key(&one, &stripped));
    }
}
