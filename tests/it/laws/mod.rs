//! The laws of promises together. Those of each kind alone are in `kinds/`.

mod mixed;
mod secrets;
mod spared;
mod unit;
