//! Words of other people, as one line.

/// Without what could be taken for another line or do something to a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).take(2_000).collect()
}
