//! What apt says, read: candidates (`apt-cache policy`), suites, and what a transaction would do
//! (`apt-get -s`). Pure; the texts under `captures/` are real ones of Debian 12.

use super::version::{Range, Version};
use crate::{ErrorKind, SystemError};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What apt could install of one package.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offers {
    /// The version that `apt-get install` would take.
    pub candidate: Option<Version>,
    pub versions: Vec<Offer>,
}

/// A version that can be fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    pub version: Version,
    pub priority: i32,
    /// The suites that have it, by every name that they go by.
    pub suites: Vec<Arc<str>>,
}

impl Offers {
    /// The versions that would do, if apt's preferences did not forbid them (a negative priority).
    pub fn forbidden(&self, range: Option<&Range>, from: Option<&str>) -> Vec<&Version> {
        let fits = |it: &&Offer| {
            range.is_none_or(|range| range.holds(&it.version))
                && from.is_none_or(|from| it.comes_from(from))
        };
        let fitting = self.versions.iter().filter(fits);
        fitting.filter(|it| it.priority < 0).map(|it| &it.version).collect()
    }

    /// Why none of them is chosen, in words that follow on the name of the package.
    pub fn lacking(&self, range: Option<&Range>, from: Option<&str>) -> String {
        let list = |versions: &mut dyn Iterator<Item = &Version>| {
            let versions: Vec<&str> = versions.take(5).map(Version::as_str).collect();
            versions.join(", ")
        };
        let forbidden = self.forbidden(range, from);
        if !forbidden.is_empty() {
            let forbidden = list(&mut forbidden.into_iter());
            return format!("apt's preferences forbid {forbidden} (a negative priority)");
        }
        let within = range.map_or(String::new(), |it| format!(" in `{it}`"));
        let from = from.map_or(String::new(), |it| format!(" from {it}"));
        match self.versions.is_empty() {
            true => format!("apt's lists have no version{within}{from}, and no other"),
            false => {
                let all = list(&mut self.versions.iter().map(|it| &it.version));
                format!("apt's lists have no version{within}{from}, only {all}")
            }
        }
    }

    /// The version that a promise asks for: within the range and from the suite, where they are said,
    /// as apt would choose: the highest priority, then the newest. A version of negative priority is
    /// never chosen.
    pub fn choose(&self, range: Option<&Range>, from: Option<&str>) -> Option<&Version> {
        if range.is_none() && from.is_none() {
            return self.candidate.as_ref();
        }
        let fits = |it: &&Offer| {
            it.priority >= 0
                && range.is_none_or(|range| range.holds(&it.version))
                && from.is_none_or(|from| it.comes_from(from))
        };
        if from.is_none()
            && let Some(candidate) = &self.candidate
            && range.is_none_or(|range| range.holds(candidate))
        {
            return Some(candidate);
        }
        self.versions
            .iter()
            .filter(fits)
            .max_by(|a, b| {
                // A suite that was asked for has equal priority throughout.
                let priority =
                    if from.is_some() { Ordering::Equal } else { a.priority.cmp(&b.priority) };
                priority.then_with(|| a.version.order(&b.version))
            })
            .map(|it| &it.version)
    }

    pub fn offer(&self, version: &Version) -> Option<&Offer> {
        self.versions.iter().find(|it| it.version.order(version).is_eq())
    }
}

impl Offer {
    pub fn comes_from(&self, suite: &str) -> bool {
        self.suites.iter().any(|it| &**it == suite)
    }
}

/// The suites of each source, from `apt-cache policy` without names: what stands at a source in the
/// version table, and the names of its suite (`bookworm`, `oldstable`, `12.11`).
pub fn suites(text: &str) -> BTreeMap<String, Vec<Arc<str>>> {
    let mut found = BTreeMap::new();
    let mut source = None;
    for line in text.lines() {
        if let Some(release) = line.trim_start().strip_prefix("release ") {
            let Some(source) = source.take() else { continue };
            let names = release
                .split(',')
                .filter_map(|it| it.split_once('='))
                .filter(|(key, _)| ["a", "n", "v"].contains(key))
                .map(|(_, value)| Arc::from(value))
                .collect();
            found.insert(source, names);
        } else {
            source = described(line);
        }
    }
    found
}

/// ` 500 http://deb.debian.org/debian bookworm/main amd64 Packages` without its priority.
fn described(line: &str) -> Option<String> {
    let (priority, source) = line.trim_start().split_once(' ')?;
    priority.parse::<i32>().ok()?;
    Some(source.trim().to_owned())
}

