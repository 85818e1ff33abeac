//! The command line as people meet it: help, errors, exit codes. Nothing here needs root.

mod components;
mod filled;
mod flags;
mod json;
mod origin;

use expect_test::{expect, expect_file};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The command that lies beside this test binary.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("steadfast")
}

/// Runs it with an empty environment, on no terminal, with a state directory of its own.
pub(crate) fn steadfast(arguments: &[&str]) -> Said {
    said(Command::new(binary()), arguments)
}

fn said(mut command: Command, arguments: &[&str]) -> Said {
    let state = tempfile::tempdir().unwrap();
    let output = command
        .env_clear()
        .args(arguments)
        .arg("--state")
        .arg(state.path().join("state"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .output()
        .unwrap();
    let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
    assert!(!state.path().join("state").exists(), "{arguments:?} wrote to the state directory");
    Said {
        code: output.status.code().unwrap(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

/// The same where the users are known whom the package makes: as root they do what strangers have a say in.
/// Where this host has not got them, a list of users with them lies over its own, for this command alone.
pub(crate) fn steadfast_with_its_users(arguments: &[&str]) -> Said {
    let known = std::fs::read_to_string("/etc/passwd").unwrap();
    if !rustix::process::geteuid().is_root() || known.contains("\nsteadfast-verify:") {
        return steadfast(arguments);
    }
    let users = [("steadfast-fetch", 64_321), ("steadfast-verify", 64_322)];
    let lines = users.map(|(name, id)| format!("{name}:x:{id}:{id}::/:/usr/sbin/nologin\n"));
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(list.path(), known + &lines.concat()).unwrap();
    let mut unshare = Command::new("unshare");
    let lay_over = "mount --bind \"$0\" /etc/passwd && exec \"$@\"";
    unshare.args(["--mount", "sh", "-c", lay_over]).arg(list.path()).arg(binary());
    said(unshare, arguments)
}

/// The same where no systemd is to be found: one that runs is hidden, which takes root.
fn steadfast_without_systemd(arguments: &[&str]) -> Option<Said> {
    if !Path::new("/run/systemd/system").exists() {
        return Some(steadfast(arguments));
    }
    crate::require::is_root().then(|| {
        let mut unshare = Command::new("unshare");
        let hide = "mount -t tmpfs tmpfs /run && exec \"$0\" \"$@\"";
        unshare.args(["--mount", "sh", "-c", hide]).arg(binary());
        said(unshare, arguments)
    })
}

/// A model of one server file.
pub(crate) fn model(server: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("model.yaml", "model: test\nformat: 1\n");
    put("environments/test.yaml", "environment: test\nnodes:\n  node1: { servers: [web] }\n");
    put("servers/web.yaml", server);
    folder
}

#[test]
fn the_whole_help_is_as_its_golden_says() {
    let mut all = String::new();
    let commands = [
        "run",
        "check",
        "explain",
        "facts",
        "flags",
        "status",
        "retry",
        "task",
        "adopt",
        "suspend",
        "resume",
        "agent",
        "history",
        "publish",
        "keys",
        "verify",
        "schema",
        "completions",
        "man",
    ];
    let mut pages: Vec<Vec<&str>> = vec![vec![]];
    pages.extend(commands.iter().map(|it| vec![*it]));
    pages.push(vec!["history", "show"]);
    pages.extend(["create", "show", "sign", "rotate"].map(|it| vec!["keys", it]));
    for mut page in pages {
        page.push("--help");
        let said = steadfast(&page);
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        for line in said.out.lines() {
            assert!(line.chars().count() <= 80, "longer than 80 columns: {line}");
        }
        all.push_str(&format!("$ steadfast {}\n{}\n", page.join(" "), said.out));
    }
    expect_file!["../cli/help.out"].assert_eq(&all);
}

#[test]
fn twice_verbose_tells_what_a_look_reads_and_resolves() {
    let model = model("server: web\nfiles:\n  /etc/steadfast-test: { content: not-to-be-told }\n");
    let look = ["run", "--dry-run", "--node", "node1", "--model", model.path().to_str().unwrap()];
    let quiet = steadfast(&look);
    assert_eq!(quiet.code, 0, "{}", quiet.err);
    assert!(!quiet.err.contains("debug: "), "{}", quiet.err);
    let told = steadfast(&[&look[..], &["-vv"]].concat());
    assert_eq!(told.code, 0);
    let (events, rest): (Vec<&str>, Vec<&str>) =
        told.err.lines().partition(|it| it.starts_with("debug: "));
    // What is shown without it is shown as before.
    assert_eq!(rest, quiet.err.lines().collect::<Vec<&str>>());
    let count = |words: &str| events.iter().filter(|it| it.contains(words)).count();
    assert_eq!(count("begins command=run state="), 1, "{}", told.err);
    assert_eq!(count("read{path="), 1, "{}", told.err);
    assert_eq!(count("resolve: not remembered"), 1, "{}", told.err);
    assert_eq!(count("resolve{node=node1}: resolved"), 1, "{}", told.err);
    assert_eq!(count("not-to-be-told"), 0, "{}", told.err);
}

#[test]
fn mistakes_in_a_model_are_told_in_every_format() {
    let model = model("server: web\nfiles:\n  /etc/motd: { content: x, ownr: root }\n");
    let path = model.path().to_str().unwrap();
    let text = steadfast(&["check", path]);
    assert_eq!(text.code, 5);
    expect![[r#"
        error[unknown-field]: `file` has no field `ownr`
         --> servers/web.yaml:3:28
          |
        3 |   /etc/motd: { content: x, ownr: root }
          |                            ^^^^ did you mean `owner`?
          |
          = help: fields of a file: state, content, content_base64, template,
                  variables, source, edits, owner, group, mode, validate, replace,
                  create, sensitive, force, keep_backup

        1 node, 0 promises: 1 error, 0 warnings.
    "#]]
    .assert_eq(&text.out);
    let json = steadfast(&["check", path, "--format", "json"]);
    let lines: Vec<serde_json::Value> =
        json.out.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(lines[0]["code"], "unknown-field");
    assert_eq!((&lines[0]["line"], &lines[0]["column"]), (&3.into(), &28.into()));
    assert_eq!(lines[1]["exit"], 5);
    let github = steadfast(&["check", path, "--format", "github"]);
    assert!(
        github.out.starts_with("::error file=servers/web.yaml,line=3,col=28,"),
        "{}",
        github.out
    );
    let run = steadfast(&["run", "--dry-run", "--model", path, "--node", "node1"]);
    assert_eq!(run.code, 5);
    assert!(
        run.err.ends_with("error: the model has 1 error; nothing was changed\n"),
        "{}",
        run.err
    );
}

#[test]
fn a_window_in_a_zone_that_nobody_knows_is_a_mistake() {
    let model = model("server: web\nfiles:\n  /etc/motd: { content: x }\n");
    let environment = "environment: test
nodes:
  node1: { servers: [web] }
  node2: { servers: [web] }
policy:
  adopt: { window: [Mon 09:00-16:00 Europe/Brussels, Tue 09:00-16:00 Europe/Brusels] }
";
    std::fs::write(model.path().join("environments/test.yaml"), environment).unwrap();
    let text = steadfast(&["check", model.path().to_str().unwrap()]);
    assert_eq!(text.code, 5);
    expect![[r#"
        error[bad-window]: no time zone is called `Europe/Brusels` on this machine
         --> environments/test.yaml:6:54
          |
        6 |   adopt: { window: [Mon 09:00-16:00 Europe/Brussels, Tue 09:00-16:00 Europe/Brusels] }
          |                                                      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          |
          = help: a name of the time zone database (tzdata), as in Europe/Brussels

        2 nodes, 2 promises: 1 error, 0 warnings.
    "#]]
    .assert_eq(&text.out);
}

#[test]
fn a_value_that_is_nested_in_itself_over_and_over_ends_as_a_mistake() {
    let model = model("server: web\nfiles:\n  /tmp/x: { template: templates/x.j2 }\n");
    std::fs::create_dir(model.path().join("templates")).unwrap();
    for count in [2_000, 15_000, 60_000] {
        let nest = format!("{{% set x = {}x{} %}}", "[".repeat(20), "]".repeat(20));
        let text = format!("{{% set x = 1 %}}{}{{{{ x }}}}", nest.repeat(count));
        std::fs::write(model.path().join("templates/x.j2"), text).unwrap();
        let said = steadfast(&["check", model.path().to_str().unwrap()]);
        let expected = if count == 2_000 { 0 } else { 5 };
        assert_eq!(said.code, expected, "{count}: {}{}", said.out, said.err);
    }
}

#[test]
fn what_cannot_be_found_is_a_usage_error_that_says_what_there_is() {
    let model = model("server: web\n");
    let path = model.path().to_str().unwrap();
    let said = steadfast(&["run", "--dry-run", "--model", "/nonexistent"]);
    assert_eq!((said.code, said.err.as_str()), (2, "error: there is no model at /nonexistent\n"));
    let said = steadfast(&["run", "--dry-run", "--model", path, "--environment", "prod"]);
    assert_eq!(said.code, 2);
    expect![[r#"
        error: the model has no environment `prod`
          help: it has: test
    "#]]
    .assert_eq(&said.err);
    let said = steadfast(&["run"]);
    assert_eq!(said.code, 2);
    let said = steadfast(&["run", "--bogus"]);
    assert_eq!(said.code, 2);
}

#[test]
fn a_node_that_nobody_names_promises_nothing_and_says_so() {
    let model = model("server: web\n");
    let path = model.path().to_str().unwrap();
    let said = steadfast(&["run", "--dry-run", "--model", path, "--node", "stranger"]);
    assert_eq!(said.code, 0);
    assert_eq!(said.out, "nothing is promised: no environment of the model names stranger\n");
    // Programs are told so too, before the totals.
    let arguments = ["run", "--dry-run", "--model", path, "--node", "stranger", "--format", "json"];
    let said = steadfast(&arguments);
    let lines: Vec<serde_json::Value> =
        said.out.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let expected = serde_json::json!({
        "event": "nothing-promised",
        "node": "stranger",
        "words": "nothing is promised: no environment of the model names stranger",
    });
    assert_eq!(lines[0], expected);
    assert_eq!((said.code, lines.len(), &lines[1]["event"]), (0, 2, &"summary".into()));
    let arguments = ["explain", "/a", "--model", path, "--node", "stranger", "--format", "json"];
    let said = steadfast(&arguments);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&said.out).unwrap(), expected);
}

#[test]
fn a_dry_run_shows_the_difference_and_its_certainty() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.conf");
    std::fs::write(&file, "old\nsame\n").unwrap();
    let server =
        format!("server: web\nfiles:\n  {}: {{ content: \"new\\nsame\\n\" }}\n", file.display());
    let model = model(&server);
    let path = model.path().to_str().unwrap();
    let arguments = ["run", "--dry-run", "--model", path, "--node", "node1"];
    let said = steadfast(&arguments);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    for part in [
        "\ncertain   file:",
        "write 9 bytes (was 9)",
        "          -old\n          +new\n           same\n",
        "Forecast: 0 kept, 1 to repair.\n1 change: 1 certain, 0 expected, 0 unknown. Nothing was changed.\n",
    ] {
        assert!(said.out.contains(part), "{part:?} is not in:\n{}", said.out);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "old\nsame\n");
    let pending = steadfast(&[&arguments[..], &["--exit-code"]].concat());
    assert_eq!(pending.code, 3);
    let json = steadfast(&[&arguments[..], &["--format", "json"]].concat());
    let first: serde_json::Value = serde_json::from_str(json.out.lines().next().unwrap()).unwrap();
    assert_eq!((&first["event"], &first["certainty"]), (&"forecast".into(), &"certain".into()));
}

#[test]
fn what_explain_says_ends_at_the_width_of_the_terminal() {
    let long = "word ".repeat(30);
    let server = format!(
        "server: web\nparameters:\n  greeting: {{ type: string, default: {long}}}\nfiles:\n  \
         /nonexistent-folder/motd:\n    content: \"{{{{ greeting }}}}\\n\"\n"
    );
    let model = model(&server);
    let path = model.path().to_str().unwrap();
    let said =
        steadfast(&["explain", "/nonexistent-folder/motd", "--model", path, "--node", "node1"]);
    assert!(said.out.contains("  greeting = \"word word"), "{}{}", said.out, said.err);
    for line in said.out.lines() {
        assert!(line.chars().count() <= 80, "longer than 80 columns: {line}");
    }
}

/// A model whose file was changed in nothing but a tab, with a warning, and the arguments of a look at it.
fn tab(folder: &Path) -> tempfile::TempDir {
    let file = folder.join("x.conf");
    std::fs::write(&file, "a\tb\n").unwrap();
    model(&format!(
        "server: web\nfiles:\n  {}: {{ content: \"a    b\\n\" }}\nservices:\n  \
         nowhere-at-all: {{ restart_on: [\"file:/nothing\"] }}\n",
        file.display()
    ))
}

#[test]
fn a_tab_in_a_difference_does_not_look_like_spaces() {
    let folder = tempfile::tempdir().unwrap();
    let model = tab(folder.path());
    let path = model.path().to_str().unwrap();
    let said = steadfast(&["run", "--dry-run", "--model", path, "--node", "node1"]);
    assert!(said.out.contains("          -a→   b\n          +a    b\n"), "{}", said.out);
}

#[test]
fn a_run_says_what_check_warns_of_and_its_data_stay_data() {
    let folder = tempfile::tempdir().unwrap();
    let model = tab(folder.path());
    let path = model.path().to_str().unwrap();
    let warned = "warning[matches-nothing]: `file:/nothing` matches no promise of this node\n";
    for format in ["text", "json"] {
        let arguments =
            ["run", "--dry-run", "--model", path, "--node", "node1", "--format", format];
        let said = steadfast(&arguments);
        assert!(said.err.starts_with(warned), "{}", said.err);
        assert!(!said.out.contains("matches-nothing"), "{}", said.out);
    }
}

#[test]
fn text_and_json_of_a_look_count_alike_and_have_one_shape_of_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("x"), "old\n").unwrap();
    let server = format!(
        "server: web\nfiles:\n  {}: {{ content: new, validate: [\"true\", \"{{file}}\"] }}\n  \
         {}: {{ content: x, owner: nobody-at-all }}\n  {}: {{ content: x, keep: report }}\n",
        at("x"),
        at("y"),
        at("z")
    );
    let model = model(&server);
    let path = model.path().to_str().unwrap();
    let arguments = ["run", "--dry-run", "--model", path, "--node", "node1"];
    let text = steadfast(&arguments);
    let totals = "\nForecast: 0 kept, 1 to repair, 1 that cannot be kept, 1 held.\n\
                  1 change: 0 certain, 0 expected, 1 unknown. Nothing was changed.\n";
    assert!(text.out.ends_with(totals), "{}", text.out);
    let json = steadfast(&[&arguments[..], &["--format", "json"]].concat());
    let events: Vec<serde_json::Value> =
        json.out.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let first = &events[0];
    assert!(first["notes"].is_array() && first["change"].is_string(), "{first}");
    let summary = events.last().unwrap();
    let forecast = serde_json::json!({ "certain": 0, "expected": 0, "unknown": 1, "untold": 0 });
    assert_eq!(summary["forecast"], forecast);
    assert_eq!(
        [&summary["kept"], &summary["pending"], &summary["not_kept"], &summary["held"]],
        [0, 1, 1, 1]
    );
}

#[test]
fn a_unit_that_nobody_promised_is_shown_and_is_no_promise() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    let server = format!(
        "server: web\nfiles:\n  {}: {{ content: x, restarts: nowhere-at-all }}\n",
        file.display()
    );
    let model = model(&server);
    let path = model.path().to_str().unwrap();
    let arguments = ["run", "--dry-run", "--model", path, "--node", "node1"];
    let Some(said) = steadfast_without_systemd(&arguments) else { return };
    assert!(said.out.starts_with("node1 in test: 1 promise ("), "{}", said.out);
    assert!(said.out.contains("service:nowhere-at-all"), "{}", said.out);
    let totals = "\nForecast: 0 kept, 1 to repair, and 1 unpromised unit to repair.\n";
    assert!(said.out.contains(totals), "{}", said.out);
}

#[test]
fn a_state_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    // A path that leads in a circle is closed to root, too.
    let circle = folder.path().join("circle");
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    let model = model("server: web\nfiles:\n  /nonexistent-folder/x: { content: x }\n");
    let model = model.path().to_str().unwrap();
    let with_state = |arguments: &[&str]| {
        let output = Command::new(binary())
            .env_clear()
            .args(arguments)
            .arg("--state")
            .arg(&circle)
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, err) = with_state(&["history"]);
    assert_eq!(code, 9, "{err}");
    assert!(err.starts_with("error: look at the state database "), "{err}");
    let warned =
        "warning: the state directory cannot be read: what restarts are owed is not known\n";
    let look = ["--model", model, "--node", "node1"];
    // Nor is what was once written from a secret taken for none.
    let hidden = format!(
        "warning: every file counts as secret: read {}/secret-paths.json, which says where secrets were \
         written: Too many levels of symbolic links (os error 40)\n",
        circle.display()
    );
    for (command, more) in
        [(&["explain", "/nonexistent-folder/x"][..], ""), (&["run", "--dry-run"], &*hidden)]
    {
        let (code, err) = with_state(&[command, &look].concat());
        assert_ne!(code, 9);
        assert_eq!(err, format!("{warned}{more}"), "{command:?}");
    }
}

#[test]
fn a_damaged_history_is_told_and_set_aside_by_whoever_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let model = model("server: web\nfiles:\n  /nonexistent-folder/x: { content: x }\n");
    let model = model.path().to_str().unwrap();
    for command in [
        &["history"][..],
        &["explain", "/nonexistent-folder/x", "--model", model, "--node", "node1"],
    ] {
        std::fs::write(state.join("state.db"), [7; 5000]).unwrap();
        let output =
            Command::new(binary()).args(command).arg("--state").arg(&state).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(err.starts_with("warning: the state database was damaged"), "{err}");
    }
}

#[test]
fn explain_names_who_promised_with_which_parameters_and_what_is_there() {
    let server = "server: web\nparameters:\n  greeting: { type: string, default: hello }\nfiles:\n  \
                  /nonexistent-folder/motd:\n    description: what is said at login\n    \
                  content: \"{{ greeting }}\\n\"\n";
    let model = model(server);
    let path = model.path().to_str().unwrap();
    let said =
        steadfast(&["explain", "/nonexistent-folder/motd", "--model", path, "--node", "node1"]);
    assert_eq!(said.code, 0, "{}", said.err);
    expect![[r#"
        file:/nonexistent-folder/motd
          what is said at login
          promised by server web at servers/web.yaml:5

          /nonexistent-folder/motd:
            description: what is said at login
            content: "{{ greeting }}\n"

        with
          greeting = "hello"
            from its default at servers/web.yaml:3

        on this machine
          is           not there

        it is not kept
          write 6 bytes (new, mode 0644)
          because: /nonexistent-folder does not exist
    "#]]
    .assert_eq(&said.out);
    let code = steadfast(&["explain", "duplicate-key"]);
    assert_eq!(code.code, 0);
    assert!(code.out.starts_with("duplicate-key\n\nOne key stands twice in a map."));
}

#[test]
fn the_schemas_are_closed_json() {
    let said = steadfast(&["schema", "server"]);
    let schema: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    let file = &schema["properties"]["files"];
    assert!(file.to_string().contains("keep_backup"), "{file}");
    // A file of a component's artifact, and of the front that leads to its slots.
    let file = &file["additionalProperties"]["anyOf"][0]["properties"];
    assert!(file["template"].to_string().contains("artifact"), "{file}");
    let said = steadfast(&["schema", "application"]);
    let schema: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let component = &schema["properties"]["components"]["additionalProperties"]["properties"];
    assert!(component["front"].to_string().contains("keep_backup"), "{component}");
    let said = steadfast(&["schema", "environment"]);
    for field in ["prefix", "retain", "coordination"] {
        assert!(said.out.contains(&format!("\"{field}\"")), "{field}");
    }
    let all = steadfast(&["schema"]);
    let all: serde_json::Value = serde_json::from_str(&all.out).unwrap();
    assert_eq!(all["anyOf"].as_array().unwrap().len(), 7);
    assert_eq!(steadfast(&["schema", "sever"]).code, 2);
}

#[test]
fn facts_are_a_document_that_check_reads() {
    let said = steadfast(&["facts"]);
    let facts = steadfast_model::check::data(said.out.as_bytes()).unwrap();
    assert!(facts["cpus"].as_i64().unwrap() > 0 && facts["hostname"].is_string());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let script = format!("'{}' schema | head -1; echo ${{PIPESTATUS[0]}}", binary().display());
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\n0\n");
}

#[test]
fn manual_pages_and_completions_are_made_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let said = steadfast(&["man", "--output", folder.path().to_str().unwrap()]);
    assert_eq!(said.code, 0, "{}", said.err);
    for page in ["steadfast.1", "steadfast-run.1", "steadfast-check.1", "steadfast-history.1"] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
    // A page names only pages that are there.
    for page in std::fs::read_dir(folder.path()).unwrap() {
        let text = std::fs::read_to_string(page.unwrap().path()).unwrap().replace("\\-", "-");
        for name in text.lines().filter_map(|it| it.strip_suffix("(1)")) {
            assert!(folder.path().join(format!("{name}.1")).exists(), "{name}");
        }
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(steadfast(&["completions", shell]).out.contains("dry-run"), "{shell}");
    }
}
