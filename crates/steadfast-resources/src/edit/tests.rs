//! What edits do to texts.

use super::apply::apply_once;
use super::key::Key;
use super::rows::{rows, trim};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_model::Rendered;
use steadfast_model::lower::Piece;
use steadfast_system::secrets::Secret;

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

fn line(text: &str) -> Edit {
    Edit::Line {
        line: Some(Arc::from(text)),
        pattern: None,
        place: Place::End,
        only_replace: false,
        all: false,
        absent: false,
    }
}

/// An edit of a line with its fields changed by a function.
fn matched(text: &str, with: &str, all: bool, only_replace: bool) -> Edit {
    Edit::Line {
        line: Some(Arc::from(text)),
        pattern: Some(pattern(with)),
        place: Place::End,
        only_replace,
        all,
        absent: false,
    }
}

fn placed(text: &str, place: Place) -> Edit {
    Edit::Line {
        line: Some(Arc::from(text)),
        pattern: None,
        place,
        only_replace: false,
        all: false,
        absent: false,
    }
}

fn gone(line: Option<&str>, with: Option<&str>) -> Edit {
    Edit::Line {
        line: line.map(Arc::from),
        pattern: with.map(pattern),
        place: Place::End,
        only_replace: false,
        all: false,
        absent: true,
    }
}

fn block_of(name: &str, text: &str, place: Place, absent: bool) -> Edit {
    Edit::Block {
        name: Arc::from(name),
        lines: text.lines().map(Arc::from).collect(),
        comment: Arc::from("#"),
        place,
        absent,
    }
}

fn key(key: &str, value: Option<&str>, section: Option<&str>, separator: &str) -> Edit {
    Edit::Key {
        key: Arc::from(key),
        value: value.map(Rendered::plain),
        section: section.map(Arc::from),
        separator: Arc::from(separator),
    }
}

#[track_caller]
fn check(edit: &Edit, cases: &[(&str, &str)]) {
    for (before, after) in cases {
        let done = apply(std::slice::from_ref(edit), &BTreeMap::new(), before.as_bytes());
        let done = done.map(|it| String::from_utf8(it).unwrap());
        assert_eq!(done.as_deref(), Ok(*after), "{edit:?} on {before:?}");
    }
}

#[test]
fn a_line_is_there_or_is_appended() {
    check(
        &line("b"),
        &[
            ("", "b\n"),
            ("a\n", "a\nb\n"),
            ("a", "a\nb\n"),
            ("b\na\n", "b\na\n"),
            ("a\nb", "a\nb"),
            ("bb\n b\n", "bb\n b\nb\n"),
            ("a\r\n", "a\r\nb\r\n"),
            ("a\r\nx", "a\r\nx\r\nb\r\n"),
            ("a\r\nb\r\n", "a\r\nb\r\n"),
            ("a\r", "a\r\nb\n"),
        ],
    );
    check(
        &placed("b", Place::After(pattern("^a"))),
        &[("a1\na2\nz\n", "a1\na2\nb\nz\n"), ("z\n", "z\nb\n"), ("z\na", "z\na\nb\n")],
    );
    check(
        &placed("b", Place::Before(pattern("^Match"))),
        &[("x\nMatch 1\nMatch 2\n", "x\nb\nMatch 1\nMatch 2\n"), ("x\n", "x\nb\n")],
    );
}

#[test]
fn the_first_matching_line_becomes_it() {
    let port = "^#?Port ";
    check(
        &matched("Port 22", port, false, false),
        &[
            ("a\n#Port 1\nPort 2\n", "a\nPort 22\nPort 2\n"),
            ("a\r\nPort 1\r\n", "a\r\nPort 22\r\n"),
            ("a\nPort 1", "a\nPort 22"),
            ("a\n", "a\nPort 22\n"),
        ],
    );
    check(&matched("", port, false, false), &[("a\nPort 1", "a\n\n")]);
    check(
        &matched("Port 22", port, true, false),
        &[("#Port 1\na\nPort 2\nPort 3\n", "Port 22\na\n")],
    );
    check(&matched("Port 22", port, false, true), &[("a\n", "a\n"), ("Port 1\n", "Port 22\n")]);
    // The line itself does not match: what equals it counts.
    check(&matched("new", "^old$", false, false), &[("old\n", "new\n"), ("new\n", "new\n")]);
}

