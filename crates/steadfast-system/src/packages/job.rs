//! One item of a transaction at work, and how apt is told.

use super::run::force;
use super::status::{Database, Health};
use super::version::Version;
use super::{Goal, Item, Options};

/// One item with the version that it gets; none where it goes.
#[derive(Clone, Debug)]
pub(super) struct Job<'t> {
    pub(super) at: usize,
    pub(super) item: &'t Item,
    pub(super) version: Option<Version>,
    /// It was torn while it was unpacked, so that apt takes it for installed.
    pub(super) torn: bool,
}

impl Job<'_> {
    pub(super) fn words(&self) -> String {
        match (&self.item.goal, &self.version) {
            (Goal::Install { .. }, Some(version)) => {
                format!("install {} {version}", self.item.package)
            }
            (Goal::Install { .. }, None) => format!("install {}", self.item.package),
            (Goal::Remove, _) => format!("remove {}", self.item.package),
            (Goal::Purge, _) => format!("purge {}", self.item.package),
        }
    }

    pub(super) fn is_done(&self, database: &Database) -> bool {
        let have = database.get(self.item.package.as_str());
        let health = have.as_ref().map_or(Health::NotInstalled, |it| it.health);
        match &self.item.goal {
            Goal::Install { .. } => have.is_some_and(|it| {
                !it.health.is_cut()
                    && it.health != Health::ConfigFiles
                    && it
                        .version
                        .as_ref()
                        .zip(self.version.as_ref())
                        .is_some_and(|(a, b)| a.order(b).is_eq())
            }),
            Goal::Remove => matches!(health, Health::NotInstalled | Health::ConfigFiles),
            Goal::Purge => health == Health::NotInstalled,
        }
    }
}

/// How every command begins that changes something; by it we know our own in apt's log.
pub(super) const OURS: [&str; 7] =
    ["apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0", "-o", "APT::Get::AutomaticRemove=false"];

/// What every run of apt-get gets.
pub(super) fn apt_options(options: &Options, wait: u64) -> Vec<String> {
    let mut all: Vec<String> = OURS.iter().skip(1).map(|it| (*it).to_owned()).collect();
    let mut set = |text: String| all.extend(["-o".to_owned(), text]);
    set(format!("DPkg::Lock::Timeout={wait}"));
    for option in force(options.conffiles) {
        set(format!("Dpkg::Options::={option}"));
    }
    if let Some(recommends) = options.recommends {
        set(format!("APT::Install-Recommends={recommends}"));
    }
    if let Some(from) = &options.from {
        all.extend(["-t".to_owned(), from.to_string()]);
    }
    all
}

/// How a run of apt-get removes packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removing {
    /// Nothing may go.
    Nothing,
    Keeping,
    /// With their configuration, all that go.
    Purging,
}

/// How apt is told of a transaction, besides its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct How {
    pub(super) removing: Removing,
    /// What would come along, and is promised gone.
    pub(super) kept_out: Vec<String>,
}

impl How {
    pub(super) fn removing(removing: Removing) -> How {
        How { removing, kept_out: vec![] }
    }
}

pub(super) fn apt_arguments(
    options: &Options,
    jobs: &[Job<'_>],
    how: &How,
    wait: u64,
) -> Vec<String> {
    let removing = how.removing;
    let mut all = apt_options(options, wait);
    let installs = jobs.iter().any(|it| it.item.installs());
    let verb = match removing {
        _ if installs => "install",
        Removing::Purging => "purge",
        Removing::Keeping | Removing::Nothing => "remove",
    };
    match removing {
        Removing::Nothing => all.push("--no-remove".to_owned()),
        Removing::Purging if installs => all.push("--purge".to_owned()),
        Removing::Keeping | Removing::Purging => {}
    }
    if jobs.iter().any(|it| it.item.allow_downgrade) {
        all.push("--allow-downgrades".to_owned());
    }
    if jobs.iter().any(|it| it.torn) {
        // It changes nothing for those that are not there yet.
        all.push("--reinstall".to_owned());
    }
    all.push(verb.to_owned());
    for job in jobs {
        let package = &job.item.package;
        all.push(match &job.version {
            Some(version) => format!("{package}={version}"),
            // To `install`, a minus behind a name says that it goes.
            None if installs => format!("{package}-"),
            None => package.to_string(),
        });
    }
    all.extend(how.kept_out.iter().map(|it| format!("{it}-")));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PackageName;
    use crate::packages::{Conffiles, Removals};
    use std::sync::Arc;

    fn item(name: &str, goal: Goal) -> Item {
        Item {
            package: PackageName::parse(name).unwrap(),
            goal,
            allow_downgrade: false,
            removals: Removals::None,
            going: Arc::from([]),
            stays: Arc::from([]),
            debconf: vec![],
            held: false,
        }
    }

    #[test]
    fn apt_gets_every_option_and_no_permission_that_was_not_given() {
        let install = item("nginx", Goal::Install { range: None, version: None, latest: false });
        let version = Some(Version::parse("1.22.1-9").unwrap());
        let jobs = [Job { at: 0, item: &install, version: version.clone(), torn: false }];
        let line =
            apt_arguments(&Options::default(), &jobs, &How::removing(Removing::Nothing), 120)
                .join(" ");
        assert_eq!(
            line,
            "-q -y -o Dpkg::Use-Pty=0 -o APT::Get::AutomaticRemove=false -o DPkg::Lock::Timeout=120 \
             -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold --no-remove install nginx=1.22.1-9"
        );
        let options = Options {
            conffiles: Conffiles::Replace,
            recommends: Some(false),
            from: Some(Arc::from("bookworm-backports")),
            start: true,
        };
        let lower = Item { allow_downgrade: true, ..install };
        let jobs = [Job { at: 0, item: &lower, version, torn: true }];
        let line = apt_arguments(&options, &jobs, &How::removing(Removing::Keeping), 0).join(" ");
        assert_eq!(
            line,
            "-q -y -o Dpkg::Use-Pty=0 -o APT::Get::AutomaticRemove=false -o DPkg::Lock::Timeout=0 \
             -o Dpkg::Options::=--force-confnew -o APT::Install-Recommends=false -t bookworm-backports \
             --allow-downgrades --reinstall install nginx=1.22.1-9"
        );
        let gone = item("telnet", Goal::Purge);
        let gone = Job { at: 0, item: &gone, version: None, torn: false };
        let purging = How::removing(Removing::Purging);
        let line = apt_arguments(&Options::default(), std::slice::from_ref(&gone), &purging, 0);
        assert_eq!(line[line.len() - 2..], ["purge", "telnet"]);
        let new = Job { at: 1, torn: false, ..jobs[0].clone() };
        let purging = How { kept_out: vec!["extra".to_owned()], ..purging };
        let line = apt_arguments(&Options::default(), &[gone, new], &purging, 0);
        assert!(line.contains(&"--purge".to_owned()));
        assert_eq!(
            line[line.len() - 5..],
            ["--allow-downgrades", "install", "telnet-", "nginx=1.22.1-9", "extra-"]
        );
    }
}
