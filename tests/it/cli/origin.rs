//! Which commit wrote a line, and what runs did to what it promises, as people and programs read it.

use super::{binary, model};
use expect_test::expect;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A model in a git repository, and a state of its own.
struct World {
    model: tempfile::TempDir,
    state: tempfile::TempDir,
}

/// The same commits have the same names wherever and whenever they are made.
fn git(folder: &Path, who: &str, arguments: &[&str]) -> String {
    let date = "2026-11-25T14:47:05Z";
    let address =
        format!("{}@xyz.example", who.split(' ').next().unwrap_or_default().to_lowercase());
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", who)
        .env("GIT_AUTHOR_EMAIL", &address)
        .env("GIT_AUTHOR_DATE", date)
        .env("GIT_COMMITTER_NAME", who)
        .env("GIT_COMMITTER_EMAIL", &address)
        .env("GIT_COMMITTER_DATE", date)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const FIRST: &str = "server: web
parameters:
  greeting: { type: string, default: hello }
files:
  /nonexistent-folder/motd:
    content: \"{{ greeting }}\\n\"
";

impl World {
    fn new() -> World {
        let world = World { model: model(FIRST), state: tempfile::tempdir().unwrap() };
        git(world.model.path(), "Anna Peeters", &["init", "--quiet", "--initial-branch=main"]);
        world.commit("Anna Peeters", "Begin");
        world
    }

    fn commit(&self, who: &str, subject: &str) -> String {
        git(self.model.path(), who, &["add", "--all"]);
        git(self.model.path(), who, &["commit", "--quiet", "-m", subject]);
        git(self.model.path(), who, &["rev-parse", "HEAD"])
    }

    fn write(&self, server: &str) {
        std::fs::write(self.model.path().join("servers/web.yaml"), server).unwrap();
    }

    fn steadfast(&self, arguments: &[&str]) -> String {
        let output = Command::new(binary())
            .env_clear()
            .args(arguments)
            .arg("--state")
            .arg(self.state.path())
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{out}");
        for line in out.lines().filter(|it| !it.starts_with('{')) {
            assert!(line.chars().count() <= 80, "longer than 80 columns: {line}");
        }
        out
    }

    fn explain(&self, more: &[&str]) -> String {
        let path = self.model.path().to_str().unwrap();
        let arguments = ["explain", "/nonexistent-folder/motd", "--model", path, "--node", "node1"];
        self.steadfast(&[&arguments[..], more].concat())
    }

    /// A history of these runs: the statements that write them.
    fn history(&self, statements: &str) {
        let path = self.state.path().join("state.db");
        let connection = rusqlite::Connection::open(path).unwrap();
        let sample = include_str!("../../formats/store-1.sql");
        let tables = sample.find("INSERT").unwrap();
        connection.execute_batch(&sample[..tables]).unwrap();
        connection.execute_batch(statements).unwrap();
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.state.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn content(&self, name: &str) -> PathBuf {
        self.state.path().join("content").join(name)
    }
}

/// Data without what differs from one machine to the next.
fn pretty(text: &str) -> String {
    let values = text.lines().map(|line| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    });
    values.collect::<Vec<String>>().join("\n") + "\n"
}

#[test]
fn explain_names_the_commit_of_each_line_and_what_is_not_committed() {
    let world = World::new();
    world.write(&FIRST.replace("hello", "good morning"));
    world.commit("Bert Claes", "Greet otherwise, and at such a length that it takes one more line");
    expect![[r#"
        file:/nonexistent-folder/motd
          promised by server web at servers/web.yaml:5
            written in fd033a20a226 of 2026-11-25 by Anna Peeters <anna@xyz.example>:
            Begin

          /nonexistent-folder/motd:
            content: "{{ greeting }}\n"

        with
          greeting = "good morning"
            from its default at servers/web.yaml:3
              written in 448aa3460129 of 2026-11-25 by Bert Claes <bert@xyz.example>:
              Greet otherwise, and at such a length that it takes one more line

        on this machine
          is           not there

        it is not kept
          write 13 bytes (new, mode 0644)
          because: /nonexistent-folder does not exist
    "#]]
    .assert_eq(&world.explain(&[]));
    world.write(&format!("# A line before\n{}", FIRST.replace("hello", "good evening")));
    let said = world.explain(&[]);
    let expected = "at servers/web.yaml:6\n    written in fd033a20a226 of 2026-11-25 by Anna Peeters <anna@xyz.example>:\n";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("at servers/web.yaml:4\n      not committed yet\n"), "{said}");
}

#[test]
fn a_commit_that_was_told_is_only_named_again() {
    let world = World::new();
    let said = world.explain(&[]);
    let expected = "at servers/web.yaml:3\n      written in fd033a20a226, see above\n";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn explain_names_the_commit_of_the_newest_line_of_a_template() {
    let world = World::new();
    let server = "server: web\nfiles:\n  \
                  /nonexistent-folder/motd: { template: templates/motd.j2, mode: \"0644\" }\n";
    world.write(server);
    std::fs::create_dir(world.model.path().join("templates")).unwrap();
    let template = world.model.path().join("templates/motd.j2");
    std::fs::write(&template, "one\n").unwrap();
    world.commit("Anna Peeters", "Greet from a file");
    let said = world.explain(&[]);
    assert!(said.contains("  the newest line of templates/motd.j2\n    written in "), "{said}");
    std::fs::write(&template, "one\ntwo\n").unwrap();
    let said = world.explain(&[]);
    let expected = "  the newest line of templates/motd.j2\n    not committed yet\n";
    assert!(said.contains(expected), "{said}");
    let data = world.explain(&["--format", "json"]);
    let data: serde_json::Value = serde_json::from_str(&data).unwrap();
    let expected = serde_json::json!([
        { "file": "templates/motd.j2", "newest": { "committed": false } }
    ]);
    assert_eq!(data["contents"], expected);
}

#[test]
fn explain_as_data_holds_what_the_text_says() {
    let world = World::new();
    world.write(&FIRST.replace("hello", "good morning"));
    world.history(
        "INSERT INTO runs VALUES (1, 1795617253000000, 1795617254000000, 'node1', 'test', '/m', 'content 0123456789ab', 0, 1, 0, 0);
         INSERT INTO judged VALUES (1, 'file:/nonexistent-folder/motd', '{\"promise\":\"file:/nonexistent-folder/motd\",\"outcome\":\"repaired\",\"changes\":[{\"line\":\"write 6 bytes (was 3), mode 0600 -> 0644\",\"detail\":\"-a\\n+b\\n\",\"facts\":[{\"verb\":\"write\",\"facet\":\"content\",\"before\":\"3\",\"after\":\"6\"},{\"verb\":\"set\",\"facet\":\"mode\",\"before\":\"0600\",\"after\":\"0644\"}]}],\"origin\":\"servers/web.yaml:5\"}');",
    );
    expect![[r#"
        {
          "event": "explained",
          "promise": "file:/nonexistent-folder/motd",
          "description": null,
          "implied": false,
          "origins": [
            {
              "by": "server web",
              "origin": {
                "file": "servers/web.yaml",
                "line": 5,
                "written": {
                  "committed": true,
                  "commit": "fd033a20a226cf37544e420cf297b800a075a622",
                  "or_before": false,
                  "author": "Anna Peeters <anna@xyz.example>",
                  "date": "2026-11-25T14:47:05Z",
                  "subject": "Begin"
                }
              },
              "taken_in": []
            }
          ],
          "contents": [],
          "with": [
            {
              "name": "greeting",
              "value": "\"good morning\"",
              "from": "its default",
              "origin": {
                "file": "servers/web.yaml",
                "line": 3,
                "written": {
                  "committed": false
                }
              }
            }
          ],
          "needs": [],
          "state": {
            "is": "not there"
          },
          "unobserved": null,
          "forecast": "not-kept",
          "changes": [
            {
              "change": "write 13 bytes (new, mode 0644)",
              "diff": "--- /nonexistent-folder/motd (current)\n+++ /nonexistent-folder/motd (promised)\n@@ -0,0 +1 @@\n+good morning\n",
              "facts": [
                {
                  "verb": "create",
                  "facet": "content",
                  "before": "absent",
                  "after": "13"
                },
                {
                  "verb": "create",
                  "facet": "mode",
                  "after": "0644"
                },
                {
                  "verb": "create",
                  "facet": "owner",
                  "after": "root"
                },
                {
                  "verb": "create",
                  "facet": "group",
                  "after": "root"
                }
              ]
            }
          ],
          "because": [
            "/nonexistent-folder does not exist"
          ],
          "notes": [],
          "last_repaired": {
            "run": 1,
            "started": "2026-11-25 14:34:13Z",
            "outcome": "repaired",
            "changes": [
              {
                "change": "write 6 bytes (was 3), mode 0600 -> 0644",
                "diff": "-a\n+b\n",
                "facts": [
                  {
                    "verb": "write",
                    "facet": "content",
                    "before": "3",
                    "after": "6"
                  },
                  {
                    "verb": "set",
                    "facet": "mode",
                    "before": "0600",
                    "after": "0644"
                  }
                ]
              }
            ],
            "was": [
              "3 bytes",
              "mode 0600"
            ],
            "changed_by": []
          },
          "history": [
            {
              "run": 1,
              "started": "2026-11-25 14:34:13Z",
              "outcome": "repaired",
              "changes": [
                {
                  "change": "write 6 bytes (was 3), mode 0600 -> 0644",
                  "diff": "-a\n+b\n",
                  "facts": [
                    {
                      "verb": "write",
                      "facet": "content",
                      "before": "3",
                      "after": "6"
                    },
                    {
                      "verb": "set",
                      "facet": "mode",
                      "before": "0600",
                      "after": "0644"
                    }
                  ]
                }
              ],
              "was": [
                "3 bytes",
                "mode 0600"
              ],
              "changed_by": []
            }
          ]
        }
    "#]].assert_eq(&pretty(&world.explain(&["--format", "json"])));
}

#[test]
fn explain_as_data_writes_nothing_else_to_where_data_goes() {
    let world = World::new();
    let path = world.model.path().to_str().unwrap();
    let said = super::steadfast(&[
        "explain", "/nowhere", "--model", path, "--node", "node1", "--format", "json",
    ]);
    let nothing: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &nothing["event"]), (0, &"nothing-promised".into()));
    assert_eq!(said.err, "");
    let said = super::steadfast(&["explain", "duplicate-key", "--format", "json"]);
    let code: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&code["event"], &code["code"]), (&"code".into(), &"duplicate-key".into()));
}

#[test]
fn explain_says_when_it_was_last_repaired_and_what_it_was_before() {
    let world = World::new();
    let judged = |run: u32, outcome: &str, changes: &str| {
        format!(
            "INSERT INTO runs VALUES ({run}, {}000000, {}500000, 'node1', 'test', '/m', 'content 0123456789ab', 0, 1, 0, 0);
             INSERT INTO judged VALUES ({run}, 'file:/nonexistent-folder/motd', '{{\"promise\":\"file:/nonexistent-folder/motd\",\"outcome\":\"{outcome}\",\"changes\":[{changes}],\"origin\":\"servers/web.yaml:5\"}}');",
            1_795_617_253 + i64::from(run),
            1_795_617_253 + i64::from(run),
        )
    };
    let change = r#"{"line":"write 6 bytes (was 886), mode 0600 -> 0644","detail":"-a\n+b\n","facts":[{"verb":"write","facet":"content","before":"886","after":"6"},{"verb":"set","facet":"mode","before":"0600","after":"0644"}]}"#;
    let mut history = judged(1, "repaired", change);
    for run in 2..6 {
        history += &judged(run, "not-kept", "");
    }
    world.history(&history);
    let said = world.explain(&[]);
    let at = said.find("\nhistory\n").unwrap() + 1;
    expect![[r#"
        history
          last repaired 2026-11-25 14:34:14Z in run 1: was 886 bytes, mode 0600
            the diff: steadfast history show 1
          2026-11-25 14:34:18Z in run 5: not kept
          2026-11-25 14:34:17Z in run 4: not kept
          2026-11-25 14:34:16Z in run 3: not kept
    "#]]
    .assert_eq(&said[at..]);
}

/// A revision as the agent keeps it, and two runs of it, of which one was cut short.
fn of_the_agent() -> World {
    let world = World::new();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    world.put(
        &format!("revisions/{commit}.json"),
        &format!(
            r#"{{"format":1,"content":"c108","source":"git x branch main","commit":"{commit}","author":"Anna Peeters <anna@xyz.example>","subject":"Greet otherwise"}}"#
        ),
    );
    world.put(
        &format!("lines/{commit}.json"),
        &format!(
            r#"{{"format":1,"revision":{{"commit":"{commit}","author":"Anna Peeters <anna@xyz.example>","authored":1795617000,"subject":"Greet otherwise"}},"commits":[{{"commit":"fedcba9876543210fedcba9876543210fedcba98","author":"Bert Claes <bert@xyz.example>","authored":1795530000,"subject":"Move the motd"}}],"files":{{"servers/web.yaml":[[4,0]]}}}}"#
        ),
    );
    let content = world.content("c108").display().to_string();
    world.history(&format!(
        "INSERT INTO runs VALUES (1, 1795617253000000, 1795617254000000, 'node1', 'test', '{content}', 'content 0123456789ab, checkout at commit 0123456789ab', 3, 1, 0, 0);
         INSERT INTO judged VALUES (1, 'file:/etc/motd', '{{\"promise\":\"file:/etc/motd\",\"outcome\":\"repaired\",\"changes\":[{{\"line\":\"write 6 bytes (was 3)\",\"detail\":\"-it\\n+hello\\n\"}}],\"origin\":\"servers/web.yaml:5\"}}');
         INSERT INTO judged VALUES (1, 'file:/etc/issue', '{{\"promise\":\"file:/etc/issue\",\"outcome\":\"repaired\",\"changes\":[{{\"line\":\"set mode 0600 -> 0644\"}}],\"origin\":\"servers/web.yaml:2\"}}');
         INSERT INTO judged VALUES (1, 'service:nginx', '{{\"promise\":\"service:nginx\",\"outcome\":\"repaired\",\"changes\":[{{\"line\":\"start\"}}],\"origin\":\"std/nginx.yaml:26\"}}');
         INSERT INTO runs VALUES (2, 1795617263000000, NULL, 'node1', 'test', '{content}', 'content 0123456789ab, checkout at commit 0123456789ab', NULL, NULL, NULL, NULL);
         INSERT INTO runs VALUES (3, 1795617273000000, 1795617274000000, 'node1', 'test', '/srv/model', 'content 0123456789ab, checkout at commit 0123456789ab', 4, 0, 1, 0);",
    ));
    world
}

#[test]
fn the_history_names_the_commit_of_a_run_and_of_the_lines_that_it_kept() {
    let world = of_the_agent();
    expect![[r#"
        $ steadfast history
            3  2026-11-25 14:34:33Z  1 not kept, 4 kept
            2  2026-11-25 14:34:23Z  interrupted
               0123456789ab by Anna Peeters <anna@xyz.example>: Greet otherwise
            1  2026-11-25 14:34:13Z  1 repaired, 3 kept
               0123456789ab by Anna Peeters <anna@xyz.example>: Greet otherwise
    "#]]
    .assert_eq(&format!("$ steadfast history\n{}", world.steadfast(&["history"])));
    let said = world.steadfast(&["history", "show", "1"]);
    expect![[r#"
        run 1: 1 repaired, 3 kept
        node      node1 in test
        model     adopted by the agent (content 0123456789ab, checkout at commit
                  0123456789ab)
        commit    0123456789ab by Anna Peeters <anna@xyz.example>: Greet otherwise
        began     2026-11-25 14:34:13Z
        ended     2026-11-25 14:34:14Z

        repaired  file:/etc/motd
                  promised at servers/web.yaml:5
                    written in fedcba987654 of 2026-11-24 by Bert Claes
                    <bert@xyz.example>: Move the motd
                  write 6 bytes (was 3)
                  -it
                  +hello

        repaired  file:/etc/issue
                  promised at servers/web.yaml:2
                    written in or before 0123456789ab of 2026-11-25: who wrote it is not
                    known here
                  set mode 0600 -> 0644

        repaired  service:nginx
                  promised at std/nginx.yaml:26
                  start
    "#]]
    .assert_eq(&said);
}

#[test]
fn the_history_as_data_holds_the_commits_too() {
    let world = of_the_agent();
    let said = world.steadfast(&["history", "show", "1", "--format", "json"]);
    let said = said.replace(&world.content("c108").display().to_string(), "CONTENT");
    expect![[r#"
        {
          "event": "run",
          "run": 1,
          "started": "2026-11-25 14:34:13Z",
          "finished": "2026-11-25 14:34:14Z",
          "under_way": false,
          "node": "node1",
          "environment": "test",
          "model": "CONTENT",
          "revision": "content 0123456789ab, checkout at commit 0123456789ab",
          "commit": "0123456789abcdef0123456789abcdef01234567",
          "author": "Anna Peeters <anna@xyz.example>",
          "subject": "Greet otherwise",
          "kept": 3,
          "repaired": 1,
          "not_kept": 0,
          "held": 0
        }
        {
          "event": "judged",
          "promise": "file:/etc/motd",
          "outcome": "repaired",
          "changes": [
            {
              "change": "write 6 bytes (was 3)",
              "diff": "-it\n+hello\n",
              "facts": []
            }
          ],
          "because": [],
          "notes": [],
          "origin": "servers/web.yaml:5",
          "changed_by": [],
          "written": {
            "committed": true,
            "commit": "fedcba9876543210fedcba9876543210fedcba98",
            "or_before": false,
            "author": "Bert Claes <bert@xyz.example>",
            "date": "2026-11-24T14:20:00Z",
            "subject": "Move the motd"
          }
        }
        {
          "event": "judged",
          "promise": "file:/etc/issue",
          "outcome": "repaired",
          "changes": [
            {
              "change": "set mode 0600 -> 0644",
              "diff": null,
              "facts": []
            }
          ],
          "because": [],
          "notes": [],
          "origin": "servers/web.yaml:2",
          "changed_by": [],
          "written": {
            "committed": true,
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "or_before": true,
            "author": null,
            "date": "2026-11-25T14:30:00Z",
            "subject": null
          }
        }
        {
          "event": "judged",
          "promise": "service:nginx",
          "outcome": "repaired",
          "changes": [
            {
              "change": "start",
              "diff": null,
              "facts": []
            }
          ],
          "because": [],
          "notes": [],
          "origin": "std/nginx.yaml:26",
          "changed_by": [],
          "written": null
        }
    "#]]
    .assert_eq(&pretty(&said));
    let all = world.steadfast(&["history", "--format", "json"]);
    let runs: Vec<serde_json::Value> =
        all.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(runs[0]["author"], serde_json::Value::Null, "a run of another model: {all}");
    assert_eq!(runs[1]["author"], "Anna Peeters <anna@xyz.example>");
    assert_eq!(runs[1]["under_way"], false);
}