/// The answer to `apt-cache policy NAME…`. A package of which apt has no version has no offers.
pub fn policy(text: &str, suites: &BTreeMap<String, Vec<Arc<str>>>) -> BTreeMap<Arc<str>, Offers> {
    let mut found: BTreeMap<Arc<str>, Offers> = BTreeMap::new();
    let mut offers: Option<(Arc<str>, Offers)> = None;
    let mut version: Option<(Version, i32)> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if indent == 0 {
            found.extend(offers.take());
            version = None;
            if let Some(name) = line.strip_suffix(':') {
                offers = Some((Arc::from(name), Offers::default()));
            }
            continue;
        }
        let Some((_, offers)) = &mut offers else { continue };
        if let Some(candidate) = line.trim_start().strip_prefix("Candidate: ") {
            offers.candidate = Version::parse(candidate).ok();
        } else if let Some(row) = line.strip_prefix(" *** ").or_else(|| {
            let row = line.strip_prefix("     ")?;
            (!row.starts_with(' ')).then_some(row)
        }) {
            let mut words = row.split_ascii_whitespace();
            version = words.next().and_then(|it| Version::parse(it).ok()).map(|it| {
                (it, words.next().and_then(|priority| priority.parse().ok()).unwrap_or(500))
            });
        } else if indent >= 7
            && let Some((version, priority)) = &version
            && let Some(source) = described(line)
            && source != "/var/lib/dpkg/status"
        {
            // `bookworm/main` stands in the source's second word.
            let written = source.split_ascii_whitespace().nth(1).unwrap_or_default();
            let written = written.rsplit_once('/').map_or(written, |(suite, _)| suite);
            let mut names = suites.get(&source).cloned().unwrap_or_default();
            names.push(Arc::from(written));
            match offers.versions.iter_mut().find(|it| it.version == *version) {
                Some(offer) => offer.suites.extend(names),
                None => offers.versions.push(Offer {
                    version: version.clone(),
                    priority: *priority,
                    suites: names,
                }),
            }
        }
    }
    found.extend(offers);
    for offers in found.values_mut() {
        for offer in &mut offers.versions {
            offer.suites.sort();
            offer.suites.dedup();
        }
    }
    found
}

/// What a transaction would do, from `apt-get -s`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Simulation {
    pub unpacked: Vec<Unpacked>,
    /// Names, with their architecture where it is not the native one.
    pub removed: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Unpacked {
    pub name: Arc<str>,
    pub version: Version,
    pub replaces: Option<Version>,
}

pub fn simulation(text: &str) -> Simulation {
    let mut simulation = Simulation::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (verb, name) = (words.next(), words.next());
        let Some(name) = name else { continue };
        match verb {
            Some("Remv" | "Purg") => simulation.removed.push(Arc::from(name)),
            Some("Inst") => {
                let mut replaces = None;
                for word in words {
                    if let Some(old) = word.strip_prefix('[') {
                        replaces = Version::parse(old.trim_end_matches(']')).ok();
                    } else if let Some(new) = word.strip_prefix('(') {
                        if let Ok(version) = Version::parse(new) {
                            let name = Arc::from(name);
                            simulation.unpacked.push(Unpacked { name, version, replaces });
                        }
                        break;
                    }
                }
            }
            Some(_) | None => {}
        }
    }
    simulation
}

/// The first list of each source, from `apt-get --print-uris update`: that of its release, which is fetched
/// before all others. `'URI' NAME SIZE`.
pub fn releases(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|it| it.split_once("' ")?.1.split(' ').next())
        .filter(|it| it.ends_with(RELEASE))
        .collect()
}

/// How the first list of a source ends; the others begin as it does.
const RELEASE: &str = "InRelease";

/// The sources of which nothing is among these lists.
pub fn unfetched(text: &str, lists: &[String]) -> Vec<Arc<str>> {
    let is_there = |first: &str| {
        let source = first.strip_suffix(RELEASE).unwrap_or(first);
        lists.iter().any(|it| it.starts_with(source))
    };
    releases(text).into_iter().filter(|it| !is_there(it)).map(Arc::from).collect()
}

