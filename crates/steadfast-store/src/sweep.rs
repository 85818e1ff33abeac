//! Keeping the history within its bounds. A run makes room for what it has written itself and for little more,
//! so that it never pays for what earlier ones have left: what is beyond the bounds by much, because another
//! version had others, goes over many runs.

use rusqlite::Connection;

/// What the history may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How many runs. A run that changed nothing is none of them.
    pub(crate) runs: i64,
    /// How large the database may become before the oldest details go, and where there are none any more,
    /// the oldest runs.
    pub(crate) bytes: i64,
}

pub(crate) const BOUNDS: Bounds = Bounds { runs: 10_000, bytes: 64 * 1024 * 1024 };

/// What one run makes room for beside twice what it has written.
const AT_LEAST: i64 = 64 * 1024;
/// How many rows are looked at together.
const CHUNK: i64 = 32;

/// After a run that has written so many bytes.
pub(crate) fn sweep(
    connection: &Connection,
    bounds: Bounds,
    written: usize,
) -> rusqlite::Result<()> {
    connection
        .execute("DELETE FROM runs WHERE id <= (SELECT max(id) FROM runs) - ?1", [bounds.runs])?;
    let mut allowance = i64::try_from(written).unwrap_or(i64::MAX).saturating_mul(2) + AT_LEAST;
    while allowance > 0 {
        // What belongs to a run that is no more is seen by nobody.
        let mut dropped = 0;
        for (table, id) in [("details", "id"), ("judged", "rowid")] {
            let those = "run < (SELECT min(id) FROM runs)";
            dropped += drop_some(connection, table, id, those, "run")?;
        }
        if dropped == 0 {
            if size(connection)? <= bounds.bytes {
                return Ok(());
            }
            dropped = drop_some(connection, "details", "id", "1", "id")?;
        }
        if dropped == 0 {
            let oldest = "(SELECT min(id) FROM runs) AND id < (SELECT max(id) FROM runs)";
            if connection.execute(&format!("DELETE FROM runs WHERE id = {oldest}"), [])? == 0 {
                return Ok(());
            }
        }
        allowance -= dropped;
    }
    Ok(())
}

/// The bytes of the database that are in use.
fn size(connection: &Connection) -> rusqlite::Result<i64> {
    let pragma = |name: &str| -> rusqlite::Result<i64> {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
    };
    Ok((pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?)
}

/// Deletes the first of those rows; how many bytes they had.
fn drop_some(
    connection: &Connection,
    table: &str,
    id: &str,
    those: &str,
    order: &str,
) -> rusqlite::Result<i64> {
    let rows: Vec<(i64, i64)> = connection
        .prepare_cached(&format!(
            "SELECT {id}, length(record) FROM {table} WHERE {those} ORDER BY {order} LIMIT {CHUNK}"
        ))?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut delete = connection.prepare_cached(&format!("DELETE FROM {table} WHERE {id} = ?1"))?;
    for (row, _) in &rows {
        delete.execute([row])?;
    }
    // A row takes room beside its text.
    Ok(rows.iter().map(|(_, length)| length + 64).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn store(folder: &tempfile::TempDir) -> Store {
        Store::open(&folder.path().join("state.db")).unwrap()
    }

    /// A run that writes so many rows of 4 KB of details, and makes room.
    fn run(store: &Store, number: i64, rows: i64, bounds: Bounds) {
        let written = store.write(|it| {
            let values = "(?1, 0, 1, 'n', 'e', 'm', 'r', 1, 0, 0, 0, NULL)";
            it.execute(&format!("INSERT INTO runs VALUES {values}"), [number])?;
            for row in 0..rows {
                let promise = format!("file:/{row}");
                let judged = format!(
                    r#"{{"promise":"{promise}","outcome":"begun","changes":[{{"line":"write in run {number}"}}]}}"#
                );
                let details = format!(r#"["{}"]"#, "x".repeat(4_000));
                it.execute("INSERT INTO judged VALUES (?1, ?2, ?3)", (number, &promise, judged))?;
                it.execute(
                    "INSERT INTO details (run, promise, record) VALUES (?1, ?2, ?3)",
                    (number, &promise, details),
                )?;
            }
            sweep(it, bounds, usize::try_from(rows).unwrap_or(0) * 4_100)
        });
        written.unwrap();
    }

    fn rows(store: &Store, table: &str) -> i64 {
        let count = format!("SELECT count(*) FROM {table}");
        store.read("count", |it| it.query_row(&count, [], |row| row.get(0))).unwrap().unwrap()
    }

    #[test]
    fn the_oldest_details_go_before_the_history_becomes_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let bounds = Bounds { runs: 10_000, bytes: 400_000 };
        (1..=200).for_each(|number| run(&store, number, 1, bounds));
        assert!(std::fs::metadata(folder.path().join("state.db")).unwrap().len() < 500_000);
        let detail = |run: i64| {
            let (_, judged) = store.run(run).unwrap().unwrap();
            assert_eq!(judged[0].changes[0].line, format!("write in run {run}"));
            judged[0].changes[0].detail.clone()
        };
        assert_eq!((detail(1), detail(200)), (None, Some("x".repeat(4_000))));
        // Where nothing is left to drop of them, the oldest runs go, and never the last.
        let bounds = Bounds { bytes: 1, ..bounds };
        (201..=203).for_each(|number| run(&store, number, 1, bounds));
        assert_eq!(store.runs(999).unwrap().iter().map(|it| it.id).collect::<Vec<_>>(), [203]);
        assert!(rows(&store, "judged") == 1 && rows(&store, "details") == 0);
    }

    #[test]
    fn a_run_makes_room_for_itself_and_not_for_all_that_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let wide = Bounds { runs: 10_000, bytes: i64::MAX };
        (1..=50).for_each(|number| run(&store, number, 20, wide));
        let narrow = Bounds { bytes: 110_000, ..wide };
        run(&store, 51, 1, narrow);
        let dropped = 50 * 20 + 1 - rows(&store, "details");
        assert!((1..100).contains(&dropped), "{dropped}");
        // It ends where it should be.
        (52..=200).for_each(|number| run(&store, number, 1, narrow));
        let size = store.read("size", size).unwrap().unwrap();
        assert!(size <= narrow.bytes, "{size}");
    }

    #[test]
    fn what_belonged_to_runs_beyond_their_number_goes_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let bounds = Bounds { runs: 3, bytes: i64::MAX };
        (1..=10).for_each(|number| run(&store, number, 2, bounds));
        assert_eq!(store.runs(999).unwrap().len(), 3);
        assert_eq!((rows(&store, "judged"), rows(&store, "details")), (6, 6));
    }
}
