//! The pages about findings, `docs/lint/<code>.md`, as they are printed by
//! `spanwire rule lint --explain`. `build.rs` embeds them; what they hold is checked
//! by `governance/tests/lint_pages.rs`.

use governance::document::nearest;

/// Code and page of each.
const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/lint_pages.rs"));

/// The most codes that are proposed for one that is not known.
const MOST_PROPOSALS: usize = 3;

/// The page about a finding's code.
pub(crate) fn page(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(known, _)| *known == code).map(|(_, page)| *page)
}

/// Codes that were probably meant: the one that is a slip away, then those with a
/// word in common.
pub(crate) fn proposals(code: &str) -> Vec<&'static str> {
    let codes: Vec<&str> = PAGES.iter().map(|(code, _)| *code).collect();
    let mut found: Vec<&str> = nearest(code, &codes).into_iter().collect();
    let code = code.to_lowercase();
    let words: Vec<&str> = code.split(['-', '_', ' ']).filter(|word| word.len() > 2).collect();
    let in_common = |known: &str| known.split('-').filter(|word| words.contains(word)).count();
    let mut alike: Vec<&str> =
        codes.into_iter().filter(|known| in_common(known) > 0 && !found.contains(known)).collect();
    alike.sort_by_key(|known| std::cmp::Reverse(in_common(known)));
    found.extend(alike);
    found.truncate(MOST_PROPOSALS);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_found_by_its_code() {
        assert!(PAGES.len() > 50, "{}", PAGES.len());
        for (code, text) in PAGES {
            assert!(text.starts_with(&format!("# {code}\n")), "{code}");
            assert_eq!(page(code), Some(*text));
        }
        assert_eq!(page("no-such-code"), None);
    }

    #[test]
    fn what_was_meant_is_proposed() {
        assert_eq!(proposals("wieght-zero")[0], "weight-zero");
        assert!(proposals("zero-weight").contains(&"weight-zero"));
        assert!(proposals("WEIGHT").contains(&"weight-zero"));
        assert!(proposals("qqqqqqqq").is_empty());
    }
}
