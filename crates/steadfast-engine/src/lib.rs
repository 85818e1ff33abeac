//! Orders, plans, converges and judges promises; defines outcomes and events.

pub mod budget;
pub mod converge;
pub mod debt;
pub mod event;
pub mod graph;
pub mod looks;
pub mod outcome;
pub mod plan;
pub mod promised;

pub use budget::Budget;
pub use converge::{Sight, converge, dry_run, look};
pub use event::{Event, Reporter};
pub use looks::{Ledger, Looks};
pub use outcome::{Held, NotKept, Outcome, Summary};
pub use plan::{Circumstances, Entry, Forecast, Plan};
pub use promised::{Promised, Promises};