#[test]
fn a_line_that_is_there_already_is_not_made_once_more() {
    let port = "^#?Port ";
    check(
        &matched("Port 22", port, false, false),
        &[
            ("#Port 1\nx\nPort 22\n", "#Port 1\nx\nPort 22\n"),
            ("#Port 22\nPort 22\nPort 2\n", "#Port 22\nPort 22\nPort 2\n"),
            // Where the first one counts, what stands before it is in force instead of it.
            ("Port 1\nx\nPort 22\nPort 22\n", "Port 22\nx\n"),
            ("#Port 1\nPort 2\nPort 22\n", "#Port 1\nPort 22\n"),
        ],
    );
    check(
        &matched("Port 22", port, true, false),
        &[("#Port 1\nx\nPort 22\nPort 3\n", "x\nPort 22\n")],
    );
    // A line that is to be a comment.
    check(&matched("#Port 22", port, false, false), &[("Port 1\n#Port 22\n", "#Port 22\n")]);
    check(&matched("new", "^old$", false, false), &[("old\nold\n", "new\nold\n")]);
}

#[test]
fn edits_that_never_come_to_rest_are_refused() {
    let both = [line("a"), gone(Some("a"), None), line("b"), gone(Some("a"), None)];
    assert_eq!(apply(&both, &BTreeMap::new(), b"").as_deref(), Ok(&b"b\n"[..]));
    let moves = [matched("c", "^b$", false, true), matched("b", "^a$", false, true)];
    assert!(apply(&moves, &BTreeMap::new(), b"a\n").unwrap_err().contains("undo each other"));
}

#[test]
fn every_equal_or_matching_line_goes() {
    check(
        &gone(Some("b"), None),
        &[("a\nb\nc\nb\n", "a\nc\n"), ("a\nb", "a\n"), ("a\n", "a\n"), ("", "")],
    );
    check(&gone(None, Some("^#")), &[("#a\nb\n#c", "b\n")]);
    check(&gone(Some("x"), Some("^#")), &[("#a\nx\nb\n", "b\n")]);
}

#[test]
fn a_line_that_is_not_text_stays_and_matches_nothing() {
    let done = apply(&[gone(None, Some("."))], &BTreeMap::new(), b"\xff\xfe\na\n\xe9t\xe9");
    assert_eq!(done.as_deref(), Ok(&b"\xff\xfe\n\xe9t\xe9"[..]));
    let done = apply(&[line("a")], &BTreeMap::new(), b"\xff");
    assert_eq!(done.as_deref(), Ok(&b"\xff\na\n"[..]));
}

#[test]
fn a_block_stands_between_its_markers() {
    check(
        &block_of("x", "one\ntwo\n", Place::End, false),
        &[
            ("", "# BEGIN steadfast x\none\ntwo\n# END steadfast x\n"),
            ("a\n", "a\n# BEGIN steadfast x\none\ntwo\n# END steadfast x\n"),
            ("a", "a\n# BEGIN steadfast x\none\ntwo\n# END steadfast x\n"),
            ("a\r\n", "a\r\n# BEGIN steadfast x\r\none\r\ntwo\r\n# END steadfast x\r\n"),
            (
                "a\n# BEGIN steadfast x\nold\n# END steadfast x\nz\n",
                "a\n# BEGIN steadfast x\none\ntwo\n# END steadfast x\nz\n",
            ),
            (
                "# BEGIN steadfast xy\n# END steadfast xy\n",
                "# BEGIN steadfast xy\n# END steadfast xy\n# BEGIN steadfast x\none\ntwo\n# END steadfast x\n",
            ),
        ],
    );
    check(
        &block_of("x", "new", Place::Before(pattern("^z")), false),
        &[("a\nz\n", "a\n# BEGIN steadfast x\nnew\n# END steadfast x\nz\n")],
    );
    check(
        &block_of("x", "", Place::End, false),
        &[(
            "# BEGIN steadfast x\nold\n# END steadfast x\n",
            "# BEGIN steadfast x\n# END steadfast x\n",
        )],
    );
    check(
        &block_of("x", "", Place::End, true),
        &[
            ("a\n# BEGIN steadfast x\nold\n# END steadfast x\nz", "a\nz"),
            ("a\n# BEGIN steadfast x\nold\n# END steadfast x", "a"),
            ("a\n", "a\n"),
        ],
    );
    let other = Edit::Block {
        name: Arc::from("x"),
        lines: Arc::from([]),
        comment: Arc::from("//"),
        place: Place::End,
        absent: false,
    };
    check(&other, &[("", "// BEGIN steadfast x\n// END steadfast x\n")]);
}

