//! What one node has promised, for each rule of the language that is decided here.

use super::*;
use crate::keep::Keep;
use crate::node::Node;
use crate::promise::{Promise, Resolved};
use crate::source::SourceSet;
use crate::span::Spanned;

use crate::render::severity;
use crate::{Diagnostics, document};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

const NODE: &str = "web1.xyz.example";

fn sources(files: &[(&str, &str)]) -> SourceSet {
    let mut sources = SourceSet::default();
    sources.add("model.yaml", "model: xyz\nformat: 1\n".as_bytes(), false);
    for (path, text) in files {
        sources.add(*path, text.as_bytes(), false);
    }
    sources
}

fn lines(diagnostics: &Diagnostics, sources: &SourceSet) -> String {
    diagnostics.iter().fold(String::new(), |mut out, it| {
        let place = sources.place(it.span);
        let level = severity(it.severity);
        write!(out, "\n{level}[{}] {place}:{} {}", it.code.0, place.column, it.message).unwrap();
        if !it.label.is_empty() {
            write!(out, " ({})", it.label).unwrap();
        }
        out
    })
}

fn facts() -> serde_json::Value {
    serde_json::json!({
        "os": { "family": "debian", "id": "debian", "version": "12", "codename": "bookworm" },
        "architecture": "amd64", "cpus": 2, "memory": 4_294_967_296u64,
        "addresses": { "ipv4": ["192.0.2.1", "192.0.2.2"], "ipv6": [] },
    })
}

fn resolved(files: &[(&str, &str)], facts: Option<&serde_json::Value>) -> (Resolved, String) {
    let sources = sources(files);
    let (model, mut diagnostics) = document::parse(&sources);
    let input = NodeInput { environment: "p", node: NODE, facts, releases: &BTreeMap::new() };
    let (resolved, more) = resolve(&model, &sources, &input);
    diagnostics.extend(more);
    let lines = lines(&diagnostics, &sources);
    (resolved, lines)
}

fn show_promise(promise: &Promise) -> String {
    let mut out = format!("{} {}", promise.id, promise.body.one_line());
    let list = |items: &[Spanned<Arc<str>>]| {
        items.iter().map(|it| &*it.value).collect::<Vec<_>>().join(",")
    };
    if !promise.needs.is_empty() {
        let needs: Vec<&str> = promise.needs.iter().map(|it| &*it.value.0).collect();
        write!(out, " after={}", needs.join(",")).unwrap();
    }
    if !promise.reloads.is_empty() {
        write!(out, " reloads={}", list(&promise.reloads)).unwrap();
    }
    if !promise.restarts.is_empty() {
        write!(out, " restarts={}", list(&promise.restarts)).unwrap();
    }
    if promise.keep == Keep::Report {
        out.push_str(" report");
    }
    if promise.conditional {
        out.push_str(" conditional");
    }
    if let Some(description) = &promise.description {
        write!(out, " \"{description}\"").unwrap();
    }
    out
}

fn shown(files: &[(&str, &str)], facts: Option<&serde_json::Value>) -> String {
    let (resolved, problems) = resolved(files, facts);
    let promises: Vec<String> = resolved.promises.iter().map(show_promise).collect();
    promises.join("\n") + &problems
}

const ENVIRONMENT: (&str, &str) = (
    "environments/p.yaml",
    "environment: p\nparameters: { domain: xyz.example }\nnodes:\n  \"web*\": { servers: [web], labels: { zone: a } }\n",
);

/// The promises of a node that is the server `web`, with these other documents.
#[track_caller]
fn check_all(files: &[(&str, &str)], expected: Expect) {
    let mut files = files.to_vec();
    if !files.iter().any(|(path, _)| *path == ENVIRONMENT.0) {
        files.push(ENVIRONMENT);
    }
    expected.assert_eq(&shown(&files, Some(&facts())));
}

#[track_caller]
fn check(server: &str, expected: Expect) {
    check_all(&[("servers/web.yaml", &format!("server: web\n{server}"))], expected);
}

/// The same where no fact is known.
#[track_caller]
fn check_unknown(server: &str, expected: Expect) {
    let server = format!("server: web\n{server}");
    expected.assert_eq(&shown(&[("servers/web.yaml", &server), ENVIRONMENT], None));
}

#[test]
fn expressions_see_node_environment_facts_and_what_is_set() {
    check(
        r#"files:
  /etc/motd: { content: "{{ node.name }} {{ node.short }} {{ node.labels.zone }} {{ node.servers[0] }} {{ environment.name }} {{ facts.os.family }} {{ domain }}\n" }
"#,
        expect![[
            r#"file:/etc/motd {content: "web1.xyz.example web1 a web p debian xyz.example\n"}"#
        ]],
    );
}

#[test]
fn a_value_that_is_one_whole_expression_keeps_its_type() {
    check(
        r#"parameters:
  port: 8080
  on: true
  share: 0.5
  none: { type: string, default: }
  list: [a, 1, { b: c }]
files:
  /a:
    integer: "{{ port }}"
    sum: "{{ port + 1 }}"
    boolean: "{{ on }}"
    number: "{{ share }}"
    nothing: "{{ none }}"
    list: "{{ list }}"
    map: "{{ {'x': [port, port > 1]} }}"
    first: "{{ list[2].b }}"
    trimmed: "{{- port -}}"
    two: "{{ port }}{{ port }}"
    spaced: " {{ port }}"
    text: "{{ port }}:{{ on }}"
    brace: "{{ '}}' }}"
    facts: "{{ facts.addresses.ipv4 }}"
    mapped: "{{ list | map('string') | list | length }}"
"#,
        expect![[
            r#"file:/a {integer: 8080, sum: 8081, boolean: true, number: 0.5, nothing: null, list: ["a", 1, {b: "c"}], map: {x: [8080, true]}, first: "c", trimmed: 8080, two: "80808080", spaced: " 8080", text: "8080:true", brace: "}}", facts: ["192.0.2.1", "192.0.2.2"], mapped: 3}"#
        ]],
    );
}

