//! Every diagnostic code with its explanation: what `steadfast explain CODE` prints. A test demands
//! an entry and at least one bad example for each.

use crate::diagnostic::Code;

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
    /// A file lies where documents of its kind do not belong, or where none is read.
    OUT_OF_PLACE = "out-of-place";
    /// Two documents of one kind have one name.
    DUPLICATE_DOCUMENT = "duplicate-document";
    /// A map has a key that this place does not know.
    UNKNOWN_FIELD = "unknown-field";
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
    /// A secret stands where its value would be seen: in a condition, a name, a path or a command.
    MISPLACED_SECRET = "misplaced-secret";
    /// Two fields of one promise exclude each other, or one needs another that is not there.
    CONFLICTING_FIELDS = "conflicting-fields";
    /// Two promises are about one thing. Nothing silently takes precedence: keep one of them.
    TWO_PROMISES_ONE_THING = "two-promises-one-thing";
    /// A need leads back to where it came from, so no order can satisfy it.
    CYCLE = "cycle";
    /// A promise names another one that this node has not made.
    UNKNOWN_PROMISE = "unknown-promise";
    /// A pattern matches none of the promises of this node.
    MATCHES_NOTHING = "matches-nothing";
    /// A file that the model refers to is not in it.
    UNKNOWN_FILE = "unknown-file";
    /// A template cannot be parsed, or fails while it is rendered.
    BAD_TEMPLATE = "bad-template";
}
