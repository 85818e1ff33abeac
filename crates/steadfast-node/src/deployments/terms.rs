//! On which terms a deployment is brought to a component: how it is switched and judged, and where its artifact
//! comes from. None of it is a part of what the deployment is.

use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use steadfast_engine::component::{Deployment, Quiesces, Switch, Terms, Wanted};
use steadfast_model::Placed;
use steadfast_model::application::component::{
    Ask, Command, Health, Settings, Switch as Way, Unpack,
};
use steadfast_model::application::frozen::{Frozen, FrozenPromise, hash};
use steadfast_model::application::{Artifact, ArtifactKind, Files, Location};

/// Fields of a service that say how it is judged.
const JUDGED: [&str; 3] = ["health", "settle", "timeout"];
/// Fields of a service that are its unit.
const UNIT: [&str; 2] = ["unit", "drop_ins"];
/// Where unit files and their drop-ins lie.
const UNIT_FOLDERS: [&str; 4] = [
    "/etc/systemd/system/",
    "/run/systemd/system/",
    "/usr/lib/systemd/system/",
    "/lib/systemd/system/",
];

/// What a deployment is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The digest of all of it.
    pub own: Arc<str>,
    /// The digest without its secrets.
    pub public: Arc<str>,
    pub folder: Arc<str>,
}

/// What is wanted of a component; none where its settings are not known.
pub fn wanted(placed: &Placed, frozen: &Frozen, names: Names, bake: Duration) -> Option<Wanted> {
    let settings = placed.settings.as_ref()?;
    let deployment = Deployment {
        own: names.own,
        public: names.public,
        folder: names.folder,
        release: frozen.release.as_str().into(),
        terms: terms(settings, frozen, bake),
    };
    let source = source(placed.artifact.as_ref(), &settings.unpack, frozen.tree.as_deref());
    Some(Wanted { deployment, source })
}

fn terms(settings: &Settings, frozen: &Frozen, bake: Duration) -> Terms {
    let Settings { health, switch, drain, ready, drain_for, quiesce, slots, .. } = settings;
    let judged = services(frozen, &JUDGED);
    let digest =
        hash("steadfast terms 1", &json!([health_said(health), word(*switch), slots, judged]));
    let quiesces = (!quiesce.units.is_empty())
        .then_some(Quiesces { wait: quiesce.wait, kills: quiesce.stops });
    Terms {
        digest: digest.into(),
        switch: switch_of(*switch),
        units: hash("steadfast units 1", &units(frozen)).into(),
        within: health.within,
        lasts: health.lasts,
        bake,
        drains: drain.is_some(),
        readies: ready.is_some(),
        drain_for: *drain_for,
        quiesces,
    }
}

fn switch_of(way: Way) -> Switch {
    match way {
        Way::Restart => Switch::Restart,
        Way::Reload => Switch::Reload,
        Way::Socket => Switch::Socket,
        Way::BlueGreen => Switch::BlueGreen,
    }
}

fn word(way: Way) -> &'static str {
    match way {
        Way::Restart => "restart",
        Way::Reload => "reload",
        Way::Socket => "socket",
        Way::BlueGreen => "blue-green",
    }
}

