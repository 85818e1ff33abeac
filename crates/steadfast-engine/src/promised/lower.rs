//! From the promises of a model to those that the engine works on: typed and compared with each other.

use super::deployed::Deployed;
use super::{Promised, Promises, units};
use crate::graph;
use crate::runner::inputs::Inputs;
use crate::unit::Unit;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use steadfast_model::application::Words;
use steadfast_model::document::Model;
use steadfast_model::lower::nearest;
use steadfast_model::{
    ComponentId, Diagnostic, Diagnostics, Keep, Lower, NodeInput, Origin, Placed, Promise,
    PromiseId, Resolved, SourceSet, Span, Spanned, codes, resolve_each,
};
use steadfast_resources::contents::Contents;
use steadfast_resources::{Identity, Resource};
use steadfast_system::AbsPath;
use steadfast_system::files::Digest;

/// Resolves the promises of a node, without those of its components, and lowers each as soon as it is resolved: so all
/// of them are in memory once. What was wrong is reported, and missing.
pub fn lower(
    model: &Model,
    sources: &SourceSet,
    input: &NodeInput<'_>,
) -> (Resolved, Promises, Diagnostics) {
    build(model, sources, input, false, vec![])
}

/// The same together with those of deployments.
pub fn lower_with(
    model: &Model,
    sources: &SourceSet,
    input: &NodeInput<'_>,
    deployed: Vec<Deployed>,
) -> (Resolved, Promises, Diagnostics) {
    build(model, sources, input, false, deployed)
}

/// The same for who writes nothing: together with those of its components, and without their contents.
pub fn check(
    model: &Model,
    sources: &SourceSet,
    input: &NodeInput<'_>,
) -> (Resolved, Promises, Diagnostics) {
    build(model, sources, input, true, vec![])
}

/// Has no contents.
#[derive(Debug)]
struct Nowhere;

impl Contents for Nowhere {
    fn content(&self, _digest: &Digest) -> Option<Arc<[u8]>> {
        None
    }
}

fn build(
    model: &Model,
    sources: &SourceSet,
    input: &NodeInput<'_>,
    is_check: bool,
    deployed: Vec<Deployed>,
) -> (Resolved, Promises, Diagnostics) {
    let nowhere: Arc<dyn Contents> = Arc::new(Nowhere);
    let mut of_promises = Diagnostics::default();
    let mut builder = Builder::new(&mut of_promises);
    let mut take = |resolved: &Resolved, promise: Promise| {
        let first = builder.all.len();
        builder.take(resolved, promise, sources);
        if is_check {
            builder.forget_contents(first, &nowhere);
        }
    };
    let (mut resolved, mut diagnostics) = resolve_each(model, sources, input, &mut take);
    if is_check {
        for component in std::mem::take(&mut resolved.components) {
            diagnostics.extend(builder.component(&resolved, component, sources, &nowhere));
        }
    }
    let mut units = vec![];
    for one in deployed {
        units.extend(builder.deployed(&resolved, one, sources));
    }
    builder.relate_all();
    let promises = Promises { units, ..builder.finish() };
    diagnostics.extend(of_promises);
    (resolved, promises, diagnostics)
}

/// How many unknown names are compared with all that are known.
const GUESSES_MAX: usize = 20;

/// What the author wrote beside the promise itself.
pub(super) struct Written {
    pub(super) needs: Vec<Spanned<PromiseId>>,
    pub(super) reloads: Vec<Spanned<Arc<str>>>,
    pub(super) restarts: Vec<Spanned<Arc<str>>>,
    pub(super) conditional: bool,
    /// The component that promises it; none where the node does.
    pub(super) owner: Option<ComponentId>,
}

pub(super) struct Builder<'d> {
    pub(super) all: Vec<Promised>,
    pub(super) written: Vec<Written>,
    pub(super) by_id: HashMap<PromiseId, usize>,
    /// Ids of promises that could not be lowered: naming them is no second mistake.
    pub(super) unsound: HashSet<PromiseId>,
    pub(super) by_identity: BTreeMap<Identity, usize>,
    pub(super) inputs: BTreeMap<usize, Inputs>,
    /// Which promise was told that it needs which one that is promised absent.
    denied: HashSet<(usize, usize)>,
    /// Of the machine, where it is known.
    pub(super) architecture: Option<Arc<str>>,
    /// How often a name that was probably meant has been looked for.
    pub(super) guesses: usize,
    /// Whose promises are taken now.
    owner: Option<ComponentId>,
    /// Files of artifacts that promises read.
    pub(super) reads: Vec<Spanned<Arc<str>>>,
    /// Where these are not all that the node promises: what they name that is not among them.
    pub(super) beside: Option<Vec<Spanned<PromiseId>>>,
    pub(super) diagnostics: &'d mut Diagnostics,
}

