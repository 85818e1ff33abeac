//! How deep an expression or template may nest before the engine is given it.
//!
//! The engine works on nested terms by calling itself, and guards that only where brackets nest: `1 ~ 1 ~ 1 …`,
//! `a.b.c …`, `not not …` and a long chain of `elif` take as much of its stack as they are long. So what could nest
//! is counted here, from the engine's own tokens. A token that joins terms counts one, and within its brackets what
//! comes after a comma stands beside what was before.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use std::fmt;
use std::ops::Range;

/// How many operators, brackets, filters and `elif` may stand one within another.
pub(crate) const MOST: usize = 250;

/// Why a text is not given to the engine: it goes too deep at these bytes.
#[derive(Clone, Debug)]
pub(crate) struct TooDeep(pub(crate) Range<usize>);

impl fmt::Display for TooDeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it nests too deeply")
    }
}

impl std::error::Error for TooDeep {}

/// Whether the engine can be given an expression.
pub(crate) fn of_expression(text: &str) -> Result<(), TooDeep> {
    // Each of what is counted takes a byte at least.
    if text.len() <= MOST { Ok(()) } else { count(text, true) }
}

/// Whether the engine can be given a text with expressions.
pub(crate) fn of_text(text: &str) -> Result<(), TooDeep> {
    // All of them lie between the first and the last brace.
    let first = text.find('{').unwrap_or(text.len());
    let last = text.rfind('}').unwrap_or(text.len());
    if last.saturating_sub(first) <= MOST { Ok(()) } else { count(text, false) }
}

fn count(text: &str, is_expression: bool) -> Result<(), TooDeep> {
    let mut tag = Within::default();
    let mut branches = Within::default();
    let mut begins = false;
    // What is no token is the engine's to report.
    for (token, at) in tokenize(text, is_expression, SyntaxConfig::default()).map_while(Result::ok)
    {
        if std::mem::take(&mut begins)
            && let Token::Ident(word) = token
        {
            branches.branch(word);
        }
        match token {
            Token::BlockStart => begins = true,
            // Strings and texts of any length.
            Token::TemplateData(_) | Token::Str(_) | Token::String(_) => {}
            Token::Int(_) | Token::Int128(_) | Token::Float(_) => {}
            Token::VariableStart | Token::VariableEnd | Token::BlockEnd => tag = Within::default(),
            Token::Ident(name) => {
                if JOINING.contains(&name) {
                    tag.another();
                }
            }
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => tag.open(),
            Token::ParenClose | Token::BracketClose | Token::BraceClose => tag.close(),
            Token::Comma | Token::Colon | Token::Assign => tag.beside(),
            Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::FloorDiv => tag.another(),
            Token::Pow | Token::Mod | Token::Dot | Token::Tilde | Token::Pipe => tag.another(),
            Token::Eq | Token::Ne | Token::Gt | Token::Gte | Token::Lt | Token::Lte => {
                tag.another();
            }
        }
        if tag.all.max(branches.all) > MOST {
            return Err(TooDeep(at.start_offset as usize..at.end_offset as usize));
        }
    }
    Ok(())
}

/// Words that are operators.
const JOINING: [&str; 6] = ["and", "or", "not", "if", "in", "is"];

/// How much stands within what is open.
#[derive(Default)]
struct Within {
    /// Of each open bracket, or each open `if`.
    open: Vec<usize>,
    outside: usize,
    /// Of all of these.
    all: usize,
}

impl Within {
    fn innermost(&mut self) -> &mut usize {
        self.open.last_mut().unwrap_or(&mut self.outside)
    }

    fn another(&mut self) {
        *self.innermost() += 1;
        self.all += 1;
    }

    /// The bracket itself counts for what is around it: `a(1)(2)` nests.
    fn open(&mut self) {
        self.another();
        self.open.push(0);
    }

    fn close(&mut self) {
        self.all -= self.open.pop().unwrap_or(0);
    }

    fn beside(&mut self) {
        self.all -= std::mem::take(self.innermost());
    }

    /// The first word of a block.
    fn branch(&mut self, word: &str) {
        match word {
            "if" => self.open.push(0),
            "elif" => self.another(),
            "endif" => self.close(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, of_expression, of_text};

    /// Where a text is refused.
    fn refused(text: &str) -> Option<usize> {
        of_text(text).err().map(|it| it.0.start)
    }

    #[test]
    fn what_nests_is_counted_and_what_stands_beside_is_not() {
        let many = |part: &str| part.repeat(MOST + 1);
        for deep in [
            format!("{{{{ 1{} }}}}", many(" ~ 1")),
            format!("{{{{ a{} }}}}", many(".b")),
            format!("{{{{ a{} }}}}", many("[0]")),
            format!("{{{{ a{} }}}}", many("()")),
            format!("{{{{ a{} }}}}", many(" | upper")),
            format!("{{{{ a{} }}}}", many(" is defined")),
            format!("{{{{ {}a }}}}", many("not ")),
            format!("{{{{ {}1 }}}}", many("-")),
            format!("{{{{ {}1 }}}}", many("1 if a else ")),
            format!("{{{{ {}1{} }}}}", many("["), many("]")),
            format!("{{% for {}a{} in b %}}{{% endfor %}}", many("("), many(")")),
            format!("{{% if a %}}{}{{% endif %}}", many("{% elif a %}")),
            format!("{{{{ f(x, y=1{}) }}}}", many(" + 1")),
        ] {
            assert!(refused(&deep).is_some(), "{deep}");
        }
        for wide in [
            format!("{{{{ [{}] }}}}", many("a.b, ")),
            format!("{{{{ {{{}}} }}}}", many("'a': 1 + 1, ")),
            many("{{ a ~ b }}"),
            many("{% if a %}b{% elif c %}d{% endif %}"),
            format!("{{{{ '{}' }}}}", many(" ~ ~ ")),
            format!("{{# {} #}}", many(" ~ ~ ")),
            format!("{{% raw %}}{{{{ {} }}}}{{% endraw %}}", many(" ~ ~ ")),
            format!("{{{{ a }}}}{}{{{{ b }}}}", many(" ~ ~ ")),
        ] {
            assert_eq!(refused(&wide), None, "{wide}");
        }
    }

    #[test]
    fn it_is_told_where_it_goes_too_deep() {
        let text = |count: usize| format!("ab {{{{ 1{} }}}}", "~1".repeat(count));
        assert_eq!(refused(&text(MOST)), None);
        assert_eq!(refused(&text(MOST + 1)), Some("ab {{ 1".len() + 2 * MOST));
        let expression = format!("1{}", "~1".repeat(MOST + 1));
        assert_eq!(of_expression(&expression).err().map(|it| it.0.start), Some(1 + 2 * MOST));
    }
}
