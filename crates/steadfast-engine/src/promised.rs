//! From the promises of a model to what the engine works on: typed, compared with each other, with
//! their needs and consequences as indices, and in the order of a run.

use crate::graph::{self, Task};
use crate::runner::inputs::Inputs;
use crate::unit::{Scope, Unit, UnitId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use steadfast_model::lower::nearest;
use steadfast_model::{
    Diagnostic, Diagnostics, Keep, Lower, Origin, Promise, PromiseId, Resolved, SourceSet, Span,
    Spanned, codes,
};
use steadfast_resources::runner::Consequence;
use steadfast_resources::{Identity, Resource, glob::Glob};
use steadfast_system::{AbsPath, UnitName};

/// A promise, or a part of one, that has been lowered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Promised {
    pub id: PromiseId,
    pub want: Resource,
    /// What must be kept before it is attempted, by index.
    pub needs: Vec<usize>,
    pub keep: Keep,
    /// Everybody who made it; the first is where it stands.
    pub origins: Vec<Origin>,
    pub description: Option<Arc<str>>,
    /// Nobody promised it: a unit that is only named in `restarts:` or whose unit file is promised.
    pub implied: bool,
    /// What it changes with, where that is more than itself.
    pub unit: Option<UnitId>,
    /// Whether this run attempts it; see [`Promises::select`].
    pub selected: bool,
}

impl Promised {
    /// Whose doing its changes are.
    pub fn scope(&self) -> Scope {
        self.unit.clone().map_or(Scope::Node, Scope::Unit)
    }
}

/// All promises of a node, ready for a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Promises {
    pub all: Vec<Promised>,
    /// In the order of their runners.
    pub inputs: Vec<Inputs>,
    /// What changes together, beside what changes by itself.
    pub units: Vec<Unit>,
    /// Indices in the order in which they are done.
    pub waves: Vec<Vec<usize>>,
}

impl Promises {
    /// What the runner at this index runs with.
    pub fn inputs_of(&self, runner: usize) -> Option<&Inputs> {
        let at = self.inputs.binary_search_by_key(&runner, |it| it.runner).ok()?;
        self.inputs.get(at)
    }

    /// The unit that a promise is a member of.
    pub(crate) fn unit_of(&self, at: usize) -> Option<&Unit> {
        let id = self.all[at].unit.as_ref()?;
        self.units.iter().find(|it| it.id == *id)
    }

    /// Attempts only what one of the globs matches. A service that owes something because of a selected
    /// promise pays it, and is not touched otherwise. Gives the globs that match nothing.
    pub fn select(&mut self, globs: &[Glob]) -> Vec<Glob> {
        for promised in &mut self.all {
            promised.selected = globs.iter().any(|it| it.matches(&promised.id.0));
        }
        self.select_units();
        self.select_debtors();
        let matches = |glob: &&Glob| self.all.iter().any(|it| glob.matches(&it.id.0));
        globs.iter().filter(|it| !matches(it)).cloned().collect()
    }

    /// The same with names of promises; one that is nobody's name is a pattern.
    pub fn select_named(&mut self, names: &[String]) {
        let exact: HashSet<&str> = names.iter().map(String::as_str).collect();
        let known: HashSet<&str> = self.all.iter().map(|it| &*it.id.0).collect();
        let patterns: Vec<Glob> = names
            .iter()
            .filter(|it| !known.contains(it.as_str()))
            .filter_map(|it| Glob::of_ids(it).ok())
            .collect();
        for promised in &mut self.all {
            promised.selected = exact.contains(&*promised.id.0)
                || patterns.iter().any(|it| it.matches(&promised.id.0));
        }
        self.select_units();
        self.select_debtors();
    }

    /// Who attempts one member attempts the unit.
    fn select_units(&mut self) {
        for unit in &self.units {
            if unit.members.iter().any(|at| self.all[*at].selected) {
                unit.members.iter().for_each(|at| self.all[*at].selected = true);
            }
        }
    }

    fn select_debtors(&mut self) {
        for inputs in &self.inputs {
            let caused = inputs.all().any(|it| self.all[it].selected);
            let promised = &mut self.all[inputs.runner];
            if caused
                && !promised.selected
                && let Some(want) = promised.want.debts_only()
            {
                promised.want = want;
                promised.implied = true;
                promised.selected = true;
            }
        }
    }

    /// The same, where no globs mean everything.
    pub fn select_some(&mut self, globs: &[Glob]) -> Vec<Glob> {
        if globs.is_empty() { vec![] } else { self.select(globs) }
    }

