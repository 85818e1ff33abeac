//! The step of one component: a function from what its row in the ledger says, what is seen and what time it is, to
//! what is done next (decision 0086).
//!
//! The contract with whoever calls it:
//! - The row of the answer is on the disk before the act is begun. After an act whoever called it looks anew and asks
//!   again, with what came of the act. After a crash that is not known, and the same function finds the way on.
//! - [`Next::Wait`] ends a run of the agent, which asks again when its time has come; a run by hand waits in the
//!   foreground for what [`Waiting::is_waited_for`] says.
//! - Acts of components are never given side by side: [`order`] says which one is asked first, and [`beside`] what
//!   another one's step means for it.
//!
//! It reads no clock and no machine, and knows nothing of where rows are stored. `deployment`, `row`, `seen`, `time`
//! and `reason` are the data that come in, `act` what goes out. `idle` is for a component without a step, `step` leads
//! an open one from phase to phase, `judge` and `bake` listen to its program, `back` goes back, `debts` gives back
//! what was taken away. `sequence` puts several components into an order, `report` and `words` tell people.

mod act;
mod back;
mod bake;
mod debts;
mod deployment;
mod forecast;
mod idle;
mod judge;
mod reason;
mod report;
pub mod retention;
mod row;
mod seen;
mod sequence;
mod step;
mod time;
mod turn;
mod verify;
mod words;

pub use act::{Act, Debt, End, Finished, Next, Start, Stop};
pub use deployment::{Deployment, Quiesces, Switch, Terms};
pub use forecast::{Forecast, Gap, forecast};
pub use reason::{Gate, Trouble, Waiting};
pub use report::{Report, Result as Became, Stage, held, report};
pub use row::{
    Again, Bad, Baking, Baseline, Judging, Kind, Measured, Owed, Owing, Phase, Process, Row,
    Sighted, Step, Unpaid, backoff,
};
pub use seen::{Answer, By, Done, Health, Illness, Place, Seen, Wanted};
pub use sequence::{Standing, beside, order};
pub use time::{Moment, Now, Until};
pub use verify::is_read_due;
pub use words::Clock;

use std::time::Duration;
use turn::Turn;

/// So often a row may change before there is something to do. A step has fewer phases than that, forth and back.
const CHANGES: usize = 60;
/// How long whoever asks waits where that is not enough.
const LATER: Duration = Duration::from_secs(60);

/// What is done next about a component.
pub fn next(row: &Row, seen: &Seen, now: &Now) -> Next {
    let mut turn = Turn::new(row, seen, now);
    turn.heed_boot();
    for _ in 0..CHANGES {
        let next = if turn.row.step.is_some() { turn.go_on() } else { turn.idle() };
        if let Some(next) = next {
            return next;
        }
    }
    // A mistake of this program: what is known stays, and nothing is done.
    debug_assert!(false, "it leads nowhere: {:?}", turn.row.step);
    let why = Waiting::Stuck("no way on is known".into());
    Next::Wait { row: row.clone(), until: Until::Boot(now.at.saturating_add(LATER)), why }
}
