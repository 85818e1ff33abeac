//! The laws of promises together. Those of each kind alone are in `kinds/`.

mod few;
mod mixed;
mod secrets;
mod spared;
mod unit;