    /// For each promise, whether the outcome of a selected one may hang on it: itself, what it needs, and
    /// what a selected service runs with.
    pub(crate) fn bearing(&self) -> Vec<bool> {
        let mut bears: Vec<bool> = self.all.iter().map(|it| it.selected).collect();
        for promised in self.all.iter().filter(|it| it.selected) {
            for need in &promised.needs {
                bears[*need] = true;
            }
        }
        for inputs in self.inputs.iter().filter(|it| self.all[it.runner].selected) {
            for input in inputs.all() {
                bears[input] = true;
            }
        }
        bears
    }

    /// How many promises there are that somebody made, each counted once whatever parts it has.
    pub fn count(&self) -> usize {
        self.each().filter(|parts| !self.all[parts.start].implied).count()
    }

    /// Every promise, as the indices of its parts, which stand beside each other.
    pub fn each(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut end = 0;
        self.all.chunk_by(|a, b| a.id == b.id).map(move |parts| {
            let start = end;
            end += parts.len();
            start..end
        })
    }
}

/// Lowers all promises of a node. What was wrong is reported, and missing.
pub fn lower(resolved: &Resolved, sources: &SourceSet) -> (Promises, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let mut builder = Builder::new(&mut diagnostics);
    for promise in &resolved.promises {
        builder.take(promise, sources);
    }
    builder.claims();
    builder.relate();
    builder.consequences();
    builder.needs();
    let promises = builder.finish();
    (promises, diagnostics)
}

/// How many unknown names are compared with all that are known.
const GUESSES_MAX: usize = 20;

/// What the author wrote beside the promise itself.
struct Written {
    needs: Vec<Spanned<PromiseId>>,
    reloads: Vec<Spanned<Arc<str>>>,
    restarts: Vec<Spanned<Arc<str>>>,
    conditional: bool,
}

struct Builder<'d> {
    all: Vec<Promised>,
    written: Vec<Written>,
    by_id: HashMap<PromiseId, usize>,
    /// Ids of promises that could not be lowered: naming them is no second mistake.
    unsound: HashSet<PromiseId>,
    by_identity: BTreeMap<Identity, usize>,
    inputs: BTreeMap<usize, Inputs>,
    /// How often a name that was probably meant has been looked for.
    guesses: usize,
    diagnostics: &'d mut Diagnostics,
}