/// The words in which apt or dpkg say why they failed: their error lines, else the last lines.
pub fn complaint(text: &str) -> String {
    let mut errors = vec![];
    // Whose dependencies are listed.
    let mut whose = None;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.starts_with(' ') {
            whose = None;
        }
        if let Some(error) = dpkg_error(line, &mut lines) {
            errors.push(error);
        } else if let Some((name, relation)) = unmet(line, &mut whose) {
            errors.push(clean(&format!("{name} : {relation}")));
        } else if let Some(words) = line.strip_prefix("E: ") {
            errors.push(clean(words));
        }
    }
    if errors.is_empty() {
        let last = text.lines().rev().filter(|it| !it.trim().is_empty()).take(4);
        errors = last.map(clean).collect();
        errors.reverse();
    }
    errors.truncate(6);
    errors.join("; ")
}

fn clean(line: &str) -> String {
    crate::text::safe_start(line.trim(), 300)
}

/// An error of dpkg with its second line, which says what really happened.
fn dpkg_error<'t>(
    line: &str,
    lines: &mut std::iter::Peekable<impl Iterator<Item = &'t str>>,
) -> Option<String> {
    if !line.starts_with("dpkg: error") {
        return None;
    }
    let more = lines.next_if(|it| it.starts_with(' ')).map(clean).unwrap_or_default();
    Some(format!("{} {more}", clean(line)).trim_end().to_owned())
}

/// A dependency that is not met: ` app : Depends: lib (>= 2) but 1 is to be installed`. A second one of the
/// same package has no name before it.
fn unmet<'t>(line: &'t str, whose: &mut Option<&'t str>) -> Option<(&'t str, &'t str)> {
    const RELATIONS: [&str; 4] = ["Depends: ", "PreDepends: ", "Conflicts: ", "Breaks: "];
    let line = line.strip_prefix(' ')?.trim();
    let relation = match line.split_once(" : ") {
        Some((name, relation)) => {
            *whose = Some(name);
            relation
        }
        None => line,
    };
    RELATIONS.iter().any(|it| relation.starts_with(it)).then(|| Some(((*whose)?, relation)))?
}

/// The packages that dpkg says it could not process.
pub fn blamed(text: &str) -> Vec<&str> {
    text.lines().filter_map(whom).collect()
}

/// Whom an error of dpkg is about: `dpkg: error processing package NAME (--remove):`, or
/// `dpkg: error processing archive /…/NAME_1.0_all.deb (--unpack):`.
fn whom(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("dpkg: error processing ")?;
    let (what, rest) = rest.split_once(' ')?;
    let word = rest.split(' ').next()?;
    match what {
        "package" => Some(word),
        "archive" => word.rsplit('/').next()?.split('_').next(),
        _ => None,
    }
}

/// The error of an apt or dpkg that said this, for one package: what dpkg says of that one alone, where it
/// says why, else all of it.
pub fn failure_of(text: &str, is_it: impl Fn(&str) -> bool) -> SystemError {
    let mut errors = vec![];
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let error = dpkg_error(line, &mut lines);
        if let Some(error) = error.filter(|_| whom(line).is_some_and(&is_it)) {
            errors.push(error);
        }
    }
    if errors.is_empty() || errors.iter().any(|it| it.contains("dependency problems")) {
        return failure(text);
    }
    refusal(errors.join("; "))
}

/// An error of the kind that a program's refusal has.
pub(super) fn refusal(words: impl Into<Arc<str>>) -> SystemError {
    SystemError::new(ErrorKind::Command, words)
}

/// The error of an apt or dpkg that said this. That something could not be fetched shows in its words alone.
pub fn failure(text: &str) -> SystemError {
    const SIGNS: [&str; 7] = [
        "Failed to fetch",
        "Unable to fetch",
        "Could not resolve",
        "Could not connect",
        "Unable to connect",
        "Temporary failure",
        "timed out",
    ];
    let words = complaint(text);
    let fetching = SIGNS.iter().any(|it| words.contains(it));
    let kind = if fetching { ErrorKind::Network } else { ErrorKind::Command };
    SystemError::new(kind, words)
}

/// What apt answered, with the key of what the answers hang on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    pub key: String,
    /// Whether the suites were asked for too.
    pub suites: bool,
    /// The sources of which there is no list at all, by the name that the first would have.
    pub unfetched: Vec<Arc<str>>,
    /// None: apt does not know the name.
    pub offers: BTreeMap<Arc<str>, Option<Offers>>,
}

const HEADER: &str = "steadfast apt answers 1";

