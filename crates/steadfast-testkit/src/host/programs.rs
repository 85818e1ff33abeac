//! Programs of the machine in memory: what is called `false` says no, all else succeeds and says nothing.

use super::{FakeHost, refuse};
use steadfast_system::command::Finished;
use steadfast_system::programs::{Program, Run};
use steadfast_system::{ErrorKind, SystemError};

impl Run for FakeHost {
    fn run_program(&self, program: &Program<'_>) -> Result<Finished, SystemError> {
        if let Some(user) = program.user
            && !self.look_at(|world| world.users.contains_key(user))
        {
            return refuse(ErrorKind::Other, format!("there is no user {user} on this machine"));
        }
        match program.name() {
            "" => refuse(ErrorKind::Other, "no program is named"),
            name => {
                let code = i32::from(name == "false" || name.ends_with("/false"));
                Ok(Finished { code: Some(code), signal: None, stdout: vec![], stderr: vec![] })
            }
        }
    }
}
