//! One process: who it is.

use super::Process;
use crate::text::{safe, safe_start};
use std::os::unix::ffi::OsStrExt as _;

/// So much of what a process calls itself is shown.
const SHOWN: usize = 200;

impl Process {
    /// As far as it can be told; it may have ended meanwhile.
    pub(super) fn of(pid: i32) -> Process {
        let program = match std::fs::read_link(format!("/proc/{pid}/exe")) {
            Ok(path) => String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned(),
            Err(_) => {
                let bytes = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
                String::from_utf8_lossy(&bytes).trim().to_owned()
            }
        };
        let cgroup = std::fs::read(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let unit = unit_of(&String::from_utf8_lossy(&cgroup));
        Process { pid, program: safe(&safe_start(&program, SHOWN)), unit }
    }
}

/// The unit that a process belongs to: the first of its control groups that is no slice. What lies below was named
/// by whoever runs there, and may be called as a unit is.
fn unit_of(cgroup: &str) -> Option<String> {
    let path = |line: &str| {
        let mut parts = line.splitn(3, ':');
        let (number, controller) = (parts.next()?, parts.next()?);
        let is_systemd = controller == "name=systemd" || (number == "0" && controller.is_empty());
        parts.next().filter(|_| is_systemd).map(str::to_owned)
    };
    let path = cgroup.lines().find_map(path)?;
    let unit = path.split('/').find(|it| !it.is_empty() && !it.ends_with(".slice"))?;
    let is_unit = [".service", ".scope", ".socket", ".mount", ".swap"];
    is_unit.iter().any(|it| unit.ends_with(it)).then(|| safe(&safe_start(unit, SHOWN)))
}

#[cfg(test)]
mod tests {
    use super::unit_of;

    #[test]
    fn a_process_belongs_to_the_unit_that_systemd_knows() {
        let unit = |it: &str| unit_of(it);
        let is = |it: &str| Some(it.to_owned());
        assert_eq!(unit("0::/system.slice/people-api.service\n"), is("people-api.service"));
        assert_eq!(unit("0::/system.slice/system-a.slice/a@1.service/x"), is("a@1.service"));
        // Users name what is below their own.
        let user = "0::/user.slice/user-7.slice/user@7.service/app.slice/people-api.service";
        assert_eq!(unit(user), is("user@7.service"));
        assert_eq!(unit("0::/people/people-api.service"), None);
        assert_eq!(unit("0::/init.scope"), is("init.scope"));
        let hybrid = "3:cpu:/a.service\n1:name=systemd:/system.slice/b.service\n0::/c.service\n";
        assert_eq!(unit(hybrid), is("b.service"));
        assert_eq!(unit("0::/../../other"), None);
        assert_eq!(unit(""), None);
    }
}
