//! REFERENCE.md: what a server or bundle can promise, section by section, from the tables that the reader of
//! the model uses. `UPDATE_EXPECT=1` writes it again.

use super::kinds::{example, room};
use expect_test::expect_file;
use std::fmt::Write as _;
use steadfast_model::application::{TABLES, Table};
use steadfast_model::section::{COMMON, Holds, SECTIONS, Section};
use steadfast_model::{Field, Takes};
use steadfast_resources::KINDS;

const HEAD: &str = "\
# What can be promised

The sections of a server, a bundle or a component, with the fields of each, and the documents of applications. A test generates this page from the
tables that read the model; each section links to the file whose head comment explains how its fields work together.

Every field is optional unless its kind says otherwise, and what a promise does not name is left alone. Any value
may be an expression in text (`\"{{ node.name }}\"`).
";

const APPLICATIONS: &str = "
## Applications

An application has components, which servers carry; a release says what each component consists of, and the
target of an environment which release is promised there. `steadfast check` reads all of it for every node; a
run brings each component to its release in one step, or back.

    applications/people/application.yaml        what the application is
    applications/people/releases/1.4.0.yaml     a release; a file may hold several, with `---` between
    environments/production/people.yaml         the target; or below `applications:` of the environment

A component also takes every section of a server. A release's component may have sections, too: their entries
replace the application's of the same name from that release on. What a release says of a component is whole,
and nothing of it is inherited; a component that it does not name is as in the release that it follows.

Expressions of a component see its parameters and `application.name`, `application.owner`,
`component.name`, `component.directory`, `release.version`, `release.features`,
`release.at_least(\"1.10\")` (of the release that last named the component), `flags.NAME` (with `_` for each `-`,
or `flags[\"NAME\"]`), and, outside of
`when`, parameters and arguments, `deployment.id`, `deployment.directory` and `deployment.tree`. These may only
be put out as they are: a deployment is named by what it promises, so nothing else may hang on its name. With
slots, units that run once for each (`NAME@`), the front, `health`, `drain` and `ready` also see
`deployment.port`.

`flags: { file: … }` of a component names the file in which its programs read flags. It has the flags that the current
release lists, and belongs to root and the group of its first service (`Group=`, else the primary group of `User=`), mode 0640.
A value that changes is written at once, also while a release waits. With `on_change: reload` the services are reloaded
for it; with `restart` the file is a part of the deployment, and a change is a step.

A deployment keeps the values that its secrets had when it was begun, for root alone, below
`/var/lib/steadfast/deployments/secrets/`, as long as it is current, is the one before, or is being tried. So what is
repaired or gone back to has the secrets that it had. A secret whose value is another one is a step like any other. Where
one is missing, or others than root can read it, the component is *not kept* and everything stays as it is. A secret
that must die at once is revoked where it is valid.

Of each component the current deployment, the one before and as many good ones as `retain` says stay, in the order in
which they were committed, and the newest that failed; all else of ours goes when a step has ended, or where an artifact
needs the room. What a process works in, was started from, has in memory or was started with stays until it has ended,
and it is told which one; so does everything where that cannot be found out. What this program has not made is told
and not touched. Once in each `verify` every file of the tree is read, at another time on each node; between, what the
kernel shows as untouched is believed. The directories above that of a component have to be writable by root alone.
After the loss of `/var/lib/steadfast` a deployment that is in place, and is what the model wants, is known by the mark
in its directory: it is current, and there is no step.

`template: { artifact: PATH }` and `source: { artifact: PATH }` read a file of the component's own unpacked
artifact, so that configuration can travel with the code. Several components of a node may promise the same user,
group, package or directory; all else has one owner.

A version is numbers with dots between, and after `-` the words of a pre-release; 1.4 and 1.4.0 are one version.
Put one that reads as a number in quotes: `release: \"1.10\"`.

A **rollout** says when the step of a component may begin on a node. Its gates hold for a run by hand as for the
agent; whatever is closed is told, with when it opens. `window` goes by the clock of its time zone; `--now` passes it, and
`bake`, with a line in the component's history. `waves` count from when this node first saw that the deployment is
wanted, and neither a boot nor a clock that is set begins them anew; which share a node is in hangs on its name and
the component's. With `bake` a new deployment counts, and lets other components of the node begin, only after it
has been well for that long; a run by hand does not wait for it without `--wait`. `approval: required` holds every
step: approvals cannot be given in this version yet. A step counts as one of the restarts of `policy: { budget }`.
Components that provide what others of the node use go first.

| on the command line | what |
| --- | --- |
| `steadfast status [people/api]` | what runs of each component, what its step waits for, what was bad; without an agent, too |
| `steadfast explain people/api` | who promises it where, and all of that |
| `steadfast history people/api` | its steps, which have numbers of their own, and its tasks |
| `steadfast retry people/api` | what was bad or waits is tried again by the agent, or by the next run |
| `steadfast task people/api -- CMD` | runs a command with the service's user, environment and credentials in the current tree |

`component:` may stand in front of the name.
";

