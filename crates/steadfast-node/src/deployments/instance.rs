//! A component of this node in one run: what is known of it, and what is wanted.

use super::{secrets, tree};
use crate::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use steadfast_engine::UnitId;
use steadfast_engine::component::{
    Deployment, Gate, Phase, Row, Step, Switch, Until, Waiting, Wanted,
};
use steadfast_model::application::Rollout;
use steadfast_model::application::frozen::{Frozen, Thawed, Words, thaw};
use steadfast_model::{ComponentId, Keep, Placed, Promise, SourceSet, Span};
use steadfast_store::{Instance as Known, deployments};

#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) id: ComponentId,
    pub(crate) unit: UnitId,
    /// None where the model does not place it here any more.
    pub(crate) placed: Option<Placed>,
    pub(crate) rollout: Rollout,
    /// The components of this node that provide what it uses.
    pub(crate) uses: BTreeSet<ComponentId>,
    pub(crate) known: Known,
    /// As it is on the disk.
    pub(crate) written: Known,
    /// None where the model does not say soundly what it is to be.
    pub(crate) wanted: Option<Wanted>,
    pub(crate) mistake: Option<Arc<str>>,
    /// Why what it runs cannot be kept.
    pub(crate) trouble: Option<String>,
    /// Its deployments, by their own digests, the wanted one among them.
    pub(crate) documents: BTreeMap<Arc<str>, Frozen>,
    /// Those of the wanted one, by digest.
    pub(crate) contents: BTreeMap<String, Arc<[u8]>>,
    /// Promises that hold for all of its deployments.
    pub(crate) shared: Vec<Promise>,
}

/// What of a deployment is kept beside its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    All,
    /// Whether its programs run is a matter of its step.
    ButPrograms,
    /// Its step is about to change it.
    Nothing,
}

impl Instance {
    pub(crate) fn row(&self) -> &Row {
        &self.known.row
    }

    pub(crate) fn span(&self) -> Span {
        self.placed.as_ref().map(|it| it.span).unwrap_or_default()
    }

    pub(crate) fn keep(&self) -> Keep {
        self.placed.as_ref().map_or(Keep::Repair, |it| it.keep)
    }

    /// Where its deployments lie.
    pub(crate) fn directory(&self) -> &str {
        let placed = self.placed.as_ref().and_then(|it| it.directory.as_deref());
        placed.unwrap_or(&self.known.directory)
    }

    /// What the machine of its step is told to be wanted: where the documents do not say it, what is there, and a
    /// gate is closed.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        self.placed.as_ref()?;
        let row = self.row();
        let there = || {
            let to = row.step.as_ref().map(|it| &it.to).or(row.current.as_ref())?;
            Some(Wanted { deployment: to.clone(), source: Arc::from("") })
        };
        self.wanted.clone().or_else(there)
    }

    pub(crate) fn is_wanted(&self, it: &Deployment) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.deployment.is(it))
    }

    /// Whether more is asked of the machine than what the row says.
    pub(crate) fn is_at_rest(&self) -> bool {
        let row = self.row();
        let is_there = match (&row.current, self.wanted()) {
            (Some(current), Some(wanted)) => current.is(&wanted.deployment),
            (None, None) | (Some(_), None) => true,
            (None, Some(_)) => false,
        };
        row.step.is_none() && row.owed.is_nothing() && is_there
    }

    pub(crate) fn keeps(&self) -> Keeps {
        let Some(step) = &self.row().step else { return Keeps::All };
        match step.phase {
            // What bakes has no step of its own any more, and is not what the row goes back to.
            Phase::Quiesce | Phase::Drain | Phase::Drained if step.chained => Keeps::Nothing,
            Phase::Quiesce
            | Phase::Drain
            | Phase::Drained
            | Phase::Bake(_)
            | Phase::Commit
            | Phase::Retire => Keeps::ButPrograms,
            Phase::Stop | Phase::Switch | Phase::Start | Phase::Judge(_) => Keeps::Nothing,
        }
    }

    /// Whether its sockets stay open over its step: not where they are to listen elsewhere, or otherwise.
    pub(crate) fn keeps_sockets(&self) -> bool {
        let Some(step) = self.row().step.as_ref().filter(|it| it.way() == Switch::Socket) else {
            return false;
        };
        let sockets = |it: &Deployment| -> BTreeMap<String, serde_json::Value> {
            let promises = self.documents.get(&it.own).into_iter().flat_map(|it| &it.promises);
            let sockets =
                promises.filter(|it| it.kind == "service" && it.name.ends_with(".socket"));
            sockets.map(|it| (it.name.clone(), it.body.clone())).collect()
        };
        step.from.as_ref().is_some_and(|from| sockets(from) == sockets(&step.to))
    }

    /// That its documents have mistakes, as what it waits for.
    pub(crate) fn mistaken(&self) -> Option<(Until, Waiting)> {
        let mistake = self.mistake.clone()?;
        Some((Until::Change, Waiting::Gate(Gate::Mistaken(mistake))))
    }

    /// The deployments that its step is between, and the one before: each once.
    pub(crate) fn involved(&self) -> Vec<Deployment> {
        let row = self.row();
        let step = row.step.as_ref();
        let ways = |it: &'_ Step| [Some(it.to.clone()), it.from.clone()];
        let of_step = step.into_iter().flat_map(ways).flatten();
        let wanted = self.wanted.iter().map(|it| it.deployment.clone());
        let mut all: Vec<Deployment> = vec![];
        for it in of_step.chain(row.current.clone()).chain(wanted) {
            if !all.iter().any(|known| known.is(&it)) {
                all.push(it);
            }
        }
        all
    }

    /// The directory of the model in which the tree of a deployment is.
    fn tree_from(&self, it: &Deployment) -> Option<Arc<str>> {
        tree::folder(self.placed.as_ref().filter(|_| self.is_wanted(it))?).cloned()
    }

    /// The promises of one of its deployments.
    pub(crate) fn thawed(
        &self,
        it: &Deployment,
        facts: &serde_json::Value,
        sources: &mut SourceSet,
        cx: &Context,
    ) -> Result<Vec<Promise>, Arc<str>> {
        let Some(frozen) = self.documents.get(&it.own) else {
            return Err(Arc::from(format!("what {} promised is lost", it.release)));
        };
        let content = |digest: &str| -> Option<Arc<[u8]>> {
            let own = self.contents.get(digest).cloned();
            own.or_else(|| deployments::content(&cx.layout, digest))
        };
        let tree_from = self.tree_from(it);
        let previous = self.row().previous.as_ref().map(|it| &*it.folder);
        let words = Words {
            id: &it.folder,
            previous,
            tree_from: tree_from.as_deref(),
            span: self.span(),
            keep: self.keep(),
            facts,
        };
        let Thawed { promises, missing } = thaw(frozen, words, &content, sources);
        if let Some(first) = missing.first() {
            return Err(Arc::from(format!("the content {first} of {} is lost", it.release)));
        }
        secrets::lost(frozen, cx).map_or(Ok(promises), |words| Err(Arc::from(words)))
    }
}
