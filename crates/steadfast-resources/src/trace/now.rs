//! What things are now: asked of the machine, a batch for each facility.

use super::{Condition, Thing, of_block, of_entry, place_of, running};
use crate::paths;
use crate::user::keys;
use std::sync::Arc;
use steadfast_system::accounts::{KeysFile, User};
use steadfast_system::files::{Digest, Wanted};
use steadfast_system::packages::Health;
use steadfast_system::services::Unit;
use steadfast_system::{AbsPath, PackageName, Probe, SystemError, UnitName, UserName};

/// What a look at a thing shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Now {
    pub condition: Condition,
    /// Something is mounted at the path, so that it cannot be renamed over.
    pub mounted: bool,
    /// How large a regular file is.
    pub size: u64,
    /// Who stands in the list of a group.
    pub members: Vec<Arc<str>>,
    /// The unit failed, or can be reloaded: for whoever has to bring it up to date.
    pub unit: Option<Unit>,
}

impl Now {
    fn of(condition: Condition) -> Now {
        Now { condition, mounted: false, size: 0, members: vec![], unit: None }
    }
}

/// One result for each thing, in their order.
pub fn observe(things: &[&Thing], sys: &dyn Probe) -> Vec<Result<Now, SystemError>> {
    let mut paths: Vec<(&AbsPath, Wanted)> = vec![];
    let mut units: Vec<&UnitName> = vec![];
    let mut packages: Vec<&PackageName> = vec![];
    for thing in things {
        match thing {
            Thing::Path(path) => paths.push((path, Wanted::Digest)),
            Thing::Running(unit) | Thing::Enabled(unit) => units.push(unit),
            Thing::Package(name) => packages.push(name),
            Thing::Group(_) | Thing::Member { .. } | Thing::User(_) | Thing::Keys(_) => {}
        }
    }
    let mut paths = if paths.is_empty() { vec![] } else { sys.look(&paths) }.into_iter();
    let mut units = if units.is_empty() { vec![] } else { sys.units(&units) }.into_iter();
    let packages = if packages.is_empty() { Ok(vec![]) } else { sys.package_looks(&packages) };
    let mut next_package = 0;
    let none = || SystemError::new(steadfast_system::ErrorKind::Other, "the look gave no answer");
    things
        .iter()
        .map(|thing| match thing {
            Thing::Path(_) => {
                let look = paths.next().unwrap_or_else(|| Err(none()))?;
                Ok(look.entry.map_or(Now::of(Condition::Nothing), |entry| Now {
                    mounted: entry.mounted,
                    size: paths::size(&entry),
                    ..Now::of(of_entry(&entry))
                }))
            }
            Thing::Running(_) | Thing::Enabled(_) => {
                let unit = units.next().unwrap_or_else(|| Err(none()))?;
                let condition = match thing {
                    Thing::Enabled(_) => place_of(&unit),
                    Thing::Running(_)
                    | Thing::Path(_)
                    | Thing::Group(_)
                    | Thing::Member { .. }
                    | Thing::User(_)
                    | Thing::Keys(_)
                    | Thing::Package(_) => running(&unit),
                };
                Ok(Now { unit: Some(unit), ..Now::of(condition) })
            }
            Thing::Package(_) => {
                let looks = packages.as_ref().map_err(Clone::clone)?;
                let look = looks.get(next_package).ok_or_else(none)?;
                next_package += 1;
                let there = look.installed.as_ref().is_some_and(|it| is_there(it.health));
                Ok(Now::of(if there { Condition::There } else { Condition::Nothing }))
            }
            Thing::Group(name) => Ok(match sys.local()?.group(name) {
                Some(it) => Now {
                    members: it.members.clone(),
                    ..Now::of(Condition::Group { gid: Some(it.gid) })
                },
                None => Now::of(Condition::Nothing),
            }),
            Thing::Keys(name) => keys_of(name, sys).map(Now::of),
            Thing::User(name) => Ok(Now::of(match sys.local()?.user(name) {
                Some(it) => Condition::User { line: Some(line_of(it)) },
                None => Condition::Nothing,
            })),
            Thing::Member { group, user } => {
                let local = sys.local()?;
                let is_in = local.group(group).is_some_and(|it| it.members.contains(user));
                Ok(Now::of(if is_in { Condition::There } else { Condition::Nothing }))
            }
        })
        .collect()
}

/// Our block in the keys of a user; what others wrote there is their own.
fn keys_of(name: &UserName, sys: &dyn Probe) -> Result<Condition, SystemError> {
    let local = sys.local()?;
    let Some(user) = local.user(name) else { return Ok(Condition::Nothing) };
    let Ok(home) = AbsPath::parse(&user.home) else { return Ok(Condition::Unknown) };
    Ok(match sys.keys_file(&home, Some(user.uid))? {
        KeysFile::NoHome | KeysFile::Nothing => Condition::Nothing,
        KeysFile::Content(content) => of_block(keys::block(&content)),
        KeysFile::InTheWay(_) => Condition::Unknown,
    })
}

/// Everything that /etc/passwd says of a user.
fn line_of(user: &User) -> Digest {
    let User { name, uid, gid, comment, home, shell } = user;
    paths::sha256(format!("{name}:{uid}:{gid}:{comment}:{home}:{shell}").as_bytes())
}

fn is_there(health: Health) -> bool {
    match health {
        Health::NotInstalled | Health::ConfigFiles => false,
        Health::HalfInstalled
        | Health::Unpacked
        | Health::HalfConfigured
        | Health::TriggersAwaited
        | Health::TriggersPending
        | Health::Installed => true,
    }
}
