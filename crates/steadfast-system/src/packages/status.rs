//! dpkg's database as text: `/var/lib/dpkg/status`, with what lies in `updates/` appended to it, and
//! apt's `extended_states`. Pure, and one pass over the text.

use super::version::Version;
use std::collections::HashSet;
use std::ops::Range as Span;
use std::sync::Arc;

/// How far a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    NotInstalled,
    /// Removed, and its configuration files are still there.
    ConfigFiles,
    HalfInstalled,
    Unpacked,
    HalfConfigured,
    TriggersAwaited,
    TriggersPending,
    Installed,
}

impl Health {
    fn parse(word: &str) -> Health {
        match word {
            "installed" => Health::Installed,
            "config-files" => Health::ConfigFiles,
            "half-installed" => Health::HalfInstalled,
            "unpacked" => Health::Unpacked,
            "half-configured" => Health::HalfConfigured,
            "triggers-awaited" => Health::TriggersAwaited,
            "triggers-pending" => Health::TriggersPending,
            _ => Health::NotInstalled,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Health::NotInstalled => "not installed",
            Health::ConfigFiles => "removed, with its configuration left",
            Health::HalfInstalled => "half installed",
            Health::Unpacked => "unpacked",
            Health::HalfConfigured => "half configured",
            Health::TriggersAwaited => "waiting for triggers",
            Health::TriggersPending => "with triggers pending",
            Health::Installed => "installed",
        }
    }

    /// Whether dpkg was in the middle of something.
    pub fn is_cut(self) -> bool {
        match self {
            Health::NotInstalled | Health::ConfigFiles | Health::Installed => false,
            Health::HalfInstalled
            | Health::Unpacked
            | Health::HalfConfigured
            | Health::TriggersAwaited
            | Health::TriggersPending => true,
        }
    }
}

/// One record of the database.
#[derive(Clone, Debug, PartialEq)]
pub struct Installed {
    pub architecture: Arc<str>,
    pub version: Option<Version>,
    pub health: Health,
    pub hold: bool,
    /// dpkg says that it must be installed again.
    pub broken: bool,
    pub essential: bool,
}

/// Where the fields of one record stand in the text.
#[derive(Clone, Debug, Default)]
struct Entry {
    name: Span<usize>,
    architecture: Span<usize>,
    version: Span<usize>,
    status: Span<usize>,
    provides: Span<usize>,
    conffiles: Span<usize>,
    essential: bool,
}

/// The whole database, by name.
#[derive(Debug, Default)]
pub struct Database {
    text: String,
    /// In the order of names; of equal ones the later record of the text counts.
    entries: Vec<Entry>,
    native: Arc<str>,
}

impl Database {
    pub fn parse(text: String) -> Database {
        let mut entries = stanzas(&text);
        // Stable, so that the last of several records about one package is its newest.
        entries.sort_by(|a, b| text[a.name.clone()].cmp(&text[b.name.clone()]));
        let mut database = Database { text, entries, native: Arc::from("") };
        // dpkg's own architecture is the native one.
        if let Some(dpkg) = database.records("dpkg").last() {
            database.native = Arc::from(database.piece(&dpkg.architecture));
        }
        database
    }

