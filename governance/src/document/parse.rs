//! From text to nodes, within limits that no document can exceed.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::node::{Node, Position, Scalar, Value, shorten};
use super::report::Report;

/// The longest document that is read, in bytes. Stores hold no longer values:
/// etcd's limit is 1.5 MiB, ZooKeeper's 1 MiB.
pub const MAX_BYTES: usize = 3 << 19;
/// The most values in a document, those that aliases repeat included.
pub const MAX_NODES: usize = 100_000;
/// For so many bytes a text that is repeated counts as one more value.
const BYTES_PER_VALUE: usize = 64;
/// The deepest nesting of lists and mappings.
pub const MAX_DEPTH: usize = 64;

/// Reads a text that holds one document; an empty text is an error.
///
/// Returns `None` when the text is no YAML, and reports why. Duplicate keys are
/// reported as errors (`yaml-duplicate-key`); the last one stays.
pub fn parse_one(text: &str, report: &mut Report) -> Option<Node> {
    let mut documents = parse_all(text, report)?;
    if let Some(second) = documents.get(1) {
        report.error(
            second.position,
            "yaml-several-documents",
            "a second document starts here, but one file holds one",
            "put each document into a file or key of its own",
        );
        return None;
    }
    let first = documents.pop();
    if first.is_none() {
        report.error(Position::default(), "yaml-empty", "the document is empty", "");
    }
    first
}

/// Reads a text that may hold several documents (`---`). Empty documents are
/// left out.
///
/// Returns `None` when the text is no YAML, and reports why.
pub fn parse_all(text: &str, report: &mut Report) -> Option<Vec<Node>> {
    if text.len() > MAX_BYTES {
        report.error(
            Position::default(),
            "yaml-too-large",
            format!("the document has {} bytes, but {MAX_BYTES} is the limit", text.len()),
            "split it into several documents",
        );
        return None;
    }
    // Above our own limit, so that a text that is too deep is told so.
    let options = granit_parser::options! {
        flow_nesting_limit: 4 * MAX_DEPTH,
        block_nesting_limit: 4 * MAX_DEPTH,
    };
    let mut builder = Builder {
        report,
        documents: Vec::new(),
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => {
                builder.syntax(&error);
                Err(Stop)
            }
        };
        if step.is_err() {
            return None;
        }
    }
    Some(builder.documents)
}

/// Parsing ended early; why has been reported.
struct Stop;

/// A list or mapping that is not closed yet.
struct Open {
    position: Position,
    anchor: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    /// The entries, and the key that waits for its value.
    Mapping(Vec<(Node, Node)>, Option<Node>),
}

