//! File modes as people write them.
//!
//! - Octal, in quotes, three to five digits: `"0644"`, `"2755"`. It says all twelve bits.
//! - Symbolic, as for chmod: `u=rwX,go-w`, `a+x`, `g+s`, `+t`, `g=u` (what another class has), `+0111`. It
//!   says some of the bits and leaves the others alone, so it starts from the mode that is there. For something new it starts from the mode
//!   that new things get (a file 0644, a directory 0755, a sensitive file 0600), whatever the umask.
//!   That way `go-w` never makes a private file readable, and never takes a program its `x`.
//!
//! `X` is `x` for directories and for what somebody may execute already.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use steadfast_system::files::Mode;

/// What new things get.
pub const NEW_FILE: Mode = Mode(0o644);
pub const NEW_SENSITIVE_FILE: Mode = Mode(0o600);
pub const NEW_DIRECTORY: Mode = Mode(0o755);

/// A promised mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// Octal: all twelve bits.
    Exact(Mode),
    /// Symbolic: some of the bits, clause by clause.
    Symbolic(Arc<[Clause]>),
}

/// `go-w`: whose bits, what happens to them, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clause {
    /// The bits of the classes named: 0o4700 for `u`, 0o2070 for `g`, 0o1007 for `o`.
    whose: u16,
    what: Operator,
    /// The bits for all classes.
    bits: u16,
    /// Whether `X` stands there.
    executable: bool,
    /// The class whose bits are copied, where one stands there.
    from: Option<Class>,
}

/// A class whose bits can be copied to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Class {
    User,
    Group,
    Other,
}

