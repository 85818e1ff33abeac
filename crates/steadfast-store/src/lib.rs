//! The state directory: the lock of runs, the history, restarts owed, and the undo ledger.
//!
//! A run that changes nothing writes nothing, but the first over a changed model what it came to.

mod beside;
pub mod contents;
pub mod deployments;
pub mod format;
pub mod happened;
pub mod history;
pub mod instances;
pub mod journal;
pub mod layout;
pub mod lock;
pub mod resolve_cache;
pub mod restarts;
mod schema;
pub mod state_files;
pub mod store;
mod sweep;
pub mod undo_ledger;

pub use contents::KnownContents;
pub use history::{Entry, RunLine};
pub use instances::{Instance, Started};
pub use journal::{Journal, Places, RunHeader};
pub use layout::Layout;
pub use lock::{LockError, RunLock};
pub use resolve_cache::{Recalled, ResolveCache, decode, encode, of_this_build};
pub use store::{Store, StoreError};
