//! Documents that name tests name real ones.

use std::collections::BTreeSet;
use std::path::Path;

fn tests_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(path).unwrap();
            // What follows a test's attribute is its name.
            for part in source.split("test").skip(1).filter(|part| part.starts_with([']', '('])) {
                let Some((_, rest)) = part.split_once("fn ") else { continue };
                found.extend(rest.split_once('(').map(|(name, _)| name.to_owned()));
            }
        }
    }
}

#[test]
fn what_holds_for_which_protocol_is_held_by_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    tests_in(&root.join("it"), &mut tests);
    tests_in(&root.join("interop"), &mut tests);
    let document = std::fs::read_to_string(root.join("../docs/protocols.md")).unwrap();
    let (_, table) = document.split_once("| Held by |\n").expect("the table");
    let (_, rows) = table.split_once('\n').expect("its rows");
    let mut named = 0;
    for row in rows.lines().take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 7, "{row}");
        let holders = cells[6].split(", ");
        for holder in holders.map(|name| name.trim_matches('`')) {
            assert!(tests.contains(holder), "there is no test {holder:?}");
            named += 1;
        }
    }
    assert!(named > 40, "{named} tests are named");
}
