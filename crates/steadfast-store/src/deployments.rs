//! What the components of this node run with: which deployment is current, which was before, and where a step leads
//! that is under way. The contents that a deployment names lie beside the database.

pub use crate::format::v5::{Component, Deployed, State};

use crate::format::json;
use crate::layout::Layout;
use crate::state_files;
use crate::store::{Store, StoreError};
use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use steadfast_engine::UnitId;
use steadfast_system::secrets::{KeptSecrets, Secret};

/// How the unit of a component begins.
const UNIT: &str = "component:";

/// The unit of a component's promises.
pub fn unit(component: &str) -> UnitId {
    UnitId(Arc::from(format!("{UNIT}{component}")))
}

impl Store {
    /// What is known of a component. A record that cannot be read is none.
    pub fn component(&self, component: &str) -> Result<Option<Component>, StoreError> {
        let found = self.read("read what a component runs with", |it| read(it, component))?;
        Ok(found.flatten())
    }

    /// What is known of a deployment, and its document.
    pub fn deployment(
        &self,
        component: &str,
        digest: &str,
    ) -> Result<Option<(Deployed, String)>, StoreError> {
        let found = self.read("read a deployment", |it| read_deployment(it, component, digest))?;
        Ok(found.flatten())
    }

    /// Writes down that a step to a deployment begins. Its contents are there already.
    pub fn begin_deployment(
        &self,
        component: &str,
        directory: &str,
        digest: &str,
        (release, document): (&str, &str),
        now: i64,
    ) -> Result<u64, StoreError> {
        self.write(|connection| {
            let mut known = read(connection, component)?.unwrap_or_default();
            if known.step.as_deref() != Some(digest) {
                known.number += 1;
            }
            directory.clone_into(&mut known.directory);
            known.step = Some(digest.to_owned());
            put(connection, component, &known)?;
            let former = read_deployment(connection, component, digest)?;
            let tries = former.map_or(0, |(it, _)| it.tries);
            let deployed = Deployed {
                release: release.to_owned(),
                state: State::New,
                begun: now,
                tries: tries.saturating_add(1),
                judged: None,
                reason: vec![],
            };
            put_deployment(connection, component, digest, &deployed, document)?;
            Ok(known.number)
        })
    }

    /// What the current deployment promises beside what its digest covers is otherwise now.
    pub fn renew_document(
        &self,
        component: &str,
        digest: &str,
        (release, document): (&str, &str),
    ) -> Result<(), StoreError> {
        let Some((known, written)) = self.deployment(component, digest)? else { return Ok(()) };
        if (&*known.release, &*written) == (release, document) {
            return Ok(());
        }
        let known = Deployed { release: release.to_owned(), ..known };
        self.write(|it| put_deployment(it, component, digest, &known, document))
    }

    /// Ends a step to where nothing had to be changed. The ledger ends the others.
    pub fn commit_deployment(&self, component: &str) -> Result<(), StoreError> {
        self.write(|connection| commit(connection, &unit(component)))
    }

