//! What the components of one node have to do with each other: directories and ports that two of them want, and
//! names that two applications take to be theirs. It is a mistake of both, and of nobody else.

use super::resolver::Resolver;
use crate::application::Port;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::promise::Placed;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Resolver<'_> {
    pub(super) fn neighbours(&mut self) {
        let all = &mut self.resolved.components;
        let mut found: Vec<(usize, Diagnostic)> = vec![];
        let meeting = directories(all).into_iter().chain(ports(all));
        for ([first, second], message) in meeting {
            let (here, there) = (all[second].span, all[first].span);
            let error = Diagnostic::error(codes::TWO_PROMISES_ONE_THING, here, message)
                .related(there, format!("and here by {}", all[first].id));
            found.extend([(first, error.clone()), (second, error)]);
        }
        for (at, error) in found {
            all[at].mistakes.push(error);
        }
        self.shared_names();
    }

    /// Parameters of several applications that take one value of the node's.
    fn shared_names(&mut self) {
        for (name, applications) in std::mem::take(&mut self.of_everybody) {
            let mut applications = applications.into_iter();
            let (Some((first, there)), Some((second, here))) =
                (applications.next(), applications.next())
            else {
                continue;
            };
            let message =
                format!("{second} and {first} both take `{name}` from what holds for all");
            let warning = Diagnostic::warning(codes::SHARED_NAME, here, message)
                .related(there, format!("and here {first}"))
                .help("give it to each in its target, or call one of them by another name");
            let its = self.resolved.components.iter_mut();
            for placed in its.filter(|it| it.id.application() == &*second) {
                placed.mistakes.push(warning.clone());
            }
        }
    }
}

/// Two of which one lies in the other's directory, or in the same.
fn directories(all: &[Placed]) -> Vec<([usize; 2], String)> {
    let mut known: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    let mut met = vec![];
    for (at, placed) in all.iter().enumerate() {
        let Some(directory) = &placed.directory else { continue };
        if let Some(first) = known.insert(Arc::clone(directory), at) {
            let ids = format!("{} and {}", all[first].id, placed.id);
            met.push(([first, at], format!("{ids} both have their deployments in {directory}")));
        }
    }
    for (inner, at) in &known {
        let mut above: &str = inner;
        while let Some((outer, _)) = above.rsplit_once('/').filter(|(it, _)| !it.is_empty()) {
            if let Some(first) = known.get(outer) {
                let ids = (&all[*at].id, &all[*first].id);
                let message = format!("{inner} of {} lies in {outer} of {}", ids.0, ids.1);
                met.push(([*first, *at], message));
            }
            above = outer;
        }
    }
    met
}

/// Two that listen where only one of them can.
fn ports(all: &[Placed]) -> Vec<([usize; 2], String)> {
    let mut known: BTreeMap<(u16, bool), Vec<(usize, Port)>> = BTreeMap::new();
    let mut met = vec![];
    for (at, placed) in all.iter().enumerate() {
        let Some(settings) = &placed.settings else { continue };
        for port in settings.listens() {
            let its = known.entry((port.number, port.is_udp)).or_default();
            let first = its.iter().find(|(other, it)| *other != at && it.meets(&port));
            if let Some((first, _)) = first {
                let ids = format!("{} and {}", all[*first].id, placed.id);
                met.push(([*first, at], format!("{ids} both listen on port {port}")));
            }
            its.push((at, port));
        }
    }
    met
}
