//! A whole model in one text, and what `check` finds in it.
//!
//! A line `=== PATH` begins a file of the model; a model.yaml is added where none is given, unless the first
//! line is `# without model.yaml`.

use steadfast_model::SourceSet;
use steadfast_node::model::{Files, Loaded, every_node, parse};
use steadfast_source::Revision;

/// Path and content of each file.
pub(crate) fn files(text: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = vec![];
    for line in text.split_inclusive('\n') {
        if let Some(path) = line.strip_prefix("=== ") {
            files.push((path.trim().to_owned(), String::new()));
        } else if let Some((_, content)) = files.last_mut() {
            content.push_str(line);
        }
    }
    let without = text.starts_with("# without model.yaml");
    if !without && !files.iter().any(|(path, _)| path == "model.yaml") {
        files.push(("model.yaml".to_owned(), "model: test\nformat: 1\n".to_owned()));
    }
    files
}

/// The same, and where no environment is given, one with a node that is the server `web`.
pub(crate) fn files_and_environment(text: &str) -> Vec<(String, String)> {
    let mut files = files(text);
    if !files.iter().any(|(path, _)| path.starts_with("environments/")) {
        let environment = "environment: test\nnodes:\n  node1: { servers: [web] }\n";
        files.push(("environments/test.yaml".to_owned(), environment.to_owned()));
    }
    files
}

/// What the command finds in such a model, without the standard bundles, on every node.
pub(crate) fn checked(sources: SourceSet) -> Loaded {
    let revision = Revision { digest: [0; 32], commit: None };
    let mut loaded = parse(Files { sources, content: [0; 32], revision });
    every_node(&mut loaded);
    loaded
}
