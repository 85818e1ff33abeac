//! What is kept of a deployment reads the same in every version, and two are one where a program would not notice.

use super::*;
use crate::document;
use crate::resolve::{NodeInput, resolve};
use crate::source::SourceSet;
use crate::span::Span;
use serde_json::json;

const APPLICATION: &str = r#"application: people
owner: team-people
parameters: { pool: { type: integer, default: 10 } }
components:
  api:
    servers: [web]
    directory: /srv/people-api
    users: { people: { system: true } }
    directories: { /var/lib/people: { owner: people } }
    files:
      "{{ deployment.directory }}/etc/api.toml":
        template: templates/api.toml.j2
        mode: "0640"
        restarts: [people-api]
      /etc/people.pem: { source: files/people.pem }
    services:
      people-api:
        running: true
        enabled: true
        after: "user:people"
        unit: { template: templates/api.service.j2 }
    health: { http: "http://127.0.0.1:8081/health", within: 10s, for: 2s }
"#;

const FILES: &[(&str, &str)] = &[
    ("model.yaml", "model: xyz\nformat: 1\n"),
    (
        "environments/production.yaml",
        "environment: production\nnodes: { web1: { servers: [web] } }\nparameters: { password: { secret: people/db } }\n",
    ),
    ("environments/production/people.yaml", "target: people\nrelease: \"1.4\"\n"),
    ("servers/web.yaml", "server: web\n"),
    ("applications/people/application.yaml", APPLICATION),
    (
        "applications/people/releases/1.4.yaml",
        "release: people 1.4\ncomponents: { api: { artifact: { url: \"model:dist/api\" } } }\n",
    ),
    ("dist/api/bin/api", "#!/bin/sh\n"),
    (
        "templates/api.toml.j2",
        "pool = {{ pool }}\nroot = \"{{ deployment.tree }}\"\npassword = \"{{ password }}\"\nform = \"{{ '{{' }} {% raw %}{%{% endraw %} {x}\"\n",
    ),
    (
        "templates/api.service.j2",
        "[Service]\nExecStart={{ deployment.tree }}/bin/api --config {{ deployment.directory }}/etc/api.toml\n",
    ),
    ("files/people.pem", "zgivenlaterz stays here\n"),
];

/// Eight of these are the digest of a tree.
const TREE: &str = "0a1b2c3d";

/// The one component of a model, of which some files are others.
fn frozen(others: &[(&str, &str)]) -> (Deployment, Vec<String>, SourceSet) {
    let mut sources = SourceSet::default();
    for (path, text) in others.iter().chain(FILES) {
        sources.add(*path, text.as_bytes(), path.starts_with("dist/"));
    }
    let (model, diagnostics) = document::parse(&sources);
    assert!(!diagnostics.has_errors(), "{diagnostics:?}");
    let facts = json!({ "architecture": "amd64" });
    let releases = &BTreeMap::new();
    let input =
        NodeInput { environment: "production", node: "web1", facts: Some(&facts), releases };
    let (resolved, diagnostics) = resolve(&model, &sources, &input);
    assert!(!diagnostics.has_errors(), "{diagnostics:?}");
    let [placed] = &resolved.components[..] else { panic!("{:?}", resolved.components) };
    assert!(!placed.mistakes.has_errors(), "{:?}", placed.mistakes);
    let (deployment, shared) = freeze(placed, &sources, Some(TREE.repeat(8))).unwrap();
    (deployment, shared.iter().map(|it| it.id.to_string()).collect(), sources)
}

fn digest(others: &[(&str, &str)]) -> String {
    frozen(others).0.frozen.digest()
}

fn words(facts: &serde_json::Value) -> Words<'_> {
    let (previous, tree_from, span, keep) = (None, None, Span::default(), crate::Keep::Repair);
    Words { id: "0123456789ab", previous, tree_from, span, keep, facts }
}

const SAMPLE: &str = include_str!("../../../../../tests/formats/deployment-1.json");

