//! `template:` files: rendered with the names of the promise's scope and the variables that it gives.
//!
//! A secret's value is not known here. It is put out as a mark that nothing else can have made, and the
//! text is cut at the marks. A mark that something has changed on its way is an error.
//!
//! Rules of the engine that authors meet: the newline after a `{% … %}` goes, the last newline of a file
//! stays, nothing is escaped, and a loop carries no value on (there is no `namespace`).

use crate::application::in_logic;
use crate::codes;
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Fault, Marks, TEMPLATE_FUEL, environment};
use crate::lower::{Lower, Piece, Rendered};
use crate::nesting::{self, TooDeep};
use crate::node::Node;
use crate::scope::{DEPLOYMENT, Scope};
use crate::source::{Source, SourceSet};
use crate::span::Span;
use crate::text_from::{Found, TextFrom, root_of};
use crate::value::{Met, looked_up, watch};
use minijinja::{Environment, Error, ErrorKind};
use std::io;
use std::sync::Arc;

/// The most bytes that a template may give: 16 MiB.
const MAX_BYTES: usize = 16 * 1024 * 1024;

impl Lower<'_> {
    /// The text of a template file. `variables` are seen under their own names and hide others.
    /// `None` where something was wrong, or hangs on what is not known here.
    pub fn render_template(
        &mut self,
        from: &TextFrom,
        variables: Option<&Node>,
    ) -> Option<Rendered> {
        let at = from.span();
        let source = match self.found(from)? {
            Found::Source(source) => source,
            Found::Later => return Some(Rendered::plain(from.stand_in())),
        };
        if source.text().is_none() {
            let message = format!("the template {} is not UTF-8 text", source.path);
            self.error(codes::NOT_UTF_8, at, message);
            return None;
        }
        let scope = self.with_variables(self.scope.clone(), variables)?;
        let marks = Marks::default();
        let root = root_of(source, scope.deployment());
        let environment = for_templates(self.sources, &root, &marks);
        let run = Run::of(&environment, source, &scope);
        let is_hidden = |name: &Arc<str>| variables.is_some_and(|it| it.get(name).is_some());
        self.read.names.extend(run.names.iter().filter(|it| !is_hidden(it)).cloned());
        for (name, _) in environment.templates() {
            if let Some((id, _)) = self.sources.find(name) {
                self.read.file(id);
            }
        }
        if run.met.unknown {
            return self.unknown();
        }
        if run.is_full {
            let message = "the template produces more than 16 MiB";
            return self.refuse(codes::TEMPLATE_LIMIT, at, message);
        }
        if run.met.spilled {
            return self.refuse(codes::MISPLACED_SECRET, at, SPILLED);
        }
        if let Some(error) = run.error {
            let diagnostic = explain(&error, source, &scope, self.sources);
            self.report(diagnostic.related(at, "for this promise"));
            return None;
        }
        let names_deployment = run.names.iter().any(|it| &**it == DEPLOYMENT);
        if !self.differs_by_words(names_deployment, variables, &run.text, |twin| {
            Run::of(&environment, source, &Arc::new(twin)).text
        })? {
            self.report(in_logic(at));
            return None;
        }
        match cut(&run.text, &marks).map(|pieces| Rendered { pieces }) {
            Some(it) if it.secrets().any(|it| !scope.may_name_secret(it)) => {
                self.refuse(codes::BAD_NAME, at, "this is not the name of a secret")
            }
            Some(rendered) => Some(rendered),
            None => self.refuse(codes::MISPLACED_SECRET, at, SPILLED),
        }
    }

    fn with_variables(&mut self, mut scope: Scope, variables: Option<&Node>) -> Option<Arc<Scope>> {
        if let Some(variables) = variables {
            for (name, node) in self.as_map(variables, "`variables`")? {
                scope.set_node(Arc::clone(&name.value), node);
            }
        }
        Some(Arc::new(scope))
    }

    /// Whether a text would be the same for another deployment, but for what that is called.
    fn differs_by_words(
        &mut self,
        names_deployment: bool,
        variables: Option<&Node>,
        text: &str,
        render: impl FnOnce(Scope) -> String,
    ) -> Option<bool> {
        let Some(deployment) = self.scope.deployment().cloned() else { return Some(true) };
        let is_named = variables.is_some_and(|it| deployment.is_named_in(it));
        let twin = self.scope.with_other_words().filter(|_| names_deployment || is_named);
        let Some((twin, other)) = twin else { return Some(true) };
        let variables = variables.map(|it| deployment.renamed(it, &other));
        let twin = self.with_variables(twin, variables.as_ref())?;
        let others = render(Scope::clone(&twin));
        Some(deployment.texts_differ_by_words(text, &other, &others))
    }

    fn refuse<T>(&mut self, code: Code, span: Span, message: &str) -> Option<T> {
        self.error(code, span, message);
        None
    }
}

