//! Every diagnostic code with its explanation: what `steadfast explain CODE` prints. A test demands
//! an entry and at least one bad example for each.

use crate::diagnostic::Code;
use serde::{Deserialize, Deserializer};

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = ALL.iter().map(|(code, _)| *code).find(|it| it.0 == text);
        known.ok_or_else(|| serde::de::Error::custom("no such code"))
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: Code = Code($text);)+
        /// All codes, each with its explanation.
        pub const ALL: &[(Code, &str)] = &[$(($name, concat!($($doc, "\n"),+)),)+];
    };
}

codes! {
    /// The text is not YAML: the parser says what it stumbled over.
    BAD_YAML = "bad-yaml";
    /// One key stands twice in a map. YAML would silently drop one of the two values.
    DUPLICATE_KEY = "duplicate-key";
    /// A value that YAML 1.1 and YAML 1.2 read differently: `no` and `on` (a boolean or text), `0644`
    /// (octal or not). Write true or false, or put it in quotes.
    YAML_TRAP = "yaml-trap";
    /// A value has a tag (`!something`). Models are plain data.
    YAML_TAG = "yaml-tag";
    /// A document is larger than 16 MiB, or has more than 1,000,000 nodes with its aliases.
    TOO_LARGE = "too-large";
    /// Lists and maps nest deeper than 64.
    TOO_DEEP = "too-deep";
    /// A document is not UTF-8 text.
    NOT_UTF_8 = "not-utf-8";
    /// There is no model.yaml, so this is no model.
    NO_MODEL = "no-model";
    /// The model is written in a version of the language that this program does not know.
    UNKNOWN_FORMAT = "unknown-format";
    /// The first key of a document is none of those that say what a document is.
    UNKNOWN_DOCUMENT = "unknown-document";
    /// A file lies where documents of its kind do not belong, or where none is read. Who may change a release or
    /// a target is decided by its path, so those are errors elsewhere.
    OUT_OF_PLACE = "out-of-place";
    /// Two documents of one kind have one name.
    DUPLICATE_DOCUMENT = "duplicate-document";
    /// A map has a key that this place does not know.
    UNKNOWN_FIELD = "unknown-field";
    /// A field has a new name. The old one is still read, and means the same.
    OLD_NAME = "old-name";
    /// A field that must be there is missing.
    MISSING_FIELD = "missing-field";
    /// A value is of another type than the field takes: text where a boolean belongs, say.
    WRONG_TYPE = "wrong-type";
    /// A value is of the right type and still not one that the field can take.
    BAD_VALUE = "bad-value";
    /// A number stands where text belongs, so YAML has already changed it: `0644` is not `"0644"`,
    /// and `1.10` is the number 1.1. Put it in quotes.
    UNQUOTED = "unquoted";
    /// A file mode is neither octal digits in quotes (`"0644"`) nor symbolic (`u=rw,go=r`).
    BAD_MODE = "bad-mode";
    /// A path is not absolute, or has an empty part, `.` or `..`, or is too long.
    BAD_PATH = "bad-path";
    /// A name has a form that the system it is meant for does not take.
    BAD_NAME = "bad-name";
    /// A service's health cannot be asked there: only a URL of the form `http://HOST[:PORT][/PATH]` can
    /// be, with `localhost` or an IP address of the node as its host. For all else there is `command`.
    BAD_URL = "bad-url";
    /// A cron job's schedule is not one that cron takes, and cron would ignore the whole file.
    BAD_SCHEDULE = "bad-schedule";
    /// A schedule restricts both the day of the month and the weekday. Cron then runs the job when
    /// either matches, which is rarely what is meant.
    EITHER_DAY = "either-day";
    /// A file whose name the program that reads its directory passes over without a word: cron takes letters,
    /// digits, `_` and `-`, and sudo nothing with a dot in it.
    UNREAD_NAME = "unread-name";
    /// A variable in the environment of a cron job. Cron expands nothing there: `PATH=$HOME/bin` is a directory
    /// of that very name. Write it out, or set it in the command.
    NOT_EXPANDED = "not-expanded";
    /// A secret stands where its value would be seen: in a condition, a name, a path or a command.
    MISPLACED_SECRET = "misplaced-secret";
    /// Two fields exclude each other, or one needs another that is not there.
    CONFLICTING_FIELDS = "conflicting-fields";
    /// Two promises are about one thing. Nothing silently takes precedence: keep one of them.
    TWO_PROMISES_ONE_THING = "two-promises-one-thing";
    /// A need leads back to where it came from, so no order can satisfy it.
    CYCLE = "cycle";
    /// A promise needs something (an owner, a directory) that another one promises to be absent.
    NEEDS_ABSENT = "needs-absent";
    /// A promise names another one that this node has not made.
    UNKNOWN_PROMISE = "unknown-promise";
    /// A pattern matches none of the promises of this node.
    MATCHES_NOTHING = "matches-nothing";
    /// A file that the model refers to is not in it.
    UNKNOWN_FILE = "unknown-file";
    /// A template cannot be parsed, or fails while it is rendered.
    BAD_TEMPLATE = "bad-template";
    /// A template or an expression works for too long, nests or calls itself too deeply, or gives more than
    /// 16 MiB. It has an end on purpose: what loops for ever would keep a node from its promises.
    TEMPLATE_LIMIT = "template-limit";
    /// An expression or a template uses a name that is not defined where it stands. A server sees its
    /// own parameters and what model, environment and node set; a bundle sees its own parameters and
    /// those names, and nothing of the server that includes it.
    UNDEFINED_NAME = "undefined-name";
    /// There is no environment of that name in the model.
    UNKNOWN_ENVIRONMENT = "unknown-environment";
    /// A node is given a server model that the model does not have.
    UNKNOWN_SERVER = "unknown-server";
    /// An include names a bundle that the model does not have. Bundles that ship with the product
    /// are named `std/NAME`.
    UNKNOWN_BUNDLE = "unknown-bundle";
    /// An include gives a bundle an argument that the bundle does not declare as a parameter.
    UNKNOWN_PARAMETER = "unknown-parameter";
    /// A parameter has no default and nobody gives it a value. A bundle's values come from the
    /// include's arguments alone, never from a name that happens to be the same.
    MISSING_PARAMETER = "missing-parameter";
    /// A parameter's value is not of its declared type, not one of its choices, or does not match
    /// its pattern; or its declaration contradicts itself.
    BAD_PARAMETER = "bad-parameter";
    /// A bundle's parameter has the name of one that model, environment or node set, and the include
    /// does not pass it. Within the bundle the name means the parameter with its own default.
    HIDDEN_NAME = "hidden-name";
    /// Two patterns of an environment fit one node. Name the node exactly, or narrow one of them.
    AMBIGUOUS_NODE = "ambiguous-node";
    /// A node is in two environments. It is in exactly one, so that its promises have one source.
    NODE_IN_TWO_ENVIRONMENTS = "node-in-two-environments";
    /// A window is not of the form `DAYS HH:MM-HH:MM ZONE`, as in
    /// `Mon..Thu 09:00-16:00 Europe/Brussels`, or its zone has another name in the time zone database.
    BAD_WINDOW = "bad-window";
    /// A version is not of the form `1.4.0` or `2.0-rc.1`: numbers with dots between, and after `-` the words
    /// of a pre-release.
    BAD_VERSION = "bad-version";
    /// An artifact's place or digest has a form that none has: an URL of another kind, credentials in it, a
    /// digest that is no SHA-256.
    BAD_ARTIFACT = "bad-artifact";
    /// A release names a component that is unpacked, and says nothing of its artifact. What a release says of
    /// a component is whole; an artifact is never inherited.
    NO_ARTIFACT = "no-artifact";
    /// A release or a target is of an application that the model does not have.
    UNKNOWN_APPLICATION = "unknown-application";
    /// A target, or a `follows`, `since` or `via`, names a release that the application does not have.
    UNKNOWN_RELEASE = "unknown-release";
    /// A release names a component that its application does not have.
    UNKNOWN_COMPONENT = "unknown-component";
    /// A release or a target names a flag that the application does not declare.
    UNKNOWN_FLAG = "unknown-flag";
    /// A flag is given a value that is none of its variants.
    BAD_FLAG = "bad-flag";
    /// A target promises a release that was withdrawn.
    WITHDRAWN = "withdrawn";
    /// The line of releases does not lead where it must: a release follows one that is not lower, or `since`
    /// is not among those that the target's release follows.
    BROKEN_CHAIN = "broken-chain";
    /// A component is on no node: no release up to the target names it, or no node is one of its servers.
    NOT_PLACED = "not-placed";
    /// Two applications on one node declare a parameter of one name, and model, environment or node give that name a
    /// value: both of them take it, though perhaps only one was meant.
    SHARED_NAME = "shared-name";
    /// The units of a component do not fit the way in which it is switched: a socket that nobody promises, a unit for
    /// each slot that is not there, or a program that is started from another path than `switch` needs.
    BAD_SWITCH = "bad-switch";
    /// What a promise of a component says hangs on what its deployment is called: its id, its directory, its tree
    /// or its port is compared, cut or changed. The name of a deployment is made from what it promises, so a
    /// promise may only put these words out.
    DEPLOYMENT_IN_LOGIC = "deployment-in-logic";
    /// A node is to have more than 200 components. Those past the first 200, by their names, are not deployed.
    TOO_MANY_COMPONENTS = "too-many-components";
    /// Waves are not rising shares of the nodes, each with its time, up to 100%.
    BAD_WAVES = "bad-waves";
}