/// Whoever has one of these digests in the state directory takes no step because this program is another one.
#[test]
fn a_deployment_is_written_as_it_was_ever_written_and_its_digest_is_what_it_was() {
    let (Deployment { frozen, contents }, ..) = frozen(&[]);
    let written = serde_json::to_string_pretty(&frozen).unwrap() + "\n";
    assert_eq!(written, SAMPLE);
    let read: Frozen = serde_json::from_str(SAMPLE).unwrap();
    assert_eq!(read, frozen);
    let contents: Vec<&String> = contents.keys().collect();
    let named: std::collections::BTreeSet<&str> = read.contents().collect();
    assert_eq!(contents, named.into_iter().collect::<Vec<_>>());
    let tree = read.tree_id().unwrap();
    assert_eq!([read.digest(), read.id(), tree], GOLDEN);
}

const GOLDEN: [&str; 3] = [
    "34c14a30db81daaa53f6844e9496f1388d1191b6a431d9e3c6f81a1aa123cb52",
    "34c14a30db81",
    "0a1b2c3d0a1b",
];

#[test]
fn what_a_program_runs_with_makes_another_deployment_and_nothing_else_does() {
    let same = digest(&[]);
    let said = |from: &str, to: &str| APPLICATION.replace(from, to);
    let application = "applications/people/application.yaml";
    for (path, text) in [
        (application, said("within: 10s, for: 2s", "within: 40s, for: 9s")),
        (application, said("owner: people }", "mode: \"0700\" }")),
        (application, said("people: { system: true }", "people: { uid: 900 }")),
        (application, said("enabled: true\n", "enabled: true\n        description: It serves\n")),
        ("applications/people/releases/1.4.yaml", FILES[5].1.replace("1.4", "1.5")),
    ] {
        let target = ("environments/production/people.yaml", "target: people\nrelease: \"1.5\"\n");
        let mut others = vec![(path, &*text)];
        if text.starts_with("release") {
            others.push(target);
        }
        assert_eq!(digest(&others), same, "{text}");
    }
    for (path, text) in [
        (application, said("default: 10", "default: 11")),
        (application, said("\"0640\"", "\"0644\"")),
        (application, said("enabled: true", "enabled: false")),
        ("files/people.pem", "another".to_owned()),
        (
            "templates/api.service.j2",
            "[Service]\nExecStart={{ deployment.tree }}/bin/b\n".to_owned(),
        ),
    ] {
        assert_ne!(digest(&[(path, &text)]), same, "{path}: {text}");
    }
}

