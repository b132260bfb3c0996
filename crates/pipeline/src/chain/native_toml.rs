//! Chain files in TOML, the native form.
//!
//! ```toml
//! description = "Cartesian FFT"
//!
//! [[gadget]]
//! use = "remove_oversampling"
//!
//! [[gadget]]
//! use = "collect_readouts"
//! trigger_dimension = "repetition"
//! ```
//!
//! A step with `use = "parallel"` has a `branch`, a `merge` and `[[gadget.stream]]` tables, each
//! with a `key` and gadgets of its own; one with `use = "parallel_process"` has `workers` and
//! gadgets of its own.

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::Kinds;
use crate::chain::file::{ChainFile, GadgetStep, ParallelProcessStep, ParallelStep, Step};
use crate::chain::{ChainError, ChainFault};
use crate::properties::Property;

/// Steps nested deeper than this are refused.
const MAX_DEPTH: usize = 8;

/// Parses a chain file in TOML.
///
/// # Errors
/// Everything that is wrong with its form, with lines.
pub fn parse(name: &str, text: &str) -> Result<ChainFile, ChainError> {
    let line_at = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let faults = errors.iter().map(|error| {
            let line = error.span().map(|span| line_at(span.start));
            ChainFault::new(line, error.message(), "correct the TOML")
        });
        return Err(ChainError { chain: name.to_owned(), faults: faults.collect() });
    }
    let mut reader = Reader { line_at: &line_at, faults: Vec::new() };
    let chain = reader.chain(name, table.get_ref());
    if reader.faults.is_empty() {
        Ok(chain)
    } else {
        reader.faults.sort_by_key(|fault| fault.line);
        Err(ChainError { chain: name.to_owned(), faults: reader.faults })
    }
}

struct Reader<'a> {
    line_at: &'a dyn Fn(usize) -> usize,
    faults: Vec<ChainFault>,
}

type Table<'i> = DeTable<'i>;
type Node<'i> = Spanned<DeValue<'i>>;

