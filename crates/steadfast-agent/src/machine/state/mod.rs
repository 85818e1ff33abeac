//! What the rooms of the machine remember, each by itself, and what each can tell from that alone. It goes
//! with the process: what must not be forgotten is the [`crate::memory::Memory`].

pub(crate) mod drift;
pub(crate) mod requests;
pub(crate) mod steps;
pub(crate) mod trial;
pub(crate) mod upstream;
pub(crate) mod work;