const SPILLED: &str = "a template can only output a secret: its value is not known while rendering";

/// What came of rendering a template once.
struct Run {
    text: String,
    is_full: bool,
    met: Met,
    /// That were looked up.
    names: Vec<Arc<str>>,
    error: Option<Error>,
}

impl Run {
    fn of(environment: &Environment<'static>, source: &Source, scope: &Arc<Scope>) -> Run {
        let mut output = Bounded::default();
        let ((result, met), names) = looked_up(|| {
            watch(|| {
                let template = environment.get_template(&source.path)?;
                template.render_captured_to(scope.root(), &mut output).map(drop)
            })
        });
        let text = match String::from_utf8(output.bytes) {
            Ok(text) => text,
            Err(bad) => String::from_utf8_lossy(bad.as_bytes()).into_owned(),
        };
        Run { text, is_full: output.is_full, met, names, error: result.err() }
    }
}

/// `root`: the directory that names are below where they are not beside the template that has them.
fn for_templates(sources: &SourceSet, root: &str, marks: &Marks) -> Environment<'static> {
    let mut environment = environment(TEMPLATE_FUEL, Some(marks.clone()));
    let files = sources.clone();
    let inside = root.to_owned();
    environment.set_loader(move |name| match files.find(name) {
        Some(_) if !name.starts_with(&inside) || (inside.is_empty() && name.starts_with('/')) => {
            Ok(None)
        }
        None => Ok(None),
        Some((_, file)) => match file.text() {
            Some(text) => match nesting::of_text(text) {
                Ok(()) => Ok(Some(text.to_owned())),
                Err(why) => Err(Error::new(ErrorKind::BadInclude, "")
                    .with_source(Refused { path: file.path.clone(), why })),
            },
            None => {
                let detail = format!("the template {name} is not UTF-8 text");
                Err(Error::new(ErrorKind::InvalidOperation, detail))
            }
        },
    });
    let (files, root) = (sources.clone(), root.to_owned());
    environment.set_path_join_callback(move |name, parent| {
        let beside = parent.rsplit_once('/').map(|(folder, _)| format!("{folder}/{name}"));
        match beside.filter(|path| files.find(path).is_some()) {
            Some(path) => path.into(),
            None if root.is_empty() => name.into(),
            None => format!("{root}{name}").into(),
        }
    });
    environment
}

/// The text between the marks, and the secrets that they stand for. `None` if a mark was changed.
fn cut(text: &str, marks: &Marks) -> Option<Arc<[Piece]>> {
    let is_sign = |it: char| it == Marks::OPEN || it == Marks::CLOSE;
    let mut pieces = vec![];
    let mut rest = text;
    while let Some(at) = rest.find(is_sign) {
        let (before, marked) = rest.split_at(at);
        let (mark, after) = marked.strip_prefix(Marks::OPEN)?.split_once(Marks::CLOSE)?;
        let name = marks.read(mark)?;
        if !before.is_empty() {
            pieces.push(Piece::Plain(Arc::from(before)));
        }
        pieces.push(Piece::Secret(Arc::from(name)));
        rest = after;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Plain(Arc::from(rest)));
    }
    Some(Arc::from(pieces))
}