#[test]
fn names_may_have_expressions_and_may_not_meet() {
    check(
        r#"parameters: { site: one, number: 7, list: [] }
files:
  "/srv/{{ site }}": {}
  "/srv/one": {}
  "{{ number }}": { a: { "{{ site }}": 1, one: 2 } }
  "{{ list }}": {}
"#,
        expect![[r#"
            file:/srv/one {}
            file:7 {a: {one: 1}}
            error[duplicate-key] servers/web.yaml:5:3 `/srv/one` is given twice (again)
            error[duplicate-key] servers/web.yaml:6:43 `one` is given twice (again)
            error[wrong-type] servers/web.yaml:7:3 a name must be text, and this is a list"#]],
    );
}

#[test]
fn an_undefined_name_is_an_error_with_its_place_and_the_nearest_name() {
    check(
        r#"parameters: { port: 1 }
files:
  /a: { content: "port={{ prt }}" }
  /b: { content: "{{ prt }}" }
  /c: { content: "{{ facts.os.famly }}" }
  /d: { content: "{{ node.labels.zon + 1 }}" }
  /e: { content: "{{ entirely_other | upper }}" }
  /f: { when: prt == 1 }
  /g: { content: "{{ application.name }}" }
  /h: { content: "{{ prt is defined }} {{ prt | default('x') }}" }
"#,
        expect![[r#"
            file:/a {content: unknown}
            file:/b {content: unknown}
            file:/c {content: unknown}
            file:/d {content: unknown}
            file:/e {content: unknown}
            file:/f {} conditional
            file:/g {content: unknown}
            file:/h {content: "false x"}
            error[undefined-name] servers/web.yaml:4:27 `prt` is not defined here (did you mean `port`?)
            error[undefined-name] servers/web.yaml:5:19 `prt` is not defined here (did you mean `port`?)
            error[undefined-name] servers/web.yaml:6:19 `facts.os.famly` is not defined here (did you mean `facts.os.family`?)
            error[undefined-name] servers/web.yaml:7:22 `node.labels.zon` is not defined here (did you mean `node.labels.zone`?)
            error[undefined-name] servers/web.yaml:8:39 `entirely_other` is not defined here
            error[undefined-name] servers/web.yaml:9:15 `prt` is not defined here (did you mean `port`?)
            error[undefined-name] servers/web.yaml:10:22 `application` is not defined here"#]],
    );
}

#[test]
fn what_is_no_expression_is_an_error() {
    check(
        r#"files:
  /a: { content: "{{ 1 + }}" }
  /b: { content: "{{ x" }
  /c: { content: "{% if true %}a" }
  /d: { content: "{{ 'a' | uper }}" }
  /e: { content: "{{ 1 / 0 }}" }
  /f: { content: "{{ range }}" }
  /g: { content: "{% include 'servers/web.yaml' %}" }
  /h: { content: "{{ none }} text" }
  /i: { content: "${var} {# no comment #} 50% { a }" }
  /j: { command: "docker ps --format '{{.Names}}'" }
  /k: { content: "{{ debug() }}" }
"#,
        expect![[r#"
            file:/a {content: unknown}
            file:/b {content: unknown}
            file:/c {content: unknown}
            file:/d {content: unknown}
            file:/e {content: unknown}
            file:/f {content: unknown}
            file:/g {content: unknown}
            file:/h {content: unknown}
            file:/i {content: "${var} {# no comment #} 50% { a }"}
            file:/j {command: unknown}
            file:/k {content: unknown}
            error[bad-template] servers/web.yaml:3:26 syntax error: unexpected end of variable block
            error[bad-template] servers/web.yaml:4:22 syntax error: unexpected end of input, expected end of variable block
            error[bad-template] servers/web.yaml:5:32 syntax error: unexpected end of input, expected end of block
            error[bad-template] servers/web.yaml:6:28 unknown filter: filter uper is unknown
            error[bad-template] servers/web.yaml:7:22 unable to calculate 1 / 0
            error[wrong-type] servers/web.yaml:8:19 the value of the expression is a function
            error[unknown-file] servers/web.yaml:9:22 there is no template 'servers/web.yaml'
            error[bad-template] servers/web.yaml:10:22 null cannot be turned into text
            error[bad-template] servers/web.yaml:12:41 syntax error: unexpected `.`
            error[bad-template] servers/web.yaml:13:22 unknown function: debug is unknown"#]],
    );
}

#[test]
fn an_expression_that_has_no_end_is_stopped() {
    check(
        r#"files:
  /a: { content: "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}" }
  /b: { content: "{{ 'a' * 1000000000 }}" }
  /c: { content: "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}" }
  /d: { content: "{% set n = namespace(x=[]) %}{% for a in range(9000) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x }}" }
  /e: { content: "{{ range(5000) | list | length }}" }
"#,
        expect![[r#"
            file:/a {content: unknown}
            file:/b {content: unknown}
            file:/c {content: unknown}
            file:/d {content: unknown}
            file:/e {content: 5000}
            error[template-limit] servers/web.yaml:3:19 this takes too long
            error[template-limit] servers/web.yaml:4:22 this takes too long
            error[template-limit] servers/web.yaml:5:37 this nests deeper than 100
            error[bad-template] servers/web.yaml:6:30 `namespace` is not available: a loop carries no state"#]],
    );
}

#[test]
fn an_expression_that_goes_too_deep_is_not_given_to_the_engine() {
    let many = |part: &str| part.repeat(20_000);
    let server = format!(
        "files:\n  /a: {{ content: \"{{{{ 1{} }}}}\" }}\n  /b: {{ content: \"b {{{{ 1{} }}}}\" }}\n  \
         /c: {{ when: \"{}true\", content: c }}\n  /d: {{ content: \"{{{{ {}1{} }}}}\" }}\n",
        many("~1"),
        many("+1"),
        many("not "),
        "(".repeat(100),
        ")".repeat(100),
    );
    check(
        &server,
        expect![[r#"
            file:/a {content: unknown}
            file:/b {content: unknown}
            file:/c {content: "c"} conditional
            file:/d {content: unknown}
            error[template-limit] servers/web.yaml:3:523 this has more than 250 operators, brackets or branches one within another
            error[template-limit] servers/web.yaml:4:525 this has more than 250 operators, brackets or branches one within another
            error[template-limit] servers/web.yaml:5:1016 this has more than 250 operators, brackets or branches one within another
            error[bad-template] servers/web.yaml:6:96 syntax error: template exceeds maximum recursion limits"#]],
    );
}

/// The stack that a test has is smaller than that of the program.
#[test]
fn an_expression_that_goes_as_deep_as_it_may_is_evaluated() {
    let many = |part: &str| part.repeat(230);
    let (open, close) = ("(".repeat(70), ")".repeat(70));
    let mut server = "server: web\nfiles:\n".to_owned();
    for (at, expression) in [
        format!("''{}", many("~''")),
        format!("1{}", many("+1")),
        format!("'a'{}", many("|upper")),
        format!("{}true", many("not ")),
        format!("{}1", many("1 if false else ")),
        format!("{}1", many("-")),
        format!("{open}1{}{close}", "+1".repeat(150)),
        format!("{open}{}true{close}", "not ".repeat(150)),
        format!("[[1]]{}|length", many("[:]")),
    ]
    .into_iter()
    .enumerate()
    {
        writeln!(server, "  /{at}: {{ content: \"{{{{ {expression} }}}}\" }}").unwrap();
        writeln!(server, "  /{at}-when: {{ when: \"{expression} == 1\" }}").unwrap();
    }
    let branches = format!("{{% if false %}}{}{{% endif %}}", many("{% elif false %}b"));
    writeln!(server, "  /branches: {{ content: \"{branches}c\" }}").unwrap();
    let out = shown(&[("servers/web.yaml", &server), ENVIRONMENT], Some(&facts()));
    expect![[r#"
        file:/0 {content: ""}
        file:/1 {content: 231}
        file:/2 {content: "A"}
        file:/3 {content: true}
        file:/3-when {}
        file:/4 {content: 1}
        file:/4-when {}
        file:/5 {content: 1}
        file:/5-when {}
        file:/6 {content: 151}
        file:/7 {content: true}
        file:/7-when {}
        file:/8 {content: 1}
        file:/8-when {}
        file:/branches {content: "c"}"#]]
    .assert_eq(&out);
}

#[test]
fn when_is_an_expression_that_is_true_or_false() {
    check(
        r#"parameters: { so: true, port: 80 }
files:
  /a: { when: so, content: a }
  /b: { when: "{{ so }}", content: b }
  /c: { when: not so, content: "{{ never_looked_at }}" }
  /d: { when: "facts.os.family == 'debian' and port > 79" }
  /e: { when: false }
  /f: { when: true }
  /g: { when: port }
  /h: { when: "{{ so }} or {{ so }}" }
  /i: { when: [a] }
  /j: { when: "port ==" }
"#,
        expect![[r#"
            file:/a {content: "a"}
            file:/b {content: "b"}
            file:/d {}
            file:/f {}
            file:/g {} conditional
            file:/h {} conditional
            file:/i {} conditional
            file:/j {} conditional
            error[wrong-type] servers/web.yaml:10:15 `when` must be true or false, and is an integer
            error[bad-template] servers/web.yaml:11:22 syntax error: unexpected input after expression
            error[wrong-type] servers/web.yaml:12:15 `when` must be true or false, and is a list
            error[bad-template] servers/web.yaml:13:21 syntax error: unexpected end of input, expected expression"#]],
    );
}

#[test]
fn both_sides_of_a_condition_that_hangs_on_an_unknown_fact_are_checked() {
    check_unknown(
        r#"parameters:
  family: "{{ facts.os.family }}"
  settings: { type: map, default: { known: 1, unknown: "{{ facts.cpus }}" } }
files:
  /a: { when: "facts.os.family == 'debian'", content: a }
  /b: { when: "facts.os.family != 'debian'", content: "{{ undefined_here }}" }
  /c: { when: facts is defined }
  /d: { when: "'x' == family | default('x')" }
  /e: { content: "{{ family }} x", mode: "0644" }
  /f: { known: "{{ settings.known }}", unknown: "{{ settings.unknown }}", all: "{{ settings }}", length: "{{ settings | length }}" }
  /g: { content: "{% for k in settings %}{{ k }}{% endfor %}{% for k, v in settings | items %}{{ k }}{% endfor %}" }
  "/h/{{ family }}": { content: "{{ undefined_here_too }}" }
  /i: "{{ family }}"
  /j: { after: ["file:/{{ family }}", "file:/a"], "{{ family }}": 1 }
  /k: { equal: "{{ settings == settings }}", in: "{{ 1 in settings.values }}" }
  /l: { when: "false and facts.x" }
  /m: { content: "{{ facts.a.b.c | map('upper') | join(nothing) }}" }
"#,
        expect![[r#"
            file:/a {content: "a"} conditional
            file:/b {content: unknown} conditional
            file:/c {} conditional
            file:/d {} conditional
            file:/e {content: unknown, mode: "0644"}
            file:/f {known: 1, unknown: unknown, all: {known: 1, unknown: unknown}, length: 2}
            file:/g {content: unknown}
            file:/i unknown
            file:/j unknown
            file:/k {equal: true, in: unknown}
            file:/m {content: unknown}
            error[undefined-name] servers/web.yaml:7:56 `undefined_here` is not defined here
            error[undefined-name] servers/web.yaml:16:51 `settings.values` is not defined here"#]],
    );
}

#[test]
fn a_fact_that_is_known_to_be_missing_is_undefined() {
    check(
        "files: { /a: { content: \"{{ facts.nothing }}\" }, /b: { when: facts.nothing is defined } }\n",
        expect![[r#"
            file:/a {content: unknown}
            error[undefined-name] servers/web.yaml:2:26 `facts.nothing` is not defined here"#]],
    );
}

#[test]
fn the_innermost_value_of_a_servers_parameter_wins() {
    let server = (
        "servers/web.yaml",
        "server: web\nparameters:\n  a: default\n  b: default\n  c: default\n  d: default\n  e: \"{{ d }}-{{ f }}\"\n  f: \"{{ domain }}\"\nfiles:\n  /x: { content: \"{{ a }} {{ b }} {{ c }} {{ d }} {{ e }}\" }\n",
    );
    let environment = (
        "environments/p.yaml",
        "environment: p\nparameters: { c: environment, d: environment, domain: \"{{ d }}.example\" }\nnodes:\n  \"web*\": { servers: [web], parameters: { d: node } }\n",
    );
    let model =
        ("model.yaml", "model: xyz\nformat: 1\nparameters: { b: model, c: model, d: model }\n");
    let mut sources = SourceSet::default();
    for (path, text) in [model, server, environment] {
        sources.add(path, text.as_bytes(), false);
    }
    let (model, problems) = document::parse(&sources);
    assert!(problems.is_empty());
    let input = NodeInput { environment: "p", node: NODE, facts: None, releases: &BTreeMap::new() };
    let (resolved, problems) = resolve(&model, &sources, &input);
    assert!(problems.is_empty(), "{}", lines(&problems, &sources));
    expect![[r#"file:/x {content: "default model environment node node-node.example"}"#]]
        .assert_eq(&show_promise(&resolved.promises[0]));
    let trace: Vec<String> = resolved
        .trace
        .iter()
        .map(|it| {
            let place = sources.place(it.span);
            format!("{} {} = {} {:?} {place}", it.owner, it.name, it.text(), it.source)
        })
        .collect();
    expect![[r#"
        everywhere b = "model" Model model.yaml:3
        everywhere c = "environment" Environment environments/p.yaml:2
        everywhere d = "node" Node environments/p.yaml:4
        everywhere domain = "node.example" Environment environments/p.yaml:2
        server web b = "model" Model model.yaml:3
        server web c = "environment" Environment environments/p.yaml:2
        server web d = "node" Node environments/p.yaml:4
        server web a = "default" Default servers/web.yaml:3
        server web e = "node-node.example" Default servers/web.yaml:7
        server web f = "node.example" Default servers/web.yaml:8"#]]
    .assert_eq(&trace.join("\n"));
}

#[test]
fn a_bundle_gets_its_values_from_the_include_alone() {
    check_all(
        &[
            (
                "servers/web.yaml",
                "server: web\nparameters: { port: 1, secret: x }\ninclude:\n  - b\n  - b: { port: \"{{ port + 1 }}\", domain: \"{{ domain }}\" }\n",
            ),
            (
                "bundles/b.yaml",
                "bundle: b\nparameters: { port: 22, domain: none }\nfiles:\n  /a: { content: \"{{ port }} {{ domain }} {{ environment.name }}\" }\n  /b: { content: \"{{ secret }}\" }\n",
            ),
        ],
        expect![[r#"
            file:/a {content: "22 none p"}
            file:/b {content: unknown}
            file:/a {content: "2 xyz.example p"}
            file:/b {content: unknown}
            hint[hidden-name] bundles/b.yaml:2:25 in bundle b, `domain` is its parameter, not the `domain` that is set everywhere
            error[undefined-name] bundles/b.yaml:5:19 `secret` is not defined here"#]],
    );
}

#[test]
fn parameters_are_declared_given_and_of_their_type() {
    check_all(
        &[
            (
                "servers/web.yaml",
                r#"server: web
parameters:
  missing: { type: string }
  bad: { type: integer, default: "8080" }
  domain: { type: integer }
  flag: { type: boolean, default: }
  level: { type: string, default: hgih, choices: [low, high] }
include:
  - b: { list: a, nmae: x, number: 1, text: 12, choice: c, pattern: abc1 }
  - b: { name: x, secret: { secret: people/db }, list: [1], text: "12", number: 1.5, choice: 2, pattern: abc }
  - unknown
  - c
files:
  /a: { content: "{{ missing }}{{ bad }}{{ domain }}" }
  /b: { flag: "{{ flag }}" }
"#,
            ),
            (
                "bundles/b.yaml",
                r#"bundle: b
parameters:
  name: { type: string }
  list: { type: list, default: [] }
  number: { type: number, default: 0 }
  text: { type: string }
  choice: { default: a, choices: [a, 2] }
  pattern: { type: string, pattern: "[a-z]+|[0-9]+" }
  secret: { type: string, default: }
  facts: 1
"#,
            ),
            (
                "bundles/c.yaml",
                "bundle: c\nparameters: { a: { type: string, pattern: \"(\", default: x } }\n",
            ),
        ],
        expect![[r#"
            file:/a {content: unknown}
            file:/b {flag: null}
            error[missing-parameter] environments/p.yaml:4:23 server web needs a value for `missing`
            error[bad-parameter] environments/p.yaml:2:23 `domain` must be an integer, and is text
            error[bad-parameter] servers/web.yaml:4:34 `bad` must be an integer, and is text
            error[bad-parameter] servers/web.yaml:7:35 `level` cannot be "hgih"
            error[unknown-parameter] servers/web.yaml:9:19 `nmae` is not a parameter of b (did you mean `name`?)
            error[missing-parameter] servers/web.yaml:9:5 bundle b needs a value for `name`
            error[bad-parameter] servers/web.yaml:9:16 `list` must be a list, and is text
            error[bad-parameter] servers/web.yaml:9:45 `text` must be text, and is an integer
            error[bad-parameter] servers/web.yaml:9:57 `choice` cannot be "c"
            error[bad-parameter] servers/web.yaml:9:69 `pattern` cannot be "abc1": it must match [a-z]+|[0-9]+
            error[bad-name] bundles/b.yaml:10:3 `facts` cannot be the name of a parameter
            error[unknown-bundle] servers/web.yaml:11:5 there is no bundle `unknown`
            error[bad-parameter] bundles/c.yaml:2:43 `pattern` is not a regular expression: found open group without closing ')'"#]],
    );
}

#[test]
fn parameters_that_name_each_other_in_a_circle_are_an_error() {
    check(
        "parameters:\n  a: \"{{ b }}\"\n  b: \"x{{ c }}\"\n  c: [\"{{ a }}\"]\n  d: \"{{ d }}\"\n  e: \"{{ a }}\"\nfiles: { /x: { content: \"{{ e }}\" } }\n",
        expect![[r#"
            file:/x {content: unknown}
            error[cycle] servers/web.yaml:3:3 a parameter is computed from itself: a → b → c → a
            error[cycle] servers/web.yaml:6:3 a parameter is computed from itself: d → d"#]],
    );
}

#[test]
fn for_each_includes_once_for_every_item() {
    let bundle = (
        "bundles/site.yaml",
        "bundle: site\nparameters: { name: { type: string }, port: 80 }\nfiles:\n  \"/srv/{{ name }}\": { content: \"{{ port }}\" }\n  /item: { when: item is defined }\n",
    );
    check_all(
        &[
            (
                "servers/web.yaml",
                r#"server: web
parameters: { sites: [b, a], ports: { type: map, default: { z: 1, y: 2 } } }
include:
  - { site: { name: "{{ item }}" }, for_each: "{{ sites }}" }
  - { site: { name: "{{ item.key }}", port: "{{ item.value }}" }, for_each: "{{ ports }}", when: "item.value > 1" }
  - { site: { name: "{{ item.n }}" }, for_each: [{ n: lit }, { n: "{{ sites[1] }}er" }] }
  - { site: { name: x }, for_each: "{{ node.name }}" }
  - { site: { name: x }, for_each: [] }
  - { site: { name: "{{ item }}" } }
"#,
            ),
            bundle,
        ],
        expect![[r#"
            file:/srv/b {content: 80}
            file:/srv/a {content: 80}
            file:/srv/y {content: 2}
            file:/srv/lit {content: 80}
            file:/srv/aer {content: 80}
            error[wrong-type] servers/web.yaml:7:36 `for_each` must be a list or a map, and is text
            error[undefined-name] servers/web.yaml:9:22 `item` is not defined here"#]],
    );
    let server = "server: web\ninclude:\n  - { site: { name: \"{{ item }}\" }, for_each: \"{{ facts.x }}\" }\n  - { site: { name: y }, when: facts.x }\n";
    let shown = shown(&[("servers/web.yaml", server), bundle, ENVIRONMENT], None);
    expect!["file:/srv/y {content: 80} conditional"].assert_eq(&shown);
}

#[test]
fn bundles_that_include_themselves_are_an_error_that_shows_the_circle() {
    check_all(
        &[
            ("servers/web.yaml", "server: web\ninclude: [a]\nfiles: { /x: {} }\n"),
            ("bundles/a.yaml", "bundle: a\ninclude: [b, b]\n"),
            ("bundles/b.yaml", "bundle: b\ninclude: [{ c: {}, when: true }]\nfiles: { /b: {} }\n"),
            ("bundles/c.yaml", "bundle: c\ninclude: [a]\n"),
        ],
        expect![[r#"
            file:/b {}
            file:/b {}
            file:/x {}
            error[cycle] bundles/c.yaml:2:11 a bundle includes itself: a → b → c → a"#]],
    );
}

#[test]
fn includes_that_multiply_are_stopped() {
    let many = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]";
    let mut files = vec![(
        "servers/web.yaml".to_owned(),
        format!("server: web\ninclude: [{{ b0: {{}}, for_each: {many} }}]\n"),
    )];
    for level in 0..40 {
        let next = level + 1;
        files.push((
            format!("bundles/b{level}.yaml"),
            format!("bundle: b{level}\ninclude: [{{ b{next}: {{}}, for_each: {many} }}]\n"),
        ));
    }
    files.push(("bundles/b40.yaml".to_owned(), "bundle: b40\n".to_owned()));
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (&**a, &**b)).collect();
    check_all(
        &files,
        expect![[r#"

        error[too-deep] bundles/b31.yaml:2:13 bundles include each other deeper than 32
        error[too-large] bundles/b30.yaml:2:13 the node has more than 100000 promises or included bundles"#]],
    );
}

#[test]
fn common_fields_are_taken_out_of_the_body() {
    check(
        r#"files:
  /a:
    content: x
    after: ["package:nginx", "file:/etc/x"]
    reloads: nginx
    restarts: [a, "{{ node.short }}"]
    description: what it is for
    keep: report
  /b: { after: "package:nginx", keep: repair }
  /c: { after: [nginx, "packge:nginx", "file:"], keep: reprot, reloads: 1, restarts: { a: b } }
packages:
  nginx: present
  curl: "{{ {'version': '1', 'when': facts.cpus > 2} }}"
  wget: "{{ {'version': '1', 'keep': 'report'} }}"
"#,
        expect![[r#"
            file:/a {content: "x"} after=package:nginx,file:/etc/x reloads=nginx restarts=a,web1 report "what it is for"
            file:/b {} after=package:nginx
            file:/c {}
            package:nginx "present"
            package:wget {version: "1"} report
            error[bad-value] servers/web.yaml:11:17 `nginx` is not the id of a promise
            error[bad-value] servers/web.yaml:11:24 `packge:nginx` is not the id of a promise (did you mean `package`?)
            error[bad-value] servers/web.yaml:11:40 `file:` is not the id of a promise
            error[unquoted] servers/web.yaml:11:73 `reloads` is an integer, not text
            error[wrong-type] servers/web.yaml:11:86 `restarts` must be text, and is a map
            error[bad-value] servers/web.yaml:11:56 `keep` cannot be `reprot` (did you mean `report`?)"#]],
    );
}

#[test]
fn going_inward_the_stricter_keep_wins() {
    let bundle =
        |keep: &str| format!("bundle: b\nkeep: {keep}\nfiles: {{ /b: {{ keep: repair }} }}\n");
    let server =
        "server: web\nkeep: repair\ninclude: [b]\nfiles: { /a: { keep: report }, /c: {} }\n";
    check_all(
        &[("servers/web.yaml", server), ("bundles/b.yaml", &bundle("report"))],
        expect![[r#"
            file:/b {} report
            file:/a {} report
            file:/c {}"#]],
    );
    check_all(
        &[
            ("servers/web.yaml", server),
            ("bundles/b.yaml", &bundle("repair")),
            (
                ENVIRONMENT.0,
                "environment: p\nkeep: report\nnodes: { \"web*\": { servers: [web] } }\n",
            ),
        ],
        expect![[r#"
            file:/b {} report
            file:/a {} report
            file:/c {} report"#]],
    );
}

#[test]
fn secrets_are_handed_on_and_never_made_into_text() {
    check_all(
        &[
            (
                "servers/web.yaml",
                r#"server: web
parameters: { password: { type: string, default: { secret: people/db } } }
include:
  - b: { password: "{{ password }}" }
files:
  /a: { content: "{{ password }}" }
  /b: { content: "pw={{ password }}" }
  /c: { content: "{{ password | upper }}" }
  /d: { content: "{{ 'x' ~ password }}" }
  "/e/{{ password }}": {}
  "{{ password }}": {}
  /f: { when: password == 'x' }
  /g: { when: "{{ password }}" }
  /h: { content: "{{ [password] | join(',') }}" }
  /i: { keep: { secret: x } }
  /j: { content: "{% set x %}{{ password }}{% endset %}" }
  /k: { content: "{{ {'v': password} }}" }
"#,
            ),
            (
                "bundles/b.yaml",
                "bundle: b\nparameters: { password: { type: string } }\nfiles: { /z: { content: \"{{ password }}\" } }\n",
            ),
        ],
        expect![[r#"
            file:/z {content: {secret: "people/db"}}
            file:/a {content: {secret: "people/db"}}
            file:/b {content: unknown}
            file:/c {content: unknown}
            file:/d {content: unknown}
            file:/f {} conditional
            file:/g {} conditional
            file:/h {content: unknown}
            file:/i {}
            file:/j {content: unknown}
            file:/k {content: {v: {secret: "people/db"}}}
            error[misplaced-secret] servers/web.yaml:7:19 a secret cannot stand in an expression: its value would be seen
            error[misplaced-secret] servers/web.yaml:8:19 a secret cannot stand in an expression: its value would be seen
            error[misplaced-secret] servers/web.yaml:9:19 a secret cannot stand in an expression: its value would be seen
            error[misplaced-secret] servers/web.yaml:10:4 a secret cannot stand in an expression: its value would be seen
            error[misplaced-secret] servers/web.yaml:11:3 a secret cannot stand in a name: its value would be seen
            error[misplaced-secret] servers/web.yaml:12:15 a secret cannot stand in an expression: its value would be seen
            error[misplaced-secret] servers/web.yaml:13:16 a secret cannot stand in an expression: its value would be seen
            error[misplaced-secret] servers/web.yaml:14:19 a secret cannot stand in an expression: its value would be seen
            error[misplaced-secret] servers/web.yaml:15:15 a secret cannot stand in `keep`: its value would be seen
            error[misplaced-secret] servers/web.yaml:16:19 a secret cannot stand in an expression: its value would be seen"#]],
    );
}

#[test]
fn servers_and_environments_that_are_not_there_are_told_with_the_nearest_name() {
    check_all(
        &[
            ("servers/web.yaml", "server: web\n"),
            (
                ENVIRONMENT.0,
                "environment: p\nnodes: { \"web*\": { servers: [wbe, web, other] } }\n",
            ),
        ],
        expect![[r#"

            error[unknown-server] environments/p.yaml:2:30 the model has no server `wbe` (did you mean `web`?)
            error[unknown-server] environments/p.yaml:2:40 the model has no server `other`"#]],
    );
    let sources = sources(&[ENVIRONMENT]);
    let (model, _) = document::parse(&sources);
    let input = NodeInput { environment: "q", node: NODE, facts: None, releases: &BTreeMap::new() };
    let (_, problems) = resolve(&model, &sources, &input);
    expect![[r#"

        error[unknown-environment] ?:0:0 the model has no environment `q` (did you mean `p`?)"#]]
    .assert_eq(&lines(&problems, &sources));
}

#[test]
fn a_node_that_nobody_names_promises_nothing_and_has_a_policy() {
    let (resolved, problems) = resolved(
        &[
            ("servers/web.yaml", "server: web\nfiles: { /a: {} }\n"),
            (
                ENVIRONMENT.0,
                "environment: p\nnodes: { db: { servers: [web] } }\npolicy: { stale_after: \"{{ '1' }}h\", budgt: {} }\n",
            ),
        ],
        None,
    );
    assert!(!resolved.named && resolved.promises.is_empty() && resolved.servers.is_empty());
    assert_eq!(resolved.policy.stale_after, std::time::Duration::from_secs(3600));
    expect![[r#"

        error[unknown-field] environments/p.yaml:3:38 `policy` has no field `budgt` (did you mean `budget`?)"#]].assert_eq(&problems);
}

#[test]
fn one_include_twice_gives_its_promises_twice_with_their_origins() {
    let (resolved, problems) = resolved(
        &[
            ("servers/web.yaml", "server: web\ninclude: [a, a]\n"),
            ("bundles/a.yaml", "bundle: a\ninclude: [b]\n"),
            ("bundles/b.yaml", "bundle: b\nfiles: { /b: { content: x } }\n"),
            ENVIRONMENT,
        ],
        None,
    );
    assert_eq!(problems, "");
    let [first, second] = &resolved.promises[..] else { panic!("{:?}", resolved.promises) };
    assert!(first.body.same(&second.body) && first.id == second.id);
    assert_eq!((&*first.origin.by, first.origin.via.len()), ("bundle b", 2));
    assert_eq!(first.origin.span, second.origin.span);
    assert_ne!(first.origin.via[0], second.origin.via[0]);
}

#[test]
fn what_an_expression_gave_is_not_read_for_expressions_again() {
    check_all(
        &[
            (
                "servers/web.yaml",
                "server: web\nparameters: { evil: \"{{ '{{ node.name }}' }}\" }\ninclude: [{ b: { a: \"{{ evil }}\" } }]\nfiles: { /a: { content: \"{{ evil }}\" } }\n",
            ),
            (
                "bundles/b.yaml",
                "bundle: b\nparameters: { a: x }\nfiles: { /b: { content: \"{{ a }}\" } }\n",
            ),
        ],
        expect![[r#"
            file:/b {content: "{{ node.name }}"}
            file:/a {content: "{{ node.name }}"}"#]],
    );
}

#[test]
fn values_have_the_place_of_the_text_that_gave_them() {
    let sources = sources(&[
        (
            "servers/web.yaml",
            "server: web\nparameters: { l: [a] }\nfiles:\n  /a: { x: \"{{ l }}\" }\n",
        ),
        ENVIRONMENT,
    ]);
    let (model, _) = document::parse(&sources);
    let input = NodeInput { environment: "p", node: NODE, facts: None, releases: &BTreeMap::new() };
    let (resolved, _) = resolve(&model, &sources, &input);
    let Some(Node::List(items, span)) = resolved.promises[0].body.get("x") else { panic!() };
    assert_eq!(sources.place(*span).line, 4);
    assert_eq!(items[0].span(), *span);
    let Node::Scalar(item) = &items[0] else { panic!() };
    assert_eq!(item.value.style, crate::Style::Computed);
}

/// The time itself is not asserted: what grows with the square of the input does not end here.
#[test]
fn many_promises_and_many_mistakes_are_no_burden() {
    let mut server = "server: web\nparameters: { owner: root }\nfiles:\n".to_owned();
    for at in 0..10_000 {
        writeln!(server, "  /f{at}: {{ content: \"{{{{ node.name }}}} {at}\", owner: \"{{{{ owner }}}}\", x: \"{{{{ u{at} }}}}\" }}").unwrap();
    }
    let sources = sources(&[("servers/web.yaml", &server), ENVIRONMENT]);
    let (model, _) = document::parse(&sources);
    let input = NodeInput { environment: "p", node: NODE, facts: None, releases: &BTreeMap::new() };
    let (resolved, problems) = resolve(&model, &sources, &input);
    assert_eq!((resolved.promises.len(), problems.len()), (10_000, 10_000));
}

fn spans_are_inside(diagnostics: &Diagnostics, sources: &SourceSet) {
    for it in diagnostics {
        for span in std::iter::once(it.span).chain(it.related.iter().map(|(span, _)| *span)) {
            let length = sources.get(span.source).map_or(0, |source| source.bytes.len());
            assert!(span.start <= span.end && span.end as usize <= length, "{it:?}");
        }
    }
}

fn run_all(files: &[(&str, &[u8])]) {
    let mut sources = SourceSet::default();
    for (path, bytes) in files {
        sources.add(*path, *bytes, false);
    }
    let (model, mut diagnostics) = document::parse(&sources);
    let (targets, more) = crate::check::targets(&model, &sources);
    diagnostics.extend(more);
    for target in &targets {
        for facts in [target.facts.as_ref(), Some(&facts())] {
            let input = NodeInput {
                environment: &target.environment,
                node: &target.node,
                facts,
                releases: &BTreeMap::new(),
            };
            diagnostics.extend(resolve(&model, &sources, &input).1);
        }
    }
    spans_are_inside(&diagnostics, &sources);
}

const PIECE: &str = "(parameters: |include: |files: |for_each: |when: |after: |secret: |item|facts|node|a|b|[0-9]|\\{\\{ | \\}\\}|\\{% | %\\}|\\{|\\}|\\[|\\]|, |: |\"|'|\n  |\n|- | \\| |é|\\.|==|~)";

fn pieces(most: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("{PIECE}{{0,{most}}}")).unwrap()
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        server in prop::collection::vec(any::<u8>(), 0..120),
        environment in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        run_all(&[
            ("model.yaml", b"model: x\nformat: 1\n"),
            ("servers/a.yaml", &[b"server: a\n", &server[..]].concat()),
            ("environments/e.yaml", &[b"environment: e\nnodes: { n: { servers: [a] } }\n", &environment[..]].concat()),
        ]);
    }

    #[test]
    fn no_document_like_text_makes_it_panic_or_point_outside(
        server in pieces(30),
        bundle in pieces(20),
        value in pieces(12),
    ) {
        let value = value.replace('\\', "").replace('"', "'").replace('\n', " ");
        run_all(&[
            ("model.yaml", b"model: x\nformat: 1\n"),
            ("servers/a.yaml", format!("server: a\n{server}").as_bytes()),
            ("servers/v.yaml", format!("server: v\nparameters: {{ a: 1 }}\ninclude: [{{ b: {{ x: \"{value}\" }}, when: \"{value}\" }}]\nfiles: {{ \"{value}\": {{ a: \"{value}\", b: \"é{{{{ {value} }}}}\" }} }}\n").as_bytes()),
            ("bundles/b.yaml", format!("bundle: b\nparameters: {{ x: {{ type: string }}, y: \"{{{{ x }}}}\" }}\n{bundle}").as_bytes()),
            ("environments/e.yaml", b"environment: e\nnodes: { n: { servers: [a, v] } }\n"),
        ]);
    }
}

#[test]
fn a_promise_knows_the_files_and_parameters_that_it_was_made_from() {
    let bundle = (
        "bundles/site.yaml",
        "bundle: site\nparameters: { name: { type: string }, port: 80, root: /srv, unused: 1 }\nfiles:\n  \"/etc/{{ name }}\": { template: templates/site.j2, variables: { root: x } }\n  /etc/port: { content: the root is not used, when: \"{{ port == 80 }}\" }\n",
    );
    let server = (
        "servers/web.yaml",
        "server: web\nparameters: { name: other }\ninclude:\n  - site: { name: \"{{ item }}\" }\n    for_each: [a, b]\n",
    );
    let template = ("templates/site.j2", "{{ root }}{% include 'more.j2' %}{# unused #}");
    let more = ("templates/more.j2", "{{ port }} {{ facts.cpus }}");
    let all = sources(&[server, bundle, ENVIRONMENT, template, more]);
    let (model, problems) = document::parse(&all);
    assert!(problems.is_empty(), "{}", lines(&problems, &all));
    let facts = facts();
    let releases = BTreeMap::new();
    let input =
        NodeInput { environment: "p", node: NODE, facts: Some(&facts), releases: &releases };
    let (resolved, mut problems) = resolve(&model, &all, &input);
    let mut told = String::new();
    for promise in &resolved.promises {
        let mut cx = crate::Lower::new(&mut problems, &all, &promise.scope);
        if let Some(path) = promise.body.get("template") {
            let path = cx.as_text(path, "`template`").unwrap();
            cx.render_template(&crate::TextFrom::Model(path), promise.body.get("variables"))
                .unwrap();
        }
        let used = resolved.used(promise, cx.read);
        write!(told, "{}:", promise.id).unwrap();
        for at in used.iter().flat_map(|it| it.parameters.iter().copied()) {
            let trace = &resolved.trace[at];
            write!(told, " {}={}", trace.name, trace.value.one_line()).unwrap();
        }
        for file in used.iter().flat_map(|it| it.files.iter().copied()) {
            write!(told, " {}", all.get(file).unwrap().path).unwrap();
        }
        told.push('\n');
    }
    assert!(problems.is_empty(), "{}", lines(&problems, &all));
    expect![[r#"
        file:/etc/a: name="a" port=80 templates/site.j2 templates/more.j2
        file:/etc/port: port=80
        file:/etc/b: name="b" port=80 templates/site.j2 templates/more.j2
        file:/etc/port: port=80
    "#]]
    .assert_eq(&told);
}
