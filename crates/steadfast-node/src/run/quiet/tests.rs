//! A run without news comes to what a whole one comes to, and any news makes it a whole one. That a run has looked
//! at the settled files alone shows in that it has not missed what is remembered of the model.
#![expect(clippy::disallowed_methods, reason = "a test makes the files that it is about")]

use super::*;
use crate::Context;
use crate::run::{Audience, Beginning, run_locked};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use steadfast_engine::{Ledger as _, Reporter, Summary, UnitId};
use steadfast_model::SourceSet;
use steadfast_store::Layout;

/// Shows nothing.
struct Nobody {
    wants_each: bool,
    promises: usize,
}

impl Audience for Nobody {
    fn warn(&mut self, _words: &str) {}

    fn begins(&mut self, beginning: &Beginning<'_>) {
        self.promises = beginning.promises;
    }

    fn progress(&mut self, _words: Option<&str>) {}
    fn component(&mut self, _told: &crate::deployments::Told, _sources: &SourceSet) {}

    fn wants_each(&self) -> bool {
        self.wants_each
    }

    fn reporter<'s>(&'s mut self, _sources: &'s SourceSet) -> Box<dyn Reporter + 's> {
        Box::new(Vec::<&mut dyn Reporter>::new())
    }
}

const FILES: usize = 50;

/// A model of many files in two directories, of which one is promised.
struct World {
    folder: tempfile::TempDir,
    cx: Context,
    promises: usize,
}

impl World {
    /// After three runs; none where nothing can be settled: others can write there, or the files lie on something
    /// that is not believed.
    fn settled() -> Option<World> {
        let world = World::new(FILES + 1)?;
        world.write_model("content");
        assert_eq!(world.run().repaired, FILES);
        assert_eq!(world.run().kept, FILES + 1);
        if !world.list().exists() {
            return None;
        }
        assert!(world.is_quiet());
        Some(world)
    }

    /// Where nothing is promised yet.
    fn new(promises: usize) -> Option<World> {
        let folder = tempfile::tempdir_in("/root").ok()?;
        let layout = Layout::below(&folder.path().join("root"));
        let cx = Context { layout, root: true, credentials: None };
        let world = World { folder, cx, promises };
        for folder in ["model/servers", "model/environments", "data/a", "data/b"] {
            fs::create_dir_all(world.path(folder)).unwrap();
        }
        let environment = "environment: test\nnodes:\n  node: { servers: [web] }\n";
        fs::write(world.path("model/model.yaml"), "model: test\nformat: 1\n").unwrap();
        fs::write(world.path("model/environments/test.yaml"), environment).unwrap();
        Some(world)
    }