    fn piece(&self, span: &Span<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    fn records(&self, name: &str) -> &[Entry] {
        let from = self.entries.partition_point(|it| self.piece(&it.name) < name);
        let rest = &self.entries[from..];
        let count = rest.iter().take_while(|it| self.piece(&it.name) == name).count();
        &rest[..count]
    }

    pub fn native(&self) -> &str {
        &self.native
    }

    /// The name as apt prints it: without the native architecture.
    pub fn short<'n>(&self, name: &'n str) -> &'n str {
        match name.split_once(':') {
            Some((bare, architecture)) if architecture == &*self.native => bare,
            Some(_) | None => name,
        }
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        let (bare, architecture) = match name.split_once(':') {
            Some((bare, architecture)) => (bare, architecture),
            None => (name, &*self.native),
        };
        self.records(bare).iter().rev().find(|it| {
            let has = self.piece(&it.architecture);
            has == architecture || (has == "all" && architecture == &*self.native) || has.is_empty()
        })
    }

    /// The record of a package by name: of the native architecture unless the name says another.
    pub fn get(&self, name: &str) -> Option<Installed> {
        self.entry(name).map(|it| self.read(it))
    }

    fn read(&self, entry: &Entry) -> Installed {
        let mut words = self.piece(&entry.status).split_ascii_whitespace();
        let (want, flag, health) = (words.next(), words.next(), words.next());
        Installed {
            architecture: Arc::from(self.piece(&entry.architecture)),
            version: Version::parse(self.piece(&entry.version)).ok(),
            health: Health::parse(health.unwrap_or_default()),
            hold: want == Some("hold"),
            broken: flag == Some("reinstreq"),
            essential: entry.essential,
        }
    }

    /// The configuration files of a package: path, MD5 as installed, and whether it is obsolete.
    pub fn conffiles(&self, name: &str) -> Vec<(&str, &str, bool)> {
        let Some(entry) = self.entry(name) else { return vec![] };
        self.piece(&entry.conffiles)
            .lines()
            .filter_map(|line| {
                let line = line.trim();
                let (line, obsolete) = match line.strip_suffix(" obsolete") {
                    Some(line) => (line, true),
                    None => (line, false),
                };
                let (path, digest) = line.rsplit_once(' ')?;
                path.starts_with('/').then_some((path, digest, obsolete))
            })
            .collect()
    }

    /// Installed packages that provide a name, with the version that they provide it in.
    pub fn providers(&self, name: &str) -> Vec<(Arc<str>, Option<Version>)> {
        let mut found = vec![];
        for entry in &self.entries {
            let provides = self.piece(&entry.provides);
            if !provides.contains(name) || self.read(entry).health != Health::Installed {
                continue;
            }
            for item in provides.split(',') {
                let (provided, version) = match item.trim().split_once('(') {
                    Some((provided, version)) => (provided.trim(), Some(version)),
                    None => (item.trim(), None),
                };
                if provided == name {
                    let version = version
                        .and_then(|it| it.trim_end_matches(')').trim().strip_prefix('='))
                        .and_then(|it| Version::parse(it.trim()).ok());
                    found.push((Arc::from(self.piece(&entry.name)), version));
                    break;
                }
            }
        }
        found
    }

    /// Packages that dpkg was in the middle of, as apt prints their names.
    pub fn cut(&self) -> Vec<String> {
        self.named(|it| it.broken || it.health.is_cut())
    }

    /// Those of them that cannot be configured and must be unpacked again.
    pub fn torn(&self) -> Vec<String> {
        self.named(|it| it.broken || it.health == Health::HalfInstalled)
    }

    fn named(&self, wanted: impl Fn(&Installed) -> bool) -> Vec<String> {
        let identity = |it: &Entry| (self.piece(&it.name), self.piece(&it.architecture));
        let mut found = vec![];
        for (at, entry) in self.entries.iter().enumerate() {
            if self.piece(&entry.status) == "install ok installed" {
                continue;
            }
            // A later record about the same package counts instead.
            let later = self.entries[at + 1..]
                .iter()
                .take_while(|it| self.piece(&it.name) == self.piece(&entry.name))
                .any(|it| identity(it) == identity(entry));
            if !later && wanted(&self.read(entry)) {
                let (name, architecture) = identity(entry);
                found.push(if ["all", "", &*self.native].contains(&architecture) {
                    name.to_owned()
                } else {
                    format!("{name}:{architecture}")
                });
            }
        }
        found
    }
}

/// The records of a text, in its order.
fn stanzas(text: &str) -> Vec<Entry> {
    let mut entries = vec![];
    let mut entry = Entry::default();
    let mut in_conffiles = false;
    let mut at = 0;
    while at < text.len() {
        let end = text[at..].find('\n').map_or(text.len(), |it| at + it);
        let line = &text[at..end];
        let first = line.as_bytes().first().copied();
        match first {
            None => {
                if !entry.name.is_empty() {
                    entries.push(std::mem::take(&mut entry));
                }
                in_conffiles = false;
            }
            Some(b' ' | b'\t') => {
                if in_conffiles {
                    entry.conffiles.end = end;
                }
            }
            // Only fields that begin with one of these letters are wanted.
            Some(b'P' | b'S' | b'V' | b'A' | b'C' | b'E') => {
                in_conffiles = false;
                let value = |field: &str| {
                    let rest = line.strip_prefix(field)?.strip_prefix(':')?;
                    let from = end - rest.trim_start().len();
                    Some(from..from + rest.trim().len())
                };
                if let Some(span) = value("Package") {
                    entry.name = span;
                } else if let Some(span) = value("Status") {
                    entry.status = span;
                } else if let Some(span) = value("Version") {
                    entry.version = span;
                } else if let Some(span) = value("Architecture") {
                    entry.architecture = span;
                } else if let Some(span) = value("Provides") {
                    entry.provides = span;
                } else if let Some(span) = value("Essential") {
                    entry.essential = &text[span] == "yes";
                } else if value("Conffiles").is_some() {
                    in_conffiles = true;
                    entry.conffiles = end..end;
                }
            }
            Some(_) => in_conffiles = false,
        }
        at = end + 1;
    }
    if !entry.name.is_empty() {
        entries.push(entry);
    }
    entries
}

