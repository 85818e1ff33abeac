//! Each program that is made of this file fuzzes the target whose name it has.

#![no_main]

#[allow(dead_code)]
#[path = "../../corpus.rs"]
mod corpus;
#[allow(dead_code)]
#[path = "../../../it/one_file.rs"]
mod one_file;
#[path = "../../targets.rs"]
mod targets;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let target = match env!("CARGO_BIN_NAME") {
        "language" => targets::language,
        "settings" => targets::settings,
        "git_objects" => targets::git_objects,
        "snapshot" => targets::snapshot,
        "archive" => targets::archive,
        "blame" => targets::blame,
        "envelope" => targets::envelope,
        "keys" => targets::keys,
        "offer" => targets::offer,
        other => panic!("there is no target {other}"),
    };
    target(bytes);
});
