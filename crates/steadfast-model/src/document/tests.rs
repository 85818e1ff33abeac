//! Which documents are read, and what is told of those that cannot be.

use super::*;
use crate::keep::Keep;
use crate::render;
use crate::source::SourceSet;
use expect_test::{Expect, expect};

fn read(files: &[(&str, &str)]) -> (Model, String) {
    let mut sources = SourceSet::default();
    for (path, text) in files {
        sources.add(*path, text.as_bytes(), false);
    }
    let (model, diagnostics) = parse(&sources);
    let lines: Vec<String> = diagnostics
        .iter()
        .map(|it| {
            let place = sources.place(it.span);
            let level = render::severity(it.severity);
            format!("{level}[{}] {place}:{} {}", it.code.0, place.column, it.message)
        })
        .collect();
    (model, lines.join("\n"))
}

const MODEL: (&str, &str) = ("model.yaml", "model: xyz\nformat: 1\n");

#[track_caller]
fn check(path: &str, text: &str, expected: Expect) {
    expected.assert_eq(&read(&[MODEL, (path, text)]).1);
}

#[test]
fn a_whole_model_is_read() {
    let server = "server: web\nparameters:\n  port: { type: integer, default: 8080 }\n  \
                  sites: [a, b]\ninclude:\n  - base\n  - std/ssh: { port: 22 }\n  \
                  - { site: { name: \"{{ item }}\" }, for_each: \"{{ sites }}\" }\n\
                  keep: report\nfiles:\n  /etc/motd: { content: hello }\n";
    let environment = "environment: production\nparameters: { domain: xyz.example }\nnodes:\n  \
                       web1: { servers: [web], labels: { zone: a } }\napplications: {}\n";
    let ssh = ("std/ssh.yaml", "bundle: ssh\npackages: { openssh-server: present }\n");
    let (model, problems) = read(&[
        MODEL,
        ("servers/web.yaml", server),
        ("environments/production.yaml", environment),
        ssh,
    ]);
    assert_eq!(problems, "");
    let web = &model.servers["web"];
    assert_eq!(web.keep, Keep::Report);
    assert_eq!(web.parameters[0].takes, Some(ParameterType::Integer));
    assert!(web.parameters[1].takes.is_none() && web.parameters[1].default.is_some());
    let bundles: Vec<&str> = web.include.iter().map(|it| &*it.bundle.value).collect();
    assert_eq!(bundles, ["base", "std/ssh", "site"]);
    assert!(web.include[2].for_each.is_some() && web.include[1].arguments.len() == 1);
    assert_eq!((web.sections[0].kind, web.sections[0].entries.len()), ("file", 1));
    assert_eq!(&*model.environments["production"].nodes[0].servers[0].value, "web");
    assert!(model.bundles.contains_key("std/ssh"));
}

#[test]
fn unknown_keys_are_offered_the_nearest_name() {
    check(
        "servers/a.yaml",
        "server: a\nfile: {}\nbundle: b\n",
        expect![[r#"
        error[unknown-field] servers/a.yaml:2:1 `server` has no field `file`
        error[unknown-field] servers/a.yaml:3:1 `server` has no field `bundle`"#]],
    );
}

#[test]
fn a_document_says_what_it_is_by_its_first_key() {
    check(
        "servers/a.yaml",
        "sever: a\n",
        expect![[
            r#"error[unknown-document] servers/a.yaml:1:1 a document cannot begin with `sever`"#
        ]],
    );
    check(
        "servers/a.yaml",
        "bundle: a\n",
        expect![[
            r#"warning[out-of-place] servers/a.yaml:1:1 servers/a.yaml holds a document of kind `bundle`"#
        ]],
    );
    check(
        "other/a.yaml",
        "server: a\n",
        expect![[
            r#"warning[out-of-place] other/a.yaml:1:1 other/a.yaml is not read: no document belongs there"#
        ]],
    );
    check(
        "servers/.a.yaml",
        "server: a\n",
        expect![[
            r#"warning[out-of-place] servers/.a.yaml:1:1 servers/.a.yaml is not read: its name begins with a dot"#
        ]],
    );
    check(".github/a.yaml", "on: push\n", expect![[""]]);
    check("servers/files/a.yaml", "- anything\n", expect![[""]]);
}

#[test]
fn what_is_wrong_with_an_application_is_its_own_affair() {
    let broken = [
        MODEL,
        ("servers/web.yaml", "server: web\n"),
        ("environments/p.yaml", "environment: p\nnodes: { web1: { servers: [web] } }\n"),
        ("environments/p/people.yaml", "target: people\nrelease: [\n"),
        ("applications/people/application.yaml", "application: people\nowne: x\n"),
        (
            "applications/people/releases/1.4.0.yaml",
            "release: people 1.4.0\nfollow: 1\n---\nrelese: x\n",
        ),
        ("applications/orders/application.yaml", "application: orders\nowner: x\n"),
    ];
    let (model, problems) = read(&broken);
    assert_eq!(problems, "");
    let mistakes = |name: &str| model.catalog.applications[name].mistakes.len();
    assert_eq!((mistakes("people"), mistakes("orders")), (5, 0));
}

#[test]
fn two_documents_of_one_name_are_an_error() {
    let (model, problems) =
        read(&[MODEL, ("servers/a.yaml", "server: x\n"), ("servers/b.yaml", "server: x\n")]);
    assert_eq!(model.servers.len(), 1);
    expect!["error[duplicate-document] servers/b.yaml:1:9 there are two documents `server: x`"]
        .assert_eq(&problems);
}

#[test]
fn a_newer_format_is_refused_and_a_missing_model_is_told() {
    let (_, problems) = read(&[("model.yaml", "model: x\nformat: 2\n")]);
    expect![
        "error[unknown-format] model.yaml:2:9 format 2 is not understood; this program knows 1"
    ]
    .assert_eq(&problems);
    let (_, problems) = read(&[]);
    expect!["error[no-model] ?:0:0 there is no model.yaml"].assert_eq(&problems);
}

#[test]
fn an_include_names_one_bundle_and_gives_it_a_map() {
    check(
        "servers/a.yaml",
        "server: a\ninclude:\n  - {a: {}, b: {}}\n  - c: 1\n  - d:\n",
        expect![[r#"
        error[bad-value] servers/a.yaml:3:5 an include names one bundle
        error[wrong-type] servers/a.yaml:4:8 the arguments of `c` must be a map, and is an integer"#]],
    );
}
