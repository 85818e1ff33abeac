//! From where an artifact comes.