    /// No step of a component is under way.
    pub fn end_deployment(&self, component: &str) -> Result<(), StoreError> {
        match self.component(component)? {
            Some(known) if known.step.is_some() => {
                self.write(|it| put(it, component, &Component { step: None, ..known.clone() }))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Ends a step that was taken back, or that could not begin. Of a deployment that stays new nothing is said.
    pub fn fail_deployment(
        &self,
        component: &str,
        state: State,
        reason: &[String],
        now: i64,
    ) -> Result<(), StoreError> {
        self.write(|connection| {
            let Some(mut known) = read(connection, component)? else { return Ok(()) };
            let Some(digest) = known.step.take() else { return Ok(()) };
            put(connection, component, &known)?;
            let Some((mut deployed, document)) = read_deployment(connection, component, &digest)?
            else {
                return Ok(());
            };
            // What was good once is not forgotten because a step back to it did not come about.
            if state != State::New {
                deployed.state = state;
                deployed.judged = Some(now);
                deployed.reason = reason.to_vec();
            }
            put_deployment(connection, component, &digest, &deployed, &document)
        })
    }
}

/// The step that is under way has come to its end: where it leads is current.
pub(crate) fn commit(connection: &Connection, unit: &UnitId) -> rusqlite::Result<()> {
    let Some(component) = unit.0.strip_prefix(UNIT) else { return Ok(()) };
    let Some(mut known) = read(connection, component)? else { return Ok(()) };
    let Some(digest) = known.step.take() else { return Ok(()) };
    if let Some((mut deployed, document)) = read_deployment(connection, component, &digest)? {
        deployed.state = State::Good;
        deployed.reason.clear();
        known.position = Some(deployed.release.clone());
        put_deployment(connection, component, &digest, &deployed, &document)?;
    }
    if known.current.as_ref() != Some(&digest) {
        known.previous = known.current.take();
        known.current = Some(digest);
    }
    put(connection, component, &known)
}

fn read(connection: &Connection, component: &str) -> rusqlite::Result<Option<Component>> {
    let record: Option<String> = connection
        .prepare_cached("SELECT record FROM components WHERE component = ?1")?
        .query_row([component], |row| row.get(0))
        .optional()?;
    Ok(record.and_then(|it| serde_json::from_str(&it).ok()))
}

fn put(connection: &Connection, component: &str, known: &Component) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO components (component, record) VALUES (?1, ?2)")?
        .execute((component, json(known)))?;
    Ok(())
}

fn read_deployment(
    connection: &Connection,
    component: &str,
    digest: &str,
) -> rusqlite::Result<Option<(Deployed, String)>> {
    let found: Option<(String, String)> = connection
        .prepare_cached(
            "SELECT record, document FROM deployments WHERE component = ?1 AND digest = ?2",
        )?
        .query_row([component, digest], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.and_then(|(record, document)| Some((serde_json::from_str(&record).ok()?, document))))
}

fn put_deployment(
    connection: &Connection,
    component: &str,
    digest: &str,
    deployed: &Deployed,
    document: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO deployments (component, digest, record, document) \
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((component, digest, json(deployed), document))?;
    Ok(())
}

/// Keeps a content of a deployment, for root alone. Its name is its digest.
pub fn put_content(layout: &Layout, digest: &str, bytes: &[u8]) -> std::io::Result<()> {
    if content(layout, digest).is_some() {
        return Ok(());
    }
    state_files::write(&layout.deployments().join(digest), bytes)
}

/// Keeps the value of a secret of a deployment, for root alone, and nothing where it is kept already.
pub fn put_secret(layout: &Layout, digest: &str, secret: &Secret) -> std::io::Result<()> {
    let kept = KeptSecrets::of(&layout.state);
    if kept.get("", digest).is_ok_and(|it| it == *secret) {
        return Ok(());
    }
    state_files::write(&kept.folder().join(digest), &KeptSecrets::written(secret, digest))
}

/// A content of a deployment. One that is damaged is none.
pub fn content(layout: &Layout, digest: &str) -> Option<Arc<[u8]>> {
    let is_digest = digest.len() == 64 && digest.bytes().all(|it| it.is_ascii_hexdigit());
    let bytes =
        state_files::read(&layout.deployments().join(digest)).ok()?.filter(|_| is_digest)?;
    (hex(&Sha256::digest(&bytes)) == digest).then(|| Arc::from(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use steadfast_engine::{Ledger as _, StepEnd};

    const API: &str = "people/api";

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        (folder, store)
    }

    fn begin(store: &Store, digest: &str, release: &str) -> u64 {
        store.begin_deployment(API, "/srv/api", digest, (release, "{}"), 7).unwrap()
    }

    #[test]
    fn a_committed_step_makes_its_deployment_current_together_with_the_ledger() {
        let (_folder, store) = store();
        assert_eq!(store.component(API).unwrap(), None);
        for (digest, release, previous) in [("aa", "1.3", None), ("bb", "1.4", Some("aa"))] {
            begin(&store, digest, release);
            (&mut &store).begin_step(&unit(API)).unwrap();
            let under_way = store.component(API).unwrap().unwrap();
            assert_eq!(
                (under_way.step.as_deref(), under_way.current.as_deref()),
                (Some(digest), previous)
            );
            (&mut &store).end_step(&unit(API), StepEnd::Committed).unwrap();
            let known = store.component(API).unwrap().unwrap();
            assert_eq!(known.current.as_deref(), Some(digest));
            assert_eq!(known.previous.as_deref(), previous);
            assert_eq!((known.step, known.position.as_deref()), (None, Some(release)));
            let (deployed, document) = store.deployment(API, digest).unwrap().unwrap();
            assert_eq!((deployed.state, &*document), (State::Good, "{}"));
        }
    }

    #[test]
    fn what_was_taken_back_is_remembered_and_what_is_current_stays() {
        let (_folder, store) = store();
        begin(&store, "aa", "1.3");
        store.commit_deployment(API).unwrap();
        let number = begin(&store, "bb", "1.4");
        // The same step goes on where a run was cut off.
        assert_eq!(begin(&store, "bb", "1.4"), number);
        let why = ["it is not healthy".to_owned()];
        store.fail_deployment(API, State::Bad, &why, 9).unwrap();
        let known = store.component(API).unwrap().unwrap();
        assert_eq!((known.current.as_deref(), known.step), (Some("aa"), None));
        let (deployed, _) = store.deployment(API, "bb").unwrap().unwrap();
        assert_eq!(
            (deployed.state, deployed.judged, &deployed.reason[..]),
            (State::Bad, Some(9), &why[..])
        );
        // Other units are no components, and nothing is under way any more.
        (&mut &store).begin_step(&UnitId("other".into())).unwrap();
        (&mut &store).end_step(&UnitId("other".into()), StepEnd::Committed).unwrap();
        store.commit_deployment(API).unwrap();
        assert_eq!(store.component(API).unwrap().unwrap().current.as_deref(), Some("aa"));
    }

    #[test]
    fn a_content_is_for_root_alone_and_one_that_is_damaged_is_none() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        let digest = hex(&Sha256::digest(b"secret"));
        put_content(&layout, &digest, b"secret").unwrap();
        let path = layout.deployments().join(&digest);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(content(&layout, &digest).as_deref(), Some(&b"secret"[..]));
        std::fs::write(&path, "other").unwrap();
        assert_eq!(content(&layout, &digest), None);
        put_content(&layout, &digest, b"secret").unwrap();
        assert!(content(&layout, &digest).is_some());
        assert_eq!(content(&layout, "../state.db"), None);
    }
}
