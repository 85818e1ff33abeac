//! Which events are shown: `-v`, `-vv`, `-vvv` and `STEADFAST_LOG`.

use tracing_subscriber::filter::{LevelFilter, Targets};

/// The variable that names a filter.
pub const VARIABLE: &str = steadfast_node::wire::LOG;

/// All crates of ours.
const OURS: &str = "steadfast";
/// What the daemon always tells.
const AGENT: &str = "steadfast_agent";
/// What a child of the agent has said has passed the child's own filter.
pub(crate) const CHILD: &str = "steadfast_agent::child";

/// A filter, and how it was asked for.
#[derive(Clone, Debug)]
pub struct Filter {
    targets: Targets,
    /// As the processes that are started by this one are to be told.
    pub words: Option<String>,
}

impl Filter {
    /// By how often `-v` was given, else by the variable, else nothing. A level without a name is about
    /// our own crates: what others tell may hold anything. A second value where the variable is no filter.
    pub fn new(verbose: u8, variable: Option<&str>) -> (Filter, Option<String>) {
        let flag = match verbose {
            0 => None,
            1 => Some("info"),
            2 => Some("debug"),
            3.. => Some("trace"),
        };
        let nothing = Filter { targets: Targets::new(), words: None };
        let Some(words) = flag.or(variable.filter(|it| !it.is_empty())) else {
            return (nothing, None);
        };
        match words.parse::<Targets>() {
            Ok(asked) => {
                let mut targets = Targets::new();
                if let Some(level) = asked.default_level() {
                    targets = targets.with_target(OURS, level);
                }
                let targets = targets.with_targets(asked.iter());
                (Filter { targets, words: Some(words.to_owned()) }, None)
            }
            Err(err) => (nothing, Some(format!("{VARIABLE} is not a valid filter: {err}"))),
        }
    }

    /// With what the agent tells in any case; more where more was asked for, and less where exactly its
    /// crate was named.
    pub fn for_agent(self) -> Filter {
        let Filter { mut targets, words } = self;
        let level = |name: &str| targets.iter().find(|(it, _)| *it == name).map(|(_, it)| it);
        if level(AGENT).is_none() {
            let ours = level(OURS).unwrap_or(LevelFilter::OFF);
            targets = targets.with_target(AGENT, ours.max(LevelFilter::INFO));
        }
        targets = targets.with_target(CHILD, LevelFilter::TRACE);
        Filter { targets, words }
    }

    pub(super) fn into_targets(self) -> Targets {
        self.targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    fn shows(filter: &Filter, target: &str, level: Level) -> bool {
        filter.targets.would_enable(target, &level)
    }

    #[test]
    fn a_level_is_about_our_own_crates_and_a_name_about_what_it_names() {
        let (quiet, none) = Filter::new(0, None);
        assert!(!shows(&quiet, "steadfast_engine", Level::ERROR));
        assert_eq!(none, None);
        let (info, _) = Filter::new(1, Some("trace"));
        assert!(shows(&info, "steadfast_engine::plan", Level::INFO));
        assert!(!shows(&info, "steadfast_engine", Level::DEBUG));
        assert_eq!(info.words.as_deref(), Some("info"));
        let (all, _) = Filter::new(3, None);
        assert!(shows(&all, "steadfast_system", Level::TRACE));
        assert!(!shows(&all, "zbus", Level::ERROR));
        let (one, _) = Filter::new(0, Some("steadfast_engine=debug,zbus=info"));
        assert!(shows(&one, "steadfast_engine", Level::DEBUG));
        assert!(!shows(&one, "steadfast_system", Level::ERROR));
        assert!(shows(&one, "zbus", Level::INFO));
        let (none, words) = Filter::new(0, Some("steadfast=loud"));
        assert!(!shows(&none, "steadfast", Level::ERROR));
        assert!(words.unwrap().starts_with("STEADFAST_LOG is not a valid filter: "));
    }

    #[test]
    fn the_agent_tells_what_it_always_tells() {
        let agent = |verbose, variable| Filter::new(verbose, variable).0.for_agent();
        let usual = agent(0, None);
        assert!(shows(&usual, "steadfast_agent::shell", Level::INFO));
        assert!(!shows(&usual, "steadfast_agent::shell", Level::DEBUG));
        assert!(!shows(&usual, "steadfast_engine", Level::ERROR));
        assert!(shows(&usual, CHILD, Level::DEBUG));
        assert!(shows(&agent(0, Some("error")), "steadfast_agent::shell", Level::INFO));
        assert!(shows(&agent(2, None), "steadfast_agent::shell", Level::DEBUG));
        let less = agent(0, Some("steadfast_agent=error"));
        assert!(!shows(&less, "steadfast_agent::shell", Level::INFO));
    }
}