struct Builder<'r> {
    report: &'r mut Report,
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let position = position_of(&span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, position)?;
                let is_text = self.check_tag(tag.as_deref(), &text, position)?;
                let scalar = Scalar {
                    text: text.into_owned(),
                    is_plain: style == ScalarStyle::Plain && !is_text,
                };
                self.place(Node { position, value: Value::Scalar(scalar) }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_collection(tag.as_deref(), "seq", position)?;
                self.begin(position, anchor, Content::Sequence(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_collection(tag.as_deref(), "map", position)?;
                self.begin(position, anchor, Content::Mapping(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => self.repeat(id, position),
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, position: Position, anchor: usize, content: Content) -> Result<(), Stop> {
        self.count(1, position)?;
        if self.open.len() >= MAX_DEPTH {
            return self.refuse(
                position,
                "yaml-too-deep",
                format!("lists and mappings are nested deeper than {MAX_DEPTH}"),
            );
        }
        self.open.push(Open { position, anchor, content });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.content {
            Content::Sequence(items) => Value::Sequence(items),
            Content::Mapping(entries, _) => Value::Mapping(self.settle(entries)),
        };
        self.place(Node { position: open.position, value }, open.anchor)
    }

    fn repeat(&mut self, id: usize, position: Position) -> Result<(), Stop> {
        let Some((node, size)) = self.anchors.get(&id) else {
            return self.refuse(
                position,
                "yaml-cyclic-alias",
                "this alias stands inside the value that it repeats".to_owned(),
            );
        };
        let (node, size) = (node.clone(), *size);
        self.count(size, position)?;
        self.place(node, 0)
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        if anchor > 0 {
            let size = size_of(&node);
            // The copy kept for aliases takes memory too.
            self.count(size, node.position)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => {
                let is_empty =
                    matches!(&node.value, Value::Scalar(s) if s.is_plain && s.text.is_empty());
                if !is_empty {
                    self.documents.push(node);
                }
            }
            Some(Content::Sequence(items)) => items.push(node),
            Some(Content::Mapping(entries, waiting)) => match waiting.take() {
                None => *waiting = Some(node),
                Some(key) => entries.push((key, node)),
            },
        }
        Ok(())
    }

    /// Merges `<<` entries and drops all but the last of equal keys.
    fn settle(&mut self, entries: Vec<(Node, Node)>) -> Vec<(Node, Node)> {
        let mut kept: Vec<(Node, Node)> = Vec::with_capacity(entries.len());
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut merged: Vec<(Node, Node)> = Vec::new();
        for (key, value) in entries {
            let Some(name) = key.scalar().map(|scalar| scalar.text.clone()) else {
                kept.push((key, value));
                continue;
            };
            if name == "<<" && key.scalar().is_some_and(|scalar| scalar.is_plain) {
                merged.extend(self.merge_sources(&key, value));
                continue;
            }
            match places.get(&name) {
                Some(&place) => {
                    self.report.error(
                        key.position,
                        "yaml-duplicate-key",
                        format!("the key {:?} stands here a second time", shorten(&name)),
                        "keep one of them",
                    );
                    if let Some(entry) = kept.get_mut(place) {
                        entry.1 = value;
                    }
                }
                None => {
                    places.insert(name, kept.len());
                    kept.push((key, value));
                }
            }
        }
        for (key, value) in merged {
            let Some(name) = key.scalar().map(|scalar| scalar.text.clone()) else { continue };
            if let std::collections::hash_map::Entry::Vacant(place) = places.entry(name) {
                place.insert(kept.len());
                kept.push((key, value));
            }
        }
        kept
    }

    fn merge_sources(&mut self, key: &Node, value: Node) -> Vec<(Node, Node)> {
        let sources = match value.value {
            Value::Sequence(items) => items,
            _ => vec![value],
        };
        let mut entries = Vec::new();
        for source in sources {
            match source.value {
                Value::Mapping(inside) => entries.extend(inside),
                _ => self.report.error(
                    key.position,
                    "yaml-merge",
                    "<< must be followed by a mapping or a list of mappings",
                    "",
                ),
            }
        }
        entries
    }

    /// Whether a tag says that the scalar is a text.
    fn check_tag(&mut self, tag: Option<&Tag>, text: &str, at: Position) -> Result<bool, Stop> {
        let Some(tag) = tag else { return Ok(false) };
        match tag.core_suffix() {
            Some("str") => Ok(true),
            Some("int" | "float" | "bool" | "null") => Ok(false),
            _ => {
                self.refuse(
                    at,
                    "yaml-tag",
                    format!("the tag of {:?} has no meaning here", shorten(text)),
                )?;
                Ok(false)
            }
        }
    }

    /// A list or mapping is what it is; a tag can only ask for something else.
    fn check_collection(
        &mut self,
        tag: Option<&Tag>,
        kind: &str,
        at: Position,
    ) -> Result<(), Stop> {
        match tag {
            Some(tag) if tag.core_suffix() != Some(kind) => {
                self.refuse(at, "yaml-tag", "the tag of this value has no meaning here".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, more: usize, position: Position) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MAX_NODES {
            return self.refuse(
                position,
                "yaml-too-many-values",
                format!("the document has more than {MAX_NODES} values, repeated ones included"),
            );
        }
        Ok(())
    }

    fn refuse(&mut self, at: Position, code: &'static str, message: String) -> Result<(), Stop> {
        self.report.error(at, code, message, "");
        Err(Stop)
    }

    fn syntax(&mut self, error: &ScanError) {
        let marker = error.marker();
        let position = Position { line: number(marker.line()), column: number(marker.col() + 1) };
        self.report.error(position, "yaml-syntax", error.info(), "");
    }
}

/// How many values a node holds, itself included. To repeat a long text costs as much as
/// to repeat several short ones.
fn size_of(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(scalar) => 1 + scalar.text.len() / BYTES_PER_VALUE,
        Value::Sequence(items) => 1 + items.iter().map(size_of).sum::<usize>(),
        Value::Mapping(entries) => {
            1 + entries.iter().map(|(key, value)| size_of(key) + size_of(value)).sum::<usize>()
        }
    }
}

fn position_of(span: &Span) -> Position {
    Position { line: number(span.start.line()), column: number(span.start.col() + 1) }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn codes(text: &str) -> Vec<&'static str> {
        let mut report = Report::new("x");
        let _ = parse_one(text, &mut report);
        report.findings().iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let mut report = Report::new("x");
        let root = parse_one("é: 1\nlist:\n  - ü: wärme\n    b: \"x\"\n", &mut report).unwrap();
        let top = root.mapping("", &mut report).unwrap();
        assert_eq!(top.entries()[0].1.position, Position { line: 1, column: 4 });
        let items = top.peek("list").unwrap().list("", &mut report).unwrap();
        let item = items[0].mapping("", &mut report).unwrap();
        assert_eq!(item.entries()[0].1.position, Position { line: 3, column: 8 });
        assert_eq!(item.peek("b").unwrap().position, Position { line: 4, column: 8 });
    }

    #[test]
    fn broken_documents_are_found_out() {
        assert_eq!(codes("a: [1"), ["yaml-syntax"]);
        assert_eq!(codes(""), ["yaml-empty"]);
        assert_eq!(codes("# nothing\n"), ["yaml-empty"]);
        assert_eq!(codes("a: 1\n---\nb: 2\n"), ["yaml-several-documents"]);
        assert_eq!(codes("a: 1\nb: 2\na: 3\n"), ["yaml-duplicate-key"]);
        assert_eq!(codes("a: &x [*x]"), ["yaml-cyclic-alias"]);
        assert_eq!(codes("a: !!java/object 1"), ["yaml-tag"]);
        assert_eq!(codes(&"[".repeat(10_000)), ["yaml-syntax"]);
        assert_eq!(codes(&"a".repeat(MAX_BYTES + 1)), ["yaml-too-large"]);
        assert_eq!(codes(&format!("[{}]", "a,".repeat(300_000))), ["yaml-too-many-values"]);
    }

    #[test]
    fn the_billion_laughs_end_early() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = format!("*a{}", n - 1);
            text += &format!("a{n}: &a{n} [{}]\n", [before.as_str(); 9].join(", "));
        }
        assert_eq!(codes(&text), ["yaml-too-many-values"]);
    }

    #[test]
    fn aliases_and_merges_repeat_values() {
        let text = "base: &b {force: true, n: 1}\nuse: {<<: *b, n: 2}\nagain: *b\n";
        let mut report = Report::new("x");
        let root = parse_one(text, &mut report).unwrap();
        let top = root.mapping("", &mut report).unwrap();
        let mut used = top.peek("use").unwrap().mapping("", &mut report).unwrap();
        assert_eq!(used.boolean("force", &mut report), Some(true));
        assert_eq!(used.integer("n", 0..=9, &mut report), Some(2));
        assert!(report.findings().is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_an_answer(text in "[-a:\\[\\]{}&*#!|>'\"%\n\t ,?0-9é]{0,120}") {
            let mut report = Report::new("x");
            if parse_all(&text, &mut report).is_none() {
                proptest::prop_assert!(report.has_errors());
            }
        }
    }
}
