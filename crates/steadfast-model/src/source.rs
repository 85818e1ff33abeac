//! The files of a model, as the shell has read them: this crate never opens one.

use crate::span::{SourceId, Span};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

/// SHA-256 of a file's bytes.
pub type Sha256 = [u8; 32];

/// One file of the model: its path below the model's root, with `/`, and its content. The standard
/// bundles that ship with the product stand under `std/`.
#[derive(Clone, Debug)]
pub struct Source {
    pub path: Arc<str>,
    pub digest: Sha256,
    pub bytes: Arc<[u8]>,
    pub executable: bool,
}

impl Source {
    /// The text, where the file is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }
}

/// All files of one state of a model. `SourceId` is an index into it. A clone shares them.
#[derive(Clone, Debug, Default)]
pub struct SourceSet {
    files: OnceLock<Arc<Files>>,
    later: Option<Arc<dyn Later>>,
}

/// Files that are read when one of them is first asked for.
pub trait Later: std::fmt::Debug + Send + Sync {
    fn read(&self) -> SourceSet;
}

#[derive(Clone, Debug, Default)]
struct Files {
    sources: Vec<Source>,
    /// Where the lines of each begin, found when a place in it is first asked for.
    lines: Vec<OnceLock<Box<[u32]>>>,
    by_path: BTreeMap<Arc<str>, SourceId>,
    /// Lines and columns of places in files of which the content is not at hand any more.
    places: HashMap<Span, (usize, usize)>,
}

impl SourceSet {
    /// Files that most often nobody asks for.
    pub fn read_later(later: Arc<dyn Later>) -> SourceSet {
        SourceSet { files: OnceLock::new(), later: Some(later) }
    }

    fn files(&self) -> &Arc<Files> {
        self.files.get_or_init(|| match &self.later {
            Some(later) => Arc::clone(later.read().files()),
            None => Arc::default(),
        })
    }

    /// Adds a file and gives its id; a path that is there already keeps its first content.
    pub fn add(
        &mut self,
        path: impl Into<Arc<str>>,
        bytes: impl Into<Arc<[u8]>>,
        executable: bool,
    ) -> SourceId {
        use sha2::Digest as _;
        let (path, bytes) = (path.into(), bytes.into());
        if let Some(id) = self.files().by_path.get(&path) {
            return *id;
        }
        let mut all = self.files.take().unwrap_or_default();
        let files = Arc::make_mut(&mut all);
        #[expect(clippy::cast_possible_truncation, reason = "a model has fewer than 2^32 files")]
        let id = SourceId(files.sources.len() as u32);
        let digest = sha2::Sha256::digest(&bytes).into();
        files.by_path.insert(Arc::clone(&path), id);
        files.lines.push(OnceLock::new());
        files.sources.push(Source { path, digest, bytes, executable });
        self.files = OnceLock::from(all);
        id
    }

    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.files().sources.get(id.0 as usize)
    }

    pub fn find(&self, path: &str) -> Option<(SourceId, &Source)> {
        let id = *self.files().by_path.get(path)?;
        self.get(id).map(|source| (id, source))
    }

    /// All files, in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        self.files().by_path.values().filter_map(|id| self.get(*id).map(|source| (*id, source)))
    }

    /// Whether there is a file in a directory, at whatever depth.
    pub fn has_below(&self, folder: &str) -> bool {
        let prefix = format!("{folder}/");
        let from = (Bound::Included(&*prefix), Bound::Unbounded);
        let mut after = self.files().by_path.range::<str, _>(from);
        after.next().is_some_and(|(path, _)| path.starts_with(&prefix))
    }

    /// `servers/web.yaml:14:5`, counted from 1; columns are characters.
    pub fn place(&self, span: Span) -> Place {
        let Some(source) = self.get(span.source) else {
            return Place { file: Arc::from("?"), line: 0, column: 0 };
        };
        if let Some((line, column)) = self.files().places.get(&span).copied() {
            return Place { file: Arc::clone(&source.path), line, column };
        }
        let end = (span.start as usize).min(source.bytes.len());
        let before = &source.bytes[..end];
        let line = self.line_starts(span.source, source).partition_point(|it| *it as usize <= end);
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        Place { file: Arc::clone(&source.path), line, column }
    }

    /// Lets go of what is in the files, which may be much: from now on only their names are known, and where
    /// these spans stand.
    pub fn keep_places(&mut self, spans: impl IntoIterator<Item = Span>) {
        let at = |span: Span| {
            let Place { file: _, line, column } = self.place(span);
            (span, (line, column))
        };
        let places = spans.into_iter().map(at).collect();
        let mut all = self.files.take().unwrap_or_default();
        let files = Arc::make_mut(&mut all);
        files.places = places;
        files.lines.iter_mut().for_each(|it| *it = OnceLock::new());
        files.sources.iter_mut().for_each(|it| it.bytes = Arc::from([]));
        self.files = OnceLock::from(all);
    }

    /// Where the lines of a source begin. Many places are asked for in a large one.
    fn line_starts<'a>(&'a self, id: SourceId, source: &Source) -> &'a [u32] {
        let Some(lines) = self.files().lines.get(id.0 as usize) else { return &[] };
        lines.get_or_init(|| {
            let ends = memchr::memchr_iter(b'\n', &source.bytes);
            let after = ends.filter_map(|at| u32::try_from(at + 1).ok());
            std::iter::once(0).chain(after).collect()
        })
    }
}

/// A place as people write it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: Arc<str>,
    pub line: usize,
    pub column: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_were_asked_for_are_known_when_the_files_are_gone() {
        let mut sources = SourceSet::default();
        sources.add("a", b"x\n".as_slice(), false);
        let source = sources.add("b", "one\ntwo \u{e4}\u{f6} three\n".as_bytes(), false);
        let span = |start| Span { source, start, end: start + 1 };
        let known = [span(0), span(13)];
        let at = |sources: &SourceSet| {
            known.map(|it| {
                let Place { file, line, column } = sources.place(it);
                (file, line, column)
            })
        };
        let before = at(&sources);
        assert_eq!(before, [("b".into(), 1, 1), ("b".into(), 2, 8)]);
        let shared = sources.clone();
        sources.keep_places(known);
        assert_eq!(at(&sources), before);
        assert!(sources.iter().all(|(_, it)| it.bytes.is_empty()));
        assert_eq!(sources.place(span(4)).file.as_ref(), "b");
        assert!(shared.iter().all(|(_, it)| !it.bytes.is_empty()));
    }
}
