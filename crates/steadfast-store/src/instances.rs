//! What is known of the components of this node: of each the row that its steps are decided by, how far it has come, and
//! which starts of its units were for which deployment. Beside it stand the documents of its deployments, each by its own
//! digest.

use crate::format::json;
use crate::format::v5;
use crate::store::{Store, StoreError};
use rusqlite::{Connection, OptionalExtension as _};
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_engine::component::Row;
use steadfast_model::application::Version;

/// What is known of one component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// Where its deployments lie.
    pub directory: String,
    /// The highest release that it has committed to, and none before the first.
    pub position: Option<String>,
    /// How often its position has begun anew.
    pub incarnation: u64,
    pub row: Row,
    /// By the name of the unit.
    pub started: BTreeMap<String, Started>,
    /// Deployments that were committed, by their own digests, the newest last.
    pub good: Vec<Arc<str>>,
    /// When every file of its tree was read last, in seconds since 1970.
    pub verified: Option<i64>,
}

/// A start of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// As systemd names it.
    pub invocation: Arc<str>,
    /// The deployment that it was started for, by its own digest.
    pub own: Arc<str>,
}

impl Instance {
    /// Whether a step of it is open, or something that it took away is to be given back.
    pub fn is_amid(&self) -> bool {
        self.row.step.is_some() || !self.row.owed.is_nothing()
    }

    /// Its position is that of what it has committed to, and never falls.
    pub fn rise(&mut self) {
        let Some(current) = &self.row.current else { return };
        let version = |it: &str| it.parse::<Version>().ok();
        let below = |position: &str| match (version(position), version(&current.release)) {
            (Some(position), Some(current)) => position < current,
            (None, _) => true,
            (Some(_), None) => false,
        };
        if self.position.as_deref().is_none_or(below) {
            self.position = Some(current.release.to_string());
        }
    }
}

impl From<v5::Instance> for Instance {
    fn from(it: v5::Instance) -> Instance {
        let v5::Instance { directory, position, incarnation, row, started, good, verified } = it;
        let started = started
            .into_iter()
            .map(|(unit, v5::Started(invocation, own))| (unit, Started { invocation, own }));
        let (row, started) = (row.into(), started.collect());
        Instance { directory, position, incarnation, row, started, good, verified }
    }
}

impl From<&Instance> for v5::Instance {
    fn from(it: &Instance) -> v5::Instance {
        let Instance { directory, position, incarnation, row, started, good, verified } =
            it.clone();
        let started = started
            .into_iter()
            .map(|(unit, Started { invocation, own })| (unit, v5::Started(invocation, own)));
        let (row, started) = (row.into(), started.collect());
        v5::Instance { directory, position, incarnation, row, started, good, verified }
    }
}

impl Store {
    /// What is known of a component. A record that cannot be read is none.
    pub fn instance(&self, component: &str) -> Result<Option<Instance>, StoreError> {
        let found = self.read("read what a component runs with", |it| read(it, component))?;
        Ok(found.flatten())
    }

