//! What one document of an application says against another: releases that nobody wrote, components
//! that the application does not have, values that a flag does not take.

use super::{
    Application, Artifacts, Catalog, Component, Content, Known, Release, Says, Target, Version,
};
use super::{flag, target};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::fields::NODE_APPLICATION_FIELDS;
use crate::document::parts::entries;
use crate::document::types::{Bundle, Environment};
use crate::lower::{Fields, Lower, suggest};
use crate::node::{Entry, Node};
use crate::scope::Scope;
use crate::source::SourceSet;
use crate::span::{Span, Spanned};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Adds to each application what is wrong between its documents, and what environments and nodes say of it.
pub(crate) fn judge(
    catalog: &mut Catalog,
    environments: &BTreeMap<Arc<str>, Environment>,
    servers: &BTreeMap<Arc<str>, Bundle>,
    sources: &SourceSet,
) {
    let scope = Scope::default();
    inner_targets(catalog, environments, sources);
    let names = described(catalog);
    for (name, known) in &mut catalog.applications {
        let mut diagnostics = std::mem::take(&mut known.mistakes);
        let mut cx = Lower::new(&mut diagnostics, sources, &scope);
        match &known.application {
            Some(application) => Judge { environments, servers, known, application }.all(&mut cx),
            None => unknown_application(name, known, &names, &mut cx),
        }
        known.mistakes = diagnostics;
    }
}

/// The targets that are in the documents of environments, and where else they name applications.
fn inner_targets(
    catalog: &mut Catalog,
    environments: &BTreeMap<Arc<str>, Environment>,
    sources: &SourceSet,
) {
    let scope = Scope::default();
    for (environment, document) in environments {
        for (name, body) in &document.applications {
            let mut found = Diagnostics::default();
            let mut cx = Lower::new(&mut found, sources, &scope);
            if let Some(target) = target::inner(name, body, &mut cx) {
                catalog.take_target(environment, target, &mut cx);
            }
            catalog.of(&name.value).mistakes.extend(found);
        }
        let of_nodes = document.nodes.iter().flat_map(|it| &it.applications);
        for (name, _) in document.flags.iter().chain(of_nodes) {
            let known = catalog.of(&name.value);
            known.named.push(name.span);
        }
    }
}

/// The applications that have a document.
fn described(catalog: &Catalog) -> Vec<Arc<str>> {
    let all = catalog.applications.iter().filter(|(_, it)| it.application.is_some());
    all.map(|(name, _)| Arc::clone(name)).collect()
}

fn unknown_application(name: &Arc<str>, known: &Known, names: &[Arc<str>], cx: &mut Lower<'_>) {
    // Where the document of an application cannot be read at all, that is told already.
    if known.mistakes.has_errors() || cx.diagnostics.has_errors() {
        return;
    }
    let releases = known.releases.values().map(|it| it.id.span);
    let targets = known.targets.values().map(|it| it.application.span);
    for span in releases.chain(targets).chain(known.named.iter().copied()) {
        let message = format!("the model has no application `{name}`");
        let error = Diagnostic::error(codes::UNKNOWN_APPLICATION, span, message);
        let names: Vec<&str> = names.iter().map(|it| &**it).collect();
        cx.report(suggest(error, name, &names, "applications"));
    }
}

struct Judge<'a> {
    environments: &'a BTreeMap<Arc<str>, Environment>,
    servers: &'a BTreeMap<Arc<str>, Bundle>,
    known: &'a Known,
    application: &'a Application,
}