#[test]
fn a_deployment_thaws_into_what_the_model_would_have_promised() {
    let (Deployment { frozen, contents }, shared, _) = frozen(&[]);
    assert_eq!(shared, ["user:people", "directory:/var/lib/people"]);
    // Of the model nothing is needed.
    let mut sources = SourceSet::default();
    let facts = json!({ "architecture": "amd64" });
    let words = Words { previous: Some("ba9876543210"), ..words(&facts) };
    let content = |digest: &str| contents.get(digest).cloned();
    let Thawed { promises, missing } = thaw(&frozen, words, &content, &mut sources);
    assert!(missing.is_empty());
    let ids: Vec<&str> = promises.iter().map(|it| &*it.id.0).collect();
    let folder = "/srv/people-api/deployments/0123456789ab";
    let expected = [
        format!("file:{folder}/etc/api.toml"),
        "file:/etc/people.pem".to_owned(),
        "service:people-api".to_owned(),
        "directory:/srv/people-api".to_owned(),
        "directory:/srv/people-api/deployments".to_owned(),
        format!("directory:{folder}"),
        format!("directory:{folder}/etc"),
        "directory:/srv/people-api/releases".to_owned(),
        format!("link:{folder}/tree"),
        format!("file:{folder}/.steadfast"),
        "link:/srv/people-api/current".to_owned(),
        "link:/srv/people-api/previous".to_owned(),
    ];
    assert_eq!(ids, expected);
    let rendered = |promise: &crate::Promise, at: &crate::Node| {
        let mut diagnostics = crate::Diagnostics::default();
        let mut cx = crate::Lower::new(&mut diagnostics, &sources, &promise.scope);
        let path = cx.as_text(at.get("template").unwrap(), "").unwrap();
        let rendered =
            cx.render_template(&crate::TextFrom::Model(path), at.get("variables")).unwrap();
        let text = rendered.pieces.iter().map(|it| match it {
            crate::Piece::Plain(text) => text.to_string(),
            crate::Piece::Secret(name) => format!("<{name}>"),
        });
        text.collect::<String>()
    };
    assert_eq!(
        rendered(&promises[0], &promises[0].body),
        format!(
            "pool = 10\nroot = \"{folder}/tree\"\npassword = \"<people/db>\"\nform = \"{{{{ {{% {{x}}\"\n"
        )
    );
    assert_eq!(
        rendered(&promises[2], promises[2].body.get("unit").unwrap()),
        format!("[Service]\nExecStart={folder}/tree/bin/api --config {folder}/etc/api.toml\n")
    );
    // A file that is only copied has no words in it.
    let path = promises[1].body.get("source").unwrap().one_line();
    let (_, pem) = sources.find(path.trim_matches('"')).unwrap();
    assert_eq!(pem.text(), Some("zgivenlaterz stays here\n"));
    // Without one of its contents that is told.
    let nothing = thaw(&frozen, words, &|_| None, &mut SourceSet::default());
    assert_eq!(nothing.missing.len(), 3);
}

#[test]
fn what_only_the_former_deployment_had_outside_of_it_goes() {
    let (Deployment { frozen: former, .. }, ..) = frozen(&[]);
    let mut next = former.clone();
    next.promises.retain(|it| it.kind == "file" && it.name.contains(NO_ID));
    let facts = json!({});
    let words = words(&facts);
    let gone: Vec<String> =
        gone(&former, &next, words).iter().map(|it| it.id.to_string()).collect();
    assert_eq!(gone, ["file:/etc/people.pem", "service:people-api"]);
}

/// The same with a value of its secret, and with another one.
fn with_secrets(frozen: Frozen, digit: &str) -> Frozen {
    let names = frozen.names_of_secrets().into_iter().map(str::to_owned);
    let secrets = names.map(|it| (it, digit.repeat(64))).collect();
    frozen.with_secrets(secrets)
}

const SAMPLE_WITH_SECRETS: &str =
    include_str!("../../../../../tests/formats/deployment-1-secrets.json");

#[test]
fn the_values_of_secrets_make_another_deployment_of_which_everybody_sees_the_same() {
    let (Deployment { frozen, .. }, ..) = frozen(&[]);
    assert_eq!(frozen.names_of_secrets().into_iter().collect::<Vec<_>>(), ["people/db"]);
    assert_eq!(frozen.digest(), frozen.public_digest());
    let [first, second] = ["a", "b"].map(|it| with_secrets(frozen.clone(), it));
    let written = serde_json::to_string_pretty(&first).unwrap() + "\n";
    assert_eq!(written, SAMPLE_WITH_SECRETS);
    let read: Frozen = serde_json::from_str(SAMPLE_WITH_SECRETS).unwrap();
    assert_eq!(read, first);
    assert_eq!([&*read.public_digest(), &*read.digest(), &*read.id()], GOLDEN_WITH_SECRETS);
    assert_ne!(first.digest(), second.digest());
    assert!(first.differs_by_secrets(&second));
    let other = Frozen { tree: None, ..second.clone() };
    assert!(!first.differs_by_secrets(&other) && !first.differs_by_secrets(&first));
}

const GOLDEN_WITH_SECRETS: [&str; 3] = [
    "34c14a30db81daaa53f6844e9496f1388d1191b6a431d9e3c6f81a1aa123cb52",
    "595ba614470df0cc56467400d72c43aa93e963e5fd5c8db74c3479accb8d7121",
    "595ba614470d",
];

