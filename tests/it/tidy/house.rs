//! How large the house may grow: how long functions and files are, and that no files import each other.
//!
//! The figures, with what stands out:
//!
//! ```text
//! cargo nextest run -p steadfast-tests tidy::house::figures --no-capture
//! ```
//!
//! With `STEADFAST_FIGURES_OF=PATH` those of another checkout, for before and after. What is measured, and
//! of which code, `measure/mod.rs` says.

use super::measure::House;

/// No function is longer.
const LONG: usize = 60;

/// A file that is longer than this says why, in its documentation: `//! Over 600 lines because …`.
const LONG_FILE: usize = 600;

fn here() -> House {
    House::measure(&super::root())
}

#[test]
fn functions_are_short() {
    let house = here();
    let long = house.functions_over(LONG);
    assert_eq!(long, 0, "longer than {LONG} lines:\n{}", told(&house.functions[..long]));
}

#[test]
fn a_long_file_says_why() {
    let house = here();
    let silent: Vec<&str> =
        house.files_over(LONG_FILE).filter(|it| !it.explained).map(|it| &*it.file).collect();
    assert!(silent.is_empty(), "over {LONG_FILE} lines, and no word why: {silent:#?}");
}

#[test]
fn no_files_import_each_other() {
    let circles = here().circles;
    assert!(circles.is_empty(), "they import each other in a circle: {circles:#?}");
}

fn told(functions: &[super::measure::Function]) -> String {
    functions
        .iter()
        .map(|it| format!("{:5} {}:{} {}\n", it.lines, it.file, it.at, it.name))
        .collect()
}

/// Prints what was measured.
#[test]
fn figures() {
    let root = std::env::var_os("STEADFAST_FIGURES_OF").map_or_else(super::root, Into::into);
    let house = House::measure(&root);
    let long = house.functions_over(LONG);
    println!("functions: {}", spread(house.functions.iter().map(|it| it.lines)));
    println!("{long} over {LONG} lines:\n{}", told(&house.functions[..long]));
    println!("files: {}", spread(house.files.iter().map(|it| it.lines)));
    println!("{} over {LONG_FILE} lines:", house.files_over(LONG_FILE).count());
    for file in house.files_over(LONG_FILE) {
        let why = if file.explained { ", and says why" } else { "" };
        println!("{:5} {}{why}", file.lines, file.file);
    }
    for (circles, what) in [
        (&house.wide_circles, "circles of imports, where a re-export counts as well"),
        (&house.circles, "circles of imports"),
    ] {
        let within: usize = circles.iter().map(Vec::len).sum();
        let largest = circles.first().map_or(0, Vec::len);
        println!(
            "\n{} {what}: {within} of {} files, {largest} in the largest",
            circles.len(),
            house.files.len()
        );
        for circle in circles {
            println!("   {}", circle.join(" "));
        }
    }
    let share = 100.0 * house.comment_lines as f64 / house.lines as f64;
    println!("\ncomments: {share:.1} % of {} lines that are not blank", house.lines);
}

fn spread(lines: impl Iterator<Item = usize>) -> String {
    let mut all: Vec<usize> = lines.collect();
    all.sort_unstable();
    let part = |percent: usize| all[(all.len() - 1) * percent / 100];
    let (median, p90, p99, max) = (part(50), part(90), part(99), part(100));
    format!("{} of median {median}, p90 {p90}, p99 {p99}, longest {max} lines", all.len())
}
