//! Orders, plans, converges and judges promises; defines outcomes and events.

pub mod budget;
pub mod converge;
pub mod cover;
pub mod debt;
pub mod event;
pub mod graph;
pub mod ledger;
pub mod looks;
mod obstacles;
pub mod outcome;
pub mod plan;
pub mod promised;
pub mod prospect;
mod traces;
pub mod undo;

pub use budget::Budget;
pub use converge::{Sight, converge, dry_run, look};
pub use cover::Cover;
pub use event::{Event, Reporter};
pub use ledger::{Amended, Extent, Ledger, Left, Made};
pub use looks::{Eyes, Looks};
pub use outcome::{Held, NotKept, Outcome, Summary};
pub use plan::{Circumstances, Entry, Forecast, Plan};
pub use promised::{Promised, Promises};
pub use prospect::{Prospect, foresee};
pub use undo::undo;
