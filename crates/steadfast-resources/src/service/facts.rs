//! What a change of a service does, for programs.

use super::change::{Change, FOLDER_MODE, MODE};
use crate::fact::{ABSENT, Fact};
use crate::paths::{self, Owners};
use steadfast_system::files::{Attributes, Expected};

pub(super) fn facts(change: &Change) -> Vec<Fact> {
    let one = |fact| vec![fact];
    match change {
        Change::MakeFolder { path } => {
            let path = Some(path.as_str());
            let mode = Fact::given("mode", FOLDER_MODE);
            [Fact::created("directory"), mode].map(|it| it.at(path)).to_vec()
        }
        Change::Write { file, was } => {
            let content = Fact::new("write", "content").after(file.content.len());
            let content = match (was, &file.replaces) {
                (Some(was), _) => content.before(was.len()),
                (None, Expected::Nothing) => content.verb("create").before(ABSENT),
                (None, Expected::File { .. } | Expected::AnyFile) => content,
                (None, Expected::Link { .. } | Expected::Directory | Expected::Other) => {
                    content.before(paths::entry_word(&file.replaces))
                }
            };
            one(content.at(Some(file.path.as_str())))
        }
        Change::SetAttributes { path, seen: _, was: (uid, gid, mode) } => {
            let of =
                |uid, gid, mode| Attributes { uid: Some(uid), gid: Some(gid), mode: Some(mode) };
            let (from, to) = (of(*uid, *gid, *mode), of(0, 0, MODE));
            let facts = paths::attributes_facts(&from, &to, &Owners::default());
            facts.into_iter().map(|it| it.at(Some(path.as_str()))).collect()
        }
        Change::Stop { .. } => one(Fact::set("running", true, false).verb("stop")),
        Change::Enable { .. } => one(Fact::set("enabled", false, true).verb("enable")),
        Change::Disable { .. } => one(Fact::set("enabled", true, false).verb("disable")),
        Change::Mask { .. } => one(Fact::set("masked", false, true).verb("mask")),
        Change::Unmask { .. } => one(Fact::set("masked", true, false).verb("unmask")),
        Change::DaemonReload => one(Fact::new("reload", "unit_files")),
        Change::Start(_) => one(Fact::set("running", false, true).verb("start")),
        Change::Await(_) => one(Fact::new("await", "running").after(true)),
        Change::Reload(_) => one(Fact::new("reload", "process")),
        Change::Restart(_) => one(Fact::new("restart", "process")),
    }
}
