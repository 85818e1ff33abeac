//! Orders, plans, converges and judges promises; defines outcomes and events.

mod aliases;
pub mod budget;
pub mod check;
pub mod converge;
pub mod event;
pub mod graph;
pub mod ledger;
mod limited;
pub mod managed;
pub mod observed;
mod obstacles;
pub mod outcome;
pub mod plan;
pub mod promised;
mod reason;
pub mod runner;
mod step;
mod steps;
pub mod undo;
pub mod unit;

pub use budget::Budget;
pub use check::{Flaw, check};
pub use converge::{Assessment, converge, dry_run, look};
pub use event::{Event, Reporter, Step};
pub use ledger::{Amended, Extent, Ledger, NotUndone, UndoEntry};
pub use limited::Limited;
pub use managed::Managed;
pub use observed::{Observed, Observer};
pub use outcome::{Held, NotKept, Outcome, Summary};
pub use plan::{Circumstances, Entry, Forecast, Plan};
pub use promised::{Instance, Promised, Promises, Ties};
pub use reason::{Packages, Reason};
pub use runner::debt;
pub use undo::plan::{UndoPlan, plan_undo};
pub use undo::undo;
pub use unit::{Scope, StepEnd, Unit, UnitId};
