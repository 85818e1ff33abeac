//! What a run costs by what the state remembers: nothing more. And what drift costs.

use crate::{Bench, Line, floor, models};
use std::fs;
use std::path::Path;
use std::time::Instant;

const FILES: usize = 1_000;
const TIMES: usize = 1_000;

/// The same first convergence a thousand times with one state, and then once more over a state of 1 GB.
pub(crate) fn again(bench: &Bench) {
    let (model, data) = models::files(&bench.folder, FILES);
    let state = bench.folder.join("state-again");
    let mut all = vec![];
    for turn in 1..=TIMES {
        let one = first(bench, &model, &data, &state);
        all.push(one);
        if [10, 100, TIMES].contains(&turn) {
            let line = merged(all.drain(..).rev().take(10));
            line.print(&format!("{FILES} files, first converged, up to turn {turn}"));
        }
    }
    fill(&state);
    let first = |_| first(bench, &model, &data, &state);
    merged((0..10).map(first)).print(&format!("{FILES} files, first converged, 1 GB of state"));
}

fn first(bench: &Bench, model: &Path, data: &Path, state: &Path) -> Line {
    let wiped = || {
        fs::remove_dir_all(data).unwrap();
        fs::create_dir(data).unwrap();
    };
    wiped();
    let begin = Instant::now();
    floor::write(data, FILES);
    let taken = begin.elapsed();
    wiped();
    let mut line = bench.runs(model, state, 1, &mut || {});
    line.floors = vec![taken];
    line
}

fn merged(lines: impl Iterator<Item = Line>) -> Line {
    let mut all = Line::default();
    for line in lines {
        all.floors.extend(line.floors);
        all.taken.extend(line.taken);
    }
    all
}

/// A history of 400 MB, 100,000 things that were made, and 16,384 contents of together 512 MB.
fn fill(state: &Path) {
    let connection = rusqlite::Connection::open(state.join("state.db")).unwrap();
    connection
        .execute_batch(
            "BEGIN;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             INSERT INTO details (run, promise, record)
                 SELECT 1, 'file:/old/' || i, '[\"' || hex(zeroblob(2000)) || '\"]' FROM n;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             INSERT INTO undo_ledger (scope, epoch, thing, promise, run, revision, record)
                 SELECT 'node', 0, 'path:/old/' || i, 'file:/old/' || i, 1, '',
                        '{\"before\":{\"is\":\"nothing\"},\"left\":{\"is\":\"nothing\"}}' FROM n;
             COMMIT;",
        )
        .unwrap();
    let mut content = vec![0; 32 * 1024];
    for at in 0..16_384_u32 {
        content[..4].copy_from_slice(&at.to_le_bytes());
        let digest = steadfast_system::text::hex(&sha256(&content));
        let folder = state.join("kept").join(&digest[..2]);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(&digest[2..]), &content).unwrap();
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

/// One of a hundred files was written over, beside a loop that finds and writes them.
pub(crate) fn drift(bench: &Bench) {
    for count in [1_000, 10_000] {
        let (model, data) = models::files(&bench.folder, count);
        let state = bench.folder.join(format!("state-drift-{count}"));
        bench.runs(&model, &state, 2, &mut || {});
        let mut paths: Vec<_> = fs::read_dir(&data).unwrap().map(|it| it.unwrap().path()).collect();
        paths.sort();
        let drifted = || {
            for path in paths.iter().step_by(100) {
                fs::write(path, "somebody was here\n").unwrap();
            }
        };
        let mut line = Line::default();
        for _ in 0..7 {
            drifted();
            let begin = Instant::now();
            floor::read_below(&data);
            floor::replace(&data, paths.iter().step_by(100));
            line.floors.push(begin.elapsed());
            drifted();
            line.taken.extend(bench.runs(&model, &state, 1, &mut || {}).taken);
        }
        line.print(&format!("{count} files, 1 % drifted"));
    }
}
