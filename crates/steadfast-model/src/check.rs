//! What `check` looks at: every node of every environment, with the facts that were recorded of it.

use crate::diagnostic::Diagnostics;
use crate::document::Model;
use crate::select;
use crate::source::SourceSet;
use crate::yaml;
use std::sync::Arc;

/// A node, or a pattern under its own text as the name.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub environment: Arc<str>,
    pub node: Arc<str>,
    /// From `facts/NODE.yaml`, `.yml` or `.json` of the model; `None` where none are recorded.
    pub facts: Option<serde_json::Value>,
}

/// Every node of every environment, in the order of the model, and what is wrong with the whole of
/// them: facts that cannot be read, nodes in two environments.
pub fn targets(model: &Model, sources: &SourceSet) -> (Vec<Target>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    select::overlaps(model, &mut diagnostics);
    let mut targets = vec![];
    for environment in model.environments.values() {
        for selector in &environment.nodes {
            let node = Arc::clone(&selector.nodes.value);
            let facts = facts(&node, sources, &mut diagnostics);
            targets.push(Target { environment: Arc::clone(&environment.name.value), node, facts });
        }
        // A node whose facts are recorded is checked as itself, beside the pattern that it fits.
        for node in recorded(sources) {
            let exact = environment.nodes.iter().any(|it| *it.nodes.value == *node);
            let fits = environment
                .nodes
                .iter()
                .any(|it| select::is_glob(&it.nodes.value) && select::fits(&it.nodes.value, &node));
            if fits && !exact {
                let facts = facts(&node, sources, &mut diagnostics);
                targets.push(Target {
                    environment: Arc::clone(&environment.name.value),
                    node,
                    facts,
                });
            }
        }
    }
    (targets, diagnostics)
}

/// The names of the nodes whose facts are recorded.
fn recorded(sources: &SourceSet) -> Vec<Arc<str>> {
    let name = |path: &str| {
        let file = path.strip_prefix("facts/")?;
        let name = [".yaml", ".yml", ".json"].iter().find_map(|it| file.strip_suffix(it))?;
        (!name.contains('/')).then(|| Arc::from(name))
    };
    sources.iter().filter_map(|(_, it)| name(&it.path)).collect()
}

/// The recorded facts of a node. What could not be read of them is reported.
pub fn facts(
    node: &str,
    sources: &SourceSet,
    diagnostics: &mut Diagnostics,
) -> Option<serde_json::Value> {
    let (id, source) = ["yaml", "yml", "json"]
        .iter()
        .find_map(|extension| sources.find(&format!("facts/{node}.{extension}")))?;
    yaml::read(id, source, diagnostics).map(|node| node.to_json())
}

/// One document of plain data, as static facts are written: its value, or the first mistake in it.
pub fn data(bytes: &[u8]) -> Result<serde_json::Value, String> {
    let mut sources = SourceSet::default();
    let id = sources.add("facts", bytes, false);
    let mut diagnostics = Diagnostics::default();
    let Some(source) = sources.get(id) else { return Ok(serde_json::Value::Null) };
    let node = yaml::read(id, source, &mut diagnostics);
    match (node, diagnostics.iter().next()) {
        (Some(node), None) => Ok(node.to_json()),
        (_, Some(mistake)) => {
            Err(format!("line {}: {}", sources.place(mistake.span).line, mistake.message))
        }
        (None, None) => Ok(serde_json::Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_is_a_target_with_its_recorded_facts() {
        let mut sources = SourceSet::default();
        for (path, text) in [
            ("environments/p.yaml", "environment: p\nnodes: { web1: {}, \"db*\": {}, c: {} }\n"),
            ("environments/s.yaml", "environment: s\nnodes: { web1: {} }\n"),
            ("facts/web1.yaml", "os: { family: debian, version: \"12\" }\ncpus: 2\n"),
            ("facts/c.json", "{\"memory\": 1024, \"addresses\": {\"ipv4\": []}}"),
        ] {
            sources.add(path, text.as_bytes(), false);
        }
        let (model, _) = crate::document::parse(&sources);
        let (targets, diagnostics) = targets(&model, &sources);
        let shown: Vec<String> = targets
            .iter()
            .map(|it| {
                let facts = it.facts.as_ref().map(ToString::to_string);
                format!("{} {} {}", it.environment, it.node, facts.unwrap_or_default())
            })
            .collect();
        assert_eq!(
            shown,
            [
                r#"p web1 {"os":{"family":"debian","version":"12"},"cpus":2}"#,
                "p db* ",
                r#"p c {"memory":1024,"addresses":{"ipv4":[]}}"#,
                r#"s web1 {"os":{"family":"debian","version":"12"},"cpus":2}"#,
            ]
        );
        let messages: Vec<&str> = diagnostics.iter().map(|it| &*it.message).collect();
        assert_eq!(messages, ["web1 is in two environments, s and p"]);
    }
}
