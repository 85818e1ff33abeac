//! No code reads our own sentences: they are for people, and change. What a program may want to tell apart is
//! a type (decision 0015).

use super::measure::House;

/// Texts of several words that production code looks for, and whose words they are.
const OF_OTHERS: &[(&str, &str, &str)] = &[];

#[test]
fn no_code_reads_our_own_sentences() {
    let house = House::measure(&super::root());
    let known = |file: &str, text: &str| OF_OTHERS.iter().any(|it| (it.0, it.1) == (file, text));
    let own: Vec<String> = (house.searched.iter())
        .filter(|(file, _, text)| !known(file, text))
        .map(|(file, line, text)| format!("{file}:{line} looks for {text:?}"))
        .collect();
    assert!(own.is_empty(), "whose words are these?\n{}", own.join("\n"));
    for (file, text, whose) in OF_OTHERS {
        let found = house.searched.iter().any(|it| (&*it.0, &*it.2) == (*file, *text));
        assert!(found, "{file} looks for {text:?} of {whose} no more: strike it from the list");
    }
}
