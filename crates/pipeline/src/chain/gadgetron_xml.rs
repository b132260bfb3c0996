//! Gadgetron's chain files: the legacy form (`gadgetronStreamConfiguration`) and version 2
//! (`configuration`). Both become the same chain as a native file.
//!
//! Differences from Gadgetron, on purpose: `distributed` and `puredistributed` run their stream
//! in this process, `external` is refused, and a property that no gadget has is an error.

use std::collections::HashMap;

use roxmltree::{Document, Node};
use serde_json::Value;

use crate::Kinds;
use crate::chain::file::{
    ChainFile, GadgetStep, ParallelProcessStep, ParallelStep, Step, for_each_gadget,
};
use crate::chain::{ChainError, ChainFault};
use crate::properties::Property;

/// Properties that Gadgetron's old gadgets all have and that change no result.
const INERT_PROPERTIES: [&str; 7] = [
    "using_cloudbus",
    "pass_on_undesired_data",
    "threads",
    "workingDirectory",
    "verbose",
    "debug_folder",
    "perform_timing",
];

/// Elements nested deeper than this are refused.
const MAX_DEPTH: usize = 8;

/// Parses a Gadgetron chain file of either form.
///
/// # Errors
/// Everything that is wrong with its form, and what of it Boreside does not have, with lines.
pub fn parse(name: &str, text: &str) -> Result<ChainFile, ChainError> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let document = Document::parse(text).map_err(|error| {
        let line = usize::try_from(error.pos().row).ok();
        ChainError::one(name, ChainFault::new(line, error.to_string(), "correct the XML"))
    })?;
    let mut reader = Reader { document: &document, faults: Vec::new() };
    let mut chain = ChainFile {
        name: name.to_owned(),
        description: None,
        input: None,
        output: None,
        steps: Vec::new(),
    };
    let root = document.root_element();
    match root.tag_name().name() {
        "gadgetronStreamConfiguration" => reader.legacy(root, &mut chain),
        "configuration" => reader.version_2(root, &mut chain),
        other => reader.fault(
            root,
            format!("the root element is `{other}`"),
            "a chain file starts with `configuration` or `gadgetronStreamConfiguration`",
        ),
    }
    resolve_references(&mut chain.steps, &mut reader.faults);
    if reader.faults.is_empty() {
        Ok(chain)
    } else {
        reader.faults.sort_by_key(|fault| fault.line);
        Err(ChainError { chain: name.to_owned(), faults: reader.faults })
    }
}

struct Reader<'d, 'x> {
    document: &'d Document<'x>,
    faults: Vec<ChainFault>,
}

impl Reader<'_, '_> {
    fn line(&self, node: Node) -> usize {
        usize::try_from(self.document.text_pos_at(node.range().start).row).unwrap_or(0)
    }

    fn fault(&mut self, node: Node, what: impl Into<String>, remedy: impl Into<String>) {
        self.faults.push(ChainFault::new(self.line(node), what, remedy));
    }

    fn unknown(&mut self, node: Node) {
        let parent = node.parent_element().map_or("", |parent| parent.tag_name().name());
        self.fault(
            node,
            format!("`{}` is not known inside `{parent}`", node.tag_name().name()),
            "take it out",
        );
    }

    fn legacy(&mut self, root: Node, chain: &mut ChainFile) {
        let (mut readers, mut writers) = (Vec::new(), Vec::new());
        for node in elements(root) {
            match node.tag_name().name() {
                "reader" => readers.push(node),
                "writer" => writers.push(node),
                "gadget" => {
                    let gadget = self.gadget(node, false);
                    chain.steps.push(Step::Gadget(gadget));
                }
                _ => self.unknown(node),
            }
        }
        self.readers(&readers, chain);
        self.writers(&writers, chain);
    }

    fn version_2(&mut self, root: Node, chain: &mut ChainFile) {
        for node in elements(root) {
            match node.tag_name().name() {
                "version" => {
                    if node.text().map(str::trim) != Some("2") {
                        self.fault(
                            node,
                            "this version of chain file is not known",
                            "write `<version>2</version>`",
                        );
                    }
                }
                "readers" => self.readers(&elements(node).collect::<Vec<_>>(), chain),
                "writers" => self.writers(&elements(node).collect::<Vec<_>>(), chain),
                "stream" => chain.steps = self.steps(node, 0),
                _ => self.unknown(node),
            }
        }
    }

