//! Tables: what a job in the model becomes, and what a machine differs by.

use super::crontab::{escape, read_variable, spell};
use super::desired::MODE;
use super::*;
use crate::paths::sha256;
use expect_test::{Expect, expect};
use steadfast_model::scope::Scope;
use steadfast_model::{Diagnostics, SourceSet, yaml};
use steadfast_system::files::{Content, Entry, Expected, Folder, Look, Mode, Shape};

/// Lowers every job of `yaml` (name to body): the files, then the diagnostics.
fn lowered(yaml: &str) -> (Vec<Option<Desired>>, String) {
    let mut sources = SourceSet::default();
    let id = sources.add("x.yaml", yaml.as_bytes(), false);
    let mut diagnostics = Diagnostics::default();
    let root = yaml::read(id, sources.get(id).unwrap(), &mut diagnostics).expect("the test's YAML");
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let scope = Scope::default();
    let Node::Map(entries, _) = &root else { panic!("the test's YAML is no map") };
    let wants = entries
        .iter()
        .map(|(name, body)| {
            Cron::lower(name, body, &mut Lower::new(&mut diagnostics, &sources, &scope))
        })
        .collect();
    let told = diagnostics
        .iter()
        .map(|it| {
            let help = it.help.as_deref().map_or(String::new(), |help| format!("\n    {help}"));
            format!("{} {}: {}{help}\n", sources.place(it.span), it.code.0, it.message)
        })
        .collect();
    (wants, told)
}

#[track_caller]
fn written(yaml: &str, expected: &Expect) {
    let (wants, told) = lowered(yaml);
    assert_eq!(told, "");
    let texts: String = wants
        .iter()
        .map(|want| match want.as_ref().map(|it| (&it.path, &it.job)) {
            Some((path, Some(job))) => format!("-- {path} as {}\n{}", job.user, job.text),
            Some((path, None)) => format!("-- no {path}\n"),
            None => "-- nothing\n".to_owned(),
        })
        .collect();
    expected.assert_eq(&texts);
}

#[track_caller]
fn refused(yaml: &str, expected: &Expect) {
    let (wants, told) = lowered(yaml);
    assert!(wants.iter().all(Option::is_none), "{wants:?}");
    expected.assert_eq(&told);
}

fn want(yaml: &str) -> Desired {
    let (wants, told) = lowered(yaml);
    assert_eq!(told, "");
    wants.into_iter().next().flatten().expect("one job")
}

