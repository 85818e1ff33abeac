//! The components that a node carries, each with its typed promises, apart from the node's own and from each
//! other's.
//!
//! An instance is made with words that stand for its deployment, which is what a digest is made of, or with the
//! words of a deployment of which the digest is known (see [`Words`]). Its promises never need one of the node to be
//! in the same run: what they name of it is in [`Instance::of_node`].

use super::Promises;
use super::lower::Builder;
use super::units;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use steadfast_model::application::Words;
use steadfast_model::document::Model;
use steadfast_model::{
    ComponentId, Diagnostic, Diagnostics, NodeInput, Placed, Promise, PromiseId, Resolved,
    SourceSet, Span, Spanned, codes, resolve_component,
};
use steadfast_resources::{Identity, Resource};

/// A component as a node is to have it.
#[derive(Debug)]
pub struct Instance {
    /// Which one, at which release, with which artifact and settings, and all that is wrong with it. Its promises are
    /// not among this any more, but below.
    pub placed: Placed,
    pub promises: Promises,
    /// Files that lead the traffic to one of its slots.
    pub front: Promises,
    /// Files of its artifact that its promises read, by their paths in the tree. Where these are not among the sources,
    /// a text that only stands for them is in the promises: it is nothing to be written, or hashed.
    pub reads: Vec<Arc<str>>,
    /// Promises of the node, or of other components, that its own come after.
    pub of_node: Vec<Spanned<PromiseId>>,
    /// The parameters that its promises were made from, with their values; of a secret, its name.
    pub parameters: BTreeMap<Arc<str>, Arc<str>>,
}

/// All that a node carries, from what [`lower`](super::lower()) found of it beside the node's own promises. What two of
/// them are both about, or one of them and the node, is a mistake of theirs.
pub fn instances(resolved: &mut Resolved, sources: &SourceSet, own: &Promises) -> Vec<Instance> {
    let placed = std::mem::take(&mut resolved.components);
    let words = Words::standing_in();
    let mut all: Vec<Instance> =
        placed.into_iter().map(|it| typed(resolved, it, sources, &words)).collect();
    two_owners(&mut all, own);
    unknown_needs(&mut all, own);
    all
}

/// One of them with other words. None where the node does not carry it.
pub fn instance(
    model: &Model,
    sources: &SourceSet,
    input: &NodeInput<'_>,
    component: &ComponentId,
    words: &Words,
) -> Option<Instance> {
    let mut resolved = resolve_component(model, sources, input, component, words);
    let placed = resolved.components.pop()?;
    Some(typed(&resolved, placed, sources, words))
}

fn typed(resolved: &Resolved, mut placed: Placed, sources: &SourceSet, words: &Words) -> Instance {
    let mut mistakes = std::mem::take(&mut placed.mistakes);
    let promises = std::mem::take(&mut placed.promises);
    let front = std::mem::take(&mut placed.front);
    let whole = alone(resolved, promises, sources, &mut mistakes);
    let front = alone(resolved, front, sources, &mut mistakes);
    if whole.is_sound {
        units::judge(&placed, &whole.promises.all, words, &mut mistakes);
    }
    let mut reads = [whole.reads, front.reads].concat();
    units::read_from_nothing(&placed, &reads, &mut mistakes);
    reads.sort_by(|a, b| a.value.cmp(&b.value));
    reads.dedup_by(|a, b| a.value == b.value);
    let all = whole.promises.all.iter().chain(&front.promises.all);
    let used = all.filter_map(|it| it.used.as_ref()).flat_map(|it| it.parameters.iter());
    let used = used.filter_map(|at| resolved.trace.get(*at));
    let parameters = used.map(|it| (Arc::clone(&it.name), Arc::from(it.text()))).collect();
    Instance {
        placed: Placed { mistakes, ..placed },
        promises: whole.promises,
        front: front.promises,
        reads: reads.into_iter().map(|it| it.value).collect(),
        of_node: [whole.needs, front.needs].concat(),
        parameters,
    }
}

