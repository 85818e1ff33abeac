//! What an earlier run left in the middle of a unit is never passed over, and what differs is repaired with what
//! is remembered of the model only where that is all there.

use super::*;
use steadfast_engine::Reporter;
use steadfast_engine::{Ledger as _, UnitId};
use steadfast_model::SourceSet;
use steadfast_store::{Layout, state_files};

/// Nobody looks on.
struct Nobody;

impl Audience for Nobody {
    fn warn(&mut self, _words: &str) {}

    fn begins(&mut self, _beginning: &Beginning<'_>) {}

    fn progress(&mut self, _words: Option<&str>) {}
    fn component(&mut self, _told: &crate::deployments::Told, _sources: &SourceSet) {}

    fn wants_each(&self) -> bool {
        false
    }

    fn reporter<'s>(&'s mut self, _sources: &'s SourceSet) -> Box<dyn Reporter + 's> {
        Box::new(Vec::<&mut dyn Reporter>::new())
    }
}

/// A run by hand over an empty model, on a machine whose state is in a directory of its own.
fn with_run<T>(then: impl FnOnce(&mut Running<'_>, &Files, &Store) -> T) -> T {
    let (state, content) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (layout, model) = (Layout::below(state.path()), content.path());
    state_files::write(&model.join("model.yaml"), b"model: test\nformat: 1\n").unwrap();
    let cx = Context { layout, root: true, credentials: None };
    let run = by_hand(model);
    let files = model::read(model).unwrap();
    let mut running = Running {
        run: &run,
        cx: &cx,
        node: "node",
        facts: &serde_json::Value::Null,
        model: None,
        is_few: false,
        audience: &mut Nobody,
        deploying: None,
    };
    let store = running.open().unwrap();
    then(&mut running, &files, &store)
}

fn begin_step(mut store: &Store) {
    store.begin_step(&UnitId("component:api".into())).unwrap();
}

#[test]
fn only_a_resolved_model_goes_on_where_a_step_is_open() {
    with_run(|running, files, store| {
        let remembered = || Resolution::nothing("test", vec![]);
        let done = running.remembered(remembered(), None, files, &files.sources, store).unwrap();
        assert!(matches!(done, Some(Done::Ran { .. })), "{done:?}");
        begin_step(store);
        let done = running.remembered(remembered(), None, files, &files.sources, store).unwrap();
        assert!(done.is_none() && is_amid_step(store), "{done:?}");
    });
}

#[test]
fn a_node_that_nobody_names_any_more_takes_an_open_step_back() {
    with_run(|running, files, store| {
        let done = running.nothing(files, vec![]).unwrap();
        assert!(matches!(done, Done::Nothing { .. }), "{done:?}");
        begin_step(store);
        let done = running.nothing(files, vec![]).unwrap();
        assert!(matches!(done, Done::Ran { .. }), "{done:?}");
        assert!(!is_amid_step(store));
    });
}

/// A model of two files with contents, and a directory where they belong.
struct World {
    folder: tempfile::TempDir,
    cx: Context,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let cx = Context {
            layout: Layout::below(&folder.path().join("root")),
            root: true,
            credentials: None,
        };
        let world = World { folder, cx };
        let write = |path: &str, text: &str| {
            state_files::write(&world.model().join(path), text.as_bytes()).unwrap();
        };
        state_files::write(&world.file("other"), b"").unwrap();
        write("model.yaml", "model: test\nformat: 1\n");
        write("environments/test.yaml", "environment: test\nnodes:\n  node: { servers: [web] }\n");
        let (one, two) = (world.file("one"), world.file("two"));
        write(
            "servers/web.yaml",
            &format!(
                "server: web\nfiles:\n  {}: {{ content: \"{{{{ node.name }}}}\\n\" }}\n  {}: {{ source: files/two }}\n",
                one.display(),
                two.display()
            ),
        );
        write("files/two", "two\n");
        world
    }

    fn model(&self) -> std::path::PathBuf {
        self.folder.path().join("model")
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("data").join(name)
    }

    fn texts(&self) -> [String; 2] {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        ["one", "two"].map(|it| text(state_files::read(&self.file(it)).unwrap().unwrap()))
    }

    fn drift(&self) {
        for name in ["one", "two"] {
            state_files::write(&self.file(name), b"somebody was here\n").unwrap();
        }
    }

    /// How many were repaired.
    fn run(&self) -> usize {
        let model = self.model();
        repaired(run_locked(&by_hand(&model), &self.cx, &mut Nobody).unwrap())
    }

    /// A run with nothing but what is remembered; none where it could not repair anything.
    fn run_remembered(&self) -> Option<usize> {
        let model = self.model();
        let run = by_hand(&model);
        let files = model::read(&model).unwrap();
        let (facts, _) = model::facts(&self.cx.layout);
        let cache =
            resolution::cache_for(&self.cx.layout, &files.content, &facts, None, "node").unwrap();
        let mut resolution = resolution::recall(&cache).unwrap();
        let known = resolution::attach_contents(&cache, &mut resolution);
        let mut running = Running {
            run: &run,
            cx: &self.cx,
            node: "node",
            facts: &facts,
            model: Some(cache.name()),
            is_few: false,
            audience: &mut Nobody,
            deploying: None,
        };
        let store = running.open().unwrap();
        running.remembered(resolution, known, &files, &files.sources, &store).unwrap().map(repaired)
    }
}

fn repaired(done: Done) -> usize {
    let Done::Ran { summary, .. } = done else { panic!("{done:?}") };
    summary.repaired
}

fn by_hand(model: &Path) -> Run<'_> {
    Run {
        model,
        node: Some("node"),
        environment: None,
        commit: None,
        is_adopted: false,
        reads_all: false,
        scope: Scope::All,
        purpose: Purpose::ByHand,
        hand: Hand::default(),
    }
}