#[test]
fn a_torn_block_is_refused_and_nothing_is_swallowed() {
    let cases = [
        ("# BEGIN steadfast x\na\n", "it has no end"),
        ("a\n# END steadfast x\n", "it has no beginning"),
        ("# END steadfast x\n# BEGIN steadfast x\n", "its end stands before its beginning"),
        (
            "# BEGIN steadfast x\n# BEGIN steadfast x\n# END steadfast x\n",
            "its markers stand there more than once",
        ),
        (
            "# BEGIN steadfast x\n# BEGIN steadfast y\n# END steadfast x\n",
            "the marker of another block stands in it",
        ),
    ];
    for (text, why) in cases {
        for absent in [false, true] {
            assert_eq!(
                apply(&[block_of("x", "b", Place::End, absent)], &BTreeMap::new(), text.as_bytes()),
                Err(format!("the block `x` is torn: {why}"))
            );
        }
    }
}

#[test]
fn a_key_gets_its_value_and_keeps_its_look() {
    check(
        &key("port", Some("22"), None, "="),
        &[
            ("", "port=22\n"),
            ("# c\n", "# c\nport=22\n"),
            ("port=22\n", "port=22\n"),
            ("port = 22\n", "port = 22\n"),
            ("  port =\t1\n", "  port =\t22\n"),
            ("port=1\r\nx=2\r\n", "port=22\r\nx=2\r\n"),
            ("port=1", "port=22"),
            ("port\n", "port=22\n"),
            ("port=\n", "port=22\n"),
            ("porta=1\n#port=2\n", "porta=1\n#port=2\nport=22\n"),
            ("port = 1 # why\n", "port = 22 # why\n"),
            ("port = 22   ; why\n", "port = 22   ; why\n"),
            ("port =  # why\n", "port =  22 # why\n"),
            ("port=1\na=b\nport=2\n", "port=22\na=b\n"),
            ("a=1\n\n[s]\nport=1\n", "a=1\nport=22\n\n[s]\nport=1\n"),
            ("[s]\nport=1\n", "port=22\n[s]\nport=1\n"),
        ],
    );
    check(
        &key("port", Some("22"), Some("s"), " = "),
        &[
            ("", "[s]\nport = 22\n"),
            ("a=1", "a=1\n\n[s]\nport = 22\n"),
            ("a=1\n\n", "a=1\n\n[s]\nport = 22\n"),
            ("[s]\na=1\n\n[t]\nport=1\n", "[s]\na=1\nport = 22\n\n[t]\nport=1\n"),
            ("[s]\n[t]\n", "[s]\nport = 22\n[t]\n"),
            ("[ s ] # c\nport=1\n[t]", "[ s ] # c\nport=22\n[t]"),
            ("[s]\na=1\n[t]\n[s]\nport: 1\nport=1\n", "[s]\na=1\n[t]\n[s]\nport: 1\nport=22\n"),
        ],
    );
    check(
        &key("Port", Some("22"), None, " "),
        &[
            ("Port 1\n", "Port 22\n"),
            ("Port\t1\n", "Port\t22\n"),
            ("Ports 1\n", "Ports 1\nPort 22\n"),
            ("Port\n", "Port 22\n"),
        ],
    );
    check(&key("Flag", Some(""), None, " "), &[("Flag\n", "Flag\n"), ("Flag x\n", "Flag \n")]);
    check(
        &key("key", Some("\"a # b\""), None, "="),
        &[
            ("key = \"a # c\" # d\n", "key = \"a # b\" # d\n"),
            ("key = \"a # b\" # d\n", "key = \"a # b\" # d\n"),
        ],
    );
    // A value that looks like a comment takes the place of all.
    check(
        &key("k", Some("x # y"), None, "="),
        &[("k = x\n", "k = x # y\n"), ("k = a # b\n", "k = x # y\n")],
    );
    check(
        &key("color", Some("#fff"), None, "="),
        &[("color=#000\n", "color=#fff\n"), ("color = #000 # c\n", "color = #fff\n")],
    );
    check(
        &key("a", None, Some("s"), "="),
        &[
            ("a=1\n[s]\na=1\nb=2\na = 3\n[t]\na=1\n", "a=1\n[s]\nb=2\n[t]\na=1\n"),
            ("a=1\n", "a=1\n"),
        ],
    );
}