fn health_said(health: &Health) -> Value {
    let Health { ask, within, lasts } = health;
    let ask = ask.as_ref().map(|it| match it {
        Ask::Http { url, status, header } => {
            let header: Vec<(&str, &str)> = header.iter().map(|(a, b)| (&**a, &**b)).collect();
            json!(["http", &**url, status, header])
        }
        Ask::Tcp(place) => json!(["tcp", &**place]),
        Ask::Command(Command { arguments, user }) => {
            let arguments: Vec<&str> = arguments.iter().map(|it| &**it).collect();
            json!(["command", arguments, user.as_deref()])
        }
    });
    json!([ask, millis(*within), millis(*lasts)])
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Some fields of its services, by name.
fn services(frozen: &Frozen, fields: &[&str]) -> Vec<Value> {
    let said = |it: &FrozenPromise| {
        let said: Vec<Value> =
            fields.iter().filter_map(|field| Some(json!([field, it.body.get(field)?]))).collect();
        (!said.is_empty()).then(|| json!([it.name, said]))
    };
    sorted(frozen.promises.iter().filter(|it| it.kind == "service").filter_map(said).collect())
}

/// Its units, whoever promises their files.
fn units(frozen: &Frozen) -> Value {
    let is_unit = |it: &&FrozenPromise| match &*it.kind {
        "file" | "link" => UNIT_FOLDERS.iter().any(|folder| it.name.starts_with(folder)),
        _ => false,
    };
    let files = frozen.promises.iter().filter(is_unit);
    let files = sorted(files.map(|it| json!([it.kind, it.name, it.body])).collect());
    json!([services(frozen, &UNIT), files])
}

/// In whatever order they were written: by their kind and name, which come first in their text.
fn sorted(mut all: Vec<Value>) -> Vec<Value> {
    all.sort_by_cached_key(ToString::to_string);
    all
}

/// Where an artifact comes from, and how it is unpacked: what was refused is fetched again once this is another.
fn source(artifact: Option<&Artifact>, unpack: &Unpack, tree: Option<&str>) -> Arc<str> {
    let artifact = artifact.map(|it| match &it.kind {
        ArtifactKind::Files(files) => files_said(files),
        ArtifactKind::Package { name, version } => {
            json!(["package", &*name.value, &*version.value])
        }
    });
    let Unpack { strip, max, setuid, links_anywhere, private_to, adopt } = unpack;
    let unpack =
        json!([strip, max, setuid, links_anywhere, private_to.as_deref(), adopt.as_deref()]);
    hash("steadfast source 1", &json!([artifact, unpack, tree])).into()
}

fn files_said(files: &Files) -> Value {
    let Files { url, sha256, size, unpacked, mirrors, mode, name } = files;
    let mirrors: Vec<String> = mirrors.iter().map(|it| place(&it.value)).collect();
    let text = |it: &Option<steadfast_model::Spanned<Arc<str>>>| {
        it.as_ref().map(|it| it.value.to_string())
    };
    json!([place(&url.value), sha256.as_deref(), size, unpacked, mirrors, text(mode), text(name)])
}

fn place(location: &Location) -> String {
    match location {
        Location::Https(url) | Location::Http(url) => url.to_string(),
        Location::File(path) => format!("file://{path}"),
        Location::Model(folder) => format!("model:{folder}"),
        Location::Oci { name, sha256 } => format!("oci://{name}@sha256:{sha256}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{APPLICATION, application, placed};
    use super::*;
    use steadfast_model::application::frozen::freeze;

    fn of(text: &str) -> Wanted {
        let (all, sources) = placed(&[application(text)]);
        let api = all.iter().find(|it| it.id.component() == "api").unwrap();
        let (deployment, _) = freeze(api, &sources, Some("ab".repeat(32))).unwrap();
        let names = Names { own: "own".into(), public: "public".into(), folder: "ab12".into() };
        wanted(api, &deployment.frozen, names, Duration::from_secs(600)).unwrap()
    }

    fn changed(from: &str, to: &str) -> Wanted {
        assert!(APPLICATION.contains(from), "{from}");
        of(&APPLICATION.replace(from, to))
    }

    #[test]
    fn terms_are_as_the_documents_say() {
        let Wanted { deployment, source: _ } = of(APPLICATION);
        let Deployment { own, public, folder, release, terms } = deployment;
        assert_eq!([&*own, &*public, &*folder, &*release], ["own", "public", "ab12", "1.4.0"]);
        let Terms { switch, within, lasts, bake, drains, readies, drain_for, quiesces, .. } = terms;
        assert_eq!((switch, drains, readies, quiesces), (Switch::Restart, false, false, None));
        let seconds = [within, lasts, bake, drain_for].map(|it| it.as_secs());
        assert_eq!(seconds, [10, 2, 600, 30]);
    }

    /// What one change to the documents makes another: terms, units, source.
    #[test]
    fn each_digest_covers_what_it_is_about_and_nothing_else() {
        let same = of(APPLICATION);
        let health = "{ http: \"http://127.0.0.1:8081/health\", within: 10s, for: 2s }";
        for (from, to, terms, units, source) in [
            ("within: 10s", "within: 11s", true, false, false),
            ("for: 2s", "for: 3s", true, false, false),
            ("8081/health", "8081/ready", true, false, false),
            (health, "{ within: 10s, for: 2s }", true, false, false),
            ("running: true", "running: true\n        timeout: 9m", true, false, false),
            ("ExecStart=/bin/api", "ExecStart=/bin/api -v", false, true, false),
            ("UMask=077", "UMask=027", false, true, false),
            ("strip: 1", "strip: 2", false, false, true),
            ("pool = 10", "pool = 11", false, false, false),
            ("verify: 24h", "verify: 12h", false, false, false),
        ] {
            let other = changed(from, to);
            let (a, b) = (&same.deployment.terms, &other.deployment.terms);
            let differs = (a.digest != b.digest, a.units != b.units, same.source != other.source);
            assert_eq!(differs, (terms, units, source), "{from} -> {to}");
        }
    }

    #[test]
    fn the_order_of_lines_says_nothing() {
        let same = of(APPLICATION);
        let one = "        running: true\n        enabled: true\n";
        let other = "        enabled: true\n        running: true\n";
        assert_eq!(changed(one, other), same);
    }
}