/// What is said after some of the tables.
const NOTES: [(&str, &str); 3] = [
    (
        "How a component is deployed",
        "
`ports` are promises: two components of a node cannot have the same one. Somebody else who listens on one is named
before a step stops anything, with the unit, the process and the promise, and the step waits. `8081` is the port on
every address, `127.0.0.1:8081` on one; `53/udp` is one of UDP.

`drain` is called before a running program is stopped, `ready` once the next one answers well. A list is a command: it
runs in `/` for at most 60 s, as root, or, where it lies in the component's `directory`, as the user of its first
service. A map is a request: a process without privileges makes it, any status from 200 to 299 is success, and where an
answer leads is not followed. Where `drain` fails nothing is stopped. Where `ready` fails it is tried again each minute.

`quiesce` names units that must not run during a step, such as workers, and jobs that timers start. What starts them is
stopped first. A job that runs is waited for; once `quiesce_for` is over the step is put off, or with
`quiesce_then: stop` the job is stopped. What was active before is started again after the first good answer, in the
opposite order. A unit that stops because it hangs on one of the component's units (`Requires=`, `BindsTo=`, `PartOf=`)
is started again too, on the way there and on the way back.
",
    ),
    (
        "Health",
        "
Without `http`, `tcp` or `command` a component is well while all of its services that are promised to run do. With one,
the services come first: one that has ended, and that nothing starts again, is not waited for.

The answer to `http` has to have one of the statuses of `expect` (200 where none is said) and all of its headers, with
just these values. It is asked on this machine only, and where it leads is not followed. A `command` runs in the
deployment's tree, as the user of the first service unless `user` says who, and has 10 s; so has any other question.

Where the port that is asked is one of the component's `ports`, one of its units has to listen there, or systemd for one of
its socket units. Else \"who answers is not proven\", and it says who listens. This takes control groups of version 2, or
somebody who may look at all processes, as root by hand; elsewhere it is not checked.
",
    ),
    ("How a component is deployed", concat!("\n", include_str!("switching.md"))),
];

#[test]
fn the_reference_is_what_the_reader_takes() {
    let mut text = HEAD.to_owned();
    writeln!(text, "\n## Every promise\n").unwrap();
    table(&mut text, COMMON);
    let files = super::files();
    for Section { name, kind, holds } in SECTIONS {
        let row = KINDS.iter().find(|it| it.name == *kind).unwrap();
        let (path, source) = room(&files, kind);
        writeln!(text, "\n## `{name}`\n\nPromises `{kind}:NAME`; see [{path}]({path}).\n").unwrap();
        let yaml = example(source).unwrap_or_default();
        writeln!(text, "```yaml\n{}```\n", yaml.replace("server: web\n", "")).unwrap();
        match holds {
            Holds::Many => {}
            Holds::One => {
                writeln!(text, "A node has only one. A name alone may replace the map.\n").unwrap();
            }
        }
        if !row.short_forms.is_empty() {
            let forms = words(&Takes::OneOf(row.short_forms));
            writeln!(text, "Short form, in place of the map of fields: {forms}.\n").unwrap();
        }
        table(&mut text, row.fields);
    }
    text.push_str(APPLICATIONS);
    for Table { title, place, fields } in TABLES {
        writeln!(text, "\n### {title}\n\n`{place}`\n").unwrap();
        table(&mut text, fields);
        for (_, notes) in NOTES.iter().filter(|(it, _)| it == title) {
            text.push_str(notes);
        }
    }
    expect_file![super::root().join("REFERENCE.md")].assert_eq(&text);
}

fn table(text: &mut String, fields: &[Field]) {
    text.push_str("| field | value | meaning |\n| --- | --- | --- |\n");
    for Field { name, takes, about } in fields {
        let (takes, about) = (words(takes).replace('|', "\\|"), about.replace('|', "\\|"));
        writeln!(text, "| `{name}` | {takes} | {about} |").unwrap();
    }
}

/// What a field takes, for people.
fn words(takes: &Takes) -> String {
    match takes {
        Takes::Text => "text".to_owned(),
        Takes::Boolean => "`true` or `false`".to_owned(),
        Takes::Integer => "a whole number".to_owned(),
        Takes::Words(all) => all.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", "),
        Takes::Duration => "a duration, as `30s`".to_owned(),
        Takes::TextOrSecret => "text, or `{ secret: NAME }`".to_owned(),
        Takes::TextList => "a list of texts".to_owned(),
        Takes::ListOf(fields) => format!("a list of maps: {}", names(fields)),
        Takes::Fields(fields) => format!("a map: {}", names(fields)),
        Takes::MapOf(of) => format!("a map from names to {}", words(of)),
        Takes::OneOf(forms) => forms.iter().map(words).collect::<Vec<_>>().join(", or "),
        Takes::ListOfAny(of) => format!("a list of {}", words(of)),
        Takes::Anything => "anything".to_owned(),
    }
}

fn names(fields: &[Field]) -> String {
    fields.iter().map(|it| format!("`{}`", it.name)).collect::<Vec<_>>().join(", ")
}