/// Where the error happened, in the template that it happened in.
fn explain(error: &Error, main: &Source, scope: &Scope, sources: &SourceSet) -> Diagnostic {
    let error = innermost(error);
    let refused = std::error::Error::source(error).and_then(|it| it.downcast_ref::<Refused>());
    let name = refused.map(|it| &*it.path).or(error.name());
    let place = name.and_then(|name| sources.find(name));
    let place = place.or_else(|| sources.find(&main.path));
    let text = place.and_then(|(_, source)| source.text()).unwrap_or("");
    let fault = refused
        .map_or_else(|| Fault::from_error(error, text, scope), |it| Fault::too_deep(&it.why));
    let range = fault.range.clone().filter(|range| range.end <= text.len());
    let range = range.unwrap_or_else(|| line(text, error.line().unwrap_or(1)));
    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let source = place.map(|(id, _)| id).unwrap_or_default();
    fault.at(Span { source, start: offset(range.start), end: offset(range.end) })
}

/// A template that the engine is not given.
#[derive(Debug)]
struct Refused {
    path: Arc<str>,
    why: TooDeep,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.why)
    }
}

impl std::error::Error for Refused {}

/// An error in an included template stands within the error of the include.
fn innermost(error: &Error) -> &Error {
    let mut found = error;
    while let Some(inner) =
        std::error::Error::source(found).and_then(|it| it.downcast_ref::<Error>())
    {
        found = inner;
    }
    found
}

/// The bytes of a line, counted from 1.
fn line(text: &str, number: usize) -> std::ops::Range<usize> {
    let mut start = 0;
    for (at, line) in text.split('\n').enumerate() {
        if at + 1 >= number {
            return start..start + line.len();
        }
        start += line.len() + 1;
    }
    text.len()..text.len()
}