impl Class {
    /// The bits that it has of a mode, for all classes.
    fn bits(self, mode: u16) -> u16 {
        let of_one = match self {
            Class::User => mode >> 6,
            Class::Group => mode >> 3,
            Class::Other => mode,
        };
        (of_one & 0o7) * 0o111
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Operator {
    Add,
    Take,
    Set,
}

const SPECIAL: u16 = 0o7000;
const EXECUTE: u16 = 0o111;

impl Wish {
    /// Whether it says all bits.
    pub fn is_exact(&self) -> bool {
        match self {
            Wish::Exact(_) => true,
            Wish::Symbolic(_) => false,
        }
    }

    pub fn parse(text: &str) -> Result<Wish, BadMode> {
        let read = if !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit()) {
            octal(text).map(Wish::Exact)
        } else if text.starts_with("0o") {
            Err("write the octal digits alone")
        } else {
            symbolic(text).and_then(|it| {
                let wish = Wish::Symbolic(Arc::from(it));
                if wish.rests() { Ok(wish) } else { Err("the changes undo each other") }
            })
        };
        read.map_err(|why| BadMode { text: text.escape_debug().take(60).collect(), why })
    }

    /// Whether what it makes of any mode is the same again. Where bits are copied to and fro it may not be.
    fn rests(&self) -> bool {
        let copies = match self {
            Wish::Exact(_) => false,
            Wish::Symbolic(clauses) => clauses.iter().any(|it| it.from.is_some()),
        };
        let rests = |bits: u16, directory| {
            let once = self.of(Mode(bits), directory);
            self.of(once, directory) == once
        };
        !copies || (0..=0o777).all(|bits| rests(bits, false) && rests(bits, true))
    }

    /// What it makes of the mode that is there, or that something new gets. What it makes of that is
    /// the same again.
    pub fn of(&self, base: Mode, directory: bool) -> Mode {
        match self {
            Wish::Exact(mode) => *mode,
            Wish::Symbolic(clauses) => {
                let (mut mode, mut next) = (base.0, change(clauses, base.0, directory));
                // `+X,g+x` comes to rest when `X` has seen the `x` that follows it.
                for _ in 0..4 {
                    if mode == next {
                        break;
                    }
                    mode = next;
                    next = change(clauses, mode, directory);
                }
                Mode(next)
            }
        }
    }
}

/// Why a text is not a mode.
type Why = &'static str;

const BOTH_WAYS: Why = "write octal digits (0644) or changes (u=rw,go=r)";

fn octal(digits: &str) -> Result<Mode, Why> {
    if !(3..=5).contains(&digits.len()) {
        return Err("octal modes have three to five digits");
    }
    octal_bits(digits)
}

fn octal_bits(digits: &str) -> Result<Mode, Why> {
    match u16::from_str_radix(digits, 8) {
        Ok(bits) if bits <= 0o7777 => Ok(Mode(bits)),
        Ok(_) => Err("octal modes end at 7777"),
        Err(_) => Err("octal digits go from 0 to 7"),
    }
}

/// `u=rwX,go-w` is two parts, and `u+x-w` is one with two clauses.
fn symbolic(text: &str) -> Result<Vec<Clause>, Why> {
    let mut clauses = vec![];
    for part in text.split(',') {
        let length = part.bytes().take_while(|it| b"ugoa".contains(it)).count();
        let (who, mut rest) = part.split_at(length);
        let whose = classes(who);
        if rest.is_empty() {
            return Err(BOTH_WAYS);
        }
        while let Some(sign) = rest.chars().next() {
            let what = operator(sign)?;
            let after = &rest[1..];
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            if digits > 0 {
                // As chmod: numbers speak for all classes, and of all bits.
                let (digits, after) = after.split_at(digits);
                if !who.is_empty() || !after.is_empty() {
                    return Err("octal digits after an operator stand alone: +0111");
                }
                let Mode(bits) = octal_bits(digits)?;
                clauses.push(Clause { whose, what, bits, executable: false, from: None });
                rest = after;
                continue;
            }
            if let Some(from) = after.chars().next().and_then(class) {
                clauses.push(Clause { whose, what, bits: 0, executable: false, from: Some(from) });
                rest = &after[1..];
                continue;
            }
            let length = after.bytes().take_while(|it| b"rwxXst".contains(it)).count();
            let (letters, after) = after.split_at(length);
            let (bits, executable) = permissions(letters, whose)?;
            clauses.push(Clause { whose, what, bits, executable, from: None });
            rest = after;
        }
    }
    Ok(clauses)
}

/// The bits of the classes named; of all where none is.
fn classes(who: &str) -> u16 {
    if who.is_empty() {
        return 0o7777;
    }
    who.bytes().fold(0, |all, it| {
        all | match it {
            b'u' => 0o4700,
            b'g' => 0o2070,
            b'o' => 0o1007,
            _ => 0o7777,
        }
    })
}

fn class(letter: char) -> Option<Class> {
    match letter {
        'u' => Some(Class::User),
        'g' => Some(Class::Group),
        'o' => Some(Class::Other),
        _ => None,
    }
}

fn operator(sign: char) -> Result<Operator, Why> {
    match sign {
        '+' => Ok(Operator::Add),
        '-' => Ok(Operator::Take),
        '=' => Ok(Operator::Set),
        _ => Err(BOTH_WAYS),
    }
}

/// The bits that letters mean for all classes, and whether `X` is one of them.
fn permissions(letters: &str, whose: u16) -> Result<(u16, bool), Why> {
    let (mut bits, mut executable) = (0, false);
    for letter in letters.bytes() {
        match letter {
            b'r' => bits |= 0o444,
            b'w' => bits |= 0o222,
            b'x' => bits |= EXECUTE,
            b'X' => executable = true,
            b's' => bits |= 0o6000,
            _ => bits |= 0o1000,
        }
        let alone = match letter {
            b's' => 0o6000,
            b't' => 0o1000,
            _ => 0o777,
        };
        if alone & whose == 0 {
            return Err("`s` is for u and g, `t` for o");
        }
    }
    Ok((bits, executable))
}

fn change(clauses: &[Clause], base: u16, directory: bool) -> u16 {
    clauses.iter().fold(base, |mode, clause| {
        let mut bits = clause.bits;
        if clause.executable && (directory || mode & EXECUTE != 0) {
            bits |= EXECUTE;
        }
        bits |= clause.from.map_or(0, |it| it.bits(mode));
        let bits = bits & clause.whose;
        match clause.what {
            Operator::Add => mode | bits,
            Operator::Take => mode & !bits,
            Operator::Set => {
                // As chmod: what a directory has of s and t goes only where it is named.
                let kept = if directory { SPECIAL } else { 0 };
                mode & (!clause.whose | kept) | bits
            }
        }
    })
}

/// A text that is not a mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadMode {
    text: String,
    why: Why,
}