#[test]
fn a_value_that_goes_on_in_further_lines_is_replaced_and_removed_as_a_whole() {
    let networks = key("mynetworks", Some("127.0.0.0/8"), None, " = ");
    check(
        &networks,
        &[
            (
                "myhostname = a\nmynetworks = 127.0.0.0/8\n    192.0.2.0/24\nrelayhost =\n",
                "myhostname = a\nmynetworks = 127.0.0.0/8\nrelayhost =\n",
            ),
            // Comments and blank lines do not end it, and stay.
            (
                "mynetworks =\n  10.0.0.0/8\n\n# office\n  # home\n\t192.0.2.0/24\nrelayhost =\n",
                "mynetworks =127.0.0.0/8\n\n# office\n  # home\nrelayhost =\n",
            ),
            ("mynetworks = a\r\n b\r\nx = 1\r\n", "mynetworks = 127.0.0.0/8\r\nx = 1\r\n"),
            ("mynetworks = a\nmynetworks = b\n  c\nx = 1\n", "mynetworks = 127.0.0.0/8\nx = 1\n"),
            // At the same depth it is another key.
            ("\tmynetworks = a\n\tx = 1\n", "\tmynetworks = 127.0.0.0/8\n\tx = 1\n"),
        ],
    );
    check(&key("mynetworks", None, None, " = "), &[("mynetworks = a\n  b\nx = 1\n", "x = 1\n")]);
    let options = key("OPTS", Some("\"-a\""), None, "=");
    check(
        &options,
        &[
            ("OPTS=\"-x \\\n  -y\"\nOTHER=1\n", "OPTS=\"-a\"\nOTHER=1\n"),
            ("OPTS=-x\\\n-y \\\n-z\nOTHER=1\n", "OPTS=\"-a\"\nOTHER=1\n"),
            ("OPTS=x \\\\\nOTHER=1\n", "OPTS=\"-a\"\nOTHER=1\n"),
            ("OPTS=x # a \\\n-y\nOTHER=1\n", "OPTS=\"-a\"\nOTHER=1\n"),
            ("# OPTS \\\nOPTS=1\n", "# OPTS \\\nOPTS=\"-a\"\n"),
            // A part of another value is no line of the key.
            ("X=\"-x \\\nOPTS=1\"\n", "X=\"-x \\\nOPTS=1\"\nOPTS=\"-a\"\n"),
        ],
    );
    check(&key("OPTS", None, None, "="), &[("OPTS=\"-x \\\n  -y\"\nOTHER=1\n", "OTHER=1\n")]);
    // A map of YAML, whose key has no value of its own.
    check(&key("port", Some("1"), None, ": "), &[("server:\n  port: 2\n", "server:\n  port: 1\n")]);
}

