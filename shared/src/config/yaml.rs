//! YAML text to a tree of raw text, and that tree into properties.
//!
//! Value-based YAML readers turn `0123` into a number and lose the password that it was; this one keeps
//! every scalar as it is written. What is refused or bounded is so because a configuration has no use
//! for it: depth, size, and what aliases may unfold to.

use std::{borrow::Cow, collections::HashMap, path::PathBuf, sync::Arc};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use zeroize::Zeroizing;

use super::{
    error::{Fault, Origin},
    key::{self, KeyPattern},
    properties::{Entries, Value},
};

/// Deepest nesting.
const MAX_DEPTH: usize = 64;
/// Most nodes of one file, those that aliases unfold to included.
const MAX_NODES: usize = 100_000;

/// A node of the document, with the line where it begins.
#[derive(Clone)]
struct Node {
    line: usize,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Null,
    Scalar(Zeroizing<String>),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Merges all documents of a file into `entries`, in order; later ones win, lists are replaced whole,
/// null unsets. Keys are normalised except where `verbatim` leaves the spelling to the operator.
pub fn merge(
    text: &str,
    path: &Arc<PathBuf>,
    verbatim: &[KeyPattern],
    entries: &mut Entries,
) -> Result<(), Fault> {
    let mut builder = Builder::new(text, path);
    while let Some(document) = builder.next_document()? {
        match document.content {
            Content::Null => {}
            Content::Map(_) => Flattening { path, verbatim, entries }.node(&mut Vec::new(), &document),
            _ => return Err(builder.fault(document.line, "a document must be a mapping of keys to values")),
        }
    }
    Ok(())
}

/// The first document of a text as JSON: every scalar as the text that it is written as, nothing resolved.
pub fn document(text: &str, path: &Arc<PathBuf>) -> Result<serde_json::Value, Fault> {
    let document = Builder::new(text, path).next_document()?;
    Ok(document.map_or(serde_json::Value::Null, |node| json(&node)))
}

fn json(node: &Node) -> serde_json::Value {
    match &node.content {
        Content::Null => serde_json::Value::Null,
        Content::Scalar(text) => text.as_str().into(),
        Content::List(items) => items.iter().map(json).collect(),
        Content::Map(pairs) => {
            serde_json::Value::Object(pairs.iter().map(|(name, node)| (name.clone(), json(node))).collect())
        }
    }
}

/// Builds trees from the parser's events.
struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    path: &'t Arc<PathBuf>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str, path: &'t Arc<PathBuf>) -> Self {
        Self { parser: Parser::new_from_str(text), path, anchors: HashMap::new(), nodes: 0 }
    }

    fn fault(&self, line: usize, message: impl Into<String>) -> Fault {
        Fault::Syntax { origin: Origin::File { path: Arc::clone(self.path), line }, message: message.into() }
    }

    fn event(&mut self) -> Result<Option<(Event<'t>, usize)>, Fault> {
        match self.parser.next() {
            None => Ok(None),
            Some(Ok((event, Span { start, .. }))) => Ok(Some((event, start.line()))),
            Some(Err(error)) => Err(self.fault(error.marker().line(), error.info())),
        }
    }

    /// The next event, where the grammar says that there is one.
    fn must_event(&mut self) -> Result<(Event<'t>, usize), Fault> {
        self.event()?.ok_or_else(|| self.fault(1, "the document ends too early"))
    }

    fn next_document(&mut self) -> Result<Option<Node>, Fault> {
        while let Some((event, _)) = self.event()? {
            if matches!(event, Event::DocumentStart(_)) {
                self.anchors.clear();
                let (event, line) = self.must_event()?;
                return self.node(event, line, 0).map(Some);
            }
        }
        Ok(None)
    }

    fn node(&mut self, event: Event<'t>, line: usize, depth: usize) -> Result<Node, Fault> {
        self.count(1, line)?;
        if depth > MAX_DEPTH {
            return Err(self.fault(line, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let (anchor, content) = match event {
            Event::Alias(id) => return self.alias(id, line),
            Event::Scalar(text, style, anchor, tag) => (anchor, scalar(&text, style, tag)),
            Event::SequenceStart(anchor, _) => (anchor, self.list(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(depth)?),
            _ => return Err(self.fault(line, "a value was expected here")),
        };
        let node = Node { line, content };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, line: usize) -> Result<Node, Fault> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            return Err(self.fault(line, "an alias must not stand inside of what it names"));
        };
        self.count(size(&node), line)?;
        Ok(node)
    }

    fn count(&mut self, nodes: usize, line: usize) -> Result<(), Fault> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(self.fault(line, format!("more than {MAX_NODES} values, aliases unfolded")));
        }
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<Content, Fault> {
        let mut items = Vec::new();
        loop {
            let (event, line) = self.must_event()?;
            if event == Event::SequenceEnd {
                return Ok(Content::List(items));
            }
            items.push(self.node(event, line, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Content, Fault> {
        let mut pairs: Vec<(String, Node)> = Vec::new();
        let mut merged: Vec<(String, Node)> = Vec::new();
        loop {
            let (event, line) = self.must_event()?;
            let name = match event {
                Event::MappingEnd => break,
                Event::Scalar(name, ..) => name.into_owned(),
                _ => return Err(self.fault(line, "a key must be plain text")),
            };
            let (event, line) = self.must_event()?;
            let value = self.node(event, line, depth + 1)?;
            match (name.as_str(), value) {
                ("<<", value) => self.merge_key(value, &mut merged)?,
                (_, value) => pairs.push((name, value)),
            }
        }
        // What a mapping says itself wins over what it merges in.
        merged.retain(|(name, _)| pairs.iter().all(|(own, _)| own != name));
        merged.append(&mut pairs);
        Ok(Content::Map(merged))
    }

    /// Takes over the pairs of a mapping, or of a list of mappings, that stands behind `<<`.
    fn merge_key(&self, value: Node, merged: &mut Vec<(String, Node)>) -> Result<(), Fault> {
        let line = value.line;
        let maps = if let Content::List(maps) = value.content { maps } else { vec![value] };
        for map in maps {
            let Content::Map(pairs) = map.content else {
                return Err(self.fault(line, "`<<` takes a mapping"));
            };
            for (name, node) in pairs {
                if merged.iter().all(|(known, _)| *known != name) {
                    merged.push((name, node));
                }
            }
        }
        Ok(())
    }
}

/// The content of a scalar: null where it is written as such, else its text.
fn scalar(text: &str, style: ScalarStyle, tag: Option<Cow<'_, Tag>>) -> Content {
    let is_string = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    let is_null = matches!(text, "" | "~" | "null" | "Null" | "NULL");
    if style == ScalarStyle::Plain && is_null && !is_string {
        Content::Null
    } else {
        Content::Scalar(Zeroizing::new(text.to_owned()))
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.content {
        Content::Null | Content::Scalar(_) => 0,
        Content::List(items) => items.iter().map(size).sum(),
        Content::Map(pairs) => pairs.iter().map(|(_, node)| size(node)).sum(),
    }
}

/// Writes a tree into the flat entries.
struct Flattening<'a> {
    path: &'a Arc<PathBuf>,
    verbatim: &'a [KeyPattern],
    entries: &'a mut Entries,
}

impl Flattening<'_> {
    /// `parts` is the key so far; a list's index stands at the end of its last part.
    fn node(&mut self, parts: &mut Vec<String>, node: &Node) {
        match &node.content {
            Content::Null => self.entries.unset(&self.key(parts)),
            Content::Scalar(text) => self.set(parts, Value::Text(text.clone()), node.line),
            Content::List(items) => self.list(parts, items, node.line),
            Content::Map(pairs) => {
                for (name, child) in pairs {
                    let above = parts.len();
                    parts.extend(name.split('.').map(str::to_owned));
                    self.node(parts, child);
                    parts.truncate(above);
                }
            }
        }
    }

    fn list(&mut self, parts: &mut Vec<String>, items: &[Node], line: usize) {
        self.set(parts, Value::List, line);
        let Some(name) = parts.last().cloned() else { return };
        let above = parts.len() - 1;
        let present = items.iter().filter(|item| !matches!(item.content, Content::Null));
        for (index, item) in present.enumerate() {
            parts.truncate(above);
            parts.push(format!("{name}[{index}]"));
            self.node(parts, item);
        }
        parts.truncate(above);
        parts.push(name);
    }

    fn key(&self, parts: &[String]) -> String {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        key::join(&parts, self.verbatim)
    }

    fn set(&mut self, parts: &[String], value: Value, line: usize) {
        let origin = Origin::File { path: Arc::clone(self.path), line };
        self.entries.set(self.key(parts), value, origin);
    }
}
