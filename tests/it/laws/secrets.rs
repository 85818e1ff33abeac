//! What was once written from a secret is sensitive when it is read, whatever the model says of it later, and
//! whichever kind of promise meets it.

use steadfast_engine::{Budget, Extent};
use steadfast_resources::Change;
use steadfast_system::AbsPath;
use steadfast_system::text::hex;
use steadfast_testkit::FakeHost;
use steadfast_testkit::host::Thing;
use steadfast_testkit::run::{Model, Notebook, converge, dry_run, go_back, release};

const SECRET: &str = "hunter2-and-more";
/// The file that holds it, where every kind can meet it.
const PATH: &str = "/etc/cron.d/app";
const SENSITIVE: &str = "files: { /etc/cron.d/app: { content: { secret: app/key } } }\n";

fn host() -> FakeHost {
    FakeHost::debian().with_secret("app/key", SECRET).with_user("u", 2000, 2000, "/home/u")
}

/// What a run tells and remembers, as one text.
fn told(host: &FakeHost, ledger: &mut Notebook, text: &str) -> String {
    let model = Model::of(text, &[("files/app/app", "plain\n")]).unwrap();
    let plan = dry_run(host, &model.promises, ledger, Budget::default());
    let shown: Vec<String> = (plan.entries.iter())
        .flat_map(|it| it.changes.iter().map(shown).chain(it.notes.iter().cloned()))
        .collect();
    let run = converge(host, &model.promises, ledger, Budget::default());
    let released = release(host, &model.promises, ledger, Extent::Made);
    let again = converge(host, &model.promises, ledger, Budget::default());
    let runs = [run, released, again];
    let verdicts: Vec<_> = runs.iter().map(|it| (&it.verdicts, &it.undone)).collect();
    format!("{shown:?}{verdicts:?}{ledger:?}")
}

fn shown(change: &Change) -> String {
    format!("{change} {:?} {:?}", change.detail(), change.facts())
}

/// Neither the secret itself nor a digest of it that could be guessed is anywhere.
#[track_caller]
fn is_hidden(host: &FakeHost, told: &str, contents: &[&str], context: &str) {
    for content in contents {
        let digest = steadfast_resources::paths::sha256(content.as_bytes());
        assert!(!host.world().kept.contains_key(&digest), "kept: {content:?} {context}");
        assert!(!told.contains(SECRET), "told: {context}\n{told}");
        assert!(!told.contains(&hex(&digest)), "its digest is told: {context}\n{told}");
        assert!(!told.contains(&format!("{digest:?}")), "its digest is kept: {context}\n{told}");
    }
}

/// What a model can say of it later: a name, and the text.
const LATER: [(&str, &str); 12] = [
    ("plain content", "files: { /etc/cron.d/app: { content: \"plain\\n\" } }"),
    ("kept on purpose", "files: { /etc/cron.d/app: { content: \"plain\\n\", keep_backup: true } }"),
    ("absent", "files: { /etc/cron.d/app: absent }"),
    ("edited", "files: { /etc/cron.d/app: { edits: [{ line: more }] } }"),
    ("another mode", "files: { /etc/cron.d/app: { mode: \"0640\" } }"),
    ("a link", "links: { /etc/cron.d/app: { target: /etc/other, force: true } }"),
    ("a directory", "directories: { /etc/cron.d/app: { force: true } }"),
    ("purged", "directories: { /etc/cron.d: { purge: true } }"),
    ("from a source", "directories: { /etc/cron.d: { source: files/app } }"),
    ("a cron job", "cron: { app: { schedule: \"@daily\", command: \"true\" } }"),
    ("no cron job", "cron: { app: absent }"),
    ("nobody's", "groups: { other: present }"),
];

#[test]
fn what_was_written_from_a_secret_is_told_and_kept_nowhere_once_the_model_says_something_else() {
    for (name, later) in LATER {
        // As it was written, and as somebody has changed it since.
        for more in ["", "# changed by hand\n"] {
            let (host, mut ledger) = (host(), Notebook::default());
            let first = told(&host, &mut ledger, SENSITIVE);
            assert_eq!(host.world().text(PATH), Some(SECRET), "{name}");
            let now = format!("{SECRET}{more}");
            host.drift(|world| {
                let old = world.thing(PATH).unwrap().clone();
                let new = Thing { uid: old.uid, mode: old.mode, ..Thing::file(&now) };
                world.put(&AbsPath::parse(PATH).unwrap(), new);
            });
            let told = first + &told(&host, &mut ledger, later);
            is_hidden(&host, &told, &[SECRET, &now], &format!("{name}, {more:?}"));
        }
    }
}

#[test]
fn going_back_to_a_model_without_the_secret_tells_nothing_of_it() {
    let (host, mut ledger) = (host().with_file(PATH, "before\n"), Notebook::default());
    let first = told(&host, &mut ledger, SENSITIVE);
    let before = Model::of("groups: { other: present }", &[]).unwrap();
    let back = go_back(&host, &before.promises, &mut ledger);
    is_hidden(
        &host,
        &format!("{first}{:?}{:?}{ledger:?}", back.verdicts, back.undone),
        &[SECRET],
        "going back",
    );
}

#[test]
fn what_takes_the_place_of_a_secret_is_no_secret() {
    let (host, mut ledger) = (host(), Notebook::default());
    told(&host, &mut ledger, SENSITIVE);
    told(&host, &mut ledger, LATER[0].1);
    host.drift(|world| world.put(&AbsPath::parse(PATH).unwrap(), Thing::file("by hand\n")));
    let text = told(&host, &mut ledger, LATER[0].1);
    assert!(text.contains("-by hand"), "its difference is shown again: {text}");
    let digest = steadfast_resources::paths::sha256(b"by hand\n");
    assert!(host.world().kept.contains_key(&digest), "and it is kept again");
    assert!(host.world().secret_paths.is_empty());
}
