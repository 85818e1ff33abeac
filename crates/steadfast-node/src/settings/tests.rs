//! Every setting, every mistake, and what is effective.

use super::source::{GIT, SNAPSHOT};
use super::*;
use expect_test::{Expect, expect};
use steadfast_source::settings::Reference;

#[track_caller]
fn problems(text: &str, expected: Expect) {
    let (settings, diagnostics, sources) = read("agent.yaml", text.as_bytes());
    assert_eq!(settings.is_none(), diagnostics.has_errors());
    let lines: Vec<String> = diagnostics
        .iter()
        .map(|it| {
            let more = if it.label.is_empty() { String::new() } else { format!(" ({})", it.label) };
            format!("{} {}: {}{more}", it.code.0, sources.place(it.span), it.message)
        })
        .collect();
    expected.assert_eq(&lines.join("\n"));
}

#[track_caller]
fn good(text: &str) -> Settings {
    let (settings, diagnostics, _) = read("agent.yaml", text.as_bytes());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    settings.unwrap()
}

const DEFAULT: &str = include_str!("../../../../packaging/agent.yaml");

#[test]
fn the_installed_file_says_nothing_and_then_the_defaults() {
    assert_eq!(good(DEFAULT), Settings::default());
    assert_eq!(good(""), Settings::default());
    // `#key` is a setting, `# Words` are words. Where two exclude each other, one is `#|`.
    let said: String = DEFAULT
        .lines()
        .map(|it| {
            it.strip_prefix('#')
                .filter(|it| !it.starts_with([' ', '|', '#']))
                .unwrap_or("")
                .to_owned()
                + "\n"
        })
        .collect();
    let settings = good(&said);
    let expected = Settings {
        environment: Some("production".into()),
        node: Some("web1.xyz.example".into()),
        source: Some(Source::Git(Git {
            url: "https://git.xyz.example/model.git".into(),
            reference: Reference::Branch("main".into()),
            ssh_key: None,
            known_hosts: None,
            token_file: None,
            ca: None,
            proxy: None,
        })),
        trust: Some(Trust::AllowedSigners("/etc/steadfast/allowed_signers".into())),
        // All else is what holds where nothing is said.
        listen: Some("127.0.0.1:9270".into()),
        textfile: Some("/var/lib/prometheus/node-exporter/steadfast.prom".into()),
        ..Settings::default()
    };
    assert_eq!(settings, expected);
}

#[test]
fn every_setting_stands_in_the_installed_file() {
    for table in [FIELDS, SOURCE, GIT, SNAPSHOT, TRUST, INTERVALS, METRICS, SOCKET] {
        for field in table {
            let named = DEFAULT
                .lines()
                .any(|it| it.starts_with('#') && it.contains(&format!("{}:", field.name)));
            assert!(named, "{} is not in packaging/agent.yaml", field.name);
        }
    }
    // Also the lines that stand for another choice are good ones.
    let others = DEFAULT.lines().filter_map(|it| it.strip_prefix("#|"));
    for other in others {
        let (_, diagnostics, _) = read("agent.yaml", other.as_bytes());
        let unknown = diagnostics
            .iter()
            .any(|it| it.code != codes::MISSING_FIELD && it.code != codes::CONFLICTING_FIELDS);
        assert!(!unknown, "{other}: {diagnostics:?}");
    }
}

