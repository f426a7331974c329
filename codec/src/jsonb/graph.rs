//! Where each container of a document stands, so that references to it, which
//! are paths (`$.items[0].owner`, or `..` for the container around), can be
//! turned into its number.

use crate::error::DecodeError;
use crate::hessian2::limits::Budget;

use super::text::Text;

/// How a container hangs in the one around it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    /// It is the whole document.
    Root,
    /// Under this name.
    Name(Text<'a>),
    /// At this index.
    Index(usize),
    /// Under or as a key that no path can name.
    Unnamed,
}

#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    /// Every container begun: the one around it, and its step there.
    containers: Vec<(u32, Step<'a>)>,
    /// Those that have not ended.
    open: Vec<u32>,
    /// What the last reference was to.
    last: Option<u32>,
}

impl<'a> Graph<'a> {
    pub(super) fn enter(&mut self, step: Step<'a>) {
        let around = self.open.last().copied().unwrap_or_default();
        self.open.push(self.containers.len() as u32);
        self.containers.push((around, step));
    }

    pub(super) fn leave(&mut self) {
        self.open.pop();
    }

    /// The number of the container at `path`. Each container looked at counts
    /// as a value, since a document may hold many references.
    pub(super) fn find(
        &mut self,
        path: &str,
        budget: &mut Budget,
    ) -> Result<Option<u32>, DecodeError> {
        // What the reference before this one was to.
        if path != "#-1" {
            self.last = self.follow(path, budget)?;
        }
        Ok(self.last)
    }

    fn follow(&self, path: &str, budget: &mut Budget) -> Result<Option<u32>, DecodeError> {
        if path == ".." {
            // The container that holds the reference has one around it.
            return Ok(self.open.iter().rev().nth(1).or(self.open.last()).copied());
        }
        let Some(mut rest) = path.strip_prefix('$') else { return Ok(None) };
        if self.containers.is_empty() {
            return Ok(None);
        }
        let mut at = 0;
        while !rest.is_empty() {
            let (step, tail) = match split_step(rest) {
                Some(split) => split,
                None => return Ok(None),
            };
            rest = tail;
            let mut found = None;
            for (number, (around, known)) in self.containers.iter().enumerate().skip(1) {
                budget.value()?;
                let same = match (known, step) {
                    (Step::Name(name), PathStep::Name(wanted)) => name.to_str() == wanted,
                    (Step::Index(index), PathStep::Index(wanted)) => *index == wanted,
                    _ => false,
                };
                if *around == at && same {
                    found = Some(number as u32);
                    break;
                }
            }
            match found {
                Some(number) => at = number,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }
}

#[derive(Clone, Copy)]
enum PathStep<'p> {
    Name(&'p str),
    Index(usize),
}

/// The first step of `.name[0]…`, and the rest.
fn split_step(path: &str) -> Option<(PathStep<'_>, &str)> {
    if let Some(inside) = path.strip_prefix('[') {
        let (index, rest) = inside.split_once(']')?;
        return Some((PathStep::Index(index.parse().ok()?), rest));
    }
    let name = path.strip_prefix('.')?;
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (name, rest) = name.split_at(end);
    Some((PathStep::Name(name), rest))
}
