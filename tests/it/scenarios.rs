//! Scenarios: `tests/scenarios/*.txt`, each with what it prints beside it; `UPDATE_EXPECT=1` rewrites.

use expect_test::expect_file;
use std::path::Path;
use steadfast_testkit::scenario::play;

#[test]
fn every_scenario_says_what_it_said() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut scripts: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.extension().is_some_and(|it| it == "txt"))
        .collect();
    scripts.sort();
    assert!(scripts.len() > 11, "{scripts:?}");
    for script in scripts {
        let said = play(&std::fs::read_to_string(&script).unwrap());
        expect_file![script.with_extension("out")].assert_eq(&said);
    }
}
