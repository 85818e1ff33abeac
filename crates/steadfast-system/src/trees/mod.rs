//! Trees of files that are made once, as a whole, and never touched again: written beside their place, with a list of
//! what is in them, and put there by one rename. What goes into them comes from strangers, so nothing
//! is ever written through a link, and names, modes and links are judged here whatever was judged before.

mod elf;
mod kernel;
mod look;
mod manifest;
mod names;
mod part;
mod place;
mod refused;
mod removal;
mod shelf;
mod writer;

pub use look::{Depth, Deviation, Different, Looked};
pub use manifest::{Entry, Manifest, Seen, What};
pub use part::{Part, make_private};
pub use place::{Releases, Space, is_for_root_alone};
pub use refused::{TreeError, TreeRefusal};
pub use shelf::{Lying, Shelf};
pub use writer::{File, Rules, Writer, Written};
