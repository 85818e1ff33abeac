//! How the program is linked.

use std::env::var;
use std::fmt::Write as _;
use std::path::Path;

/// Which functions a start runs, by the names of their sections (decision 0107).
const START: &str = include_str!("start.txt");

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=start.txt");
    println!("cargo:rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    if !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return;
    }
    // Most relocations only add where the program was loaded. Packed, they are read at every start from a few
    // pages in place of a hundred. The C library can do that since 2.36, that of Debian 12.
    println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    // As packages have it: elsewhere other functions are made of the same source. Whoever chooses a linker may have one
    // that knows no scripts.
    let flags = value("CARGO_ENCODED_RUSTFLAGS");
    if is("OPT_LEVEL", "z") && !flags.contains("linker") && !flags.contains("fuse-ld") {
        order_code();
    }
}

/// Puts what a start runs beside each other, before all other code.
#[expect(clippy::disallowed_methods, reason = "this is built where there are none of our crates")]
fn order_code() {
    let mut script = "SECTIONS {\n  .text.start : {\n".to_owned();
    for name in START.lines().filter(|it| !it.starts_with('#')) {
        // What the compiler adds to a name is another in each version. Functions in C have nothing added.
        let added = if name.starts_with("_ZN") {
            "17h*"
        } else if name.starts_with("_R") {
            "*"
        } else {
            ""
        };
        writeln!(script, "    *(.text.{name}{added})").unwrap_or_default();
    }
    script.push_str("  }\n} INSERT BEFORE .text;\n");
    let path = Path::new(&value("OUT_DIR")).join("start.ld");
    if let Err(error) = std::fs::write(&path, script) {
        println!("cargo:warning={}: {error}", path.display());
        return;
    }
    println!("cargo:rustc-link-arg-bins=-Wl,-T,{}", path.display());
}

fn is(name: &str, wanted: &str) -> bool {
    value(name) == wanted
}

#[expect(clippy::disallowed_methods, reason = "this is how cargo tells for what it builds")]
fn value(name: &str) -> String {
    var(name).unwrap_or_default()
}
