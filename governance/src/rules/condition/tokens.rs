//! The tokens of an expression.

/// Whether a character is white space to Java's `\s`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'&' | b'!' | b'=' | b',')
}

/// The matches of `([&!=,]*)\s*([^&!=,\s]+)`, found one after another as
/// `java.util.regex` finds them.
pub(super) struct Tokens<'a> {
    pub(super) rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let bytes = self.rest.as_bytes();
            if bytes.is_empty() {
                return None;
            }
            let run = |from: usize, is: fn(u8) -> bool| {
                from + bytes.iter().skip(from).take_while(|&&byte| is(byte)).count()
            };
            let separator = run(0, is_separator);
            let space = run(separator, is_space);
            let content = run(space, |byte| !is_separator(byte) && !is_space(byte));
            if content > space {
                // All three ends are next to ASCII bytes or at the end.
                let token = (self.rest.get(..separator)?, self.rest.get(space..content)?);
                self.rest = self.rest.get(content..)?;
                return Some(token);
            }
            // Separators with nothing behind them are skipped.
            self.rest = self.rest.get(space.max(1)..)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<(&str, &str)> {
        Tokens { rest: text }.collect()
    }

    #[test]
    fn tokens_are_found_as_java_finds_them() {
        assert_eq!(
            tokens(" a = 1 , 2&b!=é c"),
            [("", "a"), ("=", "1"), (",", "2"), ("&", "b"), ("!=", "é"), ("", "c")]
        );
        assert_eq!(tokens("a & = x &"), [("", "a"), ("=", "x")]);
        assert_eq!(tokens("a!==b"), [("", "a"), ("!==", "b")]);
        assert_eq!(tokens("=&,!"), []);
    }
}
