//! What is effective, as the file would say it: for `steadfast agent --check`.

use super::Settings;
use super::values::in_units;
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;
use steadfast_model::Keep;
use steadfast_source::settings::{Git, Reference, Snapshot, Source, Trust};

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings {
            environment,
            node,
            source,
            timeout,
            trust,
            fetch,
            keep_every,
            verify,
            keep,
            listen,
            textfile,
            group,
        } = self;
        match environment {
            Some(name) => writeln!(f, "environment: {name}")?,
            None => writeln!(f, "# environment: not set")?,
        }
        match node {
            Some(name) => writeln!(f, "node: {name}")?,
            None => writeln!(f, "# node: the fully qualified host name")?,
        }
        match source {
            Some(source) => f.write_str(&shown(source, *timeout))?,
            None => writeln!(f, "# source: not set")?,
        }
        match trust {
            None => writeln!(f, "# trust: not set")?,
            Some(Trust::None) => writeln!(f, "trust: none")?,
            Some(Trust::AllowedSigners(file)) => {
                writeln!(f, "trust: {{ allowed_signers: {} }}", file.display())?;
            }
            Some(Trust::OpenPgp(file)) => writeln!(f, "trust: {{ openpgp: {} }}", file.display())?,
            Some(Trust::Keys { files, keys: _, threshold }) => {
                let file = files.first().map(|it| it.display().to_string()).unwrap_or_default();
                writeln!(f, "trust: {{ keys: {file}, threshold: {threshold} }}")?;
            }
        }
        let [fetch, every, verify] = [*fetch, *keep_every, *verify].map(in_units);
        writeln!(f, "intervals: {{ fetch: {fetch}, keep: {every}, verify: {verify} }}")?;
        let word = match keep {
            Keep::Repair => "repair",
            Keep::Report => "report",
        };
        writeln!(f, "keep: {word}")?;
        if listen.is_some() || textfile.is_some() {
            let fields = [("listen", listen.as_deref()), ("textfile", textfile.as_deref())];
            writeln!(f, "metrics: {}", inline(&fields))?;
        }
        writeln!(f, "socket: {{ group: {group} }}")
    }
}

fn shown(source: &Source, timeout: Duration) -> String {
    let timeout = in_units(timeout);
    let text = |path: &Option<PathBuf>| path.as_ref().map(|it| it.display().to_string());
    match source {
        Source::Directory(path) => format!("source: {{ directory: {} }}\n", path.display()),
        Source::Snapshot(Snapshot { url, ca, proxy }) => {
            let fields = inline(&[
                ("url", Some(url)),
                ("ca", text(ca).as_deref()),
                ("proxy", proxy.as_deref()),
                ("timeout", Some(&timeout)),
            ]);
            format!("source:\n  snapshot: {fields}\n")
        }
        Source::Git(git) => {
            let Git { url, reference, ssh_key, known_hosts, token_file, ca, proxy } = git;
            let (branch, tag) = match reference {
                Reference::Branch(name) => (Some(name.as_str()), None),
                Reference::Tag(name) => (None, Some(name.as_str())),
            };
            let fields = inline(&[
                ("url", Some(url)),
                ("branch", branch),
                ("tag", tag),
                ("ssh_key", text(ssh_key).as_deref()),
                ("known_hosts", text(known_hosts).as_deref()),
                ("token_file", text(token_file).as_deref()),
                ("ca", text(ca).as_deref()),
                ("proxy", proxy.as_deref()),
                ("timeout", Some(&timeout)),
            ]);
            format!("source:\n  git: {fields}\n")
        }
    }
}

fn inline(fields: &[(&str, Option<&str>)]) -> String {
    let mut text = String::from("{");
    for (name, value) in fields {
        let Some(value) = value else { continue };
        let comma = if text.len() > 1 { "," } else { "" };
        // Writing into a string cannot fail.
        let _written = write!(text, "{comma} {name}: {}", serde_json::json!(value));
    }
    text + " }"
}