#[test]
fn what_is_effective_is_read_as_what_it_was() {
    let texts = [
        "environment: a\nsource: { snapshot: { url: \"https://a.example/\", ca: /etc/ca.pem, timeout: 1m30s } }\ntrust: { keys: /etc/keys, threshold: 2 }\nkeep: report\n",
        "source: { git: { url: \"ssh://git@git.example/model.git\", tag: live, ssh_key: /etc/key, known_hosts: /etc/known } }\ntrust: { openpgp: /etc/keys.asc }\nintervals: { fetch: 1h30m, verify: 6h }\nmetrics: { listen: \"[::1]:9270\", textfile: /a.prom }\nsocket: { group: ops }\n",
        "node: web1\nsource: { directory: /srv/model }\ntrust: none\n",
        "",
    ];
    for text in texts {
        let settings = good(text);
        assert_eq!(good(&settings.to_string()), settings, "{settings}");
    }
    expect![[r#"
        # environment: not set
        node: web1
        source: { directory: /srv/model }
        trust: none
        intervals: { fetch: 5m, keep: 30m, verify: 1d }
        keep: repair
        socket: { group: adm }
    "#]]
    .assert_eq(&good(texts[2]).to_string());
    assert_eq!(good(texts[0]).missing(), Vec::<&str>::new());
    assert_eq!(good("").missing().len(), 2);
}

#[test]
fn what_cannot_be_meant_is_an_error_with_its_line() {
    problems(
        "enviroment: production\nsource:\n  git: { url: \"https://a.example/m.git\", branch: main, tag: v1 }\nintervals: { fetch: 1s, keep: 30 }\nkeep: never\n",
        expect![[r#"
            unknown-field agent.yaml:1: `node's settings` has no field `enviroment` (did you mean `environment`?)
            conflicting-fields agent.yaml:3: `branch` and `tag` exclude each other
            bad-value agent.yaml:4: `1s` is not between 10s and 7d
            bad-value agent.yaml:4: `30` is not a time: write a number with its unit, as in 30s, 15m, 2h or 7d
            bad-value agent.yaml:5: `keep` cannot be `never`"#]],
    );
    problems(
        "source:\n  git: { url: \"ext::sh -c id\", branch: --upload-pack=x }\n  directory: model\ntrust: all\nsocket: { group: \"a b\" }\n",
        expect![[r#"
            conflicting-fields agent.yaml:3: `git` and `directory` exclude each other
            bad-value agent.yaml:4: `trust` cannot be `all`
            bad-name agent.yaml:5: `a b` is not a name"#]],
    );
    problems(
        "source: { git: { url: \"https://me:secret@a.example/m.git\", branch: main } }\ntrust: { keys: /k, threshold: 0 }\nmetrics: { listen: \"localhost\", textfile: /tmp/x }\n",
        expect![[r#"
            bad-value agent.yaml:1: a URL with a password would be seen by everybody; see token_file
            bad-value agent.yaml:2: `threshold` must be 1 or more
            bad-value agent.yaml:3: `localhost` is not an address with a port
            bad-value agent.yaml:3: node_exporter reads only files that end in .prom, not /tmp/x"#]],
    );
    problems(
        "source: { git: { url: \"git@git.example:model.git\" } }\ntrust: {}\n",
        expect![[r#"
            bad-value agent.yaml:1: `git@git.example:model.git` is not a URL: write ssh://git@git.example/model.git
            missing-field agent.yaml:1: `git` needs the field `branch` or `tag`
            missing-field agent.yaml:2: one of: allowed_signers, openpgp, keys"#]],
    );
    problems(
        "source: { snapshot: { url: \"https://a.example/\" } }\ntrust: { allowed_signers: /etc/a }\n",
        expect!["conflicting-fields agent.yaml:2: snapshots are verified with `keys`"],
    );
    problems(
        "source: { git: { url: \"https://a.example/m\", branch: main } }\n",
        expect![
            "missing-field agent.yaml:1: `trust` is not set, so nothing from https://a.example/m can be verified"
        ],
    );
    problems(
        "source: { snapshot: { url: \"http://a.example/\", timeout: 2h } }\ntrust: none\n",
        expect![[r#"
            bad-value agent.yaml:1: `2h` is not between 5s and 1h
            conflicting-fields agent.yaml:1: without signatures, anybody on the network path could change what this source delivers"#]],
    );
    for source in [
        "snapshot: { url: \"http://a.example/\" }",
        "git: { url: \"http://a.example/m\", branch: main }",
    ] {
        problems(
            &format!("source: {{ {source} }}\ntrust: none\n"),
            expect![
                "conflicting-fields agent.yaml:1: without signatures, anybody on the network path could change what this source delivers"
            ],
        );
    }
    for scheme in ["git", "ftp", "ftps", "rsync", "HTTP"] {
        let text = format!(
            "source: {{ git: {{ url: \"{scheme}://a/m\", branch: main }} }}\ntrust: none\n"
        );
        let (settings, diagnostics, _) = read("agent.yaml", text.as_bytes());
        assert!(settings.is_none() && diagnostics.has_errors(), "{scheme}");
    }
    problems(
        "source: { directory: /srv/model }\n",
        expect![
            "conflicting-fields agent.yaml:1: /srv/model is a directory, and a directory is not signed"
        ],
    );
    for harm in [
        "ext::sh -c id",
        "ssh://-oProxyCommand=x/y",
        "ssh://git@-oProxyCommand=x/y",
        "--upload-pack=x",
        "fd::3",
    ] {
        let text = format!("source: {{ git: {{ url: \"{harm}\", branch: a }} }}\ntrust: none\n");
        assert_eq!(read("agent.yaml", text.as_bytes()).0, None, "{harm}");
    }
    problems(
        "- a\n",
        expect!["wrong-type agent.yaml:1: a node's settings must be a map, and is a list"],
    );
    problems("a: [\n", expect!["bad-yaml agent.yaml:1: unclosed bracket '['"]);
}
