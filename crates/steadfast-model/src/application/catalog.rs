//! Everything that the model says of applications, by application, each with its own mistakes: what is
//! wrong with one of them keeps no server, and no other application, from its promises.

use super::{Application, Release, Target, Version};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::lower::Lower;
use crate::span::Span;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub struct Catalog {
    pub applications: BTreeMap<Arc<str>, Known>,
}

/// What is known of one application.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Its document; none where only releases or targets name it.
    pub application: Option<Application>,
    pub releases: BTreeMap<Version, Release>,
    /// By environment.
    pub targets: BTreeMap<Arc<str>, Target>,
    /// Where environments and nodes give it parameters or flags.
    pub(crate) named: Vec<Span>,
    /// All that is wrong with its documents.
    pub mistakes: Diagnostics,
}

impl Catalog {
    pub(crate) fn of(&mut self, application: &Arc<str>) -> &mut Known {
        self.applications.entry(Arc::clone(application)).or_default()
    }

    /// Everything that is wrong with any of them.
    pub fn mistakes(&self) -> impl Iterator<Item = &Diagnostic> {
        self.applications.values().flat_map(|it| it.mistakes.iter())
    }

    pub(crate) fn take_application(&mut self, it: Application, cx: &mut Lower<'_>) {
        let known = self.of(&Arc::clone(&it.name.value));
        if let Some(first) = &known.application {
            let what = format!("application: {}", it.name.value);
            return cx.report(twice(&what, it.name.span, first.name.span));
        }
        known.application = Some(it);
    }

    pub(crate) fn take_release(&mut self, it: Release, cx: &mut Lower<'_>) {
        let known = self.of(&Arc::clone(&it.id.value.application));
        if let Some(first) = known.releases.get(&it.id.value.version) {
            let mut error = twice(&format!("release: {}", it.id.value), it.id.span, first.id.span);
            if it.id.value.version.to_string() != first.id.value.version.to_string() {
                error = error.help("zeros at the end make no other version");
            }
            return cx.report(error);
        }
        known.releases.insert(it.id.value.version.clone(), it);
    }

    pub(crate) fn take_target(&mut self, environment: &Arc<str>, it: Target, cx: &mut Lower<'_>) {
        let known = self.of(&Arc::clone(&it.application.value));
        if let Some(first) = known.targets.get(environment) {
            let what = format!("target of {} in {environment}", it.application.value);
            return cx.report(twice(&what, it.application.span, first.application.span));
        }
        known.targets.insert(Arc::clone(environment), it);
    }
}

fn twice(what: &str, second: Span, first: Span) -> Diagnostic {
    let message = format!("there are two documents `{what}`");
    Diagnostic::error(codes::DUPLICATE_DOCUMENT, second, message).related(first, "first here")
}
