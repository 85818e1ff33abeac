//! Cron jobs, one file for each below /etc/cron.d.

pub mod schedule;