/// Promises without those that they lie beside.
struct Alone {
    promises: Promises,
    reads: Vec<Spanned<Arc<str>>>,
    /// That are not among them.
    needs: Vec<Spanned<PromiseId>>,
    is_sound: bool,
}

fn alone(
    resolved: &Resolved,
    promises: Vec<Promise>,
    sources: &SourceSet,
    mistakes: &mut Diagnostics,
) -> Alone {
    let mut builder = Builder::new(mistakes);
    builder.beside = Some(vec![]);
    promises.into_iter().for_each(|it| builder.take(resolved, it, sources));
    builder.relate_all();
    let reads = std::mem::take(&mut builder.reads);
    let needs = builder.beside.take().unwrap_or_default();
    let is_sound = builder.unsound.is_empty();
    Alone { promises: builder.finish(), reads, needs, is_sound }
}

/// Who promises something, for whoever else does.
struct Owner<'a> {
    want: &'a Resource,
    span: Span,
    by: Arc<str>,
    instance: Option<usize>,
}

fn two_owners(all: &mut [Instance], own: &Promises) {
    let mut owners: HashMap<Identity, Owner<'_>> = HashMap::new();
    let mut found: Vec<(usize, Diagnostic)> = vec![];
    let of_node = own.all.iter().map(|it| (None, it));
    let of_instances = all.iter().enumerate().flat_map(|(at, it)| {
        let its = it.promises.all.iter().chain(&it.front.all);
        its.map(move |promised| (Some(at), promised))
    });
    for (instance, promised) in of_node.chain(of_instances).filter(|(_, it)| !it.implied) {
        let by = instance.map_or_else(
            || Arc::clone(&promised.origins[0].by),
            |at| Arc::from(format!("component {}", all[at].placed.id)),
        );
        let span = promised.origins[0].span;
        for identity in promised.want.claims() {
            let identity = identity.usual(own.architecture.as_deref());
            let Some(first) = owners.get(&identity) else {
                let (want, by) = (&promised.want, Arc::clone(&by));
                owners.insert(identity, Owner { want, span, by, instance });
                continue;
            };
            let is_same = first.want.is_shared() && *first.want == promised.want;
            if first.instance == instance || is_same {
                continue;
            }
            let message = format!("{} and {by} both promise {identity}", first.by);
            let error = Diagnostic::error(codes::TWO_PROMISES_ONE_THING, span, message)
                .label(format!("promised here by {by}"))
                .related(first.span, format!("and here by {}", first.by));
            let both = first.instance.into_iter().chain(instance);
            found.extend(both.map(|at| (at, error.clone())));
        }
    }
    for (at, error) in found {
        all[at].placed.mistakes.push(error);
    }
}

