//! Which feature holds for which protocol: one suite, run over each.
//!
//! A [`Row`] is a feature and the check that shows it, written once for all protocols: a
//! [`stage`] has [`server`]s and [`caller`]s of whichever it is ([`spoken`]). Where a
//! feature does not hold, the row says why, and checks what holds instead, so that a cell
//! of the table cannot be wrong for long. The table in `docs/protocols.md` is made of
//! what passed ([`table`]); it has also what needs peers of its own and is held by
//! other tests ([`held`]).
//!
//! A new feature is one `Row` in the list of the file that it belongs to, then
//! `UPDATE=1 cargo test -p tests --test it -- conformance`.
//!
//! Not here: the edge cases of each protocol, which have files of their own.

mod caller;
mod held;
mod lifecycle;
mod observing;
mod policies;
mod routing;
mod server;
mod spoken;
mod stage;
mod table;

use std::sync::Mutex;

use spoken::Spoken;

/// A feature.
pub struct Row {
    /// As the table names it.
    pub feature: &'static str,
    /// Shows that it holds for a protocol; panics where it does not.
    pub check: fn(Spoken),
    /// The protocols for which it does not.
    pub except: &'static [(&'static [Spoken], Except)],
}

/// Why a feature does not hold.
#[derive(Clone, Copy)]
pub enum Except {
    /// It might, and what holds instead is checked.
    No(&'static str, fn(Spoken)),
    /// The protocol has no such thing.
    Nothing(&'static str),
}

impl Row {
    /// What stands in a cell, and what has to be shown for it.
    fn cell(&self, spoken: Spoken) -> (table::Cell, Option<fn(Spoken)>) {
        match self.except.iter().find(|(protocols, _)| protocols.contains(&spoken)) {
            None => (table::Cell::Yes, Some(self.check)),
            Some((_, Except::No(why, instead))) => (table::Cell::No(why), Some(*instead)),
            Some((_, Except::Nothing(why))) => (table::Cell::Nothing(why), None),
        }
    }
}

/// Cells that are checked at once: most of the time they wait.
const AT_ONCE: usize = 8;

#[test]
fn every_cell_holds_and_the_manual_shows_them() {
    let rows: Vec<&Row> = [routing::ROWS, policies::ROWS, observing::ROWS, lifecycle::ROWS]
        .into_iter()
        .flatten()
        .collect();
    let cells = rows.iter().flat_map(|row| {
        Spoken::ALL.into_iter().filter_map(|spoken| {
            let check = row.cell(spoken).1?;
            Some((format!("{}, {spoken}", row.feature), spoken, check))
        })
    });
    let (cells, failed) = (Mutex::new(cells), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((name, spoken, check)) = cells.lock().unwrap().next() else { return };
                    let thread = std::thread::Builder::new().name(name.clone());
                    if thread.spawn(move || check(spoken)).unwrap().join().is_err() {
                        failed.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "these do not hold (why stands above): {failed:#?}");
    table::settle(&rows);
}
