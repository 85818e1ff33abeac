//! The programs of its tree that a deployment starts: those that its units name, and that which says whether it is well.

use super::content::{self, Contents};
use super::{Frozen, NO_ID};
use crate::application::component::{Ask, Command};
use std::collections::BTreeSet;

impl Frozen {
    /// Their paths in the tree.
    pub fn programs(&self, contents: &Contents) -> BTreeSet<String> {
        let tops = [self.tree_link(NO_ID), format!("{}/current/tree", self.directory)];
        let in_tree = |path: &str| {
            let below =
                tops.iter().find_map(|it| path.strip_prefix(it.as_str())?.strip_prefix('/'));
            below.filter(|it| !it.is_empty()).map(str::to_owned)
        };
        let services = self.promises.iter().filter(|it| it.kind == "service");
        let texts = services.flat_map(|it| content::texts(it, contents));
        let mut all: BTreeSet<String> =
            texts.flat_map(|text| started(&text)).filter_map(|it| in_tree(&it)).collect();
        if let Some(Ask::Command(Command { arguments, .. })) = self.conduct.ask(NO_ID) {
            all.extend(arguments.first().and_then(|it| in_tree(it)));
        }
        all
    }
}

/// The first words of `ExecStart=` and its like.
fn started(unit: &str) -> Vec<String> {
    let commands = unit.lines().filter_map(|line| {
        let (key, command) = line.trim().split_once('=')?;
        key.trim_end().starts_with("Exec").then(|| command.trim())
    });
    let first = |command: &str| {
        // What systemd.service(5) lets stand before it.
        let plain = command.trim_start_matches(['@', '-', ':', '+', '!', '|']).trim_start();
        match plain.chars().next().filter(|it| ['"', '\''].contains(it)) {
            Some(quote) => plain[1..].split(quote).next().unwrap_or_default().to_owned(),
            None => plain.split_whitespace().next().unwrap_or_default().to_owned(),
        }
    };
    commands.map(first).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_the_first_word_of_what_a_unit_starts() {
        let unit = "[Service]\nExecStartPre=-/t/pre --x\n ExecStart = !!\"/t/a b\" c\nExecReload=/bin/kill\n\
                    ExecStart=\nEnvironment=ExecStart=/t/no\n";
        assert_eq!(started(unit), ["/t/pre", "/t/a b", "/bin/kill", ""]);
    }
}