/// Takes up to [`MAX_BYTES`] and refuses the rest.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for &mut Bounded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + more.len() > MAX_BYTES {
            self.is_full = true;
            return Err(io::Error::other("more than 16 MiB"));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Diagnostics, document, resolve};
    use expect_test::{Expect, expect};
    use std::fmt::Write as _;

    /// Every file of the node, rendered, with what was wrong.
    fn render(files: &[(&str, &str)], facts: Option<&serde_json::Value>) -> String {
        let mut sources = SourceSet::default();
        let environment = "environment: p\nnodes: { web1: { servers: [web] } }\n";
        sources.add("environments/p.yaml", environment.as_bytes(), false);
        sources.add("model.yaml", "model: x\nformat: 1\n".as_bytes(), false);
        for (path, text) in files {
            sources.add(*path, text.as_bytes(), false);
        }
        let (model, mut diagnostics) = document::parse(&sources);
        let input = resolve::NodeInput {
            environment: "p",
            node: "web1",
            facts,
            releases: &std::collections::BTreeMap::new(),
        };
        let (resolved, more) = resolve::resolve(&model, &sources, &input);
        diagnostics.extend(more);
        let mut out = String::new();
        for promise in &resolved.promises {
            let mut cx = Lower::new(&mut diagnostics, &sources, &promise.scope);
            let path = promise.body.get("template").unwrap();
            let Some(path) = cx.as_text(path, "`template`") else { continue };
            let variables = promise.body.get("variables");
            let rendered = cx.render_template(&TextFrom::Model(path), variables);
            write!(out, "{}:", promise.name.value).unwrap();
            match rendered {
                None => out.push_str(" none"),
                Some(rendered) => {
                    for piece in rendered.pieces.iter() {
                        match piece {
                            Piece::Plain(text) => write!(out, " {text:?}").unwrap(),
                            Piece::Secret(name) => write!(out, " <{name}>").unwrap(),
                        }
                    }
                }
            }
            out.push('\n');
        }
        out + &lines(&diagnostics, &sources)
    }

    fn lines(diagnostics: &Diagnostics, sources: &SourceSet) -> String {
        diagnostics.iter().fold(String::new(), |mut out, it| {
            let place = sources.place(it.span);
            writeln!(out, "[{}] {place}:{} {}", it.code.0, place.column, it.message).unwrap();
            for (span, label) in &it.related {
                let place = sources.place(*span);
                writeln!(out, "  {place}:{} {label}", place.column).unwrap();
            }
            if let Some(source) = sources.get(it.span.source) {
                assert!(it.span.end as usize <= source.bytes.len(), "{it:?}");
            }
            out
        })
    }

    /// A server with the parameters `port` and `list` and one file for each template.
    #[track_caller]
    fn check(templates: &[(&str, &str)], variables: &str, expected: Expect) {
        let mut server =
            "server: web\nparameters: { port: 80, list: [a, b], on: true }\nfiles:\n".to_owned();
        let mut files = vec![];
        for (path, text) in templates {
            files.push((format!("templates/{path}"), *text));
            if !path.starts_with('_') {
                writeln!(server, "  /{path}: {{ template: templates/{path}{variables} }}").unwrap();
            }
        }
        let mut all: Vec<(&str, &str)> = files.iter().map(|(a, b)| (&**a, *b)).collect();
        all.push(("servers/web.yaml", &server));
        expected.assert_eq(&render(&all, None));
    }

    #[test]
    fn a_template_sees_the_names_of_its_promise_and_keeps_its_last_newline() {
        check(
            &[
                ("a", "{{ node.name }}:{{ port }} {{ on }}\n"),
                ("b.html", "{% for it in list %}\n<{{ it }}>\n{% endfor %}\nend\n\n"),
                ("c", ""),
                ("d", "{{ '<&>' }}"),
            ],
            "",
            expect![[r#"
                /a: "web1:80 true\n"
                /b.html: "<a>\n<b>\nend\n\n"
                /c: ""
                /d: "<&>"
            "#]],
        );
    }

    #[test]
    fn variables_hide_parameters() {
        check(
            &[("a", "{{ port }} {{ more.x }} {{ on }}\n")],
            ", variables: { port: 8443, more: { x: \"{{ port }}\" } }",
            expect![[r#"
                /a: "8443 80 true\n"
            "#]],
        );
    }

    #[test]
    fn templates_include_others_below_the_root_or_beside_them() {
        check(
            &[
                ("a", "{% include '_b' %}+{% include 'templates/_b' %}\n"),
                ("_b", "b{{ port }}{% import '_m' as m %}{{ m.twice('x') }}"),
                ("_m", "{% macro twice(it) %}{{ it }}{{ it }}{% endmacro %}"),
                ("c", "{% extends '_base' %}{% block inner %}c{% endblock %}"),
                ("_base", "<{% block inner %}{% endblock %}>"),
                ("d", "{% include '_missing' %}"),
                ("e", "{% include '_missing' ignore missing %}e"),
                ("f", "{% include '/etc/passwd' %}"),
                ("g", "{% include '../servers/web.yaml' %}"),
                ("h", "{% include 'h' %}"),
            ],
            "",
            expect![[r#"
                /a: "b80xx+b80xx"
                /c: "<c>"
                /d: none
                /e: "e"
                /f: none
                /g: none
                /h: none
                [unknown-file] templates/d:1:4 there is no template '_missing'
                  servers/web.yaml:6:19 for this promise
                [unknown-file] templates/f:1:4 there is no template '/etc/passwd'
                  servers/web.yaml:8:19 for this promise
                [unknown-file] templates/g:1:4 there is no template '../servers/web.yaml'
                  servers/web.yaml:9:19 for this promise
                [template-limit] templates/h:1:4 this nests deeper than 100
                  servers/web.yaml:10:19 for this promise
            "#]],
        );
    }

    #[test]
    fn a_mistake_is_shown_where_it_stands_in_the_template() {
        check(
            &[
                ("a", "one\n{{ prt }}\n"),
                ("b", "one\n{% if port %}\n"),
                ("c", "é {{ port + list }}\n"),
                ("d", "{% include '_e' %}"),
                ("_e", "\n\n {{ nothing.here }}"),
                ("f", "{{ 1 +\n"),
                (
                    "g",
                    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
                ),
                ("h", "{% for a in range(100000) %}{{ 'x' * 1000 }}{% endfor %}"),
            ],
            "",
            expect![[r#"
                /a: none
                /b: none
                /c: none
                /d: none
                /f: none
                /g: none
                /h: none
                [undefined-name] templates/a:2:4 `prt` is not defined here
                  servers/web.yaml:4:19 for this promise
                [bad-template] templates/b:2:12 syntax error: unexpected end of input, expected end of block
                  servers/web.yaml:5:19 for this promise
                [bad-template] templates/c:1:6 tried to use + operator on unsupported types number and sequence
                  servers/web.yaml:6:19 for this promise
                [undefined-name] templates/_e:3:5 `nothing` is not defined here
                  servers/web.yaml:7:19 for this promise
                [bad-template] templates/f:1:6 syntax error: unexpected end of input, expected expression
                  servers/web.yaml:8:19 for this promise
                [template-limit] templates/g:1:1 this takes too long
                  servers/web.yaml:9:19 for this promise
                [template-limit] servers/web.yaml:10:19 the template produces more than 16 MiB
            "#]],
        );
    }

    #[test]
    fn a_template_that_goes_too_deep_is_not_given_to_the_engine() {
        let many = |part: &str| part.repeat(20_000);
        let (sum, branches) = (many("+ 1"), many("{% elif port %}"));
        check(
            &[
                ("a", &format!("one\ntwo {{{{ 1{sum} }}}}\n")),
                ("b", &format!("{{% if port %}}{branches}{{% endif %}}\n")),
                ("c", "{% include '_d' %}"),
                ("_d", &format!("\n{{{{ 1{sum} }}}}\n")),
                ("e", &format!("{}x", "{% if port %}".repeat(200))),
            ],
            "",
            expect![[r#"
                /a: none
                /b: none
                /c: none
                /e: none
                [template-limit] templates/a:2:759 this has more than 250 operators, brackets or branches one within another
                  servers/web.yaml:4:19 for this promise
                [template-limit] templates/b:1:3767 this has more than 250 operators, brackets or branches one within another
                  servers/web.yaml:5:19 for this promise
                [template-limit] templates/_d:2:755 this has more than 250 operators, brackets or branches one within another
                  servers/web.yaml:6:19 for this promise
                [bad-template] templates/e:1:1941 syntax error: template exceeds maximum recursion limits
                  servers/web.yaml:7:19 for this promise
            "#]],
        );
    }

    #[test]
    fn a_secret_is_put_out_and_nothing_else() {
        check(
            &[
                ("a", "user=x\npassword={{ password }}\n"),
                ("b", "{{ password }}{{ password }}"),
                (
                    "c",
                    "{% macro line(k, v) %}{{ k }}={{ v }}\n{% endmacro %}{{ line('a', password) }}",
                ),
                ("d", "{% set x %}[{{ password }}]{% endset %}{{ x }}"),
                ("e", "{{ password | upper }}"),
                ("f", "{{ password ~ 'x' }}"),
                ("g", "{{ [password] }}"),
                ("h", "{% set x %}{{ password }}{% endset %}{{ x | upper }}"),
                ("i", "{% set x %}{{ password }}{% endset %}{{ x | lower }}"),
                ("j", "{% set x %}{{ password }}{% endset %}{{ x[:-1] }}"),
                ("k", "{% set x %}{{ password }}{% endset %}{{ x | replace('s', 'x') }}"),
                ("l", "{{ password | length }}"),
                ("m", "{{ nested.inner }}"),
                ("n", "\u{fdd0}aBaBaBaBaBaBaBaB:other\u{fdd1}"),
                ("o", "{{ bad }}"),
                ("p", "{{ password.secret }}"),
                ("q", "{{ password | default('x') }}{% if password %}y{% endif %}"),
            ],
            ", variables: { password: { secret: people/s }, nested: { inner: { secret: b.c } }, bad: { secret: ../x } }",
            expect![[r#"
                /a: "user=x\npassword=" <people/s> "\n"
                /b: <people/s> <people/s>
                /c: "a=" <people/s> "\n"
                /d: "[" <people/s> "]"
                /e: none
                /f: none
                /g: none
                /h: none
                /i: none
                /j: none
                /k: none
                /l: none
                /m: <b.c>
                /n: none
                /o: none
                /p: none
                /q: <people/s> "y"
                [misplaced-secret] servers/web.yaml:8:19 a template can only output a secret: its value is not known while rendering
                [misplaced-secret] servers/web.yaml:9:19 a template can only output a secret: its value is not known while rendering
                [misplaced-secret] servers/web.yaml:10:19 a template can only output a secret: its value is not known while rendering
                [misplaced-secret] servers/web.yaml:11:19 a template can only output a secret: its value is not known while rendering
                [misplaced-secret] servers/web.yaml:12:19 a template can only output a secret: its value is not known while rendering
                [misplaced-secret] servers/web.yaml:13:19 a template can only output a secret: its value is not known while rendering
                [misplaced-secret] servers/web.yaml:14:19 a template can only output a secret: its value is not known while rendering
                [bad-template] templates/l:1:15 cannot calculate length of value of type plain object
                  servers/web.yaml:15:19 for this promise
                [misplaced-secret] servers/web.yaml:17:19 a template can only output a secret: its value is not known while rendering
                [misplaced-secret] servers/web.yaml:18:19 a template can only output a secret: its value is not known while rendering
                [undefined-name] templates/p:1:4 `password.secret` is not defined here
                  servers/web.yaml:19:19 for this promise
            "#]],
        );
    }

    #[test]
    fn a_template_that_uses_an_unknown_fact_is_parsed_and_no_more() {
        check(
            &[
                ("a", "{{ facts.os.family }} {{ later }}"),
                ("b", "{% if facts is defined %}a{% endif %}"),
                ("c", "{{ undefined_first }} {{ facts.x }}"),
                ("d", "{{ facts.x"),
                ("e", "{{ v }}"),
                ("f", "known"),
            ],
            ", variables: { v: \"{{ facts.cpus }}\" }",
            expect![[r#"
                /a: none
                /b: none
                /c: none
                /d: none
                /e: none
                /f: "known"
                [undefined-name] templates/c:1:4 `undefined_first` is not defined here
                  servers/web.yaml:6:19 for this promise
                [bad-template] templates/d:1:10 syntax error: unexpected end of input, expected end of variable block
                  servers/web.yaml:7:19 for this promise
            "#]],
        );
    }

    #[test]
    fn facts_that_are_known_are_rendered() {
        let facts =
            serde_json::json!({ "addresses": { "ipv4": ["192.0.2.1"] }, "memory": 1u64 << 40 });
        let server =
            "server: web\nfiles: { /a: { template: a.j2 }, /b: { template: missing.j2 } }\n";
        let template =
            "{% for it in facts.addresses.ipv4 %}{{ it }}{% endfor %} {{ facts.memory }}";
        let out = render(&[("servers/web.yaml", server), ("servers/a.j2", template)], Some(&facts));
        expect![[r#"
            /a: "192.0.2.1 1099511627776"
            /b: none
            [unknown-file] servers/web.yaml:2:50 the model has no file `missing.j2`
        "#]]
        .assert_eq(&out);
    }
}