#[test]
fn where_it_cannot_be_told_how_far_a_value_goes_nothing_is_done() {
    for (separator, text, why) in [
        ("=", "k=a\n  b=c\n", "the lines under `k` are indented"),
        (" ", "k a\n  b\n", "the lines under `k` are indented"),
        (": ", "k:\n  a: 1\n", "the lines under `k` are indented"),
        ("=", "k=C:\\dir\\\nother=1\n", "the value of `k` ends in a backslash"),
        ("=", "k=\"a\nb\"\n", "begins with a quote"),
        ("=", "k='a\nb'\n", "begins with a quote"),
        (" = ", "k = \"\"\"\na\n\"\"\"\n", "begins with a quote"),
        ("=", "k=(a\nb)\n", "begins with a bracket"),
        (" = ", "k = [\n  1,\n]\n", "begins with a bracket"),
        (" ", "k x {\n}\n", "begins with a bracket"),
        ("=", "a=1\n  k=2\n", "indented under another key"),
        ("=", "a=1\n  b=1\n  # c\n  k=2\n", "indented under another key"),
        ("=", "a=1 \\", "ends in a backslash"),
    ] {
        for value in [Some("v"), None] {
            let done =
                apply(&[key("k", value, None, separator)], &BTreeMap::new(), text.as_bytes());
            match (value, text) {
                // There is nothing to remove.
                (None, "a=1 \\") => assert_eq!(done.as_deref(), Ok(text.as_bytes())),
                _ => assert!(done.as_ref().is_err_and(|it| it.contains(why)), "{text:?}: {done:?}"),
            }
        }
    }
    for edit in [matched("X=1", "^X=", false, false), gone(None, Some("^X=")), line("b")] {
        let done = apply(std::slice::from_ref(&edit), &BTreeMap::new(), b"X=\"a \\\nb\"\n\\\n");
        assert!(done.is_err_and(|it| it.contains("ends in a backslash")), "{edit:?}");
    }
    // Where the line that it goes on in goes too, nothing is left of it.
    check(&gone(None, Some("[ab]")), &[("X=\"a \\\nb\"\nc\n", "c\n")]);
}

#[test]
fn a_byte_order_mark_is_the_files_and_no_part_of_its_first_line() {
    let mark = "\u{feff}";
    for (edit, before, after) in [
        (key("a", Some("2"), None, "="), "a=1\nb=1\n", "a=2\nb=1\n"),
        (key("a", Some("2"), Some("s"), "="), "[s]\na=1\n", "[s]\na=2\n"),
        (line("a"), "a\n", "a\n"),
        (matched("x", "^a", false, false), "a\n", "x\n"),
        (gone(Some("a"), None), "a\n", ""),
        (
            block_of("x", "b", Place::Before(pattern("^a")), false),
            "a\n",
            "# BEGIN steadfast x\nb\n# END steadfast x\na\n",
        ),
    ] {
        check(&edit, &[(&format!("{mark}{before}"), &format!("{mark}{after}"))]);
    }
    let wide: Vec<u8> = "\u{feff}a=1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let done = apply(&[key("a", Some("2"), None, "=")], &BTreeMap::new(), &wide);
    assert_eq!(done, Err("it is UTF-16 text, which edits do not read".to_owned()));
}