impl Builder<'_> {
    fn new(diagnostics: &mut Diagnostics) -> Builder<'_> {
        Builder {
            all: vec![],
            written: vec![],
            by_id: HashMap::new(),
            unsound: HashSet::new(),
            guesses: 0,
            by_identity: BTreeMap::new(),
            inputs: BTreeMap::new(),
            diagnostics,
        }
    }

    fn take(&mut self, promise: &Promise, sources: &SourceSet) {
        let mut cx = Lower::new(self.diagnostics, sources, &promise.scope);
        let Some(parts) = steadfast_resources::lower(promise, &mut cx) else {
            self.unsound.insert(promise.id.clone());
            return;
        };
        if let Some(first) = self.by_id.get(&promise.id).copied() {
            let old = &self.written[first];
            let end = (first..self.all.len())
                .find(|at| self.all[*at].id != promise.id)
                .unwrap_or(self.all.len());
            let ids = |it: &[Spanned<PromiseId>]| {
                it.iter().map(|it| it.value.clone()).collect::<Vec<_>>()
            };
            let words =
                |it: &[Spanned<Arc<str>>]| it.iter().map(|it| it.value.clone()).collect::<Vec<_>>();
            let equal = self.all[first..end].iter().map(|it| &it.want).eq(parts.iter())
                && ids(&old.needs) == ids(&promise.needs)
                && words(&old.reloads) == words(&promise.reloads)
                && words(&old.restarts) == words(&promise.restarts);
            if equal {
                for part in &mut self.all[first..end] {
                    part.origins.push(promise.origin.clone());
                    part.keep = part.keep.max(promise.keep);
                }
            } else {
                let conditional = old.conditional || promise.conditional;
                let (id, first) = (promise.id.clone(), self.all[first].origins[0].clone());
                self.two(&id.to_string(), [&id, &id], &promise.origin, &first, conditional);
            }
            return;
        }
        self.by_id.insert(promise.id.clone(), self.all.len());
        for want in parts {
            self.all.push(Promised {
                id: promise.id.clone(),
                want,
                needs: vec![],
                keep: promise.keep,
                origins: vec![promise.origin.clone()],
                description: promise.description.clone(),
                implied: false,
                unit: None,
                selected: true,
            });
            self.written.push(Written {
                needs: promise.needs.clone(),
                reloads: promise.reloads.clone(),
                restarts: promise.restarts.clone(),
                conditional: promise.conditional,
            });
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
            diagnostic = diagnostic.related(*span, "taken in here");
        }
        self.diagnostics.push(diagnostic.help("keep one, or make the difference a parameter"));
    }

    /// One thing has one promise, whatever sections they stand in.
    fn claims(&mut self) {
        for at in 0..self.all.len() {
            for identity in self.all[at].want.claims() {
                match self.by_identity.get(&identity).copied() {
                    None => {
                        self.by_identity.insert(identity, at);
                    }
                    Some(first) if self.all[first].id == self.all[at].id => {}
                    Some(first) => {
                        let conditional =
                            self.written[first].conditional || self.written[at].conditional;
                        let (a, b) =
                            (self.all[first].origins[0].clone(), self.all[at].origins[0].clone());
                        let ids = [self.all[first].id.clone(), self.all[at].id.clone()];
                        self.two(&identity.to_string(), ids.each_ref(), &b, &a, conditional);
                    }
                }
            }
        }
    }

    fn relate(&mut self) {
        let mut wants: Vec<&mut Resource> = self.all.iter_mut().map(|it| &mut it.want).collect();
        steadfast_resources::relate(&mut wants);
        let (mut users, mut members) = (vec![], vec![]);
        for (at, promised) in self.all.iter().enumerate() {
            match &promised.want {
                Resource::User(user) => users.push((at, user)),
                Resource::Members(group) => members.push((at, group)),
                Resource::Package(_)
                | Resource::Group(_)
                | Resource::Directory(_)
                | Resource::File(_)
                | Resource::Link(_)
                | Resource::Service(_)
                | Resource::Cron(_) => {}
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

    /// Which services run with which promises.
    fn consequences(&mut self) {
        let count = self.all.len();
        for at in 0..count {
            let (reloads, restarts) =
                (self.written[at].reloads.clone(), self.written[at].restarts.clone());
            for (units, consequence) in
                [(reloads, Consequence::Reload), (restarts, Consequence::Restart)]
            {
                for unit in units {
                    match UnitName::parse(&unit.value) {
                        Ok(name) => {
                            let service = self.service(name, at);
                            self.input(service, at, consequence);
                        }
                        Err(bad) => self.diagnostics.push(Diagnostic::error(
                            codes::BAD_NAME,
                            unit.span,
                            bad.to_string(),
                        )),
                    }
                }
            }
            // A promised unit file or drop-in is known to systemd only after a reload of its own.
            if let Some(unit) = unit_of(&self.all[at].want) {
                let service = self.service(unit, at);
                let inputs = self.inputs.entry(service).or_default();
                inputs.runner = service;
                inputs.read.push(at);
            }
        }
        for at in 0..count {
            let Some(want) = self.all[at].want.as_runner() else { continue };
            self.inputs.entry(at).or_default().runner = at;
            let patterns: Vec<(Spanned<Arc<str>>, Consequence)> = want
                .reload_on()
                .iter()
                .map(|it| (it.clone(), Consequence::Reload))
                .chain(want.restart_on().iter().map(|it| (it.clone(), Consequence::Restart)))
                .collect();
            for (pattern, consequence) in patterns {
                let glob = match Glob::of_ids(&pattern.value) {
                    Ok(glob) => glob,
                    Err(bad) => {
                        self.diagnostics.push(Diagnostic::error(
                            codes::BAD_VALUE,
                            pattern.span,
                            bad,
                        ));
                        continue;
                    }
                };
                let found: Vec<usize> = match glob.literal() {
                    Some(id) => self.parts(&PromiseId(Arc::from(id))).collect(),
                    None => (0..count).filter(|it| glob.matches(&self.all[*it].id.0)).collect(),
                };
                if found.iter().all(|it| *it == at)
                    && !self.unsound.iter().any(|it| glob.matches(&it.0))
                {
                    let message = format!("`{}` matches no promise of this node", pattern.value);
                    let mut warning =
                        Diagnostic::warning(codes::MATCHES_NOTHING, pattern.span, message);
                    if glob.literal().is_some()
                        && let Some(near) = self.near(&pattern.value)
                    {
                        warning = warning.label(format!("did you mean `{near}`?"));
                    }
                    self.diagnostics.push(warning);
                }
                for input in found.into_iter().filter(|it| *it != at) {
                    self.input(at, input, consequence);
                }
            }
        }
    }

    /// The promise about this unit, made where nobody made one.
    fn service(&mut self, unit: UnitName, cause: usize) -> usize {
        let identity = Identity::Unit(unit.clone());
        if let Some(at) = self.by_identity.get(&identity) {
            return *at;
        }
        let at = self.all.len();
        let id = PromiseId::new("service", unit.short());
        self.all.push(Promised {
            id: id.clone(),
            want: Resource::implied_runner(unit),
            needs: vec![],
            keep: Keep::Repair,
            origins: vec![self.all[cause].origins[0].clone()],
            description: None,
            implied: true,
            unit: None,
            selected: true,
        });
        self.written.push(Written {
            needs: vec![],
            reloads: vec![],
            restarts: vec![],
            conditional: false,
        });
        self.by_id.insert(id, at);
        self.by_identity.insert(identity, at);
        self.inputs.insert(at, Inputs { runner: at, ..Inputs::default() });
        at
    }

    fn input(&mut self, service: usize, input: usize, consequence: Consequence) {
        let inputs = self.inputs.entry(service).or_default();
        inputs.runner = service;
        let list = match consequence {
            Consequence::Reload => &mut inputs.reload,
            Consequence::Restart => &mut inputs.restart,
        };
        list.push(input);
    }

    /// The parts of a promise; they stand beside each other.
    fn parts(&self, id: &PromiseId) -> impl Iterator<Item = usize> {
        let first = self.by_id.get(id).copied().unwrap_or(self.all.len());
        let count = self.all[first..].iter().take_while(|it| it.id == *id).count();
        first..first + count
    }

    /// The id that was probably meant. Nobody reads more than some of these, and each takes long.
    fn near(&mut self, id: &str) -> Option<String> {
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
                } else if !self.unsound.contains(&need.value) {
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
            if !self.all[at].want.is_absent() {
                for used in self.all[at].want.uses() {
                    if let Some(needed) = self.claimed(&used, at) {
                        if self.all[needed].want.is_absent() {
                            self.absent(at, needed, &used);
                        } else {
                            needs.push(needed);
                        }
                    }
                }
            }
            needs.sort_unstable();
            needs.dedup();
            needs.retain(|it| *it != at);
            self.all[at].needs = needs;
        }
        self.absent_folders();
    }

    /// The promise about a thing; for a path, that about it or the nearest folder above it.
    fn claimed(&self, used: &Identity, by: usize) -> Option<usize> {
        match used {
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
            Identity::Package(_) | Identity::Group(_) | Identity::User(_) | Identity::Unit(_) => {
                self.by_identity.get(used).copied().filter(|at| *at != by)
            }
        }
    }

    fn absent(&mut self, at: usize, needed: usize, used: &Identity) {
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

    /// What is promised absent below a folder that goes, goes before it.
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

    fn finish(self) -> Promises {
        let Builder { all, mut inputs, diagnostics, .. } = self;
        for inputs in inputs.values_mut() {
            for list in [&mut inputs.reload, &mut inputs.restart] {
                list.sort_unstable();
                list.dedup();
            }
        }
        let mut tasks: Vec<Task> =
            all.iter().map(|it| Task { rank: it.want.rank(), needs: it.needs.clone() }).collect();
        // A service comes after what it runs with; that one of them is not kept holds nothing back.
        for one in inputs.values() {
            let inputs = one.all().filter(|it| *it != one.runner);
            tasks[one.runner].needs.extend(inputs);
        }
        let waves = match graph::waves(&tasks) {
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
                let message = format!("promises need each other: {}", circle.join(" → "));
                let mut error = Diagnostic::error(codes::CYCLE, here, message);
                for at in cycle.0.iter().skip(1) {
                    let place: Span = span(at).unwrap_or_default();
                    error = error.related(place, format!("{} is in the circle", all[*at].id));
                }
                diagnostics.push(error);
                vec![]
            }
        };
        Promises { all, inputs: inputs.into_values().collect(), units: vec![], waves }
    }
}

/// The unit whose own file or drop-in this file is, where it is one for an administrator's units.
fn unit_of(want: &Resource) -> Option<UnitName> {
    let Resource::File(_) = want else { return None };
    want.claims().iter().filter_map(Identity::as_path).find_map(|path| {
        let below = path.as_str().strip_prefix("/etc/systemd/system/")?;
        let unit = match below.split_once('/') {
            None => below,
            Some((folder, _)) => folder.strip_suffix(".d")?,
        };
        // A template has no process of its own.
        if unit.contains("@.") { None } else { UnitName::parse(unit).ok() }
    })
}