impl fmt::Display for BadMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a mode: {}", self.text, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn modes_mean_what_chmod_makes_of_them() {
        let cases: &[(&str, u16, bool, u16)] = &[
            ("644", 0o777, false, 0o644),
            ("0644", 0o777, false, 0o644),
            ("2755", 0o644, true, 0o2755),
            ("02755", 0o644, true, 0o2755),
            ("u=rwX,go-w", 0o644, false, 0o644),
            ("u=rwX,go-w", 0o666, false, 0o644),
            ("u=rwX,go-w", 0o755, true, 0o755),
            ("u=rwX,g=rX,o=", 0o755, false, 0o750),
            ("u=rwX,g=rX,o=", 0o644, false, 0o640),
            ("a+x", 0o644, false, 0o755),
            ("+x", 0o644, false, 0o755),
            ("go-w", 0o600, false, 0o600),
            ("ug=rw,o=r", 0o644, false, 0o664),
            ("g+s", 0o755, true, 0o2755),
            ("u+s", 0o755, false, 0o4755),
            ("+t", 0o777, true, 0o1777),
            ("o+t", 0o777, true, 0o1777),
            ("g=rx", 0o2775, true, 0o2755),
            ("g=rx", 0o2775, false, 0o755),
            ("g-s", 0o2775, true, 0o775),
            ("a-x,u+X", 0o755, false, 0o644),
            ("u+rw-x", 0o500, false, 0o600),
            ("a=", 0o777, false, 0),
            ("+X,g+x", 0o600, false, 0o711),
            ("g=u", 0o640, false, 0o660),
            ("g=u,o=", 0o755, true, 0o770),
            ("go=u-w", 0o700, false, 0o755),
            ("o+g", 0o650, false, 0o655),
            ("g-o", 0o775, false, 0o725),
            ("ug+o,o-o", 0o004, false, 0o440),
            ("g=u", 0o2700, true, 0o2770),
            ("=755", 0o644, false, 0o755),
            ("+0111", 0o644, false, 0o755),
            ("-022", 0o666, false, 0o644),
        ];
        for (text, base, directory, wanted) in cases {
            let mode = Wish::parse(text).unwrap().of(Mode(*base), *directory);
            assert_eq!(mode, Mode(*wanted), "{text} on {base:o}: {mode}");
        }
    }

    #[test]
    fn what_is_not_a_mode_is_refused() {
        let cases = [
            ("", "`` is not a mode: write octal digits (0644) or changes (u=rw,go=r)"),
            ("44", "`44` is not a mode: octal modes have three to five digits"),
            ("000644", "`000644` is not a mode: octal modes have three to five digits"),
            ("0684", "`0684` is not a mode: octal digits go from 0 to 7"),
            ("17777", "`17777` is not a mode: octal modes end at 7777"),
            ("0o644", "`0o644` is not a mode: write the octal digits alone"),
            (
                "rw-r--r--",
                "`rw-r--r--` is not a mode: write octal digits (0644) or changes (u=rw,go=r)",
            ),
            ("u", "`u` is not a mode: write octal digits (0644) or changes (u=rw,go=r)"),
            ("u=rw,", "`u=rw,` is not a mode: write octal digits (0644) or changes (u=rw,go=r)"),
            ("u=rq", "`u=rq` is not a mode: write octal digits (0644) or changes (u=rw,go=r)"),
            (
                "u=rw, g=r",
                "`u=rw, g=r` is not a mode: write octal digits (0644) or changes (u=rw,go=r)",
            ),
            ("g=uw", "`g=uw` is not a mode: write octal digits (0644) or changes (u=rw,go=r)"),
            ("g=7", "`g=7` is not a mode: octal digits after an operator stand alone: +0111"),
            ("+0811", "`+0811` is not a mode: octal digits go from 0 to 7"),
            ("g=u,u=o,o=g", "`g=u,u=o,o=g` is not a mode: the changes undo each other"),
            ("o+s", "`o+s` is not a mode: `s` is for u and g, `t` for o"),
            ("u+t", "`u+t` is not a mode: `s` is for u and g, `t` for o"),
            ("é", "`é` is not a mode: write octal digits (0644) or changes (u=rw,go=r)"),
        ];
        for (text, why) in cases {
            assert_eq!(Wish::parse(text).map_err(|it| it.to_string()), Err(why.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn every_octal_mode_is_itself(bits in 0u16..=0o7777, base in 0u16..=0o7777) {
            prop_assert_eq!(Wish::parse(&format!("{bits:04o}")).unwrap().of(Mode(base), false), Mode(bits));
        }

        #[test]
        fn a_symbolic_mode_is_kept_once_it_is_set(
            text in "[ugoa]{0,2}[+=-][rwxX]{0,3}(,[ugoa]{0,2}[+=-][rwxX]{0,3}){0,3}",
            base in 0u16..=0o7777,
            directory: bool,
        ) {
            let wish = Wish::parse(&text).unwrap();
            let once = wish.of(Mode(base), directory);
            prop_assert_eq!(wish.of(once, directory), once);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[ugoarwxXst=+,é0-9-]{0,12}") {
            if let Ok(wish) = Wish::parse(&text) {
                prop_assert!(wish.of(Mode(0o644), true).0 <= 0o7777);
            }
        }
    }
}