fn unknown_needs(all: &mut [Instance], own: &Promises) {
    let promised = own.all.iter().chain(all.iter().flat_map(|it| &it.promises.all));
    let known: std::collections::HashSet<PromiseId> = promised.map(|it| it.id.clone()).collect();
    for instance in all {
        for need in instance.of_node.iter().filter(|it| !known.contains(&it.value)) {
            let message = format!("this node makes no promise `{}`", need.value);
            let error = Diagnostic::error(codes::UNKNOWN_PROMISE, need.span, message);
            instance.placed.mistakes.push(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::fmt::Write as _;
    use steadfast_model::application::tree_path;
    use steadfast_model::document;

    fn sources(application: &str, server: &str) -> SourceSet {
        let mut sources = SourceSet::default();
        for (path, text) in [
            ("model.yaml", "model: test\nformat: 1\n"),
            (
                "environments/test.yaml",
                "environment: test\nnodes: { node: { servers: [web] } }\n\
                 applications: { people: { release: \"1\", parameters: { pool: 9 } } }\n",
            ),
            ("servers/web.yaml", server),
            ("a/api", "program"),
            ("applications/people/application.yaml", application),
            (
                "applications/people/releases/1.yaml",
                "release: people 1\ncomponents:\n  api: { artifact: { url: \"model:a\" } }\n  \
                 web: { artifact: { url: \"model:a\" } }\n",
            ),
            (
                "templates/api.service",
                "[Service]\nExecStart={{ deployment.tree }}/api {{ pool }}\n",
            ),
        ] {
            sources.add(path, text.as_bytes(), false);
        }
        sources
    }

    const APPLICATION: &str = "application: people\nowner: team\n\
         parameters: { pool: { default: 1 }, unused: { default: 2 } }\ncomponents:\n  api:\n    \
         servers: [web]\n    directory: /srv/api\n    slots: [8081, 8082]\n    \
         switch: blue-green\n    \
         front: { files: { /etc/front: { content: \"{{ deployment.port }}\" } } }\n    \
         services: { \"api@\": { unit: { template: templates/api.service }, \
         drop_ins: { port: { content: \"Environment=PORT={{ deployment.port }}\" } } } }\n    \
         files:\n      \"{{ deployment.directory }}/api.toml\": \
         { source: { artifact: deploy/api.toml }, after: package:nginx }\n      \
         \"{{ deployment.directory }}/more\": { template: { artifact: deploy/more.j2 } }\n";

    const SERVER: &str = "server: web\npackages: { nginx: {} }\n";

    /// Everything that it promises, with contents.
    fn shown(instance: &Instance) -> String {
        let mut out = String::new();
        for (what, promises) in [("", &instance.promises), ("front ", &instance.front)] {
            for it in &promises.all {
                writeln!(out, "{what}{}", it.id).unwrap();
                let contents = it.want.contents().into_iter();
                let contents = contents.map(|(_, it)| String::from_utf8_lossy(it).into_owned());
                for text in contents.chain(it.want.unit_texts()) {
                    writeln!(out, "  {text:?}").unwrap();
                }
            }
        }
        for it in &instance.placed.mistakes {
            writeln!(out, "{}: {}", it.code.0, it.message).unwrap();
        }
        out
    }

    fn all(sources: &SourceSet) -> Vec<Instance> {
        let (model, found) = document::parse(sources);
        assert!(found.is_empty(), "{found:?}");
        let (environment, node, releases) = ("test", "node", &BTreeMap::new());
        let input = NodeInput { environment, node, facts: None, releases };
        let (mut resolved, own, _) = super::super::lower(&model, sources, &input);
        instances(&mut resolved, sources, &own)
    }

    fn one(sources: &SourceSet, words: &Words) -> Option<Instance> {
        let (model, _) = document::parse(sources);
        let (environment, node, releases) = ("test", "node", &BTreeMap::new());
        let input = NodeInput { environment, node, facts: None, releases };
        instance(&model, sources, &input, &"people/api".parse().unwrap(), words)
    }

    #[track_caller]
    fn check(instance: &Instance, expected: Expect) {
        expected.assert_eq(&shown(instance));
    }

    #[test]
    fn words_stand_for_a_deployment_until_it_has_its_own() {
        let mut sources = sources(APPLICATION, SERVER);
        let found = all(&sources);
        let [first] = &found[..] else { panic!("{found:?}") };
        check(
            first,
            expect![[r#"
            service:api@
              "[Service]\nExecStart=/srv/api/deployments/zgivenlaterz/tree/api 9\n"
              "Environment=PORT=zportz"
            file:/srv/api/deployments/zgivenlaterz/api.toml
              "(the file deploy/api.toml of the artifact)\n"
            file:/srv/api/deployments/zgivenlaterz/more
              "(the file deploy/more.j2 of the artifact)\n"
            front file:/etc/front
              "zportz"
        "#]],
        );
        let reads: Vec<&str> = first.reads.iter().map(|it| &**it).collect();
        assert_eq!(reads, ["deploy/api.toml", "deploy/more.j2"]);
        let needs: Vec<&str> = first.of_node.iter().map(|it| &*it.value.0).collect();
        assert_eq!(needs, ["package:nginx"]);
        let parameters: Vec<_> = first.parameters.iter().map(|(a, b)| format!("{a}={b}")).collect();
        assert_eq!(parameters, ["pool=9"]);
        // Once it is unpacked, the node has the files and knows the digest.
        for (path, text) in
            [("deploy/api.toml", "a = 1\n"), ("deploy/more.j2", "{{ deployment.id }}")]
        {
            let path = tree_path(&first.placed.id, path);
            sources.add(path, text.as_bytes(), false);
        }
        let words = Words::of("0123456789ab", Some(8082)).unpacked();
        check(
            &one(&sources, &words).unwrap(),
            expect![[r#"
            service:api@
              "[Service]\nExecStart=/srv/api/deployments/0123456789ab/tree/api 9\n"
              "Environment=PORT=8082"
            file:/srv/api/deployments/0123456789ab/api.toml
              "a = 1\n"
            file:/srv/api/deployments/0123456789ab/more
              "0123456789ab"
            front file:/etc/front
              "8082"
        "#]],
        );
        check(
            &one(&sources, &Words::standing_in().unpacked()).unwrap(),
            expect![[r#"
            service:api@
              "[Service]\nExecStart=/srv/api/deployments/zgivenlaterz/tree/api 9\n"
              "Environment=PORT=zportz"
            file:/srv/api/deployments/zgivenlaterz/api.toml
              "a = 1\n"
            file:/srv/api/deployments/zgivenlaterz/more
              "zgivenlaterz"
            front file:/etc/front
              "zportz"
        "#]],
        );
    }

    #[test]
    fn what_hangs_on_the_words_is_found_with_the_real_ones_too() {
        let application = APPLICATION.replace(
            "after: package:nginx",
            "owner: \"{{ 'root' if deployment.id != 'ffffffffffff' else 'www' }}\"",
        );
        let sources = sources(&application, SERVER);
        assert!(!all(&sources)[0].placed.mistakes.has_errors());
        let found = one(&sources, &Words::of("ffffffffffff", Some(8081))).unwrap();
        let codes: Vec<&str> = found.placed.mistakes.iter().map(|it| it.code.0).collect();
        assert_eq!(codes, ["deployment-in-logic"]);
    }

    #[test]
    fn a_file_of_an_artifact_that_is_not_in_it_is_told() {
        let sources = sources(APPLICATION, SERVER);
        let words = Words::of("0123456789ab", Some(8082)).unpacked();
        let found = one(&sources, &words).unwrap();
        let told: Vec<&str> = found.placed.mistakes.iter().map(|it| &*it.message).collect();
        assert_eq!(
            told,
            [
                "the artifact has no file `deploy/api.toml`",
                "the artifact has no file `deploy/more.j2`"
            ]
        );
    }

    #[test]
    fn two_owners_of_one_thing_are_held_and_the_node_is_not() {
        let both = "users: { www: {} }\n    files: { /etc/x: { content: x }, /etc/front: { content: y } }\n    \
                    services: { \"api@\": {} }\n";
        let web = format!("  web:\n    servers: [web]\n    directory: /srv/web\n    {both}");
        let found = all(&sources(
            &format!("{APPLICATION}{web}"),
            &format!("{SERVER}{}", "users: { www: {} }\nfiles: { /etc/x: { content: x } }\n"),
        ));
        let of = |it: &Instance| {
            let told = it.placed.mistakes.iter().map(|it| it.message.clone());
            (it.placed.id.to_string(), told.collect::<Vec<_>>())
        };
        let front = "component people/api and component people/web both promise /etc/front";
        let unit = "component people/api and component people/web both promise unit api@.service";
        let node = "server web and component people/web both promise /etc/x";
        let mut told: Vec<(String, Vec<String>)> = found.iter().map(of).collect();
        told.iter_mut().for_each(|(_, it)| it.sort());
        // That both promise one user, and the same of it, is no mistake.
        let strings = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<Vec<String>>();
        let api = ("people/api".to_owned(), strings(&[front, unit]));
        assert_eq!(told, [api, ("people/web".to_owned(), strings(&[front, unit, node]))]);
    }

    #[test]
    fn a_component_that_a_node_does_not_carry_is_none() {
        let sources = sources(
            "application: people\nowner: team\ncomponents: { api: { servers: [] } }\n",
            SERVER,
        );
        assert!(one(&sources, &Words::standing_in()).is_none());
    }
}
