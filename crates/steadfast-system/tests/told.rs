//! What whoever watches is told about the work on a machine, and what nobody is told.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use steadfast_system::command::Command;
use steadfast_system::files::{Expected, Mode, NewFile, Validation, Write as _};
use steadfast_system::host::Settings;
use steadfast_system::programs::{Program, Run as _};
use steadfast_system::{AbsPath, Host};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes down every field of every event.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<String>>);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

static SPANS: AtomicU64 = AtomicU64::new(1);

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Fields(&mut self.0.lock().unwrap()));
        Id::from_u64(SPANS.fetch_add(1, Ordering::Relaxed))
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.0.lock().unwrap()));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = self.0.lock().unwrap();
        event.record(&mut Fields(&mut text));
        text.push('\n');
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What is told while something is done.
fn told(work: impl FnOnce(&Host, &AbsPath)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Settings {
        state: folder.path().join("state"),
        cache: folder.path().join("cache"),
        secrets: folder.path().join("secrets"),
        credentials: None,
        own_files: vec![],
    });
    let at = AbsPath::parse(folder.path().to_str().unwrap()).unwrap();
    let listener = Listener::default();
    tracing::subscriber::with_default(listener.clone(), || work(&host, &at));
    let text = listener.0.lock().unwrap().clone();
    text.replace(at.as_str(), "/folder")
}

const SECRET: &str = "hunter2";

#[test]
fn a_program_of_a_promise_is_told_without_what_it_was_given_and_what_it_said() {
    let text = told(|host, _| {
        let script = format!("echo {SECRET}; echo {SECRET} >&2; exit 3");
        let command: Vec<Arc<str>> = ["sh", "-c", &script].map(Arc::from).into();
        let program = Program {
            command: &command,
            user: None,
            folder: None,
            timeout: Duration::from_secs(10),
        };
        assert_eq!(host.run_program(&program).unwrap().code, Some(3));
    });
    assert!(text.contains("program=\"sh\"") && text.contains("code=3"), "{text}");
    assert!(!text.contains(SECRET), "{text}");
}

#[test]
fn a_tool_is_told_with_its_arguments_but_not_with_its_input_and_environment() {
    let text = told(|_, _| {
        let tool = Command::tool("cat").args(["-u", "-"]).input(SECRET).env("PASSWORD", SECRET);
        assert_eq!(tool.succeed().unwrap().stdout_text(), SECRET);
    });
    assert!(text.contains("program=\"cat\" arguments=\"-u -\" code=0"), "{text}");
    assert!(!text.contains(SECRET), "{text}");
}

#[test]
fn a_file_is_told_by_its_path_and_size_whatever_becomes_of_it() {
    let text = told(|host, folder| {
        let file = |name: &str, validate| NewFile {
            path: folder.join(name).unwrap(),
            content: SECRET.as_bytes().into(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mode: Mode(0o600),
            replaces: Expected::Nothing,
            validate,
            keep: true,
            in_place: false,
        };
        let arguments = ["sh", "-c", "cat {file}; exit 1"].map(Arc::from).into();
        let sensitive = Some(Validation { arguments, sensitive: true });
        let results = host.write_files(&[file("kept", None), file("refused", sensitive)]);
        assert!(results[0].is_ok() && results[1].is_err());
        let path = folder.join("kept").unwrap();
        host.remove(&path, &Expected::AnyFile, false, true).unwrap();
    });
    assert!(text.contains("change=\"write\" path=/folder/kept bytes=7"), "{text}");
    assert!(text.contains("change=\"remove\" path=/folder/kept"), "{text}");
    assert!(!text.contains(SECRET), "{text}");
}
