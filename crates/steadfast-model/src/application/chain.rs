//! The line of releases that leads to one, and what a component is at its end.

use super::{Content, Known, Release, Says, Version};
use crate::document::types::Section;
use crate::node::Entry;
use std::collections::HashSet;
use std::sync::Arc;

/// What a component is at a release.
#[derive(Clone, Debug)]
pub struct Effective<'a> {
    /// The release that last named it.
    pub position: &'a Release,
    pub content: &'a Content,
    /// Entries of releases that stand instead of the application's of the same id, the newest first.
    pub entries: Vec<(&'static str, &'a Entry)>,
}

impl Known {
    /// The release whose components `release` inherits: the one that it names, else the greatest lower
    /// one. Pre-releases are followed by whoever names them.
    pub fn followed(&self, release: &Release) -> Option<&Release> {
        let own = &release.id.value.version;
        match &release.follows {
            Some(follows) => {
                self.releases.get(&follows.value).filter(|it| it.id.value.version < *own)
            }
            None => self
                .releases
                .range(..own.clone())
                .rev()
                .map(|(_, it)| it)
                .find(|it| !it.id.value.version.is_pre_release()),
        }
    }

    /// The release and all that it follows, the newest first. It ends, because each is lower than the
    /// one before it.
    pub fn line<'a>(&'a self, from: &Version) -> impl Iterator<Item = &'a Release> {
        std::iter::successors(self.releases.get(from), |it| self.followed(it))
    }

    /// What a component is at a release: as the last release of its line says that named it, and was not
    /// withdrawn. None before the first of them, and after its end.
    pub fn effective(&self, component: &str, at: &Version) -> Option<Effective<'_>> {
        let mut found: Option<(&Release, &Content)> = None;
        let mut entries: Vec<(&'static str, &Entry)> = vec![];
        let mut seen: HashSet<(&str, &str)> = HashSet::new();
        for release in self.line(at).filter(|it| it.withdrawn.is_none()) {
            let Some(named) = release.components.get(component) else { continue };
            let content = match &named.says {
                Says::Absent => break,
                Says::Content(content) => content,
            };
            found = found.or(Some((release, content)));
            for Section { kind, entries: all } in &content.sections {
                let new = all.iter().filter(|(name, _)| seen.insert((*kind, &*name.value)));
                entries.extend(new.map(|it| (*kind, it)));
            }
        }
        let (position, content) = found?;
        Some(Effective { position, content, entries })
    }

    /// Whether a flag is delivered at a release: where the newest release of its line that lists any lists
    /// it; all are where none does.
    pub fn reads(&self, flag: &str, at: &Version) -> bool {
        let mut line = self.line(at).filter(|it| it.withdrawn.is_none());
        let listed = line.find_map(|it| it.flags.as_ref());
        listed.is_none_or(|all| all.iter().any(|it| &*it.value == flag))
    }

    /// The versions of all releases, for messages.
    pub(super) fn versions(&self) -> Vec<Arc<str>> {
        self.releases.keys().map(|it| Arc::from(it.to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::document;
    use crate::source::SourceSet;

    /// Component by component, at a version: the position, and the path of each entry that is replaced.
    fn effective(releases: &str, at: &str) -> String {
        let mut sources = SourceSet::default();
        let application = "application: people\nowner: team\ncomponents:\n  api: { servers: [] }\n  \
                           web: { servers: [] }\n";
        sources.add("model.yaml", "model: m\nformat: 1\n".as_bytes(), false);
        sources.add("applications/people/application.yaml", application.as_bytes(), false);
        sources.add("applications/people/releases/all.yaml", releases.as_bytes(), false);
        let (model, _) = document::parse(&sources);
        let known = &model.catalog.applications["people"];
        let messages: Vec<&str> = known.mistakes.iter().map(|it| &*it.message).collect();
        assert_eq!(messages, [""; 0]);
        let at = at.parse().unwrap();
        let shown = ["api", "web"].into_iter().filter_map(|component| {
            let it = known.effective(component, &at)?;
            let version = &it.position.id.value.version;
            let entries: Vec<String> = it
                .entries
                .iter()
                .map(|(kind, (name, body))| format!(" {kind}:{} {}", name.value, body.one_line()))
                .collect();
            Some(format!("{component} {version}{}", entries.concat()))
        });
        shown.collect::<Vec<_>>().join("; ")
    }

    const LINE: &str = "release: people 1.0\ncomponents:\n  api: { files: { /a: { content: one }, /b: { content: one } } }\n---\n\
                        release: people 1.1-rc.1\ncomponents: { web: { provides: [] } }\n---\n\
                        release: people 1.1\ncomponents: { web: { provides: [] } }\n---\n\
                        release: people 1.2\ncomponents:\n  api: { files: { /a: { content: two } } }\n---\n\
                        release: people 1.3\nwithdrawn: bad\ncomponents: { api: { uses: [] } }\n---\n\
                        release: people 1.4\n---\n\
                        release: people 2.0\ncomponents: { web: absent }\n---\n\
                        release: people 1.0.1\ncomponents: { api: { provides: [] } }\n";

    #[test]
    fn a_component_is_as_the_last_release_of_its_line_says() {
        let of = |at| effective(LINE, at);
        assert_eq!(of("1.0"), "api 1.0 file:/a {content: \"one\"} file:/b {content: \"one\"}");
        // A hotfix of the old line: its entries are those of the release that it follows.
        assert!(of("1.0.1").starts_with("api 1.0.1 file:/a {content: \"one\"}"), "{}", of("1.0.1"));
        assert!(of("1.1").ends_with("; web 1.1"), "{}", of("1.1"));
        // The one that was withdrawn is passed over; entries stand until they are replaced.
        let two = "api 1.2 file:/a {content: \"two\"} file:/b {content: \"one\"}; web 1.1";
        assert_eq!(of("1.2"), two);
        assert_eq!(of("1.4"), two);
        assert!(!of("2.0").contains("web"), "{}", of("2.0"));
    }

    #[test]
    fn a_release_inherits_from_the_one_that_it_follows() {
        let other = format!("{LINE}---\nrelease: people 1.5\nfollows: \"1.0\"\n");
        assert_eq!(effective(&other, "1.5"), effective(LINE, "1.0"));
    }
}
