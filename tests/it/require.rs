//! Whether a test that cannot be run here is skipped or fails: decided in this place alone. Crates whose own
//! tests need more than every machine has take this file in by its path.

/// With `1` in this variable of the environment nothing may be skipped.
const REQUIRE: &str = "STEADFAST_REQUIRE_MACHINE";

/// A test cannot be run here, because of `why`: says so, and the test returns. Where machines are required,
/// as in `.ci/run`, it fails instead.
#[track_caller]
pub(crate) fn skip(why: &str) {
    let required = std::env::var_os(REQUIRE).is_some_and(|it| it == "1");
    assert!(!required, "this test may not be skipped, because {REQUIRE} is 1; but it {why}");
    eprintln!("skipped: {why}");
}

/// Whether this is root. Says so, or fails, where it is not.
#[track_caller]
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip("needs root");
    }
    root
}