#[test]
fn what_thaws_names_the_values_that_are_kept_and_no_model_can() {
    let (Deployment { frozen, contents }, ..) = frozen(&[]);
    let frozen = with_secrets(frozen, "a");
    let (facts, kept) = (json!({}), format!("people/db@{}", "a".repeat(64)));
    let content = |digest: &str| contents.get(digest).cloned();
    let mut sources = SourceSet::default();
    let Thawed { promises, .. } = thaw(&frozen, words(&facts), &content, &mut sources);
    let body = &promises[0].body;
    let render = |scope: &crate::Scope| {
        let mut diagnostics = crate::Diagnostics::default();
        let mut cx = crate::Lower::new(&mut diagnostics, &sources, scope);
        let path = cx.as_text(body.get("template").unwrap(), "").unwrap();
        let rendered = cx.render_template(&crate::TextFrom::Model(path), body.get("variables"));
        rendered.map(|it| it.secrets().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(render(&promises[0].scope), Some(vec![kept.clone()]));
    assert_eq!(render(&crate::Scope::default()), None);
    let secret = |scope: &crate::Scope| {
        let mut diagnostics = crate::Diagnostics::default();
        let variables = body.get("variables").unwrap().get("secret_0").unwrap();
        crate::Lower::new(&mut diagnostics, &sources, scope).as_rendered(variables, "it")
    };
    let found = secret(&promises[0].scope).unwrap();
    assert_eq!(found.secrets().map(|it| &**it).collect::<Vec<_>>(), [kept]);
    assert!(secret(&crate::Scope::default()).is_none());
}

/// What makes the component read flags.
fn with_flags(component: &str, colour: &str) -> Vec<(&'static str, String)> {
    let application = APPLICATION
        .replace("    health:", &format!("    flags: {component}\n    health:"))
        .replace(
            "components:\n",
            "flags:\n  colour: { type: string, default: red, owner: team }\n  dark: { type: boolean, \
             default: false, owner: team }\n  unread: { type: boolean, default: true, owner: team }\ncomponents:\n",
        );
    let release = FILES[5].1.replace("components:", "flags: [dark, colour]\ncomponents:");
    let target = format!("target: people\nrelease: \"1.4\"\nflags: {{ colour: {colour} }}\n");
    vec![
        ("applications/people/application.yaml", application),
        ("applications/people/releases/1.4.yaml", release),
        ("environments/production/people.yaml", target),
        (
            "templates/api.service.j2",
            "[Service]\nUser=people\nExecStart={{ deployment.tree }}/bin/api\n".to_owned(),
        ),
    ]
}

fn of_flags(component: &str, colour: &str) -> Deployment {
    let files = with_flags(component, colour);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, &**text)).collect();
    frozen(&files).0
}

const SAMPLE_WITH_FLAGS: &str =
    include_str!("../../../../../tests/formats/deployment-1-flags.json");

