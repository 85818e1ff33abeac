//! The fields of a component that are read once its expressions have their values, for its reader and for
//! the JSON Schema.

use crate::schema::{Field, Takes};

pub(crate) const FIELDS: &[Field] = &[
    Field::new("unpack", Takes::Fields(UNPACK), "How its archive becomes a tree of files"),
    Field::new("ports", PORTS, "Ports that it alone listens on: 8081, 53/udp, ADDRESS:8081"),
    Field::new("slots", PORTS, "With `switch: blue-green`: its two ports"),
    Field::new(
        "health",
        Takes::Fields(HEALTH),
        "How it is known to be well (default: its services run)",
    ),
    Field::new(
        "switch",
        Takes::Words(&["restart", "reload", "socket", "blue-green"]),
        "How a new deployment takes over (default: restart)",
    ),
    Field::new("front", Takes::Fields(FRONT), "With `switch: blue-green`: what moves the traffic"),
    Field::new("drain", HOOK, "Called before it stops: a command, or a request"),
    Field::new("ready", HOOK, "Called once it answers: a command, or a request"),
    Field::new(
        "drain_for",
        Takes::Duration,
        "How long the old program goes on once it gets no more traffic (default: 30s)",
    ),
    Field::new("quiesce", Takes::TextList, "Units that stop before the switch, in this order"),
    Field::new(
        "quiesce_for",
        Takes::Duration,
        "How long a running job is waited for (default: 5m)",
    ),
    Field::new(
        "quiesce_then",
        Takes::Words(&["wait", "stop"]),
        "When that time is over: put the step off (default), or stop the job",
    ),
    Field::new(
        "migrate",
        Takes::Fields(MIGRATE),
        "It is the schema of a database, moved by programs",
    ),
    Field::new(
        "contract",
        Takes::Fields(CONTRACT),
        "Proof of disuse before an interface is taken away",
    ),
    Field::new(
        "migrates_itself",
        Takes::Boolean,
        "Its program changes its database when it starts: no way back then (default: false)",
    ),
    Field::new("flags", Takes::Fields(FLAGS), "The file in which it reads its flags"),
    Field::new(
        "retain",
        Takes::Integer,
        "How many good deployments are kept, at least 2 (default: the policy's, or 3)",
    ),
    Field::new(
        "verify",
        Takes::Duration,
        "How often every file of its tree is read (default: the policy's, or 24h)",
    ),
];

const PORTS: Takes = Takes::ListOfAny(&Takes::OneOf(&[Takes::Integer, Takes::Text]));

pub(crate) const UNPACK: &[Field] = &[
    Field::new("strip", Takes::Integer, "Leading parts of each name to take off (default: 0)"),
    Field::new(
        "max",
        SIZE,
        "The most bytes of the tree (default: 2GiB or 20 times the artifact's size)",
    ),
    Field::new(
        "setuid",
        Takes::Boolean,
        "Accept setuid files and file capabilities (default: false)",
    ),
    Field::new("links", Takes::Words(&["inside", "any"]), "Where links may lead (default: inside)"),
    Field::new("group", Takes::Text, "With `private`: the group that may read the tree"),
    Field::new(
        "private",
        Takes::Boolean,
        "Only root and `group` may read the tree (default: false)",
    ),
    Field::new("adopt", Takes::Text, "The path of a deployment made by hand, to be taken over"),
];

const SIZE: Takes = Takes::OneOf(&[Takes::Integer, Takes::Text]);

pub(crate) const HEALTH: &[Field] = &[
    Field::new("http", Takes::Text, "A URL that answers while it is well"),
    Field::new("tcp", Takes::Text, "ADDRESS:PORT that accepts connections while it is well"),
    Field::new("command", COMMAND, "A program that ends with 0 while it is well"),
    Field::new("user", Takes::Text, "Who runs the command (default: the first service's user)"),
    Field::new("expect", Takes::Fields(EXPECT), "What the answer to `http` has to be"),
    Field::new("within", Takes::Duration, "By when it has to be well, at most 1h (default: 30s)"),
    Field::new("for", Takes::Duration, "How long it has to be well, at most 1h (default: 5s)"),
];

const COMMAND: Takes = Takes::TextList;

pub(super) const EXPECT: &[Field] = &[
    Field::new("status", STATUS, "A status, or a list of them (default: 200)"),
    Field::new("header", Takes::MapOf(&Takes::Text), "Headers with their exact values"),
];

const STATUS: Takes = Takes::OneOf(&[Takes::Integer, Takes::ListOfAny(&Takes::Integer)]);

pub(super) const FRONT: &[Field] = &[
    Field::new("files", Takes::MapOf(&Takes::Anything), "Files of a proxy, with `reloads`"),
    Field::new("haproxy", Takes::Fields(HAPROXY), "A server of a running HAProxy"),
];

pub(super) const HAPROXY: &[Field] = &[
    Field::new("socket", Takes::Text, "The path of its runtime socket"),
    Field::new("backend", Takes::Text, "The backend's name"),
    Field::new("server", Takes::Text, "The server's name in it"),
];

const HOOK: Takes = Takes::OneOf(&[Takes::TextList, Takes::Fields(CALL)]);

pub(super) const CALL: &[Field] = &[
    Field::new("http", Takes::Text, "The URL"),
    Field::new("method", Takes::Text, "The method (default: POST)"),
    Field::new("header", Takes::MapOf(&Takes::TextOrSecret), "Headers"),
];

pub(crate) const MIGRATE: &[Field] = &[
    Field::new("observe", Takes::TextList, "Prints the version of the database as JSON"),
    Field::new("up", Takes::TextList, "Brings it from {from} to {to}"),
    Field::new("user", Takes::Text, "Who runs both (default: root)"),
    Field::new("timeout", Takes::Duration, "How long `up` may take (default: any time)"),
    Field::new(
        "lock",
        Takes::TextList,
        "A command in front of `up` that holds a lock while it runs",
    ),
    Field::new("pause_when", Takes::TextList, "While this ends with 0, `up` is not called"),
    Field::new("window", Takes::OneOf(&[Takes::Text, Takes::TextList]), "When it may run"),
    Field::new("environment", Takes::MapOf(&Takes::Text), "Environment variables"),
    Field::new("secrets", Takes::MapOf(&Takes::Text), "Credentials, by name: the secret's name"),
];

pub(super) const CONTRACT: &[Field] = &[
    Field::new(
        "measure",
        Takes::TextList,
        "Prints how often the interface was used in the last hour",
    ),
    Field::new("quiet", Takes::Duration, "How long it has to be 0"),
];

pub(crate) const FLAGS: &[Field] = &[
    Field::new("file", Takes::Text, "The path of the file"),
    Field::new("format", Takes::Words(&["flagd", "json", "env"]), "Its format (default: flagd)"),
    Field::new("on_change", Takes::Words(&["none", "reload", "restart"]), "What follows a change"),
    Field::new(
        "group",
        Takes::Text,
        "Who may read it (default: the group of the first service's user)",
    ),
];