impl Answers {
    pub fn encode(&self) -> String {
        let mut text = format!("{HEADER}\nkey {}\nsuites {}\n", self.key, self.suites);
        for name in &self.unfetched {
            text.push_str(&format!("unfetched {name}\n"));
        }
        for (name, offers) in &self.offers {
            let Some(offers) = offers else {
                text.push_str(&format!("unknown {name}\n"));
                continue;
            };
            let candidate = offers.candidate.as_ref().map_or("-", Version::as_str);
            text.push_str(&format!("package {name} {candidate}\n"));
            for offer in &offers.versions {
                text.push_str(&format!(
                    "version {} {} {}\n",
                    offer.version,
                    offer.priority,
                    offer.suites.join(" ")
                ));
            }
        }
        text.push_str("end\n");
        text
    }

    /// None where it is not whole, or not ours.
    pub fn decode(text: &str) -> Option<Answers> {
        let mut lines = text.lines();
        if lines.next() != Some(HEADER) {
            return None;
        }
        let mut it = Answers {
            key: lines.next()?.strip_prefix("key ")?.to_owned(),
            suites: lines.next()?.strip_prefix("suites ")?.parse().ok()?,
            unfetched: vec![],
            offers: BTreeMap::new(),
        };
        let mut last: Option<Arc<str>> = None;
        for line in lines {
            let mut words = line.split(' ');
            match (words.next()?, words.next()) {
                ("end", None) => return Some(it),
                ("unfetched", Some(name)) => it.unfetched.push(Arc::from(name)),
                ("unknown", Some(name)) => {
                    it.offers.insert(Arc::from(name), None);
                    last = None;
                }
                ("package", Some(name)) => {
                    let candidate = match words.next()? {
                        "-" => None,
                        version => Some(Version::parse(version).ok()?),
                    };
                    let name = Arc::from(name);
                    last = Some(Arc::clone(&name));
                    it.offers.insert(name, Some(Offers { candidate, versions: vec![] }));
                }
                ("version", Some(version)) => {
                    let version = Version::parse(version).ok()?;
                    let priority = words.next()?.parse().ok()?;
                    let suites = words.filter(|it| !it.is_empty()).map(Arc::from).collect();
                    let offers = it.offers.get_mut(last.as_ref()?)?.as_mut()?;
                    offers.versions.push(Offer { version, priority, suites });
                }
                _ => return None,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;

    const POLICY: &str = include_str!("captures/policy");
    const RELEASES: &str = include_str!("captures/releases");

    fn offers() -> BTreeMap<Arc<str>, Offers> {
        policy(POLICY, &suites(RELEASES))
    }

    #[test]
    fn a_policy_says_candidate_versions_and_suites() {
        let offers = offers();
        let names: Vec<&str> = offers.keys().map(|it| &**it).collect();
        assert_eq!(names, ["cowsay", "curl", "mail-transport-agent", "nginx"]);
        assert_eq!(offers["mail-transport-agent"], Offers::default());
        let shown: Vec<String> = offers["nginx"]
            .versions
            .iter()
            .map(|it| format!("{} {} {}", it.version, it.priority, it.suites.join(" ")))
            .collect();
        expect![[r#"
            1.22.1-9+deb12u11 500 12 bookworm-security oldstable-security
            1.22.1-9+deb12u9 500 12.15 bookworm oldstable"#]]
        .assert_eq(&shown.join("\n"));
    }

    #[test]
    fn the_installed_version_is_offered_only_where_a_source_has_it() {
        let text = "a:\n  Installed: 2-1\n  Candidate: 2-1\n  Version table:\n *** 2-1 100\n        100 /var/lib/dpkg/status\n     1-1 500\n        500 http://x bookworm/main amd64 Packages\n";
        let offers = policy(text, &BTreeMap::new());
        let versions: Vec<&str> =
            offers["a"].versions.iter().map(|it| it.version.as_str()).collect();
        assert_eq!(versions, ["1-1"]);
    }

    #[track_caller]
    fn chooses(offers: &Offers, range: Option<&str>, from: Option<&str>, version: Option<&str>) {
        let range = range.map(|it| Range::parse(it).unwrap());
        assert_eq!(offers.choose(range.as_ref(), from).map(Version::as_str), version);
    }

    #[test]
    fn the_version_is_chosen_as_apt_would_within_what_was_promised() {
        let known = offers();
        let nginx = &known["nginx"];
        chooses(nginx, None, None, Some("1.22.1-9+deb12u11"));
        chooses(nginx, Some("1.22.1"), None, Some("1.22.1-9+deb12u11"));
        chooses(nginx, Some("<= 1.22.1-9+deb12u9"), None, Some("1.22.1-9+deb12u9"));
        chooses(nginx, None, Some("bookworm"), Some("1.22.1-9+deb12u9"));
        chooses(nginx, None, Some("oldstable-security"), Some("1.22.1-9+deb12u11"));
        chooses(nginx, None, Some("sid"), None);
        chooses(nginx, Some("> 2"), None, None);
        let text = "a:\n  Candidate: 1-1\n  Version table:\n     3-1 -1\n       -1 http://x evil/main amd64 Packages\n     2-1~bpo12+1 100\n        100 http://x bookworm-backports/main amd64 Packages\n     1.5-1 100\n        100 http://x bookworm-backports/main amd64 Packages\n     1-1 500\n        500 http://x bookworm/main amd64 Packages\n";
        let known = policy(text, &BTreeMap::new());
        chooses(&known["a"], None, None, Some("1-1"));
        chooses(&known["a"], Some(">= 1"), None, Some("1-1"));
        chooses(&known["a"], Some("> 1"), None, Some("2-1~bpo12+1"));
        chooses(&known["a"], None, Some("bookworm-backports"), Some("2-1~bpo12+1"));
        chooses(&known["a"], Some(">= 3"), None, None);
    }

    #[test]
    fn what_the_preferences_forbid_is_said() {
        let text = "a:\n  Candidate: (none)\n  Version table:\n     3-1 -1\n       -1 http://x evil/main amd64 Packages\n     1-1 500\n        500 http://x bookworm/main amd64 Packages\n";
        let known = policy(text, &BTreeMap::new());
        let said = |range: &str| {
            let range = (!range.is_empty()).then(|| Range::parse(range).unwrap());
            known["a"].lacking(range.as_ref(), None)
        };
        assert_eq!(said(""), "apt's preferences forbid 3-1 (a negative priority)");
        assert_eq!(said("> 2"), "apt's preferences forbid 3-1 (a negative priority)");
        assert_eq!(said("> 5"), "apt's lists have no version in `> 5`, only 3-1, 1-1");
        assert_eq!(
            known["a"].lacking(None, Some("sid")),
            "apt's lists have no version from sid, only 3-1, 1-1"
        );
        assert_eq!(
            Offers::default().lacking(None, None),
            "apt's lists have no version, and no other"
        );
    }

    #[test]
    fn a_source_that_was_never_fetched_is_known() {
        let text = "'http://x/debian/dists/stable/InRelease' x_debian_dists_stable_InRelease 0 \n'http://x/debian/dists/stable/main/binary-amd64/Packages.xz' x_debian_dists_stable_main_binary-amd64_Packages 0 \n'file:/opt/nowhere/./InRelease' _opt_nowhere_._InRelease 0 \n";
        let lists = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let there = lists(&["lock", "x_debian_dists_stable_main_binary-amd64_Packages.lz4"]);
        assert_eq!(unfetched(text, &there), [Arc::from("_opt_nowhere_._InRelease")]);
        assert_eq!(unfetched(text, &lists(&["_opt_nowhere_._Packages"])).len(), 1);
        assert_eq!(unfetched("", &there), []);
    }

    #[test]
    fn a_simulation_says_what_is_unpacked_and_removed() {
        let text = include_str!("captures/simulate-install");
        let shown: Vec<String> = simulation(text)
            .unpacked
            .iter()
            .map(|it| {
                let old = it.replaces.as_ref().map_or("-", Version::as_str);
                format!("{} {old} {}", it.name, it.version)
            })
            .collect();
        expect![[r#"
            curl 7.88.1-10+deb12u15 7.88.1-10+deb12u5
            libcurl4 7.88.1-10+deb12u15 7.88.1-10+deb12u5
            nginx-common - 1.22.1-9+deb12u11
            nginx - 1.22.1-9+deb12u11"#]]
        .assert_eq(&shown.join("\n"));
        let text = include_str!("captures/simulate-purge");
        let removed = simulation(text).removed;
        assert_eq!(
            removed.iter().map(|it| &**it).collect::<Vec<_>>(),
            ["curl", "systemd-container", "libcurl4"]
        );
    }

    #[test]
    fn what_cannot_be_fetched_is_the_network_s_fault() {
        let kind = |text: &str| failure(text).kind;
        assert_eq!(
            kind("E: Failed to fetch http://deb.example/x.deb  Could not resolve 'deb.example'\n"),
            ErrorKind::Network
        );
        assert_eq!(
            kind("E: Unable to fetch some archives, maybe run apt-get update?\n"),
            ErrorKind::Network
        );
        assert_eq!(kind("E: Unable to locate package nginx\n"), ErrorKind::Command);
        // A progress line of a mirror that was tried first is no error.
        assert_eq!(
            kind(
                "Err:1 http://deb.example bookworm InRelease\n  Could not connect to deb.example\nE: Unable to correct problems\n"
            ),
            ErrorKind::Command
        );
    }

    #[test]
    fn a_complaint_is_what_apt_calls_an_error() {
        let text = "Reading package lists...\nThe following packages have unmet dependencies:\n curl : Depends: libcurl4 (= 1) but 2 is to be installed\nE: Unable to correct problems, you have held broken packages.\n";
        assert_eq!(
            complaint(text),
            "curl : Depends: libcurl4 (= 1) but 2 is to be installed; Unable to correct problems, you have held broken packages."
        );
        let text = "dpkg: error processing package delta (--configure):\n installed delta package post-installation script subprocess returned error exit status 1\nErrors were encountered while processing:\n delta\nE: Sub-process /usr/bin/dpkg returned an error code (1)\n";
        assert_eq!(
            complaint(text),
            "dpkg: error processing package delta (--configure): installed delta package post-installation script subprocess returned error exit status 1; Sub-process /usr/bin/dpkg returned an error code (1)"
        );
        assert_eq!(complaint("a\n\nb\x1b[1m\n"), "a; b\\u{1b}[1m");
        let text = "The following packages have unmet dependencies:\n wants : PreDepends: plain but it is not installable\n         Recommends: other but it is not going to be installed\n         Breaks: old (< 2) but 1 is to be installed\nE: Unable to correct problems, you have held broken packages.\n";
        assert_eq!(
            complaint(text),
            "wants : PreDepends: plain but it is not installable; wants : Breaks: old (< 2) but 1 is to be installed; Unable to correct problems, you have held broken packages."
        );
    }

    #[test]
    fn a_failure_is_blamed_on_the_package_that_failed() {
        let text = "dpkg: error processing package badrm (--remove):\n installed badrm package pre-removal script subprocess returned error exit status 1\ndpkg: error processing archive /var/cache/apt/archives/torn_1%3a2_all.deb (--unpack):\n trying to overwrite '/usr/x', which is also in package other 1\ndpkg: error processing package needs:amd64 (--configure):\n dependency problems - leaving unconfigured\nE: Sub-process /usr/bin/dpkg returned an error code (1)\n";
        assert_eq!(blamed(text), ["badrm", "torn", "needs:amd64"]);
        let of = |name: &str| failure_of(text, |it| it == name).to_string();
        assert_eq!(
            of("badrm"),
            "dpkg: error processing package badrm (--remove): installed badrm package pre-removal script subprocess returned error exit status 1"
        );
        assert!(of("torn").ends_with("which is also in package other 1"));
        // What failed because of others says so with them.
        assert_eq!(of("needs:amd64"), complaint(text));
        assert_eq!(of("another"), complaint(text));
    }

    #[test]
    fn answers_come_back_as_they_were_written_and_torn_ones_do_not() {
        let mut offers: BTreeMap<Arc<str>, Option<Offers>> =
            offers().into_iter().map(|(name, it)| (name, Some(it))).collect();
        offers.insert(Arc::from("nosuch"), None);
        let unfetched = vec![Arc::from("_opt_nowhere_._InRelease")];
        let remembered = Answers { key: "00ff".to_owned(), suites: true, unfetched, offers };
        let text = remembered.encode();
        assert_eq!(Answers::decode(&text), Some(remembered));
        for end in 0..text.len() - 1 {
            assert_eq!(Answers::decode(&text[..end]), None, "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in "([a-z]{1,2}:\n|  Candidate: [0-9(-]{0,3}\n| \\*\\*\\* [0-9.]{1,3} [0-9-]{0,3}\n|     [0-9]{1,2} 500\n|        500 [a-z/ ]{0,9}\n|Inst [a-z]{0,2} [\\[\\]()0-9 ]{0,9}\n|é\n){0,40}") {
            policy(&text, &suites(&text));
            simulation(&text);
            complaint(&text);
            blamed(&text);
            releases(&text);
            Answers::decode(&text);
        }
    }
}
