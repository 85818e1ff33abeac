//! Where it would show that somebody has touched what is promised.

use crate::wire::Watched;
use steadfast_engine::Promises;
use steadfast_resources::{Identity, Resource, user};

/// For every promise, where it shows that somebody has touched what it is about.
pub fn watched(promises: &Promises) -> impl Iterator<Item = Watched> + '_ {
    promises.all.iter().filter(|it| !it.implied).map(|promised| {
        let mut watched = Watched { promise: promised.id.to_string(), ..Watched::default() };
        for claim in promised.want.claims() {
            match claim {
                Identity::Path(path) => watched.paths.push(path.to_string()),
                Identity::Unit(unit) => watched.units.push(unit.to_string()),
                Identity::Package(_) => watched.paths.push("/var/lib/dpkg/status".to_owned()),
                Identity::User(_) => {
                    watched.paths.extend(["/etc/passwd", "/etc/shadow"].map(str::to_owned));
                }
                Identity::Group(_) => {
                    watched.paths.extend(["/etc/group", "/etc/gshadow"].map(str::to_owned));
                }
            }
        }
        if let Resource::Members(_) | Resource::User(_) = &promised.want {
            watched.paths.extend(["/etc/group", "/etc/gshadow"].map(str::to_owned));
        }
        if let Resource::Directory(want) = &promised.want
            && want.is_about_its_names()
        {
            watched.folders = watched.paths.clone();
            watched.paths.extend(want.promised_files());
        }
        if let Resource::User(want) = &promised.want
            && let user::Wanted::Present(wanted) = &want.state
            && wanted.ssh_keys.is_some()
            && let Some(home) = &wanted.home
        {
            watched.paths.push(format!("{home}/.ssh/authorized_keys"));
        }
        watched
    })
}
