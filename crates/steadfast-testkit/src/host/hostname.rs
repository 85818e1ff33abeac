//! The name of the machine in memory.

use super::{FakeHost, refuse};
use std::sync::Arc;
use steadfast_system::hostname::{LONGEST, Read, Write};
use steadfast_system::{ErrorKind, SystemError};

impl FakeHost {
    /// The name that the kernel has.
    #[must_use]
    pub fn with_hostname(self, name: &str) -> FakeHost {
        self.with(|world| world.hostname = name.into())
    }
}

impl Read for FakeHost {
    fn running_hostname(&self) -> Result<Arc<str>, SystemError> {
        Ok(self.look_at(|world| Arc::clone(&world.hostname)))
    }
}

impl Write for FakeHost {
    fn set_running_hostname(&self, name: &str) -> Result<(), SystemError> {
        if name.len() > LONGEST {
            return refuse(ErrorKind::Other, "it is longer than 64 bytes");
        }
        self.effect(format!("set the running hostname to {name}"), |world| {
            world.hostname = name.into();
            Ok(())
        })
    }
}