    fn steps(&mut self, parent: Node, depth: usize) -> Vec<Step> {
        if depth > MAX_DEPTH {
            self.fault(parent, "streams are nested too deeply", "nest at most 8 levels");
            return Vec::new();
        }
        let mut steps = Vec::new();
        for node in elements(parent) {
            match node.tag_name().name() {
                "gadget" => steps.push(Step::Gadget(self.gadget(node, true))),
                "parallel" => steps.push(Step::Parallel(self.parallel(node, depth))),
                "parallelprocess" => {
                    steps.push(Step::ParallelProcess(self.parallel_process(node, depth)));
                }
                "distributed" | "puredistributed" => {
                    for inner in elements(node) {
                        if matches!(inner.tag_name().name(), "stream" | "purestream") {
                            steps.extend(self.steps(inner, depth + 1));
                        }
                    }
                }
                "external" => {
                    let module = elements(node)
                        .find_map(|inner| inner.attribute("name").or(inner.attribute("address")))
                        .unwrap_or("?");
                    self.fault(
                        node,
                        format!("`external` (`{module}`): programs outside the server are not run"),
                        "use a gadget of Boreside in its place",
                    );
                }
                _ => self.unknown(node),
            }
        }
        steps
    }

    fn gadget(&mut self, node: Node, attributes_allowed: bool) -> GadgetStep {
        let mut step = GadgetStep {
            line: self.line(node),
            gadget: String::new(),
            name: None,
            properties: Vec::new(),
        };
        for inner in elements(node) {
            match inner.tag_name().name() {
                "name" => step.name = Some(text(inner)).filter(|name| !name.is_empty()),
                "classname" => step.gadget = text(inner),
                "dll" => {}
                "property" => {
                    if let Some(property) = self.property(inner, attributes_allowed) {
                        step.properties.push(property);
                    }
                }
                _ => self.unknown(inner),
            }
        }
        if step.gadget.is_empty() {
            self.fault(node, "a gadget without `classname`", "name its class");
        }
        step
    }

    fn property(&mut self, node: Node, attributes_allowed: bool) -> Option<Property> {
        let child = |name| {
            elements(node).find(|inner| inner.has_tag_name(name) || inner.tag_name().name() == name)
        };
        let (name_child, value_child) = (child("name"), child("value"));
        let (name, value) = match (node.attribute("name"), name_child) {
            (Some(_), Some(_)) => {
                self.fault(
                    node,
                    "a property with its name twice",
                    "use either attributes or elements",
                );
                return None;
            }
            (Some(name), None) if attributes_allowed => {
                (name.trim().to_owned(), node.attribute("value").unwrap_or_default().to_owned())
            }
            (None, Some(name)) => (text(name), value_child.map(text).unwrap_or_default()),
            _ => {
                self.fault(
                    node,
                    "a property without `name`",
                    "write <property><name>…</name><value>…</value></property>",
                );
                return None;
            }
        };
        if INERT_PROPERTIES.contains(&name.as_str()) {
            return None;
        }
        let line = self.line(node);
        Some(Property { name, value: Value::from(value), text_is_untyped: true, line })
    }

    fn class_of(&mut self, node: Node) -> String {
        elements(node)
            .find(|inner| inner.tag_name().name() == "classname")
            .map(text)
            .unwrap_or_default()
    }

    fn parallel(&mut self, node: Node, depth: usize) -> ParallelStep {
        let mut step = ParallelStep {
            line: self.line(node),
            branch: String::new(),
            merge: String::new(),
            streams: Vec::new(),
        };
        for inner in elements(node) {
            match inner.tag_name().name() {
                "branch" => step.branch = self.class_of(inner),
                "merge" => step.merge = self.class_of(inner),
                "stream" => {
                    let Some(key) = inner.attribute("key") else {
                        self.fault(inner, "a stream without `key`", "write `<stream key=\"…\">`");
                        continue;
                    };
                    let steps = self.steps(inner, depth + 1);
                    step.streams.push((key.to_owned(), steps));
                }
                _ => self.unknown(inner),
            }
        }
        step
    }

    fn parallel_process(&mut self, node: Node, depth: usize) -> ParallelProcessStep {
        let workers = node.attribute("workers").and_then(|workers| workers.trim().parse().ok());
        if workers.is_none() {
            self.fault(
                node,
                "`parallelprocess` without a number of `workers`",
                "write `workers=\"4\"`",
            );
        }
        let mut steps = Vec::new();
        for inner in elements(node) {
            match inner.tag_name().name() {
                "purestream" => steps.extend(self.steps(inner, depth + 1)),
                _ => self.unknown(inner),
            }
        }
        ParallelProcessStep { line: self.line(node), workers: workers.unwrap_or(0), steps }
    }

