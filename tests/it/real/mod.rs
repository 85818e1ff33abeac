//! Tests on a real machine: a Debian that is booted in a container, with systemd, apt and cron.
//!
//! They take root, systemd-nspawn and mmdebstrap (`tests/run` installs them); elsewhere each says
//! `skipped: …` and passes. The first one builds a root below `target/machine/`, which stays.

mod agent;
pub(crate) mod apt;
mod bad_input;
mod beside;
mod crashes;
mod drift;
mod drift_accounts;
mod drift_files;
mod drift_packages;
mod drift_run;
mod drift_services;
mod explain;
mod going_back;
mod harness;
mod health;
mod installed;
mod listing;
pub(crate) mod machine;
mod main_job;
mod model;
mod nspawn;
mod packaged;
mod restarts;
mod sources;
mod who;