impl Reader<'_> {
    fn line(&self, node: &Node) -> usize {
        (self.line_at)(node.span().start)
    }

    fn fault(&mut self, line: usize, what: impl Into<String>, remedy: impl Into<String>) {
        self.faults.push(ChainFault::new(line, what, remedy));
    }

    fn chain(&mut self, name: &str, table: &Table) -> ChainFile {
        let mut chain = ChainFile {
            name: name.to_owned(),
            description: None,
            input: None,
            output: None,
            steps: Vec::new(),
        };
        for (key, node) in table {
            match key.get_ref().as_ref() {
                "description" => chain.description = self.text("description", node),
                "input" => chain.input = self.kinds("input", node),
                "output" => chain.output = self.kinds("output", node),
                "gadget" => chain.steps = self.steps(node, 0),
                other => {
                    let line = (self.line_at)(key.span().start);
                    self.fault(
                        line,
                        format!("`{other}` is not part of a chain file"),
                        "a chain file has `description`, `input`, `output` and `[[gadget]]` tables",
                    );
                }
            }
        }
        if chain.steps.is_empty() && !table.contains_key("gadget") {
            self.fault(
                0,
                "the chain has no gadgets",
                "add a `[[gadget]]` table with `use = \"…\"`; `boreside chains list --gadgets` names them",
            );
        }
        chain
    }

    fn steps(&mut self, node: &Node, depth: usize) -> Vec<Step> {
        if depth > MAX_DEPTH {
            self.fault(self.line(node), "gadgets are nested too deeply", "nest at most 8 levels");
            return Vec::new();
        }
        let Some(items) = self.tables("gadget", node) else { return Vec::new() };
        items.into_iter().filter_map(|(line, table)| self.step(line, table, depth)).collect()
    }

    fn step(&mut self, line: usize, table: &Table, depth: usize) -> Option<Step> {
        let Some(kind) = table.get("use").and_then(|node| self.text("use", node)) else {
            self.fault(line, "a gadget without `use`", "say which gadget it is: `use = \"…\"`");
            return None;
        };
        match kind.as_str() {
            "parallel" => Some(Step::Parallel(self.parallel(line, table, depth))),
            "parallel_process" => {
                Some(Step::ParallelProcess(self.parallel_process(line, table, depth)))
            }
            _ => Some(Step::Gadget(self.gadget(line, kind, table))),
        }
    }

    fn gadget(&mut self, line: usize, gadget: String, table: &Table) -> GadgetStep {
        let mut step = GadgetStep { line, gadget, name: None, properties: Vec::new() };
        // The table is sorted by key; the order of the file reads better in messages.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, node) in entries {
            match key.get_ref().as_ref() {
                "use" => step.line = self.line(node),
                "name" => step.name = self.text("name", node),
                property => step.properties.push(Property {
                    name: property.to_owned(),
                    value: to_json(node.get_ref()),
                    text_is_untyped: false,
                    line: (self.line_at)(key.span().start),
                }),
            }
        }
        step
    }

    fn parallel(&mut self, line: usize, table: &Table, depth: usize) -> ParallelStep {
        let mut step = ParallelStep {
            line,
            branch: String::new(),
            merge: "merge_unordered".to_owned(),
            streams: Vec::new(),
        };
        for (key, node) in table {
            match key.get_ref().as_ref() {
                "use" => step.line = self.line(node),
                "branch" => step.branch = self.text("branch", node).unwrap_or_default(),
                "merge" => step.merge = self.text("merge", node).unwrap_or_default(),
                "stream" => {
                    for (line, stream) in self.tables("stream", node).unwrap_or_default() {
                        let key = stream.get("key").and_then(|node| self.text("key", node));
                        let Some(key) = key else {
                            self.fault(
                                line,
                                "a stream without `key`",
                                "give it a name: `key = \"…\"`",
                            );
                            continue;
                        };
                        let steps = stream.get("gadget");
                        let steps = steps.map(|node| self.steps(node, depth + 1));
                        step.streams.push((key, steps.unwrap_or_default()));
                    }
                }
                other => self.unknown(
                    self.line(node),
                    other,
                    "`branch`, `merge` and `[[gadget.stream]]`",
                ),
            }
        }
        if step.branch.is_empty() {
            self.fault(
                step.line,
                "`parallel` without `branch`",
                "say how messages are shared out: `branch = \"fan_out_images\"`",
            );
        }
        step
    }

    fn parallel_process(
        &mut self,
        line: usize,
        table: &Table,
        depth: usize,
    ) -> ParallelProcessStep {
        let mut step = ParallelProcessStep { line, workers: 0, steps: Vec::new() };
        for (key, node) in table {
            match key.get_ref().as_ref() {
                "use" => step.line = self.line(node),
                "workers" => {
                    match to_json(node.get_ref()).as_u64().and_then(|n| usize::try_from(n).ok()) {
                        Some(workers) => step.workers = workers,
                        None => self.fault(
                            self.line(node),
                            "`workers` is not a whole number",
                            "write `workers = 4`",
                        ),
                    }
                }
                "gadget" => step.steps = self.steps(node, depth + 1),
                other => self.unknown(self.line(node), other, "`workers` and `[[gadget.gadget]]`"),
            }
        }
        step
    }

    fn unknown(&mut self, line: usize, key: &str, known: &str) {
        self.fault(line, format!("`{key}` does not belong here"), format!("this step has {known}"));
    }

    fn text(&mut self, key: &str, node: &Node) -> Option<String> {
        if let DeValue::String(text) = node.get_ref() {
            return Some(text.as_ref().to_owned());
        }
        self.fault(self.line(node), format!("`{key}` is not text"), "put it in quotes");
        None
    }

    fn kinds(&mut self, key: &str, node: &Node) -> Option<Kinds> {
        let Value::Array(items) = to_json(node.get_ref()) else {
            self.fault(
                self.line(node),
                format!("`{key}` is not a list"),
                "write it as [\"image\"]",
            );
            return None;
        };
        let mut kinds = Kinds::NONE;
        for item in items {
            match item.as_str().and_then(Kinds::from_name) {
                Some(kind) => kinds = kinds.union(kind),
                None => {
                    let known = Kinds::names().collect::<Vec<_>>().join(", ");
                    self.fault(
                        self.line(node),
                        format!("`{key}` lists {item}, which is no kind of message"),
                        format!("take one of {known}"),
                    );
                }
            }
        }
        Some(kinds)
    }

    fn tables<'t, 'i>(
        &mut self,
        key: &str,
        node: &'t Node<'i>,
    ) -> Option<Vec<(usize, &'t Table<'i>)>> {
        let DeValue::Array(items) = node.get_ref() else {
            self.fault(
                self.line(node),
                format!("`{key}` is not a list of tables"),
                format!("write `[[{key}]]`, with two brackets"),
            );
            return None;
        };
        let mut tables = Vec::new();
        let items: &DeArray = items;
        for item in items {
            match item.get_ref() {
                DeValue::Table(table) => tables.push((self.line(item), table)),
                _ => self.fault(
                    self.line(item),
                    format!("`{key}` holds something that is not a table"),
                    format!("write `[[{key}]]` tables"),
                ),
            }
        }
        Some(tables)
    }
}