    fn readers(&mut self, nodes: &[Node], chain: &mut ChainFile) {
        let mut kinds = Kinds::NONE;
        for &node in nodes {
            let class = self.class_of(node);
            kinds = kinds.union(match class.as_str() {
                "AcquisitionReader" | "GadgetIsmrmrdAcquisitionMessageReader" => Kinds::ACQUISITION,
                "WaveformReader" | "GadgetIsmrmrdWaveformMessageReader" => Kinds::WAVEFORM,
                "ImageReader" | "MRIImageReader" => Kinds::IMAGE,
                "BufferReader" => Kinds::K_SPACE,
                "BucketReader" => Kinds::BUCKET,
                "IsmrmrdImageArrayReader" | "ImageArrayReader" => Kinds::IMAGE_SERIES,
                // Text is logged whatever the chain says.
                "TextReader" => Kinds::NONE,
                _ => {
                    self.fault(
                        node,
                        format!("the reader `{class}` is not known"),
                        "take one of AcquisitionReader, WaveformReader, ImageReader, BufferReader, BucketReader, IsmrmrdImageArrayReader",
                    );
                    Kinds::NONE
                }
            });
        }
        if !kinds.is_empty() {
            chain.input = Some(kinds);
        }
    }

    fn writers(&mut self, nodes: &[Node], chain: &mut ChainFile) {
        let mut kinds = Kinds::NONE;
        for &node in nodes {
            let class = self.class_of(node);
            kinds = kinds.union(match class.as_str() {
                "ImageWriter" | "MRIImageWriter" | "MRIImageWriterCPLX" | "MRIImageWriterFLOAT"
                | "MRIImageWriterUSHORT" | "MRIImageWriterSHORT" => Kinds::IMAGE,
                "AcquisitionWriter" | "GadgetIsmrmrdAcquisitionMessageWriter" => Kinds::ACQUISITION,
                "WaveformWriter" | "GadgetIsmrmrdWaveformMessageWriter" => Kinds::WAVEFORM,
                "BufferWriter" => Kinds::K_SPACE,
                "BucketWriter" => Kinds::BUCKET,
                "IsmrmrdImageArrayWriter" | "ImageArrayWriter" => Kinds::IMAGE_SERIES,
                "DependencyQueryWriter" => Kinds::ANSWER,
                // An image that cannot be a DICOM file goes as it is.
                "DicomImageWriter" => Kinds::DICOM_FILE.union(Kinds::IMAGE),
                "TextWriter" => Kinds::NONE,
                _ => {
                    self.fault(
                        node,
                        format!("the writer `{class}` is not known"),
                        "take one of ImageWriter, AcquisitionWriter, WaveformWriter, BufferWriter, BucketWriter, IsmrmrdImageArrayWriter",
                    );
                    Kinds::NONE
                }
            });
        }
        if !kinds.is_empty() {
            chain.output = Some(kinds);
        }
    }
}

fn elements<'a, 'input>(node: Node<'a, 'input>) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(Node::is_element)
}

fn text(node: Node) -> String {
    node.text().unwrap_or_default().trim().to_owned()
}

