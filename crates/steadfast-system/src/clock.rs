//! The machine's time.

use crate::SystemError;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What may be asked.
pub trait Read: fmt::Debug {
    /// Microseconds since 1970.
    fn now(&self) -> i64;
}

/// Time as nobody can set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinceBoot {
    /// Which boot it is. A container that boots is another one, though its kernel goes on.
    pub boot: Arc<str>,
    /// With the time in which the machine slept.
    pub at: Duration,
}

/// How long the machine has been up.
pub fn since_boot() -> Result<SinceBoot, SystemError> {
    let read = |path: &str| {
        let error = |err| SystemError::io(format!("read {path}"), err);
        std::fs::read_to_string(path).map_err(error)
    };
    let kernel = read("/proc/sys/kernel/random/boot_id")?;
    let first = read("/proc/1/stat")?;
    let boot = format!("{}-{}", kernel.trim(), began(&first).unwrap_or("0"));
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or(0);
    Ok(SinceBoot { boot: Arc::from(boot), at: Duration::new(seconds, nanoseconds) })
}

/// When a process began. Its name is in brackets, and may have any in it.
fn began(stat: &str) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_told_by_the_start_of_its_first_process_too() {
        let stat = "1 (a) b) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 12 13";
        assert_eq!(began(stat), Some("4711"));
        assert_eq!(began("1 (a"), None);
        let (one, other) = (since_boot().unwrap(), since_boot().unwrap());
        assert_eq!(one.boot, other.boot);
        assert!(other.at >= one.at && !one.at.is_zero());
    }
}