#[test]
fn what_differs_is_repaired_without_resolving_the_model_again() {
    let world = World::new();
    assert_eq!(world.run(), 2);
    let right = world.texts();
    assert_eq!(right, ["node\n", "two\n"]);
    world.drift();
    assert_eq!(world.run_remembered(), Some(2));
    assert_eq!(world.texts(), right);
    assert_eq!((world.run_remembered(), world.run()), (Some(0), 0));
}

#[test]
fn where_a_content_is_not_remembered_unharmed_the_model_is_resolved() {
    let world = World::new();
    assert_eq!(world.run(), 2);
    let right = world.texts();
    let contents = world.cx.layout.cache.join("contents");
    let good = state_files::read(&contents).unwrap().unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    for bad in [&bad[..], b"", &good[..60]] {
        state_files::write(&contents, bad).unwrap();
        world.drift();
        assert_eq!(world.run_remembered(), None);
        assert_eq!(world.run(), 2);
        assert_eq!(world.texts(), right);
    }
}

impl World {
    /// A run of the agent, which keeps the content that was adopted; `at` is where it lies.
    fn keep(&self, at: &Path, names: Option<&[&str]>) -> Result<Vec<String>, NodeError> {
        let content = steadfast_system::text::hex(&model::read(&self.model())?.content);
        let name = |it: &&str| format!("file:{}", self.file(it).display());
        let run = Run {
            scope: names.map_or(Scope::All, |it| Scope::Named(it.iter().map(name).collect())),
            purpose: Purpose::Keep(Keeping {
                content,
                task: crate::keep::Task::Nothing,
                against: None,
                report_only: false,
                suspended: None,
                verify: VERIFY,
                changed: vec![],
                watch: names.is_none(),
            }),
            ..by_hand(at)
        };
        let Done::Kept { report, promises: _ } = run_locked(&run, &self.cx, &mut Nobody)? else {
            panic!("the agent keeps")
        };
        Ok(report.repaired.iter().map(ToString::to_string).collect())
    }

    /// What the latest run in the history says of a file, but when and by which run.
    fn latest(&self, name: &str) -> (String, String, Vec<String>) {
        let store = Store::open(&self.cx.layout.database()).unwrap();
        let run = store.runs(1).unwrap().remove(0).id;
        let (line, judged) = store.run(run).unwrap().unwrap();
        let id = format!("file:{}", self.file(name).display());
        let its = judged.into_iter().find(|it| it.promise == id).unwrap();
        let changes = its.changes.into_iter().map(|it| it.line).collect();
        (line.revision, its.origin, changes)
    }
}

#[test]
fn what_was_touched_is_repaired_though_nobody_reads_the_model() {
    let world = World::new();
    let (model, nowhere) = (world.model(), world.folder.path().join("nowhere"));
    assert_eq!(world.keep(&model, None).unwrap().len(), 2);
    let right = world.texts();
    world.drift();
    assert_eq!(world.keep(&model, None).unwrap().len(), 2);
    let by_all = world.latest("one");
    assert!(by_all.1.starts_with("servers/web.yaml:3"), "{by_all:?}");
    world.drift();
    let repaired = world.keep(&nowhere, Some(&["one"])).unwrap();
    assert_eq!(repaired, [format!("file:{}", world.file("one").display())]);
    assert_eq!(world.texts(), [&*right[0], "somebody was here\n"]);
    assert_eq!(world.latest("one"), by_all);
    assert_eq!(world.keep(&nowhere, Some(&["one"])).unwrap(), [""; 0]);
    assert_eq!(world.keep(&nowhere, Some(&["two", "one"])).unwrap().len(), 1);
    assert_eq!(world.texts(), right);
}

#[test]
fn where_a_few_promises_are_not_enough_the_model_is_read() {
    let world = World::new();
    let (model, nowhere) = (world.model(), world.folder.path().join("nowhere"));
    // Nothing is remembered yet.
    assert!(world.keep(&nowhere, Some(&["one"])).is_err());
    assert_eq!(world.keep(&model, None).unwrap().len(), 2);
    // A name that is no promise's is a pattern.
    assert!(world.keep(&nowhere, Some(&["o*"])).is_err());
    // A content that is gone, and something to repair.
    world.drift();
    state_files::write(&world.cx.layout.cache.join("contents"), b"").unwrap();
    assert!(world.keep(&nowhere, Some(&["one"])).is_err());
    // What an earlier run has left in the middle.
    world.run();
    assert_eq!(world.keep(&nowhere, Some(&["one"])).unwrap(), [""; 0]);
    begin_step(&Store::open(&world.cx.layout.database()).unwrap());
    assert!(world.keep(&nowhere, Some(&["one"])).is_err());
}