/// Replaces every `property@Node` by the text of that property.
fn resolve_references(steps: &mut [Step], faults: &mut Vec<ChainFault>) {
    let mut written = HashMap::new();
    for_each_gadget(steps, &mut |step| {
        let name = step.name.as_ref().unwrap_or(&step.gadget);
        for property in &step.properties {
            if let Value::String(text) = &property.value {
                written.insert(format!("{}@{name}", property.name), text.clone());
            }
        }
    });
    for_each_gadget(steps, &mut |step| {
        for property in &mut step.properties {
            let Value::String(text) = &property.value else { continue };
            let mut text = text.clone();
            // A chain of references longer than the number of properties is a circle.
            for _ in 0..=written.len() {
                if !text.contains('@') {
                    break;
                }
                let Some(target) = written.get(text.trim()) else {
                    faults.push(ChainFault::new(
                        property.line,
                        format!(
                            "`{}` refers to `{text}`, which is not in this chain",
                            property.name
                        ),
                        "name a property that a named gadget of the chain sets: `property@Name`",
                    ));
                    return;
                };
                text.clone_from(target);
            }
            if text.contains('@') {
                faults.push(ChainFault::new(
                    property.line,
                    format!("`{}` refers to itself in a circle", property.name),
                    "write the value in one of the places",
                ));
            }
            property.value = Value::from(text);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gadget(step: &Step) -> &GadgetStep {
        match step {
            Step::Gadget(gadget) => gadget,
            _ => panic!("the step is a gadget"),
        }
    }

    #[test]
    fn the_legacy_form_gives_gadgets_readers_and_resolved_references() {
        let text = r#"<?xml version="1.0"?>
<gadgetronStreamConfiguration xmlns="http://gadgetron.sf.net/gadgetron">
  <reader><slot>1008</slot><dll>x</dll><classname>GadgetIsmrmrdAcquisitionMessageReader</classname></reader>
  <writer><slot>1022</slot><dll>x</dll><classname>MRIImageWriter</classname></writer>
  <gadget><name>Trig</name><dll>x</dll><classname>A</classname>
    <property><name>trigger_dimension</name><value>slice</value></property>
    <property><name>verbose</name><value>true</value></property></gadget>
  <gadget><name>Buf</name><dll>x</dll><classname>B</classname>
    <property><name>S_dimension</name><value>trigger_dimension@Trig</value></property>
    <property><name>N_dimension</name><value></value></property></gadget>
</gadgetronStreamConfiguration>"#;
        let chain = parse("c.xml", text).expect("the chain is good");
        assert_eq!(chain.input, Some(Kinds::ACQUISITION));
        assert_eq!(chain.output, Some(Kinds::IMAGE));
        let (trigger, buffer) = (gadget(&chain.steps[0]), gadget(&chain.steps[1]));
        assert_eq!((trigger.gadget.as_str(), trigger.line), ("A", 5));
        assert_eq!(trigger.properties.len(), 1, "inert properties are left out");
        assert_eq!(buffer.properties[0].value, Value::from("slice"));
        assert_eq!(buffer.properties[1].value, Value::from(""));
    }

    #[test]
    fn version_2_gives_branches_workers_and_inlined_distributed_streams() {
        let text = r#"<configuration><version>2</version>
<readers><reader><slot>1026</slot><dll>x</dll><classname>WaveformReader</classname></reader></readers>
<writers/>
<stream>
 <gadget><dll>x</dll><classname>A</classname><property name="p" value="1"/></gadget>
 <parallel><branch><dll>x</dll><classname>ImageFanout</classname></branch>
  <stream key="plain"/><stream key="other"><gadget><dll>x</dll><classname>B</classname></gadget></stream>
  <merge><dll>x</dll><classname>ImageLayerer</classname></merge></parallel>
 <parallelprocess workers="4"><purestream><gadget><dll>x</dll><classname>C</classname></gadget></purestream></parallelprocess>
 <puredistributed><readers/><writers/><purestream><gadget><dll>x</dll><classname>D</classname></gadget></purestream></puredistributed>
</stream></configuration>"#;
        let chain = parse("c.xml", text).expect("the chain is good");
        assert_eq!(chain.input, Some(Kinds::WAVEFORM));
        assert_eq!(gadget(&chain.steps[0]).properties[0].name, "p");
        let Step::Parallel(parallel) = &chain.steps[1] else { panic!("a parallel step") };
        assert_eq!(
            (parallel.branch.as_str(), parallel.merge.as_str()),
            ("ImageFanout", "ImageLayerer")
        );
        assert_eq!(parallel.streams[0].0, "plain");
        let Step::ParallelProcess(process) = &chain.steps[2] else { panic!("workers") };
        assert_eq!((process.workers, process.steps.len()), (4, 1));
        assert_eq!(gadget(&chain.steps[3]).gadget, "D");
    }

    #[test]
    fn what_cannot_be_run_is_named_with_its_line() {
        let text = "<configuration><version>2</version><stream>\n<external><execute name=\"my.module\" type=\"python\"/></external>\n<gadget><classname>A</classname><property name=\"p\" value=\"q@Nobody\"/></gadget>\n<what/></stream></configuration>";
        let error = parse("c.xml", text).expect_err("three faults");
        let lines: Vec<_> = error.faults.iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [Some(2), Some(3), Some(4)]);
        assert!(error.faults[0].what.contains("my.module"));
    }

    #[test]
    fn circles_and_broken_xml_are_errors() {
        let text = "<configuration><version>2</version><stream><gadget><name>A</name><classname>A</classname><property name=\"p\" value=\"p@A\"/></gadget></stream></configuration>";
        assert!(parse("c.xml", text).expect_err("a circle").faults[0].what.contains("circle"));
        assert!(parse("c.xml", "<configuration>").is_err());
        assert!(parse("c.xml", "<something/>").is_err());
    }
}
