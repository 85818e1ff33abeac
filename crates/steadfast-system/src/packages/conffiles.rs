//! Whether a transaction would touch configuration files that were changed here, decided before
//! anything is unpacked.

use super::apt::{self, Simulation, refusal};
use super::on_disk::entries;
use super::run::said;
use super::status::Database;
use crate::command::Command;
use crate::{Host, SystemError};
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

impl Host {
    /// Whether dpkg would have to ask about a configuration file, found out before anything is
    /// unpacked: it differs on disk from what was installed, and the package brings another one.
    pub(super) fn object_to_conffiles(
        &self,
        database: &Database,
        simulation: &Simulation,
    ) -> Result<(), SystemError> {
        let folder = self.state_path(&format!("conffiles-{}", std::process::id()));
        let failed =
            |err: std::io::Error| SystemError::io(format!("make {}", folder.display()), err);
        let _left_over = fs::remove_dir_all(&folder);
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
        let found = self.conffiles_in(&folder, database, simulation);
        let _only_space = fs::remove_dir_all(&folder);
        let found =
            found.map_err(|it| it.during("look at the configuration files in the packages"))?;
        if found.is_empty() {
            return Ok(());
        }
        Err(refusal(format!(
            "{} was changed here, and the package brings another one: `conffiles: fail`",
            found.join(", ")
        )))
    }

    pub(super) fn conffiles_in(
        &self,
        folder: &Path,
        database: &Database,
        simulation: &Simulation,
    ) -> Result<Vec<String>, SystemError> {
        let names = simulation.unpacked.iter().map(|it| format!("{}={}", it.name, it.version));
        let fetched = Command::tool("apt-get")
            .args(["-q", "-y", "-o", "APT::Sandbox::User=root", "download"])
            .args(names)
            .folder(folder)
            .timeout(Duration::from_secs(30 * 60))
            .run()?;
        if !fetched.success() {
            return Err(apt::failure(&said(&fetched)));
        }
        let mut found = vec![];
        for package in entries(&folder.to_string_lossy()) {
            found.extend(asked_about(&package, folder, database)?);
        }
        Ok(found)
    }
}

/// The configuration files of one package that dpkg would ask about.
fn asked_about(
    package: &Path,
    folder: &Path,
    database: &Database,
) -> Result<Vec<String>, SystemError> {
    let fields = Command::tool("dpkg-deb")
        .arg("--show")
        .arg("--showformat=${Package}:${Architecture}")
        .arg(package)
        .succeed()?
        .stdout_text();
    let name = fields.trim().strip_suffix(":all").unwrap_or(fields.trim()).to_owned();
    let listed = Command::tool("dpkg-deb").arg("--info").arg(package).arg("conffiles").run()?;
    if !listed.success() {
        // It has none.
        return Ok(vec![]);
    }
    let text = listed.stdout_text();
    let paths: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|it| it.starts_with('/') && fs::metadata(it).is_ok_and(|it| it.is_file()))
        .collect();
    if paths.is_empty() {
        return Ok(vec![]);
    }
    let tree = folder.join("tree");
    let _left_over = fs::remove_dir_all(&tree);
    Command::tool("dpkg-deb")
        .arg("--extract")
        .arg(package)
        .arg(&tree)
        .timeout(Duration::from_secs(10 * 60))
        .succeed()?;
    let recorded = database.conffiles(&name);
    let mut found = vec![];
    for path in paths {
        let new = md5(&tree.join(path.trim_start_matches('/')))?;
        let disk = md5(Path::new(path))?;
        let old = recorded.iter().find(|it| it.0 == path).map(|it| it.1);
        if asks(old, &disk, &new) {
            found.push(path.to_owned());
        }
    }
    Ok(found)
}

/// Whether dpkg would ask: changed here, and changed by the package too.
fn asks(installed: Option<&str>, disk: &str, new: &str) -> bool {
    disk != new && installed.is_none_or(|it| it != disk && it != new)
}

fn md5(path: &Path) -> Result<String, SystemError> {
    let finished = Command::tool("md5sum").arg(path).succeed()?;
    let text = finished.stdout_text();
    // A name with odd characters puts a backslash before the digest.
    Ok(text.trim_start_matches('\\').split(' ').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dpkg_would_ask_only_where_both_sides_changed_a_file() {
        assert!(asks(Some("a"), "b", "c"));
        assert!(!asks(Some("a"), "a", "c"), "not changed here");
        assert!(!asks(Some("a"), "b", "a"), "not changed by the package");
        assert!(!asks(Some("a"), "b", "b"), "the same change");
        assert!(asks(None, "b", "c"), "it was there before the package");
        assert!(!asks(None, "b", "b"));
    }
}