    /// All that anything is known of, by their names.
    pub fn instances(&self) -> Result<BTreeMap<String, Instance>, StoreError> {
        let found = self.read("read what components run with", |connection| {
            let mut statement = connection.prepare("SELECT component, record FROM instances")?;
            let rows = statement
                .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let known = |(component, record): (String, String)| Some((component, instance(&record)?));
        Ok(found.unwrap_or_default().into_iter().filter_map(known).collect())
    }

    /// When this returns, it survives a crash of the machine.
    pub fn put_instance(&self, component: &str, known: &Instance) -> Result<(), StoreError> {
        let record = json(&v5::Instance::from(known));
        self.write(|connection| {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO instances (component, record) VALUES (?1, ?2)",
                )?
                .execute((component, &record))?;
            Ok(())
        })
    }

    /// Nothing is known of it any more, nor of its deployments.
    pub fn forget_instance(&self, component: &str) -> Result<(), StoreError> {
        self.write(|connection| {
            for table in ["instances", "documents"] {
                connection
                    .execute(&format!("DELETE FROM {table} WHERE component = ?1"), [component])?;
            }
            Ok(())
        })
    }

    /// The document of a deployment, as it was written down.
    pub fn document(&self, component: &str, own: &str) -> Result<Option<String>, StoreError> {
        let found = self.read("read a deployment", |connection| {
            connection
                .prepare_cached(
                    "SELECT document FROM documents WHERE component = ?1 AND digest = ?2",
                )?
                .query_row([component, own], |row| row.get(0))
                .optional()
        })?;
        Ok(found.flatten())
    }

    /// The deployments of a component that are written down, by their own digests.
    pub fn documents(&self, component: &str) -> Result<Vec<String>, StoreError> {
        let found = self.read("read which deployments there are", |connection| {
            let mut statement = connection
                .prepare("SELECT digest FROM documents WHERE component = ?1 ORDER BY digest")?;
            let rows = statement.query_map([component], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        })?;
        Ok(found.unwrap_or_default())
    }

    /// All deployments of all components that are written down; none where that is not known.
    pub fn all_documents(&self) -> Result<Option<Vec<String>>, StoreError> {
        self.read("read all deployments", |connection| {
            let mut statement = connection.prepare("SELECT document FROM documents")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        })
    }

    /// Writes a deployment down, where it is not written down just so.
    pub fn put_document(&self, component: &str, own: &str, text: &str) -> Result<(), StoreError> {
        if self.document(component, own)?.as_deref() == Some(text) {
            return Ok(());
        }
        self.write(|connection| {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO documents (component, digest, document) \
                     VALUES (?1, ?2, ?3)",
                )?
                .execute((component, own, text))?;
            Ok(())
        })
    }

    /// Nobody goes back to this deployment any more.
    pub fn forget_document(&self, component: &str, own: &str) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.execute(
                "DELETE FROM documents WHERE component = ?1 AND digest = ?2",
                [component, own],
            )?;
            Ok(())
        })
    }
}

fn read(connection: &Connection, component: &str) -> rusqlite::Result<Option<Instance>> {
    let record: Option<String> = connection
        .prepare_cached("SELECT record FROM instances WHERE component = ?1")?
        .query_row([component], |row| row.get(0))
        .optional()?;
    Ok(record.and_then(|it| instance(&it)))
}

fn instance(record: &str) -> Option<Instance> {
    serde_json::from_str::<v5::Instance>(record).ok().map(Instance::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use steadfast_engine::component::{Deployment, Switch, Terms};

    const API: &str = "people/api";

    fn deployment(own: &str, release: &str) -> Deployment {
        let word = || Arc::from("x");
        Deployment {
            own: Arc::from(own),
            public: Arc::from(own),
            folder: Arc::from(own),
            release: Arc::from(release),
            terms: Terms {
                digest: word(),
                switch: Switch::Restart,
                units: word(),
                within: Duration::from_secs(30),
                lasts: Duration::from_secs(5),
                bake: Duration::ZERO,
                drains: false,
                readies: false,
                drain_for: Duration::ZERO,
                quiesces: None,
            },
        }
    }

    #[test]
    fn what_is_put_is_known_and_what_is_forgotten_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        assert_eq!(store.instance(API).unwrap(), None);
        let mut known = Instance { directory: "/srv/api".to_owned(), ..Instance::default() };
        known.row.current = Some(deployment("aa", "1.4"));
        let started = Started { invocation: "i1".into(), own: "aa".into() };
        known.started.insert("api.service".to_owned(), started);
        store.put_instance(API, &known).unwrap();
        store.put_document(API, "aa", "{}").unwrap();
        store.put_document(API, "bb", "{}").unwrap();
        store.put_document("people/web", "cc", "{}").unwrap();
        assert_eq!(store.instance(API).unwrap().as_ref(), Some(&known));
        assert_eq!(store.instances().unwrap(), [(API.to_owned(), known)].into());
        assert_eq!(store.documents(API).unwrap(), ["aa", "bb"]);
        store.forget_document(API, "bb").unwrap();
        assert_eq!(store.document(API, "bb").unwrap(), None);
        assert_eq!(store.document(API, "aa").unwrap().as_deref(), Some("{}"));
        store.forget_instance(API).unwrap();
        assert_eq!(store.instances().unwrap(), BTreeMap::new());
        assert!(store.documents(API).unwrap().is_empty());
        assert_eq!(store.documents("people/web").unwrap(), ["cc"]);
    }

    #[test]
    fn a_position_rises_with_what_is_committed_and_never_falls() {
        let mut known = Instance::default();
        known.rise();
        assert_eq!(known.position, None);
        for (release, position) in [("1.9", "1.9"), ("1.10", "1.10"), ("1.4", "1.10")] {
            known.row.current = Some(deployment("aa", release));
            known.rise();
            assert_eq!(known.position.as_deref(), Some(position));
        }
    }
}
