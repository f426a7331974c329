//! The table in `docs/protocols.md`, made of the suite's rows.

use std::fmt::Write as _;
use std::path::Path;

use super::Row;
use super::held::HELD;
use super::spoken::Spoken;

const BEGIN: &str =
    "<!-- conformance: begin (UPDATE=1 cargo test -p tests --test it -- conformance) -->\n";
const END: &str = "<!-- conformance: end -->";

/// What stands in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    Yes,
    /// It does not hold, and why.
    No(&'static str),
    /// The protocol has no such thing, and why.
    Nothing(&'static str),
}

/// Compares the page with the rows, or with `UPDATE` writes them there.
pub fn settle(rows: &[&Row]) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocols.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("where the table begins");
    let (_, after) = rest.split_once(END).expect("where the table ends");
    let made = format!("{before}{BEGIN}{}{END}{after}", block(rows));
    if made == text {
        return;
    }
    assert!(
        std::env::var_os("UPDATE").is_some(),
        "docs/protocols.md is not what is made: run UPDATE=1 cargo test -p tests --test it -- conformance"
    );
    std::fs::write(page, made).unwrap();
}

fn block(rows: &[&Row]) -> String {
    let names = Spoken::ALL.map(|spoken| format!("`{spoken}`")).join(" | ");
    let mut notes: Vec<&str> = Vec::new();
    let mut text =
        format!("| Feature | {names} | Held by |\n|{}\n", "---|".repeat(2 + Spoken::ALL.len()));
    for row in rows {
        let cells = Spoken::ALL.map(|spoken| {
            let (word, why) = match row.cell(spoken).0 {
                Cell::Yes => return "yes".to_owned(),
                Cell::No(why) => ("no", why),
                Cell::Nothing(why) => ("–", why),
            };
            let note = notes.iter().position(|note| *note == why).unwrap_or_else(|| {
                notes.push(why);
                notes.len() - 1
            });
            format!("{word} ({})", note + 1)
        });
        let _ = writeln!(text, "| {} | {} | the suite |", row.feature, cells.join(" | "));
    }
    for row in HELD {
        let tests: Vec<String> = row.tests.iter().map(|test| format!("`{test}`")).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            row.feature,
            row.cells.join(" | "),
            tests.join(", ")
        );
    }
    text.push('\n');
    for (number, note) in notes.iter().enumerate() {
        let _ = writeln!(text, "{}. {note}", number + 1);
    }
    text
}
