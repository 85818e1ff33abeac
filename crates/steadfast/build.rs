//! How the program is linked.

use std::env::var;

#[expect(clippy::disallowed_methods, reason = "this is how cargo tells for what it builds")]
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Most relocations only add where the program was loaded. Packed, they are read at every start from a few
    // pages in place of a hundred. The C library can do that since 2.36, that of Debian 12.
    if var("CARGO_CFG_TARGET_OS").is_ok_and(|it| it == "linux")
        && var("CARGO_CFG_TARGET_ENV").is_ok_and(|it| it == "gnu")
    {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
