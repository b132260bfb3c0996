//! A small tree of elements, read leniently and written with indentation.

use quick_xml::events::Event;
use quick_xml::reader::Reader;

/// Elements within elements that are still read: far beyond any header, far below the stack.
const MAX_DEPTH: usize = 64;

/// One element: its name without prefix, its own text and its children in order.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub name: String,
    pub text: String,
    pub children: Vec<Node>,
}

/// Why a text is not XML.
#[derive(Debug, thiserror::Error)]
pub enum XmlError {
    /// Malformed XML.
    #[error("not well-formed XML at byte {byte}: {source}")]
    Syntax {
        /// Offset into the text.
        byte: u64,
        /// What the XML reader says.
        source: quick_xml::Error,
    },
    /// The text ends before its root element does.
    #[error("the XML text ends within element `{0}`; it was cut off")]
    Unfinished(String),
    /// There is no element at all.
    #[error("the text holds no XML element")]
    Empty,
    /// Elements are nested too deeply.
    #[error("elements are nested more than {MAX_DEPTH} deep at byte {byte}; no MRD document is")]
    TooDeep {
        /// Offset into the text.
        byte: u64,
    },
}

impl Node {
    /// The root element of `text`. What follows it is ignored, and so are NULs at the end.
    pub fn parse(text: &str) -> Result<Self, XmlError> {
        let text = text.trim_end_matches('\0').trim_start_matches('\u{feff}').trim_start();
        let mut reader = Reader::from_str(text);
        reader.config_mut().allow_dangling_amp = true;
        let mut open: Vec<Self> = Vec::new();
        loop {
            let byte = reader.buffer_position();
            let event = reader.read_event().map_err(|source| XmlError::Syntax { byte, source })?;
            let closed = match event {
                Event::Start(start) => {
                    if open.len() == MAX_DEPTH {
                        return Err(XmlError::TooDeep { byte });
                    }
                    open.push(Self::named(start.local_name().into_inner()));
                    continue;
                }
                Event::Empty(start) => Self::named(start.local_name().into_inner()),
                Event::End(_) => match open.pop() {
                    Some(node) => node,
                    None => continue,
                },
                Event::Text(text) => {
                    push_text(&mut open, &text.xml10_content());
                    continue;
                }
                Event::CData(text) => {
                    push_text(&mut open, &text.xml10_content());
                    continue;
                }
                Event::GeneralRef(entity) => {
                    match entity.resolve_char_ref() {
                        Ok(Some(character)) => {
                            push_text(&mut open, character.encode_utf8(&mut [0; 4]))
                        }
                        _ => push_entity(&mut open, &entity.xml10_content()),
                    }
                    continue;
                }
                Event::Eof => {
                    return Err(open
                        .pop()
                        .map_or(XmlError::Empty, |node| XmlError::Unfinished(node.name)));
                }
                Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => continue,
            };
            match open.last_mut() {
                Some(parent) => parent.children.push(closed),
                None => return Ok(closed),
            }
        }
    }

    /// An element without content.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of this name in order.
    pub fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

fn push_text(open: &mut [Node], text: &str) {
    if let Some(node) = open.last_mut() {
        node.text.push_str(text);
    }
}

/// Entities other than XML's own five stay as they are written: nothing is ever expanded.
fn push_entity(open: &mut [Node], name: &str) {
    match name {
        "lt" => push_text(open, "<"),
        "gt" => push_text(open, ">"),
        "amp" => push_text(open, "&"),
        "quot" => push_text(open, "\""),
        "apos" => push_text(open, "'"),
        other => {
            push_text(open, "&");
            push_text(open, other);
            push_text(open, ";");
        }
    }
}

/// An XML document under construction, laid out as the C++ library does.
pub(crate) struct Document {
    text: String,
    depth: usize,
}

impl Document {
    /// A document with nothing but its declaration.
    pub fn new() -> Self {
        Self { text: "<?xml version=\"1.0\"?>\n".to_owned(), depth: 0 }
    }

    /// An element with `children`. `attributes` are written as they are, after a space.
    pub fn element(&mut self, name: &str, attributes: &str, children: impl FnOnce(&mut Self)) {
        self.indent();
        self.text.push('<');
        self.text.push_str(name);
        self.text.push_str(attributes);
        let start = self.text.len();
        self.text.push_str(">\n");
        let content = self.text.len();
        self.depth += 1;
        children(self);
        self.depth -= 1;
        if self.text.len() == content {
            self.text.truncate(start);
            self.text.push_str(" />\n");
            return;
        }
        self.indent();
        self.close(name);
    }

    /// An element with nothing but text.
    pub fn leaf(&mut self, name: &str, text: &str) {
        self.indent();
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
        for character in text.chars() {
            match character {
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '&' => self.text.push_str("&amp;"),
                '\r' => self.text.push_str("&#13;"),
                '\t' | '\n' => self.text.push(character),
                // No XML document can hold these, escaped or not.
                '\0'..' ' | '\u{fffe}' | '\u{ffff}' => {}
                other => self.text.push(other),
            }
        }
        self.close(name);
    }

    /// The finished text.
    pub fn finish(self) -> String {
        self.text
    }

    fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push_str(">\n");
    }

    fn indent(&mut self) {
        for _ in 0..self.depth {
            self.text.push('\t');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_comments_and_what_follows_the_root_do_not_matter() {
        let node = Node::parse(
            "\u{feff}<?xml version='1.0'?><!-- x --><m:a xmlns:m='u'><m:b>1</m:b><c/></m:a>\n\0\0",
        )
        .unwrap();
        assert_eq!(node.name, "a");
        assert_eq!(node.child("b").unwrap().text, "1");
        assert!(node.child("c").unwrap().text.is_empty());
    }

    #[test]
    fn text_comes_back_as_it_was_written() {
        let text = "a < b && \"c\" 'd' ]]> \r\n\tµ";
        let mut document = Document::new();
        document.leaf("a", text);
        assert_eq!(Node::parse(&document.finish()).unwrap().text, text);
    }

    #[test]
    fn cdata_and_character_references_are_text() {
        let node = Node::parse("<a>1<![CDATA[<2>]]>&#65;&#x42;&amp;&unknown;</a>").unwrap();
        assert_eq!(node.text, "1<2>AB&&unknown;");
    }

    #[test]
    fn characters_that_xml_cannot_hold_are_left_out() {
        let mut document = Document::new();
        document.leaf("a", "x\0\u{1}y");
        assert_eq!(Node::parse(&document.finish()).unwrap().text, "xy");
    }

    #[test]
    fn faults_say_what_is_wrong() {
        let message = |text: &str| Node::parse(text).unwrap_err().to_string();
        assert_eq!(message(""), "the text holds no XML element");
        assert_eq!(message("<a><b>"), "the XML text ends within element `b`; it was cut off");
        assert!(message("<a></b>").starts_with("not well-formed XML at byte 3"));
        assert!(message(&"<a>".repeat(100_000)).contains("more than 64 deep"));
    }
}