/// The value as JSON; dates become text, numbers beyond 64 bits too.
fn to_json(value: &DeValue) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::from(number.as_str()), Value::from),
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .map_or_else(|_| Value::from(number.as_str()), Value::from),
        DeValue::Boolean(value) => Value::from(*value),
        DeValue::Datetime(value) => Value::from(value.to_string()),
        DeValue::Array(items) => items.iter().map(|item| to_json(item.get_ref())).collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, item)| (key.get_ref().as_ref().to_owned(), to_json(item.get_ref())))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gadgets_keep_their_order_lines_and_typed_properties() {
        let text = "description = \"d\"\n\n[[gadget]]\nuse = \"a\"\nx = 1\n\n[[gadget]]\nname = \"second\"\nuse = \"b\"\ny = [0.5, 2]\n";
        let chain = parse("c.toml", text).expect("the chain is good");
        assert_eq!(chain.description.as_deref(), Some("d"));
        let [Step::Gadget(a), Step::Gadget(b)] = &chain.steps[..] else { panic!("two gadgets") };
        assert_eq!((a.gadget.as_str(), a.line), ("a", 4));
        assert_eq!((b.gadget.as_str(), b.name.as_deref(), b.line), ("b", Some("second"), 9));
        assert_eq!(a.properties[0].value, Value::from(1));
        assert_eq!(b.properties[0].value, serde_json::json!([0.5, 2]));
        assert_eq!(b.properties[0].line, 10);
    }

    #[test]
    fn nested_streams_and_workers_are_read() {
        let text = "[[gadget]]\nuse = \"parallel\"\nbranch = \"fan_out_images\"\nmerge = \"m\"\n[[gadget.stream]]\nkey = \"one\"\n[[gadget.stream]]\nkey = \"two\"\n[[gadget.stream.gadget]]\nuse = \"a\"\n\n[[gadget]]\nuse = \"parallel_process\"\nworkers = 3\n[[gadget.gadget]]\nuse = \"b\"\n";
        let chain = parse("c.toml", text).expect("the chain is good");
        let [Step::Parallel(parallel), Step::ParallelProcess(process)] = &chain.steps[..] else {
            panic!("two steps")
        };
        assert_eq!(parallel.streams.len(), 2);
        assert!(parallel.streams[0].1.is_empty());
        assert_eq!(parallel.streams[1].1.len(), 1);
        assert_eq!((process.workers, process.steps.len()), (3, 1));
    }

    #[test]
    fn all_faults_are_reported_at_once_with_their_lines() {
        let text = "colour = 1\ninput = [\"readout\"]\n[[gadget]]\nname = 3\n";
        let error = parse("c.toml", text).expect_err("three faults");
        let lines: Vec<_> = error.faults.iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [Some(1), Some(2), Some(3)]);
        let broken = parse("c.toml", "[[gadget]\nuse = ").expect_err("no TOML");
        assert_eq!(broken.faults[0].line, Some(1));
    }
}
