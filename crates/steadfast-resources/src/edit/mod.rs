//! Edits of a file's text: single lines, marked blocks, and keys of INI and key = value files.
//!
//! An edit works on bytes, line by line. What it does not touch stays as it is: the encoding, a byte order
//! mark, the line ends, a missing last newline. What is put at the end ends in a newline. A line that is not
//! UTF-8 equals nothing and matches nothing.
//!
//! ```yaml
//! edits:
//!   - { line: "PermitRootLogin no", match: "^#?PermitRootLogin " }
//!   - { block: "Match User backup\n  X11Forwarding no\n", name: backup }
//!   - { key: max_connections, value: "200", section: mysqld, separator: " = " }
//! ```
//!
//! **line** is there if a whole line equals it; else it is appended, behind the last line that matches
//! `after`, or before the first that matches `before`. With `match`, the first matching line becomes it where
//! it is not there yet (`all: true`: further matching lines go; `only_replace: true`: without a match nothing
//! happens). Where it is there, comments that match stay as they are; another matching line before it becomes
//! it, and the later one goes, because in many files the first one counts.
//! `absent: true`: every line that equals `line` or matches `match` goes.
//!
//! **block** stands between `# BEGIN steadfast NAME` and `# END steadfast NAME`, with `comment` in place
//! of `#`. A torn marker is refused. Removing a block gives back the lines from before it.
//!
//! **key** gets `value` behind its `separator` (`=`), in `section`, or before the first section. How the
//! line is spaced and what comment stands behind the value stay; a second line of the same key goes. A
//! missing section is added at the end.
//!
//! A value may go on in further lines: behind a backslash, or indented under the key, as in Postfix's main.cf.
//! They are replaced and removed with it. Where it cannot be told whether lines belong to the value (they look
//! like keys themselves, or a quote or bracket stays open), the promise is not kept and says so.

mod apply;
mod key;
mod lower;
mod rows;
mod types;

pub use apply::apply;
pub use lower::lower;
pub use types::{Edit, FIELDS, Pattern, Place};

#[cfg(test)]
mod tests;