#[test]
fn a_job_becomes_a_file_that_cron_reads() {
    written(
        r#"
purge-sessions:
  schedule: "*/15  * * * *"
  user: deploy
  command: /srv/www/bin/purge --since "$(date +%F)" 'a\b' 'c\\d'
  environment: { PATH: /usr/bin:/bin, MAILTO: "", GREETING: " hello ", SAY: '"hi"', NOTE: it's }
At_Start: { schedule: "@reboot", command: /bin/true }
gone: absent
gone-too: { state: absent, schedule: "@daily", command: x }
"#,
        &expect![[r#"
            -- /etc/cron.d/purge-sessions as deploy
            # Kept by steadfast as cron:purge-sessions; what is changed here by hand does not last.
            GREETING='" hello "'
            MAILTO=""
            NOTE=it's
            PATH=/usr/bin:/bin
            SAY='""hi""'
            */15 * * * * deploy /srv/www/bin/purge --since "$(date +\%F)" 'a\b' 'c\\\\d'
            -- /etc/cron.d/At_Start as root
            # Kept by steadfast as cron:At_Start; what is changed here by hand does not last.
            @reboot root /bin/true
            -- no /etc/cron.d/gone
            -- no /etc/cron.d/gone-too
        "#]],
    );
}

#[test]
fn what_cron_would_not_run_as_written_is_refused() {
    refused(
        r#"
a.b: { schedule: "@daily", command: x }
"": absent
nothing: {}
short: present
percent: { schedule: "@daily", command: 'date +\%F' }
lines: { schedule: "@daily", command: "x\ny" }
tab: { schedule: "@daily", command: "x\ty" }
empty: { schedule: "@daily", command: " " }
never: { schedule: "61 * * * *", command: x }
next-line: { schedule: "@daily\n* * * * * root x", command: x }
who: { schedule: "@daily", command: x, user: "a b" }
variable: { schedule: "@daily", command: x, user: "=b" }
misspelt: { schedule: "@daily", comand: x }
environment:
  schedule: "@daily"
  command: x
  environment: { 1A: x, "A B": x, LOGNAME: x, A: "x\ny", B: 1, C: " \"'" }
"#,
        &expect![[r#"
            x.yaml:2 bad-name: `a.b` is not the name of a cron job
                letters, digits, `_` and `-`: cron reads no other file in /etc/cron.d
            x.yaml:3 bad-name: `` is not the name of a cron job
                letters, digits, `_` and `-`: cron reads no other file in /etc/cron.d
            x.yaml:4 missing-field: `cron` needs the field `schedule`
            x.yaml:4 missing-field: `cron` needs the field `command`
            x.yaml:5 wrong-type: a cron must be a map, and is text
            x.yaml:6 bad-value: `command` has a `\%`
                write `%`: it is escaped for you
            x.yaml:7 bad-value: `command` has a control character
                a cron job is one line: in a YAML block write `>-`, and put longer things into a script
            x.yaml:8 bad-value: `command` has a control character
                a cron job is one line: in a YAML block write `>-`, and put longer things into a script
            x.yaml:9 bad-value: `command` is empty
            x.yaml:10 bad-schedule: `61` is not a minute: 61 is not from 0 to 59
            x.yaml:11 bad-schedule: `@daily\n* * * * * root x` is none of @reboot, @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly
            x.yaml:12 bad-name: `a b` is not a user name: it has a `:`, `/`, `,`, space or control character
            x.yaml:13 bad-name: `=b` is not a user name that cron takes
            x.yaml:14 unknown-field: `cron` has no field `comand`
                fields of a cron: state, schedule, command, user, environment
            x.yaml:14 missing-field: `cron` needs the field `command`
            x.yaml:18 bad-name: `1A` is not the name of a variable
                letters, digits and `_`, a digit not first
            x.yaml:18 bad-name: `A B` is not the name of a variable
                letters, digits and `_`, a digit not first
            x.yaml:18 bad-value: `LOGNAME` cannot be set: cron sets it to the user's name
            x.yaml:18 bad-value: `A` has a control character
            x.yaml:18 unquoted: `B` is an integer, not text
                put it in quotes: "1"
            x.yaml:18 bad-value: no quotes make cron read `C` as it is
                cron has no escapes inside quotes: set it in the command, or in a script
        "#]],
    );
}

#[test]
fn both_days_restricted_is_a_warning_and_still_a_job() {
    let (wants, told) = lowered(r#"monthly: { schedule: "0 4 1 * mon", command: x }"#);
    assert!(wants[0].is_some());
    expect![[r#"
        x.yaml:1 either-day: `0 4 1 * mon` runs when either the day of the month or the weekday matches
            cron joins the two with "or"; leave one of them `*`, or test the other in the command
    "#]]
    .assert_eq(&told);
}

#[test]
fn a_line_is_never_longer_than_cron_takes() {
    let job = |length| format!("x: {{ schedule: '@daily', command: '{}' }}", "%".repeat(length));
    assert_eq!(lowered(&job(499)).1, "");
    assert!(lowered(&job(500)).1.contains("longer than the 998 bytes"));
    let job = |length: usize| {
        format!(
            "x: {{ schedule: '@daily', command: x, environment: {{ A: {} }} }}",
            "b".repeat(length)
        )
    };
    assert_eq!(lowered(&job(996)).1, "");
    assert!(lowered(&job(997)).1.contains("longer than the 998 bytes"));
}

/// What Debian's cron hands to the shell, and whether something was cut off for its standard input.
fn as_the_shell_gets_it(command: &str) -> (String, bool) {
    let (mut text, mut escaped) = (String::new(), false);
    for it in command.chars() {
        if escaped {
            if it == '%' || it == '\\' {
                text.pop();
            }
            text.push(it);
            escaped = false;
        } else if it == '%' {
            return (text, true);
        } else {
            text.push(it);
            escaped = it == '\\';
        }
    }
    (text, false)
}

proptest::proptest! {
    #[test]
    fn the_shell_gets_the_command_of_the_model(command in r#"[%\\a' ]{0,12}"#) {
        proptest::prop_assume!(!command.contains("\\%"));
        proptest::prop_assert_eq!(as_the_shell_gets_it(&escape(&command)), (command, false));
    }

    #[test]
    fn a_variable_reads_back_as_it_was(value in r#"["'a=# ]{0,6}"#) {
        if let Some(spelled) = spell(&value) {
            proptest::prop_assert_eq!(read_variable(&spelled), Some(value));
        } else {
            // Only what has both kinds of quotes, or quotes that a second pair cannot hold.
            proptest::prop_assert!(value.contains('"') || value.contains('\''));
        }
    }
}

#[test]
fn a_job_owns_its_file_and_needs_its_user() {
    let job = want(r#"x: { schedule: "@daily", command: x, user: deploy }"#);
    let shown = |all: Vec<Identity>| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(Cron::claims(&job)), ["/etc/cron.d/x"]);
    assert_eq!(shown(Cron::uses(&job)), ["/etc/cron.d", "user deploy"]);
    let gone = want("x: absent");
    assert!(Cron::is_absent(&gone) && !Cron::is_absent(&job));
    assert_eq!(shown(Cron::uses(&gone)), ["/etc/cron.d"]);
}

fn folder() -> Folder {
    Folder { uid: 0, gid: 0, mode: Mode(0o755), open: false, bar: None }
}

fn state(shape: Option<Shape>) -> State {
    let entry = shape.map(|shape| Entry {
        shape,
        uid: 0,
        gid: 0,
        mode: MODE,
        links: 1,
        changed: 7,
        mounted: false,
        marks: steadfast_system::files::Marks::default(),
    });
    State { look: Look { folder: Some(folder()), entry }, user_exists: true }
}

fn file(text: &str) -> State {
    let content = Content::Bytes(Arc::from(text.as_bytes()));
    state(Some(Shape::File { size: text.len() as u64, content }))
}

fn with(mut state: State, change: impl FnOnce(&mut Entry)) -> State {
    change(state.look.entry.as_mut().expect("an entry"));
    state
}

#[test]
fn a_plan_says_what_separates_the_machine_from_the_promise() {
    let job = want(r#"x: { schedule: "@daily", command: "true", user: deploy }"#);
    let text = job.job.as_ref().map(|it| it.text.to_string()).unwrap();
    let equal = || {
        state(Some(Shape::File {
            size: text.len() as u64,
            content: Content::Digest(sha256(text.as_bytes())),
        }))
    };
    let gone = want("x: absent");
    let link = || state(Some(Shape::Link { target: Arc::from("/dev/null") }));
    let large = Shape::File { size: 99_000_000, content: Content::TooLarge };
    let no_cron = State { look: Look { folder: None, entry: None }, user_exists: true };
    let table: Vec<(&str, &Desired, State)> = vec![
        ("as promised", &job, equal()),
        ("nothing", &job, state(None)),
        ("no cron", &job, no_cron.clone()),
        ("no user", &job, State { user_exists: false, ..state(None) }),
        ("other content", &job, file("* * * * * root true\n")),
        ("too large", &job, state(Some(large))),
        ("mode", &job, with(equal(), |it| it.mode = Mode(0o666))),
        ("owner", &job, with(equal(), |it| (it.uid, it.gid) = (1000, 50))),
        ("two names", &job, with(equal(), |it| it.links = 2)),
        ("link", &job, link()),
        ("directory", &job, state(Some(Shape::Directory))),
        ("gone", &gone, state(None)),
        ("gone without cron", &gone, no_cron),
        ("still there", &gone, file("x")),
        ("still linked", &gone, link()),
        ("mounted", &gone, with(file("x"), |it| it.mounted = true)),
        ("a socket", &gone, state(Some(Shape::Socket))),
    ];
    let mut told = String::new();
    for (what, want, have) in &table {
        let difference = Cron::plan(want, have);
        told += &format!("{what}:\n");
        for change in &difference.changes {
            told += &format!("    {change}\n");
        }
        for obstacle in &difference.obstacles {
            told += &format!("    {obstacle:?}\n");
        }
        for note in &difference.notes {
            told += &format!("    note: {note}\n");
        }
    }
    expect![[r#"
        as promised:
        nothing:
            write 94 bytes (new, mode 0644)
        no cron:
            write 94 bytes (new, mode 0644)
            Missing(Path(AbsPath("/etc/cron.d")))
            note: there is no /etc/cron.d: is cron installed?
        no user:
            write 94 bytes (new, mode 0644)
            Missing(User(UserName("deploy")))
        other content:
            write 94 bytes (was 20)
        too large:
            write 94 bytes (was 99,000,000)
        mode:
            set mode 0666 -> 0644
        owner:
            set owner 1000 -> root, group 50 -> root
        two names:
            write 94 bytes (was one file with 2 names, which cron ignores)
        link:
            write 94 bytes (was a link to /dev/null)
        directory:
            Refused(Machine("/etc/cron.d/x is a directory, not a cron job's file"))
        gone:
        gone without cron:
        still there:
            remove (1 byte)
        still linked:
            remove (link to /dev/null)
        mounted:
            Refused(Machine("something is mounted at /etc/cron.d/x"))
        a socket:
            Refused(Machine("/etc/cron.d/x is a socket, not a cron job's file"))
    "#]]
    .assert_eq(&told);
}

#[test]
fn a_write_replaces_exactly_what_was_seen() {
    let job = want(r#"x: { schedule: "@daily", command: "true" }"#);
    let replaced = |have: &State| match Cron::plan(&job, have).changes.as_slice() {
        [Change::Write { file, .. }] => (file.replaces.clone(), file.in_place),
        other => panic!("{other:?}"),
    };
    assert_eq!(replaced(&state(None)), (Expected::Nothing, false));
    assert_eq!(replaced(&file("x")), (Expected::File { digest: sha256(b"x") }, false));
    assert_eq!(
        replaced(&with(file("x"), |it| it.mounted = true)),
        (Expected::File { digest: sha256(b"x") }, true)
    );
    let link = state(Some(Shape::Link { target: Arc::from("/x") }));
    assert_eq!(replaced(&link), (Expected::Link { target: Arc::from("/x") }, false));
}

#[test]
fn the_detail_is_a_diff_without_control_characters() {
    let job = want(r#"x: { schedule: "@daily", command: "true" }"#);
    let difference = Cron::plan(&job, &file("# \u{1b}[2Jby hand\n@daily root false\n"));
    expect![[r#"
        --- /etc/cron.d/x (current)
        +++ /etc/cron.d/x (promised)
        @@ -1,2 +1,2 @@
        -# \u{1b}[2Jby hand
        -@daily root false
        +# Kept by steadfast as cron:x; what is changed here by hand does not last.
        +@daily root true
    "#]]
    .assert_eq(&Cron::detail(&difference.changes[0]).unwrap());
    assert_eq!(Cron::deletes(&difference.changes[0]), 0);
    let removal = Cron::plan(&want("x: absent"), &file("x\n"));
    assert_eq!(Cron::deletes(&removal.changes[0]), 1);
}

#[test]
fn a_fingerprint_changes_with_the_file() {
    let of = |state: &State| Cron::fingerprint(state).digest;
    assert_eq!(
        of(&file("x")),
        of(&state(Some(Shape::File { size: 1, content: Content::Digest(sha256(b"x")) })))
    );
    assert_ne!(of(&file("x")), of(&file("y")));
    assert_ne!(of(&file("x")), of(&state(None)));
    assert_eq!(Cron::fingerprint(&file("x")).changed, Some(7));
}
