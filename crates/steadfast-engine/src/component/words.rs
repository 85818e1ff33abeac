//! The words for what holds a component and for what went wrong.

use super::reason::{Gate, Trouble, Waiting};
use std::fmt;
use std::sync::Arc;

/// How a time is written: seconds since 1970.
pub type Clock<'a> = &'a dyn Fn(i64) -> String;

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Away(why) => write!(f, "its artifact is away: {why}"),
            Trouble::Refused(why) => write!(f, "its artifact was refused: {why}"),
            Trouble::NoSpace(why) => write!(f, "there is no space for it: {why}"),
            Trouble::Unprepared(why) => write!(f, "it cannot be prepared: {why}"),
            Trouble::Drain(why) => write!(f, "`drain` failed: {why}"),
            Trouble::Busy(units) => write!(f, "{} did not come to rest in time", listed(units)),
            Trouble::Stop(why) => write!(f, "it could not be stopped: {why}"),
            Trouble::Switch(why) => write!(f, "it could not be put in place: {why}"),
            Trouble::Lost => f.write_str("what had been prepared for it is gone"),
            Trouble::CutOff => f.write_str("it was cut off again and again"),
            Trouble::Unwanted => f.write_str("it is no longer wanted"),
            Trouble::Ill { reason, journal: _ } => f.write_str(reason),
        }
    }
}

impl Trouble {
    /// What its program wrote last.
    pub fn journal(&self) -> &[Arc<str>] {
        match self {
            Trouble::Ill { reason: _, journal } => journal,
            Trouble::Away(_)
            | Trouble::Refused(_)
            | Trouble::NoSpace(_)
            | Trouble::Unprepared(_)
            | Trouble::Drain(_)
            | Trouble::Busy(_)
            | Trouble::Stop(_)
            | Trouble::Switch(_)
            | Trouble::Lost
            | Trouble::CutOff
            | Trouble::Unwanted => &[],
        }
    }
}

pub(super) fn listed(units: &[Arc<str>]) -> String {
    units.join(", ")
}

/// Why a gate is closed, and what opens it.
pub(super) fn gate(it: &Gate, at: Clock<'_>) -> String {
    match it {
        Gate::NotAsked => "its step is not asked for (`--only`)".to_owned(),
        Gate::GoingBack => "going back to the revision before moves no component".to_owned(),
        Gate::Suspended { reason, until: None } => format!("the agent is suspended: {reason}"),
        Gate::Suspended { reason, until: Some(until) } => {
            format!("the agent is suspended until {}: {reason}", at(*until))
        }
        Gate::Wave { opens } => format!("its wave comes {}", at(*opens)),
        Gate::Window { opens: Some(opens) } => {
            format!("outside of its window, which opens {} (`--now` passes it)", at(*opens))
        }
        Gate::Window { opens: None } => {
            "outside of its window, which does not open in the next weeks (`--now` passes it)"
                .to_owned()
        }
        Gate::Budget { limit } => {
            let restarts = if *limit == 1 { "restart" } else { "restarts" };
            format!("it would exceed the budget of {limit} {restarts} for one run (policy: budget)")
        }
        Gate::Approval => {
            "it needs an approval, which nobody can give it in this version yet".to_owned()
        }
        Gate::ReportOnly => "it is only reported (keep: report)".to_owned(),
        Gate::Lowered { position } => {
            format!("its target is below {position}, which it has entered (`steadfast rollback`)")
        }
        Gate::Mistaken(first) => {
            format!("the documents of its application have mistakes: {first}")
        }
        Gate::Other(component) => format!("the step of {component} has not ended"),
        Gate::Provider { component, failed: false } => {
            format!("{component}, which it uses, has to go first")
        }
        Gate::Provider { component, failed: true } => {
            format!("the step of {component}, which it uses, failed")
        }
    }
}

impl Waiting {
    /// What is waited for.
    pub fn words(&self, at: Clock<'_>) -> String {
        waiting(self, None, at)
    }
}

/// What is waited for, and for how long.
pub(super) fn waiting(it: &Waiting, until: Option<&str>, at: Clock<'_>) -> String {
    let until = |words: &str| match until {
        Some(until) => format!("{words} {until}"),
        None => String::new(),
    };
    match it {
        Waiting::Gate(it) => gate(it, at),
        Waiting::Quiescing(units) => format!("waits until {} have come to rest", listed(units)),
        Waiting::Draining => format!("what is open may end{}", until(", until")),
        Waiting::Answer(None) => "waits for its first good answer".to_owned(),
        Waiting::Answer(Some(last)) => {
            format!("waits for its first good answer; the last one: {last}")
        }
        Waiting::Lasting => "is well, and has to stay so for longer".to_owned(),
        Waiting::Baking => format!("bakes{}", until(" until")),
        Waiting::Retiring => format!("the program in the other slot stops{}", until(" at")),
        Waiting::Again(why @ Trouble::Refused(_)) => {
            format!("{why}; not fetched again (`steadfast retry`)")
        }
        Waiting::Again(why) => format!("{why}; tried again{}", until(" at")),
        Waiting::OnceWell(why) => {
            format!("{why}; the one before is not well either, and has to be first")
        }
        Waiting::Stuck(why) => format!("cannot go back yet: {why}"),
        Waiting::Owed(why) => {
            format!("what was taken away for its step cannot be given back: {why}")
        }
    }
}
