//! Tests on a real machine: a Debian that is booted in a container, with systemd, apt and cron.
//!
//! They take root, systemd-nspawn and mmdebstrap (`tests/run` installs them); elsewhere each says
//! `skipped: …` and passes, or fails where `STEADFAST_REQUIRE_MACHINE` is 1 (`require.rs`). The first one builds a root below `target/machine/`, which stays.

mod agent;
mod around;
mod bad_input;
mod crashes;
mod deployed_flags;
mod deployed_secrets;
mod deployments;
pub(crate) mod drift;
mod drift_accounts;
mod drift_files;
mod drift_packages;
mod drift_run;
mod drift_services;
mod explain;
mod foretold;
mod full_disk;
mod gates;
mod going_back;
mod health;
mod homes;
mod in_use;
pub(crate) mod lab;
mod main_job;
mod organization;
mod others;
mod package_sources;
mod package_transactions;
mod packaged;
mod paths;
mod places;
mod restarts;
mod retained;
mod sources;
mod steps_cut;
mod switches;
mod taken_over;
mod terminal;
mod told;
mod trust;
mod unit_files;
mod units;
mod users_who_resist;
mod watched;
mod who;