    fn write_model(&self, content: &str) {
        let mut text = String::from("server: web\ndirectories:\n");
        text += &format!("  {}: {{ mode: \"0755\" }}\nfiles:\n", self.path("data/a").display());
        for at in 0..FILES {
            let path = self.file(at);
            text += &format!("  {}: {{ content: \"{content} {at}\\n\" }}\n", path.display());
        }
        fs::write(self.path("model/servers/web.yaml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, at: usize) -> PathBuf {
        self.path(if at.is_multiple_of(2) { "data/a" } else { "data/b" }).join(format!("{at:02}"))
    }

    fn list(&self) -> PathBuf {
        self.cx.layout.cache.join("kept")
    }

    fn run(&self) -> Summary {
        self.run_as(false, |_| {})
    }

    fn run_as(&self, wants_each: bool, change: impl FnOnce(&mut Run<'_>)) -> Summary {
        let model = self.path("model");
        let mut run = Run {
            model: &model,
            node: Some("node"),
            environment: None,
            commit: None,
            is_adopted: false,
            reads_all: false,
            scope: Scope::All,
            purpose: Purpose::ByHand,
            hand: crate::run::Hand::default(),
        };
        change(&mut run);
        let mut audience = Nobody { wants_each, promises: 0 };
        let done = run_locked(&run, &self.cx, &mut audience).unwrap();
        assert_eq!(audience.promises, self.promises);
        match done {
            Done::Ran { summary, .. } => summary,
            Done::Foreseen { .. } => Summary::default(),
            Done::Nothing { .. } | Done::Kept { .. } => panic!("{done:?}"),
        }
    }

    /// Whether a run does without the promises as a whole.
    fn is_quiet(&self) -> bool {
        self.is_quiet_as(false, |_| {})
    }

    fn is_quiet_as(&self, wants_each: bool, change: impl FnOnce(&mut Run<'_>)) -> bool {
        let resolved = self.cx.layout.cache.join("resolved");
        let before = fs::read(&resolved).unwrap();
        fs::remove_file(&resolved).unwrap();
        let summary = self.run_as(wants_each, change);
        assert_eq!((summary.repaired, summary.not_kept, summary.held), (0, 0, 0));
        let is_quiet = !resolved.exists();
        fs::write(&resolved, before).unwrap();
        fs::set_permissions(&resolved, PermissionsExt::from_mode(0o600)).unwrap();
        is_quiet
    }

    /// So many are repaired, and then nothing is left, and is quiet again.
    fn repairs(&self, count: usize) {
        assert_eq!(self.run().repaired, count);
        assert_eq!(self.run().kept, self.promises);
        assert!(self.is_quiet());
    }
}

mod drift;
mod trees;

#[test]
fn any_drift_is_found_and_repaired() {
    let Some(world) = World::settled() else { return };
    // The first of each directory stands for it, and the others are settled.
    for at in [0, 1, 2, 3, FILES - 1] {
        let path = world.file(at);
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        let content = fs::read_to_string(&path).unwrap();
        fs::write(&path, content.to_uppercase()).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
        assert_eq!(world.run().repaired, 1, "{at}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        world.run();
    }
    fs::remove_file(world.file(7)).unwrap();
    world.repairs(1);
    // What hangs on more than a file.
    fs::set_permissions(world.path("data/a"), PermissionsExt::from_mode(0o700)).unwrap();
    world.repairs(1);
}

#[test]
fn the_verdict_is_that_of_a_whole_run_and_nothing_is_written() {
    let Some(world) = World::settled() else { return };
    let list = fs::read(world.list()).unwrap();
    assert_eq!(world.run().kept, FILES + 1);
    assert_eq!(fs::read(world.list()).unwrap(), list);
}

/// A run by hand that never changed anything has made no database.
#[test]
fn what_was_always_as_promised_is_settled_without_any_state() {
    let Some(world) = World::settled() else { return };
    let layout = &world.cx.layout;
    fs::remove_file(layout.database()).unwrap();
    fs::remove_dir_all(&layout.cache).unwrap();
    assert_eq!(world.run().kept, FILES + 1);
    assert_eq!(world.run().kept, FILES + 1);
    assert!(world.is_quiet());
    assert!(!layout.database().exists());
}

#[test]
fn another_model_is_kept_and_then_this_one_again() {
    let Some(world) = World::settled() else { return };
    let list = fs::read(world.list()).unwrap();
    world.write_model("other content");
    assert_eq!(world.run().repaired, FILES);
    world.write_model("content");
    // What was true of it once is not any more.
    fs::write(world.list(), list).unwrap();
    fs::set_permissions(world.list(), PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(world.run().repaired, FILES);
}

#[test]
fn whoever_asks_for_more_gets_more() {
    let Some(world) = World::settled() else { return };
    assert!(!world.is_quiet_as(true, |_| {}), "each verdict");
    world.run();
    assert!(world.is_quiet());
    assert!(!world.is_quiet_as(false, |run| run.reads_all = true), "every file is read");
    world.run();
    assert!(world.is_quiet());
    let matching = || Scope::Matching(vec![]);
    assert!(!world.is_quiet_as(false, |run| run.scope = matching()), "some promises");
    assert!(!world.list().exists(), "until all were looked at again");
    world.run();
    assert!(world.is_quiet());
}

#[test]
fn a_forecast_looks_at_everything_and_leaves_what_is_settled() {
    let Some(world) = World::settled() else { return };
    world.run_as(false, |run| run.purpose = Purpose::Forecast);
    assert!(world.is_quiet());
}

#[test]
fn what_an_earlier_run_left_in_the_middle_is_taken_back_first() {
    let Some(world) = World::settled() else { return };
    let mut store = &Store::open(&world.cx.layout.database()).unwrap();
    store.begin_step(&UnitId("component:api".into())).unwrap();
    world.run();
    assert!(store.open_steps().unwrap().is_empty());
}

#[test]
fn a_list_that_was_cut_costs_a_whole_look_and_nothing_else() {
    let Some(world) = World::settled() else { return };
    let list = fs::read(world.list()).unwrap();
    for cut in [0, 50, list.len() / 2, list.len() - 1] {
        fs::write(world.list(), &list[..cut]).unwrap();
        assert_eq!(world.run().kept, FILES + 1);
        assert!(world.is_quiet());
    }
}