/// Packages that came as dependencies, from apt's `extended_states`: name and architecture.
pub fn automatic(text: &str) -> HashSet<(Arc<str>, Arc<str>)> {
    let mut found = HashSet::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            stanza.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        if field("Auto-Installed") == Some("1")
            && let (Some(name), Some(architecture)) = (field("Package"), field("Architecture"))
        {
            found.insert((Arc::from(name), Arc::from(architecture)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATUS: &str = include_str!("captures/status");

    #[test]
    fn a_record_says_version_state_hold_and_conffiles() {
        let database = Database::parse(STATUS.to_owned());
        assert_eq!(database.native(), "amd64");
        let curl = database.get("curl").unwrap();
        assert_eq!(curl.version.unwrap().as_str(), "7.88.1-10+deb12u15");
        assert_eq!((curl.health, curl.hold, curl.broken), (Health::Installed, true, false));
        assert!(database.get("dpkg").unwrap().essential);
        assert_eq!(
            database.conffiles("adduser"),
            [
                ("/etc/adduser.conf", "cc3493ecd2d09837ffdcc3e25fdfff18", false),
                ("/etc/deluser.conf", "11a06baf8245fd8d690b99024d228c1f", false),
            ]
        );
        assert_eq!(database.get("nginx"), None);
    }

    #[test]
    fn a_name_means_the_native_architecture_unless_it_says_another() {
        let database = Database::parse(STATUS.to_owned());
        assert_eq!(&*database.get("zlib1g").unwrap().architecture, "amd64");
        assert_eq!(database.get("zlib1g:i386").unwrap().health, Health::HalfConfigured);
        assert_eq!(&*database.get("adduser:amd64").unwrap().architecture, "all");
        assert_eq!(database.get("adduser:i386"), None);
        assert_eq!(database.short("curl:amd64"), "curl");
        assert_eq!(database.short("zlib1g:i386"), "zlib1g:i386");
    }

    #[test]
    fn what_was_cut_is_found_and_a_later_record_counts() {
        let database = Database::parse(STATUS.to_owned());
        assert_eq!(database.cut(), ["zlib1g:i386"]);
        let mended =
            "Package: zlib1g\nStatus: install ok installed\nArchitecture: i386\nVersion: 1\n";
        let database = Database::parse(format!("{STATUS}\n\n{mended}"));
        assert_eq!(database.cut(), Vec::<String>::new());
        let broken =
            "Package: curl\nStatus: install reinstreq half-installed\nArchitecture: amd64\n";
        let database = Database::parse(format!("{STATUS}\n\n{broken}"));
        assert_eq!(database.cut(), ["curl", "zlib1g:i386"]);
        assert!(database.get("curl").unwrap().broken);
        assert_eq!(database.torn(), ["curl"]);
    }

    #[test]
    fn virtual_packages_are_provided() {
        let database = Database::parse(STATUS.to_owned());
        let named = |name: &str| {
            database
                .providers(name)
                .into_iter()
                .map(|(name, version)| (name.to_string(), version.map(|it| it.to_string())))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            named("adwaita-icon-theme-full"),
            [("adwaita-icon-theme".to_owned(), Some("43-1".to_owned()))]
        );
        assert_eq!(named("gnome-icon-theme-symbolic"), [("adwaita-icon-theme".to_owned(), None)]);
        assert_eq!(named("icon"), []);
    }

    #[test]
    fn what_came_as_a_dependency_is_known() {
        let found = automatic(
            "Package: a\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: b\nArchitecture: amd64\nAuto-Installed: 0\n",
        );
        assert_eq!(found, HashSet::from([(Arc::from("a"), Arc::from("amd64"))]));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(Package: [a-z]{0,3}|Status: [a-z ]{0,20}|Conffiles:| /e [a-f0-9]{0,4}|Provides: [a-z(=, )1]{0,9}|é|\n| ){0,60}") {
            let database = Database::parse(text.clone());
            database.cut();
            database.providers("a");
            database.conffiles("a");
            database.get("a");
            automatic(&text);
        }
    }
}
