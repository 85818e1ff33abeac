//! A tree that is there.