impl<'d> Builder<'d> {
    pub(super) fn new(diagnostics: &'d mut Diagnostics) -> Builder<'d> {
        Builder {
            all: vec![],
            written: vec![],
            by_id: HashMap::new(),
            unsound: HashSet::new(),
            denied: HashSet::new(),
            guesses: 0,
            owner: None,
            reads: vec![],
            beside: None,
            architecture: None,
            by_identity: BTreeMap::new(),
            inputs: BTreeMap::new(),
            diagnostics,
        }
    }

    /// Takes the promises of a component beside those of the node, and gives what is wrong with it.
    fn component(
        &mut self,
        resolved: &Resolved,
        mut placed: Placed,
        sources: &SourceSet,
        nowhere: &Arc<dyn Contents>,
    ) -> Diagnostics {
        let first = self.all.len();
        self.owner = Some(placed.id.clone());
        let (promises, front) =
            (std::mem::take(&mut placed.promises), std::mem::take(&mut placed.front));
        let mut mistakes = std::mem::take(&mut placed.mistakes);
        let unsound = self.unsound.len();
        promises.into_iter().for_each(|it| self.take(resolved, it, sources));
        if self.unsound.len() == unsound {
            units::judge(&placed, &self.all[first..], &Words::standing_in(), &mut mistakes);
        }
        front.into_iter().for_each(|it| self.take(resolved, it, sources));
        units::read_from_nothing(&placed, &std::mem::take(&mut self.reads), &mut mistakes);
        self.forget_contents(first, nowhere);
        mistakes
    }

    fn forget_contents(&mut self, first: usize, nowhere: &Arc<dyn Contents>) {
        self.all[first..].iter_mut().for_each(|it| it.want.take_contents_from(nowhere));
    }

    /// Everything that the promises have to do with each other.
    pub(super) fn relate_all(&mut self) {
        self.claims();
        self.made();
        self.relate();
        self.consequences();
        self.needs();
    }

    /// The unit of a deployment, where a step brings the machine there.
    fn deployed(
        &mut self,
        resolved: &Resolved,
        deployed: Deployed,
        sources: &SourceSet,
    ) -> Option<Unit> {
        let Deployed { unit: id, is_step, promises, shared } = deployed;
        shared.into_iter().for_each(|it| self.take(resolved, it, sources));
        let first = self.all.len();
        promises.into_iter().for_each(|it| self.take(resolved, it, sources));
        let members: Vec<usize> = (first..self.all.len()).collect();
        self.all[first..].iter_mut().for_each(|it| it.unit = Some(id.clone()));
        is_step.then_some(Unit { id, members })
    }

    pub(super) fn take(&mut self, resolved: &Resolved, promise: Promise, sources: &SourceSet) {
        if self.all.is_empty() {
            self.architecture = promise.scope.fact("architecture");
        }
        let mut cx = Lower::new(self.diagnostics, sources, &promise.scope);
        let Some(parts) = steadfast_resources::lower(&promise, &mut cx) else {
            self.unsound.insert(promise.id);
            return;
        };
        let mut read = cx.read;
        self.reads.append(&mut read.of_artifact);
        let used = resolved.used(&promise, read);
        if let Some(first) = self.by_id.get(&promise.id).copied() {
            return self.again(first, &promise, &parts);
        }
        self.by_id.insert(promise.id.clone(), self.all.len());
        for want in parts {
            self.all.push(Promised {
                id: promise.id.clone(),
                want,
                needs: vec![],
                lies_in: vec![],
                keep: promise.keep,
                origins: vec![promise.origin.clone()],
                description: promise.description.clone(),
                implied: false,
                unit: None,
                used: used.clone(),
                selected: true,
            });
            self.written.push(Written {
                needs: promise.needs.clone(),
                reloads: promise.reloads.clone(),
                restarts: promise.restarts.clone(),
                conditional: promise.conditional,
                owner: self.owner.clone(),
            });
        }
    }

    /// A promise of which the first one is known.
    fn again(&mut self, first: usize, promise: &Promise, parts: &[Resource]) {
        let old = &self.written[first];
        let end = (first..self.all.len())
            .find(|at| self.all[*at].id != promise.id)
            .unwrap_or(self.all.len());
        let ids =
            |it: &[Spanned<PromiseId>]| it.iter().map(|it| it.value.clone()).collect::<Vec<_>>();
        let words =
            |it: &[Spanned<Arc<str>>]| it.iter().map(|it| it.value.clone()).collect::<Vec<_>>();
        let equal = self.all[first..end].iter().map(|it| &it.want).eq(parts.iter())
            && ids(&old.needs) == ids(&promise.needs)
            && words(&old.reloads) == words(&promise.reloads)
            && words(&old.restarts) == words(&promise.restarts);
        let is_one_owners = old.owner == self.owner || parts.iter().all(Resource::is_shared);
        if equal && is_one_owners {
            for part in &mut self.all[first..end] {
                part.origins.push(promise.origin.clone());
                part.keep = part.keep.max(promise.keep);
            }
        } else {
            let conditional = old.conditional || promise.conditional;
            let (id, first) = (promise.id.clone(), self.all[first].origins[0].clone());
            self.two(&id.to_string(), [&id, &id], &promise.origin, &first, conditional);
        }
    }

    /// Two promises about one thing: an error, or a warning where it hangs on what is not known here.
    fn two(
        &mut self,
        thing: &str,
        ids: [&PromiseId; 2],
        second: &Origin,
        first: &Origin,
        conditional: bool,
    ) {
        let mut message = if first.by == second.by {
            format!("{} promises {thing} twice", first.by)
        } else {
            format!("{} and {} both promise {thing}", first.by, second.by)
        };
        if ids[0] != ids[1] {
            message += &format!(", as {} and as {}", ids[0], ids[1]);
        }
        let diagnostic = if conditional {
            Diagnostic::warning(codes::TWO_PROMISES_ONE_THING, second.span, message)
        } else {
            Diagnostic::error(codes::TWO_PROMISES_ONE_THING, second.span, message)
        };
        let mut diagnostic = diagnostic
            .label(format!("promised here by {}", second.by))
            .related(first.span, format!("and here by {}", first.by));
        for span in second.via.iter().chain(&first.via) {
            diagnostic = diagnostic.related(*span, "included here");
        }
        self.diagnostics.push(diagnostic.help("keep one, or make the difference a parameter"));
    }

    /// One thing has one promise, whatever sections they stand in and whichever of its names they use.
    fn claims(&mut self) {
        let mut foreign = vec![];
        for at in 0..self.all.len() {
            for identity in self.all[at].want.claims() {
                if let Identity::Package(name) = &identity
                    && name.architecture().is_some()
                    && self.architecture.is_none()
                {
                    foreign.push((at, name.without_architecture()));
                }
                let identity = identity.usual(self.architecture.as_deref());
                match self.by_identity.get(&identity).copied() {
                    None => {
                        self.by_identity.insert(identity, at);
                    }
                    Some(first) => self.claimed_twice(&identity.to_string(), first, at, false),
                }
            }
        }
        // Whether `nginx` and `nginx:amd64` are one package hangs on the machine.
        for (at, name) in foreign {
            if let Some(other) = self.by_identity.get(&Identity::Package(name)).copied() {
                let thing = format!("{} on a machine of that architecture", self.all[at].id);
                self.claimed_twice(&thing, other.min(at), other.max(at), true);
            }
        }
    }

    fn claimed_twice(&mut self, thing: &str, first: usize, second: usize, is_doubtful: bool) {
        let ids = [self.all[first].id.clone(), self.all[second].id.clone()];
        if ids[0] == ids[1] {
            return;
        }
        let conditional =
            is_doubtful || self.written[first].conditional || self.written[second].conditional;
        let origins = [first, second].map(|at| self.all[at].origins[0].clone());
        self.two(thing, ids.each_ref(), &origins[1], &origins[0], conditional);
    }

    /// What a promise makes without naming it is not another's, as far as the model says where it is.
    fn made(&mut self) {
        for at in 0..self.all.len() {
            for made in self.all[at].want.makes() {
                let Some(path) = made.path() else { continue };
                let identity = Identity::Path(path);
                let Some(other) = self.claimed(&identity, at) else { continue };
                let itself = self.by_identity.get(&identity) == Some(&other);
                if self.all[other].want.is_absent() {
                    self.absent(at, other, &identity);
                } else if itself && made.is_alone() {
                    let conditional =
                        self.written[other].conditional || self.written[at].conditional;
                    let (a, b) =
                        (self.all[other].origins[0].clone(), self.all[at].origins[0].clone());
                    let ids = [self.all[other].id.clone(), self.all[at].id.clone()];
                    self.two(&identity.to_string(), ids.each_ref(), &b, &a, conditional);
                }
            }
        }
    }

    fn relate(&mut self) {
        // What is only reported does not go.
        let goes = |it: &&Promised| it.want.is_absent() && it.keep == Keep::Repair;
        let going = self.all.iter().filter(goes).flat_map(|it| it.want.claims());
        let going: Vec<Identity> = going.collect();
        let mut wants: Vec<&mut Resource> = self.all.iter_mut().map(|it| &mut it.want).collect();
        steadfast_resources::relate(&mut wants);
        steadfast_resources::relate_going(&mut wants, &going);
        steadfast_resources::relate_packages(&mut wants);
        let (mut users, mut members) = (vec![], vec![]);
        for (at, promised) in self.all.iter().enumerate() {
            if let Resource::User(user) = &promised.want {
                users.push((at, user));
            } else if let Resource::Members(group) = &promised.want {
                members.push((at, group));
            }
        }
        let found = steadfast_resources::user::contradictions(
            &users.iter().map(|(_, it)| *it).collect::<Vec<_>>(),
            &members.iter().map(|(_, it)| *it).collect::<Vec<_>>(),
        );
        for (user, group, words) in found {
            let (user, group) = (users[user].0, members[group].0);
            let conditional = self.written[user].conditional || self.written[group].conditional;
            let span = self.all[group].origins[0].span;
            let diagnostic = if conditional {
                Diagnostic::warning(codes::TWO_PROMISES_ONE_THING, span, words)
            } else {
                Diagnostic::error(codes::TWO_PROMISES_ONE_THING, span, words)
            };
            self.diagnostics
                .push(diagnostic.label("here").related(self.all[user].origins[0].span, "and here"));
        }
    }

    /// The parts of a promise; they stand beside each other.
    pub(super) fn parts(&self, id: &PromiseId) -> impl Iterator<Item = usize> {
        let first = self.by_id.get(id).copied().unwrap_or(self.all.len());
        let count = self.all[first..].iter().take_while(|it| it.id == *id).count();
        first..first + count
    }

    /// The id that was probably meant. Nobody reads more than some of these, and each takes long.
    pub(super) fn near(&mut self, id: &str) -> Option<String> {
        self.guesses += 1;
        if self.guesses > GUESSES_MAX {
            return None;
        }
        let known: Vec<&str> = self.by_id.keys().map(|it| &*it.0).collect();
        nearest(id, &known).map(str::to_owned)
    }

    fn needs(&mut self) {
        for at in 0..self.all.len() {
            let mut needs: Vec<usize> = vec![];
            for need in std::mem::take(&mut self.written[at].needs) {
                if self.by_id.contains_key(&need.value) {
                    needs.extend(self.parts(&need.value));
                } else if self.unsound.contains(&need.value) {
                    // Told already.
                } else if let Some(beside) = &mut self.beside {
                    beside.push(need);
                } else {
                    let message = format!("this node makes no promise `{}`", need.value);
                    let mut error = Diagnostic::error(codes::UNKNOWN_PROMISE, need.span, message);
                    if let Some(near) = self.near(&need.value.0) {
                        error = error.label(format!("did you mean `{near}`?"));
                    }
                    self.diagnostics
                        .push(error.help("a promise is named KIND:NAME, as in package:nginx"));
                }
            }
            // The second part of a promise comes after the first.
            if at > 0 && self.all[at - 1].id == self.all[at].id {
                needs.push(at - 1);
            }
            let mut lies_in = vec![];
            if !self.all[at].want.is_absent() {
                for used in self.all[at].want.uses() {
                    if let Some(needed) = self.claimed(&used, at) {
                        if self.all[needed].want.is_absent() {
                            self.absent(at, needed, &used);
                        } else if used.as_path().is_some() {
                            lies_in.push(needed);
                        } else {
                            needs.push(needed);
                        }
                    }
                }
                needs.extend(self.bringing(at));
            }
            // What somebody wrote down as a need has to be kept as a whole.
            lies_in.retain(|it| *it != at && !needs.contains(it));
            needs.extend(&lies_in);
            needs.sort_unstable();
            needs.dedup();
            needs.retain(|it| *it != at);
            self.all[at].lies_in = lies_in;
            self.all[at].needs = needs;
        }
        self.absent_folders();
    }

    /// The promises that bring what one is about, where they are promised to be there: one for a path itself,
    /// or for the directory that it lies in.
    fn bringing(&self, at: usize) -> Vec<usize> {
        let paths = self.all[at].want.comes_from();
        let paths = paths.iter().filter_map(Identity::as_path);
        let known = |it: &AbsPath| self.by_identity.get(&Identity::Path(it.clone())).copied();
        paths
            .filter_map(|it| known(it).or_else(|| known(&it.parent()?)))
            .filter(|it| *it != at && !self.all[*it].want.is_absent())
            .collect()
    }

    /// The promise about a thing; for a path, that about it or the nearest directory above it.
    fn claimed(&self, used: &Identity, by: usize) -> Option<usize> {
        let used = used.clone().usual(self.architecture.as_deref());
        match &used {
            Identity::Path(path) => {
                let mut next: Option<AbsPath> = Some(path.clone());
                while let Some(here) = next {
                    match self.by_identity.get(&Identity::Path(here.clone())) {
                        Some(at) if *at != by => return Some(*at),
                        Some(_) | None => next = here.parent(),
                    }
                }
                None
            }
            Identity::Package(_)
            | Identity::Group(_)
            | Identity::User(_)
            | Identity::Unit(_)
            | Identity::Setting(_) => self.by_identity.get(&used).copied().filter(|at| *at != by),
        }
    }

    fn absent(&mut self, at: usize, needed: usize, used: &Identity) {
        if !self.denied.insert((at, needed)) {
            return;
        }
        let message = format!("{} needs {used}, which is promised to be absent", self.all[at].id);
        let conditional = self.written[at].conditional || self.written[needed].conditional;
        let span = self.all[at].origins[0].span;
        let diagnostic = if conditional {
            Diagnostic::warning(codes::NEEDS_ABSENT, span, message)
        } else {
            Diagnostic::error(codes::NEEDS_ABSENT, span, message)
        };
        self.diagnostics
            .push(diagnostic.related(self.all[needed].origins[0].span, "promised absent here"));
    }

    /// What is promised absent below a directory that goes, goes before it.
    fn absent_folders(&mut self) {
        let paths: BTreeMap<AbsPath, usize> = (0..self.all.len())
            .filter(|at| self.all[*at].want.is_absent())
            .filter_map(|at| Some((self.all[at].want.claims().first()?.as_path()?.clone(), at)))
            .collect();
        for (path, inner) in &paths {
            let mut next = path.parent();
            while let Some(above) = next {
                if let Some(folder) = paths.get(&above) {
                    self.all[*folder].needs.push(*inner);
                }
                next = above.parent();
            }
        }
    }

    pub(super) fn finish(self) -> Promises {
        let Builder { all, mut inputs, diagnostics, architecture, .. } = self;
        for inputs in inputs.values_mut() {
            for list in [&mut inputs.reload, &mut inputs.restart] {
                list.sort_unstable();
                list.dedup();
            }
        }
        let unit_files = (0..all.len()).filter(|it| all[*it].want.may_be_unit_file()).collect();
        let inputs = inputs.into_values().collect();
        let promises = Promises {
            all,
            inputs,
            units: vec![],
            unit_files,
            waves: vec![],
            architecture,
            settled: 0,
        };
        let all = &promises.all;
        let waves = match graph::waves(&promises.tasks()) {
            Ok(waves) => waves,
            Err(cycle) => {
                let circle: Vec<String> = cycle
                    .0
                    .iter()
                    .chain(cycle.0.first())
                    .map(|at| all[*at].id.to_string())
                    .collect();
                let span = |at: &usize| all[*at].origins.first().map(|it| it.span);
                let here = cycle.0.first().and_then(span).unwrap_or_default();
                let message =
                    format!("promises need each other in a cycle: {}", circle.join(" → "));
                let mut error = Diagnostic::error(codes::CYCLE, here, message);
                for at in cycle.0.iter().skip(1) {
                    let place: Span = span(at).unwrap_or_default();
                    error = error.related(place, format!("{} is part of the cycle", all[*at].id));
                }
                diagnostics.push(error);
                vec![]
            }
        };
        Promises { waves, ..promises }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steadfast_model::document;

    #[test]
    fn only_what_may_be_written_keeps_its_contents() {
        let mut sources = SourceSet::default();
        for (path, text) in [
            ("model.yaml", "model: test\nformat: 1\n"),
            ("environments/test.yaml", "environment: test\nnodes: { node: { servers: [web] } }\n"),
            ("servers/web.yaml", "server: web\nfiles: { /etc/motd: { content: hello } }\n"),
        ] {
            sources.add(path, text.as_bytes(), false);
        }
        let (model, _) = document::parse(&sources);
        let (environment, node, releases) = ("test", "node", &BTreeMap::new());
        let input = NodeInput { environment, node, facts: None, releases };
        for (of_node, kept) in
            [(lower(&model, &sources, &input), 1), (check(&model, &sources, &input), 0)]
        {
            let (_, promises, found) = of_node;
            assert!(found.is_empty(), "{found:?}");
            assert_eq!(promises.all[0].want.contents().len(), kept);
        }
    }
}