#[test]
fn the_file_of_flags_is_kept_with_a_deployment_and_is_a_part_of_it_only_where_a_change_is_a_step() {
    let file =
        |on_change: &str| format!("{{ file: /srv/people-api/flags.json, on_change: {on_change} }}");
    let Deployment { frozen: red, contents } = of_flags(&file("none"), "red");
    let written = serde_json::to_string_pretty(&red).unwrap() + "\n";
    assert_eq!(written, SAMPLE_WITH_FLAGS);
    assert_eq!(serde_json::from_str::<Frozen>(SAMPLE_WITH_FLAGS).unwrap(), red);
    let blue = of_flags(&file("reload"), "blue").frozen;
    assert_eq!(red.digest(), blue.digest());
    let [first, second] = ["red", "blue"].map(|it| of_flags(&file("restart"), it).frozen);
    assert!(first.digest() != second.digest() && first.digest() != red.digest());

    let facts = json!({});
    let content = |digest: &str| contents.get(digest).cloned();
    let promise = |frozen: &Frozen| {
        let thawed = thaw(frozen, words(&facts), &content, &mut SourceSet::default());
        let path = "file:/srv/people-api/flags.json";
        let found = thawed.promises.into_iter().find(|it| &*it.id.0 == path).unwrap();
        let units =
            |all: &[crate::Spanned<Arc<str>>]| all.iter().map(|it| it.value.to_string()).collect();
        (found.body.to_json(), units(&found.reloads), units(&found.restarts))
    };
    let none = Vec::<String>::new();
    let api = vec!["people-api".to_owned()];
    let (body, reloads, restarts) = promise(&red);
    assert_eq!(
        (&body["owner"], &body["group"], &body["mode"]),
        (&json!("root"), &json!("people"), &json!("0640"))
    );
    assert!(body["content"].as_str().unwrap().contains("\"defaultVariant\": \"off\""));
    assert!(!body["content"].as_str().unwrap().contains("unread"));
    assert_eq!((reloads, restarts), (none.clone(), none.clone()));
    assert_eq!((promise(&blue).1, promise(&blue).2), (api.clone(), none.clone()));
    assert_eq!((promise(&first).1, promise(&first).2), (none, api));
    // It leaves with the last deployment that has it.
    let names =
        |all: Vec<crate::Promise>| all.iter().map(|it| it.id.to_string()).collect::<Vec<_>>();
    let without = Frozen { flags: None, ..red.clone() };
    assert_eq!(names(gone(&red, &without, words(&facts))), ["file:/srv/people-api/flags.json"]);
    assert_eq!(names(gone(&red, &blue, words(&facts))), [""; 0]);
}

#[test]
fn what_waits_gets_the_newest_values_of_the_flags_that_it_reads() {
    let here = |colour: &str| {
        let (_, _, sources) = {
            let files = with_flags("{ file: /f }", colour);
            let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (*a, &**b)).collect();
            frozen(&files)
        };
        let (model, _) = document::parse(&sources);
        let releases = &BTreeMap::new();
        let (environment, node) = ("production", "web1");
        let input = NodeInput { environment, node, facts: None, releases };
        resolve(&model, &sources, &input).0.components.remove(0).flags
    };
    let said = |frozen: &Frozen| frozen.flags.as_ref().unwrap().said.clone();
    let mut waits = of_flags("{ file: /f, format: json }", "red").frozen;
    // Of an older release, which did not read all of them, and one that is gone by now.
    let own = waits.flags.as_mut().unwrap();
    own.said.remove("dark");
    own.said.insert("old".to_owned(), json!(7));
    waits.deliver(&here("blue"));
    assert_eq!(
        said(&waits),
        BTreeMap::from([("colour".into(), json!("blue")), ("old".into(), json!(7))])
    );
    // Where a change is a step, it waits for that.
    let mut step = of_flags("{ file: /f, on_change: restart }", "red").frozen;
    let before = step.clone();
    step.deliver(&here("blue"));
    assert_eq!(step, before);
}

#[test]
fn who_reads_the_flags_is_whom_the_first_service_runs_as() {
    let reader = |service: &str, file: &str| {
        let mut files = with_flags(file, "red");
        files.last_mut().unwrap().1 = service.to_owned();
        let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (*a, &**b)).collect();
        frozen(&files).0.frozen.flags.unwrap().reader
    };
    let group = |name: &str| Reader::Group(name.to_owned());
    let file = "{ file: /f }";
    assert_eq!(reader("[Service]\nUser=people\n", file), group("people"));
    assert_eq!(
        reader("[Service]\nUser = www-data\n", file),
        Reader::GroupOf("www-data".to_owned())
    );
    assert_eq!(reader("[Service]\nUser=people\nGroup=web\n", file), group("web"));
    assert_eq!(reader("[Service]\nUser=%i\n", file), group("root"));
    assert_eq!(reader("[Service]\n", file), group("root"));
    assert_eq!(reader("[Service]\nUser=people\n", "{ file: /f, group: adm }"), group("adm"));
}
