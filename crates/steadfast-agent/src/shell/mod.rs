//! The shell around the state machine: one loop over one channel. It performs the machine's actions and
//! brings it what happens, and decides nothing. Whatever is heavy (fetching, resolving, running) is done
//! by a child of the same program, so that the memory of it goes back.
//!
//! `turn` is the loop, `happened` what wakes it, `acts` what the machine has it do, `told` what is said
//! about it, `reload` the settings. `state` is what it holds, `setup` what it is given, and `start` where it
//! begins. The rest each speak with somebody: `children`, `clients` by the `socket` as far as there are
//! `places`, systemd as its `manager` and about `units`, node_exporter by a `textfile`, the kernel by `watch`
//! (what was touched, and since a run `began`) and `attribution` (by whom).

mod acts;
mod attribution;
mod began;
mod binary;
mod children;
mod clients;
mod event;
mod happened;
mod manager;
mod places;
mod promised;
mod record;
mod reload;
mod revisions;
mod setup;
mod signals;
mod socket;
mod start;
mod state;
mod stored;
mod textfile;
mod told;
mod trace;
mod turn;
mod units;
mod watch;

pub use setup::{Ended, Setup, ShellError};
pub use signals::hold as hold_signals;
pub use start::run;
pub use stored::read_memory;
