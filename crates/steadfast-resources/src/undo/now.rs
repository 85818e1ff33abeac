//! What things are now: asked of the machine, a batch for each facility.

use super::{Facet, FacetState, of_block, of_entry, place_of, running};
use crate::paths;
use crate::user::keys;
use std::sync::Arc;
use steadfast_system::accounts::{KeysFile, User};
use steadfast_system::files::{Digest, Wanted};
use steadfast_system::packages::Health;
use steadfast_system::services::Unit;
use steadfast_system::{AbsPath, PackageName, Probe, SystemError, UnitName, UserName};

/// What a look at a facet shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Now {
    pub state: FacetState,
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
    fn of(state: FacetState) -> Now {
        Now { state, mounted: false, size: 0, members: vec![], unit: None }
    }
}

/// One result for each facet, in their order.
pub fn observe(facets: &[&Facet], sys: &dyn Probe) -> Vec<Result<Now, SystemError>> {
    let mut paths: Vec<(&AbsPath, Wanted)> = vec![];
    let mut units: Vec<&UnitName> = vec![];
    let mut packages: Vec<&PackageName> = vec![];
    for facet in facets {
        match facet {
            Facet::Path(path) => paths.push((path, Wanted::Digest)),
            Facet::Running(unit) | Facet::Enabled(unit) => units.push(unit),
            Facet::Package(name) => packages.push(name),
            Facet::Group(_) | Facet::Member { .. } | Facet::User(_) | Facet::Keys(_) => {}
        }
    }
    let mut paths = if paths.is_empty() { vec![] } else { sys.look(&paths) }.into_iter();
    let mut units = if units.is_empty() { vec![] } else { sys.units(&units) }.into_iter();
    let packages = if packages.is_empty() { Ok(vec![]) } else { sys.package_looks(&packages) };
    let mut next_package = 0;
    let none = || SystemError::new(steadfast_system::ErrorKind::Other, "the look gave no answer");
    facets
        .iter()
        .map(|facet| match facet {
            Facet::Path(_) => {
                let look = paths.next().unwrap_or_else(|| Err(none()))?;
                Ok(look.entry.map_or(Now::of(FacetState::Nothing), |entry| Now {
                    mounted: entry.mounted,
                    size: paths::size(&entry),
                    ..Now::of(of_entry(&entry))
                }))
            }
            Facet::Running(_) | Facet::Enabled(_) => {
                let unit = units.next().unwrap_or_else(|| Err(none()))?;
                let state = match facet {
                    Facet::Enabled(_) => place_of(&unit),
                    Facet::Running(_)
                    | Facet::Path(_)
                    | Facet::Group(_)
                    | Facet::Member { .. }
                    | Facet::User(_)
                    | Facet::Keys(_)
                    | Facet::Package(_) => running(&unit),
                };
                Ok(Now { unit: Some(unit), ..Now::of(state) })
            }
            Facet::Package(_) => {
                let looks = packages.as_ref().map_err(Clone::clone)?;
                let look = looks.get(next_package).ok_or_else(none)?;
                next_package += 1;
                let there = look.installed.as_ref().is_some_and(|it| is_there(it.health));
                Ok(Now::of(if there { FacetState::There } else { FacetState::Nothing }))
            }
            Facet::Group(name) => Ok(match sys.local()?.group(name) {
                Some(it) => Now {
                    members: it.members.clone(),
                    ..Now::of(FacetState::Group { gid: Some(it.gid) })
                },
                None => Now::of(FacetState::Nothing),
            }),
            Facet::Keys(name) => keys_of(name, sys).map(Now::of),
            Facet::User(name) => Ok(Now::of(match sys.local()?.user(name) {
                Some(it) => FacetState::User { line: Some(line_of(it)) },
                None => FacetState::Nothing,
            })),
            Facet::Member { group, user } => {
                let local = sys.local()?;
                let is_in = local.group(group).is_some_and(|it| it.members.contains(user));
                Ok(Now::of(if is_in { FacetState::There } else { FacetState::Nothing }))
            }
        })
        .collect()
}

/// Our block in the keys of a user; what others wrote there is their own.
fn keys_of(name: &UserName, sys: &dyn Probe) -> Result<FacetState, SystemError> {
    let local = sys.local()?;
    let Some(user) = local.user(name) else { return Ok(FacetState::Nothing) };
    let Ok(home) = AbsPath::parse(&user.home) else { return Ok(FacetState::Unknown) };
    Ok(match sys.keys_file(&home, Some(user.uid))? {
        KeysFile::NoHome | KeysFile::Nothing => FacetState::Nothing,
        KeysFile::Content(content) => of_block(keys::block(&content)),
        KeysFile::InTheWay(_) => FacetState::Unknown,
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