#[test]
fn a_secret_is_put_in_and_cannot_break_the_line() {
    let edit = Edit::Key {
        key: Arc::from("password"),
        value: Some(Rendered { pieces: Arc::from([Piece::Secret(Arc::from("db"))]) }),
        section: None,
        separator: Arc::from("="),
    };
    let secrets = |value: &[u8]| BTreeMap::from([(Arc::from("db"), Secret::new(value.to_vec()))]);
    let edits = std::slice::from_ref(&edit);
    assert_eq!(
        apply(edits, &secrets(b"hunter2\n"), b"").as_deref(),
        Ok(&b"password=hunter2\n"[..])
    );
    assert_eq!(
        apply(edits, &secrets(b"a\nroot=yes"), b""),
        Err("the value of `password` has a line break in it".to_owned())
    );
    assert_eq!(apply(edits, &BTreeMap::new(), b""), Err("the secret `db` is not known".to_owned()));
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"a",
        b"b=1",
        b"b = 2 # c",
        b"[s]",
        b"# BEGIN steadfast x",
        b"# END steadfast x",
        b"\xff",
        b" ",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b"\"",
        b";",
    ];
    let piece = prop::sample::select(pieces);
    prop::collection::vec(piece, 0..14).prop_map(|it| it.concat())
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let place = prop_oneof![
        Just(Place::End),
        Just(Place::After(pattern("^a"))),
        Just(Place::Before(pattern("b"))),
    ];
    let word = prop_oneof![
        Just("a"),
        Just("b"),
        Just("b=1"),
        Just(""),
        Just("[s]"),
        Just("1 # c"),
        Just("\"x")
    ];
    (0..6, place, word, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(which, place, word, one, two, absent)| match which {
            0 => placed(word, place),
            1 => matched(word, "^b", one, two),
            2 => gone(Some(word), one.then_some("^b")),
            3 => block_of("x", if one { "n\nm" } else { "" }, place, absent),
            4 => key(
                "b",
                (!absent).then_some(word),
                one.then_some("s"),
                if two { " = " } else { "=" },
            ),
            _ => key("a", (!absent).then_some(word), one.then_some("t"), " "),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn one_edit_applied_twice_is_applied_once(edit in any_edit(), text in text()) {
        let edits = std::slice::from_ref(&edit);
        let Ok(once) = apply_once(edits, &BTreeMap::new(), &text) else { return Ok(()) };
        let again = match apply_once(edits, &BTreeMap::new(), &once) {
            Ok(again) => again,
            // A value that opens what it does not close cannot be found again.
            Err(why) => {
                prop_assert!(why.contains("begins with a quote"), "{}", why);
                return Ok(());
            }
        };
        prop_assert_eq!(again, once);
    }

    #[test]
    fn what_is_in_sync_stays_byte_for_byte(edits in prop::collection::vec(any_edit(), 1..4), text in text()) {
        if let Ok(once) = apply(&edits, &BTreeMap::new(), &text) {
            prop_assert_eq!(apply(&edits, &BTreeMap::new(), &once), Ok(once.clone()));
        }
    }

    #[test]
    fn removing_a_block_gives_the_lines_back(
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(prop::sample::select(b"ab\n\r".to_vec()), 0..12),
        ],
        place in prop_oneof![
            Just(Place::End), Just(Place::After(pattern("^a"))), Just(Place::Before(pattern("b")))
        ],
    ) {
        let put = [block_of("x", "one\ntwo", place, false)];
        let Ok(with) = apply(&put, &BTreeMap::new(), &text) else {
            // It would go on in the line before it.
            prop_assert!(text.contains(&b'\\'));
            return Ok(());
        };
        prop_assert!(with.len() > text.len());
        let take = [block_of("x", "", Place::End, true)];
        let mut without = apply(&take, &BTreeMap::new(), &with).unwrap();
        // What stood at the end without a newline has one since then.
        if without.len() > text.len() {
            let end = without.split_off(text.len());
            prop_assert!([&b"\n"[..], b"\r\n"].contains(&&*end), "{:?}", end);
        }
        prop_assert_eq!(without, text);
    }

    #[test]
    fn a_key_has_its_value_afterwards(text in text(), value in "[a-z#; \"=]{0,6}", spaced: bool) {
        let separator = if spaced { " " } else { "=" };
        let edit = key("b", Some(&value), None, separator);
        let Ok(done) = apply(&[edit], &BTreeMap::new(), &text) else { return Ok(()) };
        let wanted = trim(value.as_bytes());
        let look = Key { key: "b", separator, section: None };
        let rows = rows(&done);
        prop_assert_eq!(look.bodies(&rows).into_iter().flatten()
            .filter(|at| look.says(&rows[*at].text, wanted)).count(), 1);
    }
}