impl Judge<'_> {
    fn all(&self, cx: &mut Lower<'_>) {
        self.components(cx);
        for release in self.known.releases.values() {
            self.release(release, cx);
        }
        self.interfaces_stay_said(cx);
        self.layers(cx);
        for (environment, target) in &self.known.targets {
            self.target(environment, target, cx);
        }
    }

    fn components(&self, cx: &mut Lower<'_>) {
        let servers: Vec<&str> = self.servers.keys().map(|it| &**it).collect();
        let nodes = || self.environments.values().flat_map(|it| &it.nodes);
        for component in self.application.components.values() {
            for name in &component.servers {
                let is_carried =
                    || nodes().any(|it| it.servers.iter().any(|server| server.value == name.value));
                if !self.servers.contains_key(&name.value) {
                    let message = format!("the model has no server `{}`", name.value);
                    let error = Diagnostic::error(codes::UNKNOWN_SERVER, name.span, message);
                    cx.report(suggest(error, &name.value, &servers, "servers"));
                } else if !self.known.targets.is_empty() && !is_carried() {
                    let message = format!("no node of any environment is `{}`", name.value);
                    cx.report(Diagnostic::warning(codes::NOT_PLACED, name.span, message));
                }
            }
            if component.servers.is_empty() {
                self.without_servers(component, cx);
            }
        }
    }

    /// A component may do without servers once no target has it any more.
    fn without_servers(&self, component: &Component, cx: &mut Lower<'_>) {
        let Component { name, body, .. } = component;
        let mut targets = self.known.targets.values();
        let has_it = |it: &&Target| self.known.effective(&name.value, &it.release.value).is_some();
        let Some(target) = targets.find(has_it) else { return };
        let found = if body.get("servers").is_none() {
            let message = format!("`{}` needs the field `servers`", name.value);
            Diagnostic::error(codes::MISSING_FIELD, name.span, message)
        } else {
            let message = format!("no node carries `{}`: it has no servers", name.value);
            Diagnostic::warning(codes::NOT_PLACED, name.span, message)
        };
        cx.report(found.related(target.release.span, "this release has it"));
    }

    /// A file that holds one release is called by its version.
    fn file_name(&self, release: &Release, cx: &mut Lower<'_>) {
        let Spanned { value: id, span } = &release.id;
        let beside = self.known.releases.values().filter(|it| it.id.span.source == span.source);
        let Some(source) = cx.sources.get(span.source).filter(|_| beside.count() == 1) else {
            return;
        };
        let file = source.path.rsplit('/').next().unwrap_or("");
        let stem = file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml"));
        let named = stem.and_then(|it| it.parse::<Version>().ok());
        if named.is_none_or(|it| it != id.version) {
            let message = format!("the release {} is in the file {file}", id.version);
            let warning = Diagnostic::warning(codes::OUT_OF_PLACE, *span, message);
            cx.report(warning.help(format!("its name would be {}.yaml", id.version)));
        }
    }

    fn release(&self, release: &Release, cx: &mut Lower<'_>) {
        self.file_name(release, cx);
        if let Some(follows) = &release.follows {
            let own = &release.id.value.version;
            if follows.value >= *own {
                let message = format!("{own} cannot follow {}: versions only rise", follows.value);
                cx.error(codes::BROKEN_CHAIN, follows.span, message);
            } else {
                self.is_catalogued(follows, cx);
            }
        }
        let of = &self.application.name.value;
        let named = release.features.iter().filter_map(|it| it.flag.as_ref());
        for flag in release.flags.iter().flatten().chain(named) {
            if !self.application.flags.contains_key(&flag.value) {
                cx.report(flag::unknown(flag, &self.application.flags, of));
            }
        }
        for (name, named) in &release.components {
            let Some(component) = self.application.components.get(name) else {
                // It may have left the application after its end.
                if let Says::Content(_) = named.says {
                    let message = format!("{of} has no component `{name}`");
                    let error =
                        Diagnostic::error(codes::UNKNOWN_COMPONENT, named.name.span, message);
                    let names: Vec<&str> =
                        self.application.components.keys().map(|it| &**it).collect();
                    cx.report(suggest(error, name, &names, "its components"));
                }
                continue;
            };
            if let Says::Content(content) = &named.says {
                self.content(&named.name, content, &component.body, cx);
            }
        }
    }

    fn content(
        &self,
        name: &Spanned<Arc<str>>,
        content: &Content,
        body: &Node,
        cx: &mut Lower<'_>,
    ) {
        let is_schema = body.get("migrate").is_some();
        if is_schema && content.version.is_none() {
            let message = format!("`{}` is a schema: it needs the field `version`", name.value);
            cx.error(codes::MISSING_FIELD, name.span, message);
        }
        if let (false, Some(version)) = (is_schema, &content.version) {
            let message = "only a component with `migrate` has a `version`";
            cx.error(codes::CONFLICTING_FIELDS, version.span, message);
        }
        let has_tree = body.get("unpack").is_some() || mentions(body, "deployment.tree");
        let is_package = content.artifact.as_ref().is_some_and(Artifacts::is_package);
        if !content.has_artifact && (is_schema || has_tree) {
            let message =
                format!("`{}` is unpacked, and this release has no artifact of it", name.value);
            let error = Diagnostic::error(codes::NO_ARTIFACT, name.span, message);
            cx.report(error.help("artifacts are stated whole: they are never inherited"));
        } else if content.has_artifact && !is_package && body.get("directory").is_none() {
            let message = format!("`{}` has an artifact, and no `directory` for it", name.value);
            let error = Diagnostic::error(codes::MISSING_FIELD, name.span, message);
            cx.report(error.related(body.span(), "it belongs here"));
        }
        for key in ["directory", "unpack"].into_iter().filter(|_| is_package) {
            if let Some(field) = body.get(key) {
                let message = format!("`{}` is a package here, which has no `{key}`", name.value);
                let error = Diagnostic::error(codes::CONFLICTING_FIELDS, name.span, message);
                cx.report(error.related(field.span(), "dpkg says where its files are"));
            }
        }
    }

    /// A component that once said what it uses goes on saying so: nothing is told by being left out.
    fn interfaces_stay_said(&self, cx: &mut Lower<'_>) {
        let mut said: HashMap<&str, (Span, &Version)> = HashMap::new();
        for (version, release) in &self.known.releases {
            for (name, named) in &release.components {
                let Says::Content(content) = &named.says else { continue };
                if content.uses.is_some() {
                    said.entry(name).or_insert((named.name.span, version));
                } else if let Some((first, since)) = said.get(&**name) {
                    let message =
                        format!("`{name}` says what it uses since {since}, and here it does not");
                    let error = Diagnostic::error(codes::MISSING_FIELD, named.name.span, message);
                    let error = error.related(*first, "said here first");
                    cx.report(error.help("write `uses: []` where it uses nothing any more"));
                }
            }
        }
    }

    fn target(&self, environment: &str, target: &Target, cx: &mut Lower<'_>) {
        if !self.environments.contains_key(environment) {
            let message = format!("the model has no environment `{environment}`");
            let error =
                Diagnostic::error(codes::UNKNOWN_ENVIRONMENT, target.application.span, message);
            let names: Vec<&str> = self.environments.keys().map(|it| &**it).collect();
            cx.report(suggest(error, environment, &names, "environments"));
        }
        let wanted = self.is_catalogued(&target.release, cx);
        if let Some(reason) = wanted.and_then(|it| it.withdrawn.as_ref()) {
            let message = format!("{} was withdrawn: {}", target.release.value, reason.value);
            let error = Diagnostic::error(codes::WITHDRAWN, target.release.span, message);
            cx.report(error.related(reason.span, "withdrawn here"));
        }
        for via in &target.via {
            self.is_catalogued(via, cx);
        }
        if let (Some(since), Some(_)) = (&target.since, wanted)
            && self.is_catalogued(since, cx).is_some()
            && !self.known.line(&target.release.value).any(|it| it.id.value.version == since.value)
        {
            let message = format!("{} does not lead down to {}", target.release.value, since.value);
            let error = Diagnostic::error(codes::BROKEN_CHAIN, since.span, message);
            let line: Vec<String> = self
                .known
                .line(&target.release.value)
                .map(|it| it.id.value.version.to_string())
                .collect();
            cx.report(error.help(format!("its line is: {}", line.join(", "))));
        }
        self.parameters(&target.parameters, cx);
        self.flags(&target.flags, cx);
        for component in self.application.components.values() {
            let is_there = self.known.effective(&component.name.value, &target.release.value);
            if is_there.is_none() && wanted.is_some() {
                let (name, release) = (&component.name.value, &target.release.value);
                let message = format!("no release up to {release} has the component `{name}`");
                let hint = Diagnostic::hint(codes::NOT_PLACED, target.release.span, message);
                cx.report(hint.related(component.name.span, "so it is not placed"));
            }
        }
    }

    /// What environments and nodes say of the application.
    fn layers(&self, cx: &mut Lower<'_>) {
        let own = &self.application.name.value;
        for environment in self.environments.values() {
            for (_, node) in environment.flags.iter().filter(|(name, _)| name.value == *own) {
                let entries = cx.as_map(node, "`flags`").unwrap_or_default();
                self.flags(entries, cx);
            }
            let of_nodes = environment.nodes.iter().flat_map(|it| &it.applications);
            for (_, node) in of_nodes.filter(|(name, _)| name.value == *own) {
                let known = NODE_APPLICATION_FIELDS;
                let Some(mut fields) = Fields::read(node, "node's application", known, cx) else {
                    continue;
                };
                let (parameters, flags) =
                    (entries(&mut fields, "parameters"), entries(&mut fields, "flags"));
                self.parameters(&parameters, cx);
                self.flags(&flags, cx);
            }
        }
    }

    fn flags(&self, entries: &[Entry], cx: &mut Lower<'_>) {
        let Application { flags, name, .. } = self.application;
        for (flag, node) in entries {
            match flags.get(&flag.value) {
                Some(flag) => drop(flag.setting(node, cx)),
                None => cx.report(flag::unknown(flag, flags, &name.value)),
            }
        }
    }

    fn parameters(&self, entries: &[Entry], cx: &mut Lower<'_>) {
        let declared = &self.application.parameters;
        for (name, _) in entries {
            if !declared.iter().any(|it| it.name.value == name.value) {
                let of = &self.application.name.value;
                let message = format!("`{}` is not a parameter of {of}", name.value);
                let error = Diagnostic::error(codes::UNKNOWN_PARAMETER, name.span, message);
                let names: Vec<&str> = declared.iter().map(|it| &*it.name.value).collect();
                cx.report(suggest(error, &name.value, &names, "its parameters"));
            }
        }
    }

    /// The release of this version, or a report that there is none.
    fn is_catalogued(&self, version: &Spanned<Version>, cx: &mut Lower<'_>) -> Option<&Release> {
        let found = self.known.releases.get(&version.value);
        if found.is_none() {
            let message =
                format!("{} has no release {}", self.application.name.value, version.value);
            let error = Diagnostic::error(codes::UNKNOWN_RELEASE, version.span, message);
            let versions = self.known.versions();
            let versions: Vec<&str> = versions.iter().map(|it| &**it).collect();
            cx.report(suggest(error, &version.value.to_string(), &versions, "its releases"));
        }
        found
    }
}

/// Whether a text anywhere in the tree has this in it.
fn mentions(node: &Node, name: &str) -> bool {
    match node {
        Node::Scalar(it) => it.value.text.contains(name),
        Node::List(items, _) => items.iter().any(|it| mentions(it, name)),
        Node::Map(entries, _) => {
            entries.iter().any(|(key, it)| key.value.contains(name) || mentions(it, name))
        }
        Node::Unknown(_) => false,
    }
}
