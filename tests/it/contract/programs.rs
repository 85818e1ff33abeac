//! Programs that a promise names.

use super::{Transcript, real_host};
use crate::require::is_root;
use expect_test::expect;
use std::sync::Arc;
use std::time::Duration;
use steadfast_system::UserName;
use steadfast_system::programs::{Program, Run};
use steadfast_testkit::FakeHost;

fn suite(sys: &dyn Run) -> String {
    let mut said = Transcript::default();
    let mut run = |words: &[&str], user: Option<&str>| {
        let command: Vec<Arc<str>> = words.iter().map(|it| Arc::from(*it)).collect();
        let user = user.map(|it| UserName::parse(it).unwrap());
        let timeout = Duration::from_secs(10);
        let ran = sys.run_program(&Program {
            command: &command,
            user: user.as_ref(),
            folder: None,
            timeout,
        });
        let ran = ran.map(|it| it.success()).map_err(|it| it.kind);
        said.say(format_args!("{words:?} as {:?}: {ran:?}", user.as_ref().map(UserName::as_str)));
    };
    run(&["/bin/true", "x"], None);
    run(&["true"], None);
    run(&["/bin/false"], None);
    run(&["/bin/true"], Some("www-data"));
    run(&["/bin/false"], Some("www-data"));
    run(&["/bin/true"], Some("nobody-knows"));
    run(&[], None);
    said.0
}

#[test]
fn both_machines_run_the_same_programs() {
    let said = expect![[r#"
        ["/bin/true", "x"] as None: Ok(true)
        ["true"] as None: Ok(true)
        ["/bin/false"] as None: Ok(false)
        ["/bin/true"] as Some("www-data"): Ok(true)
        ["/bin/false"] as Some("www-data"): Ok(false)
        ["/bin/true"] as Some("nobody-knows"): Err(Other)
        [] as None: Err(Other)
    "#]];
    said.assert_eq(&suite(&FakeHost::debian()));
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    said.assert_eq(&suite(&real_host(folder.path())));
}
