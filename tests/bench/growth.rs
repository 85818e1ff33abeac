//! What a run costs by what the state remembers: nothing more. And what drift costs.

use crate::{Bench, Line, floor, models};
use std::fs;
use std::path::Path;
use std::time::Instant;

const FILES: usize = 1_000;
/// The turns up to which it is printed what ten of them took.
const PRINTED: [usize; 3] = [10, 100, 1_000];
const MEASURED: usize = 10;

/// A thousand turns with one state, and then ten over a state of 1 GB. The ten up to each turn that is printed,
/// and those over the full state, are convergences from nothing, measured beside their floor; in each of the
/// others a hundred files are gone and come back. So all of it takes three minutes on two cores with nothing else
/// to do.
pub(crate) fn again(bench: &Bench) {
    let (model, data) = models::files(&bench.folder, FILES);
    let state = bench.folder.join("state-again");
    let last = PRINTED.into_iter().max().unwrap_or_default();
    let mut line = Line::default();
    for turn in 1..=last {
        if !PRINTED.iter().any(|it| (it - MEASURED + 1..=*it).contains(&turn)) {
            for gone in fs::read_dir(&data).unwrap().take(FILES / 10) {
                fs::remove_file(gone.unwrap().path()).unwrap();
            }
            bench.runs(&model, &state, 1, &mut || {});
            continue;
        }
        converge_first(bench, (&model, &data), FILES, &state, &mut line);
        if PRINTED.contains(&turn) {
            let line = std::mem::take(&mut line);
            line.print(&format!("{FILES} files, first converged, up to turn {turn}"));
            remove_aside(bench);
        }
    }
    fill(&state);
    for _ in 0..MEASURED {
        converge_first(bench, (&model, &data), FILES, &state, &mut line);
    }
    line.print(&format!("{FILES} files, first converged, 1 GB of state"));
    remove_aside(bench);
}

/// One convergence from nothing, beside its floor. What was there is set aside and removed later: a file
/// system that has just removed many files is slower for a while.
pub(crate) fn converge_first(
    bench: &Bench,
    (model, data): (&Path, &Path),
    count: usize,
    state: &Path,
    line: &mut Line,
) {
    set_aside(bench, data);
    let begin = Instant::now();
    floor::write(data, count);
    line.floors.push(begin.elapsed());
    set_aside(bench, data);
    line.taken.extend(bench.runs(model, state, 1, &mut || {}).taken);
}

fn set_aside(bench: &Bench, data: &Path) {
    let aside = bench.folder.join("aside");
    fs::create_dir_all(&aside).unwrap();
    let count = fs::read_dir(&aside).unwrap().count();
    fs::rename(data, aside.join(count.to_string())).unwrap();
    fs::create_dir(data).unwrap();
}

/// Removes what was set aside, to the disk, so that it is over before the next is measured.
pub(crate) fn remove_aside(bench: &Bench) {
    fs::remove_dir_all(bench.folder.join("aside")).unwrap();
    rustix::fs::sync();
}

/// A history of 400 MB, 100,000 things that were made, and 16,384 contents of together 512 MB.
fn fill(state: &Path) {
    let connection = rusqlite::Connection::open(state.join("state.db")).unwrap();
    connection
        .execute_batch(
            "BEGIN;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             INSERT INTO details (run, promise, record)
                 SELECT (SELECT min(id) FROM runs), 'file:/old/' || i,
                        '[\"' || hex(zeroblob(2000)) || '\"]' FROM n;
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
