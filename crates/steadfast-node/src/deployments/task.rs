//! Running a command by hand with what a component's deployment runs with, and writing down who did so.

use jiff::Timestamp;
use std::path::PathBuf;
use steadfast_model::ComponentId;
use steadfast_model::application::frozen::Frozen;
use steadfast_store::happened::Happened;
use steadfast_store::{Store, StoreError};
use steadfast_system::{SystemError, UnitName, tasks};

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    pub component: &'a ComponentId,
    /// Whose user, environment and credentials it has; by default those of the first service.
    pub unit: Option<&'a str>,
    pub command: &'a [String],
    /// Its arguments are written down nowhere.
    pub is_sensitive: bool,
    /// Who it is.
    pub by: &'a str,
}

/// A task that may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    service: UnitName,
    tree: PathBuf,
}

/// Why nothing was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// No such component is known here.
    Unknown,
    /// It has no current deployment yet.
    NothingRuns,
    /// It has no such service, but these.
    NoService(Vec<String>),
    /// What is written of its deployment cannot be read.
    Lost,
}

/// What a task of the component would run with.
pub fn ready(order: &Order<'_>, store: &Store) -> Result<Result<Ready, NotReady>, StoreError> {
    let id = order.component.to_string();
    let Some(known) = store.instance(&id)? else { return Ok(Err(NotReady::Unknown)) };
    let Some(current) = known.row.current else { return Ok(Err(NotReady::NothingRuns)) };
    let document = store.document(&id, &current.own)?;
    let frozen = document.and_then(|it| serde_json::from_str::<Frozen>(&it).ok());
    let Some(frozen) = frozen else { return Ok(Err(NotReady::Lost)) };
    let services: Vec<UnitName> = frozen
        .promises
        .iter()
        .filter(|it| it.kind == "service")
        .filter_map(|it| UnitName::parse(&it.name).ok())
        .collect();
    let asked = order.unit.map(UnitName::parse).transpose();
    let found = match asked {
        Ok(None) => services.iter().find(|it| it.to_string().ends_with(".service")),
        Ok(Some(asked)) => services.iter().find(|it| **it == asked),
        Err(_) => None,
    };
    let Some(service) = found.cloned() else {
        let there = services.iter().map(|it| it.short().to_owned()).collect();
        return Ok(Err(NotReady::NoService(there)));
    };
    let folder = frozen.folder(&current.folder);
    let tree = PathBuf::from(match frozen.tree {
        Some(_) => frozen.tree_link(&current.folder),
        None => folder,
    });
    Ok(Ok(Ready { service, tree }))
}

/// Runs it to its end. Its exit code.
pub fn run(order: &Order<'_>, ready: &Ready, store: &Store) -> Result<i32, Failed> {
    let id = order.component.to_string();
    let began = Timestamp::now();
    let mut command: Vec<String> = order.command.iter().map(|it| cut(it)).take(WORDS).collect();
    if order.is_sensitive {
        command.truncate(1);
    }
    let task = |code, ms| Happened::Task {
        at: began.as_second(),
        by: order.by.to_owned(),
        command: command.clone(),
        code,
        ms,
    };
    let place = store.put_happened(&id, &task(None, None)).map_err(Failed::State)?;
    let unit = format!("steadfast-task-{}-{}.service", id.replace('/', "-"), std::process::id());
    let ended = tasks::run(&tasks::Task {
        service: &ready.service.to_string(),
        unit: &unit,
        description: &format!("steadfast: a task of {id} by {}", order.by),
        folder: &ready.tree,
        command: order.command,
    });
    let took = Timestamp::now().duration_since(began).as_millis();
    let code = ended.as_ref().ok().copied();
    let ended_record = task(code.or(Some(OWN_ERROR)), u64::try_from(took).ok());
    store.end_happened(place, &ended_record).map_err(Failed::State)?;
    ended.map_err(Failed::System)
}

/// What env(1) ends with where it could not do its part.
pub const OWN_ERROR: i32 = 125;
/// So much of a command is written down.
const WORDS: usize = 64;
const LETTERS: usize = 200;

fn cut(word: &str) -> String {
    word.chars().take(LETTERS).collect()
}

/// Why a task did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("what is done could not be written down")]
    State(#[source] StoreError),
    #[error("the task could not be run")]
    System(#[source] SystemError),
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use serde_json::json;
    use steadfast_engine::component::Deployment;
    use steadfast_store::Instance;

    fn store(services: &[&str], tree: Option<&str>) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let mut known = Instance::default();
        let current = sample::deployment("own", "1.4");
        known.row.current = Some(Deployment { folder: "ab12".into(), ..current });
        store.put_instance("people/api", &known).unwrap();
        store.put_instance("people/new", &Instance::default()).unwrap();
        let promise = |name: &&str| json!({ "kind": "service", "name": name, "body": {} });
        let promises: Vec<_> = services.iter().map(promise).collect();
        let frozen = json!({
            "format": 1, "component": "people/api", "release": "1.4",
            "directory": "/srv/people-api", "tree": tree, "promises": promises,
        });
        store.put_document("people/api", "own", &frozen.to_string()).unwrap();
        (folder, store)
    }

    fn asked(store: &Store, component: &str, unit: Option<&str>) -> Result<String, NotReady> {
        let component = &component.parse().unwrap();
        let order = Order { component, unit, command: &[], is_sensitive: false, by: "Ann" };
        let found = ready(&order, store).unwrap();
        found.map(|it| format!("{} in {}", it.service, it.tree.display()))
    }

    #[test]
    fn a_task_has_what_one_of_the_services_of_its_component_has() {
        let (_folder, store) = store(&["people-api.socket", "people-api", "worker"], Some("aa"));
        let tree = "/srv/people-api/deployments/ab12/tree";
        let of = |component, unit| asked(&store, component, unit);
        assert_eq!(of("people/api", None), Ok(format!("people-api.service in {tree}")));
        assert_eq!(of("people/api", Some("worker")), Ok(format!("worker.service in {tree}")));
        let there = ["people-api.socket", "people-api", "worker"].map(str::to_owned).to_vec();
        assert_eq!(of("people/api", Some("ssh")), Err(NotReady::NoService(there)));
        assert_eq!(of("people/web", None), Err(NotReady::Unknown));
        assert_eq!(of("people/new", None), Err(NotReady::NothingRuns));
    }

    #[test]
    fn where_there_is_no_tree_it_runs_in_the_folder_of_the_deployment() {
        let (_folder, store) = store(&["people-api"], None);
        let expected = "people-api.service in /srv/people-api/deployments/ab12";
        assert_eq!(asked(&store, "people/api", None), Ok(expected.to_owned()));
        store.put_document("people/api", "own", "?").unwrap();
        assert_eq!(asked(&store, "people/api", None), Err(NotReady::Lost));
    }
}
