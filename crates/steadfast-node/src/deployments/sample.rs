//! A node with components, for tests.

use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use steadfast_engine::component::{Deployment, Switch, Terms};
use steadfast_model::{NodeInput, Placed, SourceSet, document, resolve};

/// A deployment of a release that is called so.
pub(super) fn deployment(own: &str, release: &str) -> Deployment {
    let second = Duration::from_secs(1);
    let terms = Terms {
        digest: "7e".into(),
        switch: Switch::Restart,
        units: "11".into(),
        within: second,
        lasts: second,
        bake: Duration::ZERO,
        drains: false,
        readies: false,
        drain_for: second,
        quiesces: None,
    };
    let own: Arc<str> = own.into();
    let (public, folder) = (own.clone(), own.clone());
    Deployment { own, public, folder, release: release.into(), terms }
}

pub(super) const APPLICATION: &str = r#"application: people
owner: team-people
components:
  api:
    servers: [web]
    directory: /srv/people-api
    unpack: { strip: 1 }
    files:
      "{{ deployment.directory }}/etc/api.toml": { content: "pool = 10" }
      /etc/systemd/system/other.service.d/api.conf: { content: "[Service]\nUMask=077\n" }
    services:
      people-api:
        running: true
        enabled: true
        unit: { content: "[Service]\nExecStart=/bin/api\n" }
    health: { http: "http://127.0.0.1:8081/health", within: 10s, for: 2s }
    verify: 24h
  schema: { servers: [web], directory: /srv/people-schema }
"#;

const FILES: &[(&str, &str)] = &[
    ("model.yaml", "model: xyz\nformat: 1\n"),
    (
        "environments/production.yaml",
        "environment: production\nnodes: { web1: { servers: [web] } }\n",
    ),
    ("environments/production/people.yaml", "target: people\nrelease: 1.4.0\n"),
    ("servers/web.yaml", "server: web\n"),
    ("applications/people/application.yaml", APPLICATION),
    (
        "applications/people/releases/1.4.0.yaml",
        "release: people 1.4.0\ncomponents:\n  api: { artifact: { url: \"model:dist/api\" }, uses: [fname] }\n  schema: { artifact: { url: \"model:dist/api\" }, provides: [fname] }\n",
    ),
    ("dist/api/bin/api", "#!/bin/sh\n"),
];

/// The application with other words.
pub(super) fn application(text: &str) -> (&str, &str) {
    ("applications/people/application.yaml", text)
}

/// The components of a node, where some files of its model are others.
pub(super) fn placed(others: &[(&str, &str)]) -> (Vec<Placed>, SourceSet) {
    let (model, sources) = model(others);
    let facts = json!({ "architecture": "amd64" });
    let releases = &BTreeMap::new();
    let input =
        NodeInput { environment: "production", node: "web1", facts: Some(&facts), releases };
    let (resolved, diagnostics) = resolve(&model, &sources, &input);
    assert!(!diagnostics.has_errors(), "{diagnostics:?}");
    (resolved.components, sources)
}

pub(super) fn model(others: &[(&str, &str)]) -> (document::Model, SourceSet) {
    let mut sources = SourceSet::default();
    for (path, text) in others.iter().chain(FILES) {
        sources.add(*path, text.as_bytes(), path.starts_with("dist/"));
    }
    let (model, diagnostics) = document::parse(&sources);
    assert!(!diagnostics.has_errors(), "{diagnostics:?}");
    for known in model.catalog.applications.values() {
        assert!(!known.mistakes.has_errors(), "{:?}", known.mistakes);
    }
    (model, sources)
}
