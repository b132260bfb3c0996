//! Chains of small gadgets: what the check refuses, and what the runtime does with the rest.

use std::convert::Infallible;

use ndarray::{Array2, Array4};
use pipeline::chain::ChainFile;
use pipeline::{
    Acquisition, Chain, Fault, Gadget, Image, Message, Registry, Remedy, Scan, Severity, Sink,
    Statistics,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;

/// No properties.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Makes an image of each readout: its pixel is the readout's counter.
struct Show;

impl Gadget for Show {
    const NAME: &str = "show";
    const ALIASES: &'static [&'static str] = &["ShowGadget"];
    const HEAVY: bool = true;
    type Config = Nothing;
    type Input = Acquisition;
    type Output = Image;
    type Error = Infallible;

    fn new(_config: Nothing, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self)
    }

    fn process(&mut self, readout: Acquisition, out: &mut Sink<Self>) -> Result<(), Infallible> {
        let counter = readout.header.scan_counter as f32;
        out.push(image(counter));
        Ok(())
    }
}

/// Adds to the pixels of each image.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AddConfig {
    /// What is added.
    #[schemars(range(min = -1000.0, max = 1000.0))]
    amount: f32,
}

impl Default for AddConfig {
    fn default() -> Self {
        Self { amount: 1.0 }
    }
}

struct Add(AddConfig);

impl Gadget for Add {
    const NAME: &str = "add";
    type Config = AddConfig;
    type Input = Image;
    type Output = Image;
    type Error = Infallible;

    fn new(config: AddConfig, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self(config))
    }

    fn process(&mut self, image: Image, out: &mut Sink<Self>) -> Result<(), Infallible> {
        let pixels = image.pixels.to_magnitude() + self.0.amount;
        out.push(Image::new(image.header, image.meta, pixels));
        Ok(())
    }
}

/// Refuses every third readout and panics at a given one.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct StumbleConfig {
    /// Counter of the readout at which it panics.
    panic_at: Option<u32>,
}

struct Stumble(StumbleConfig);

#[derive(Debug, thiserror::Error)]
#[error("it is a multiple of three")]
struct Third;

impl Remedy for Third {
    fn remedy(&self) -> &str {
        "count differently"
    }
}

impl Gadget for Stumble {
    const NAME: &str = "stumble";
    type Config = StumbleConfig;
    type Input = Acquisition;
    type Output = Acquisition;
    type Error = Third;

    fn new(config: StumbleConfig, _scan: &Scan) -> Result<Self, Third> {
        Ok(Self(config))
    }

    fn process(&mut self, readout: Acquisition, out: &mut Sink<Self>) -> Result<(), Third> {
        let counter = readout.header.scan_counter;
        assert!(self.0.panic_at != Some(counter), "told to at {counter}");
        if self.0.panic_at.is_none() && counter.is_multiple_of(3) {
            return Err(Third);
        }
        out.push(readout);
        Ok(())
    }
}

fn registry() -> Registry {
    Registry::new().with::<Show>().with::<Add>().with::<Stumble>()
}

fn image(value: f32) -> Image {
    Image::new(Default::default(), Default::default(), Array4::from_elem((1, 1, 1, 1), value))
}

fn readout(counter: u32) -> Message {
    let mut readout = Acquisition::new(Default::default(), Array2::default((1, 4)));
    readout.header.scan_counter = counter;
    readout.header.idx.slice = 2;
    readout.into()
}

fn check(text: &str) -> Result<Chain, pipeline::ChainError> {
    Chain::check(&ChainFile::parse("c", text)?, &registry())
}

/// Feeds a chain and gives the first pixel of each image that comes out, with the faults.
fn run(text: &str, inputs: Vec<Message>) -> (Vec<f32>, Vec<Fault>, Statistics) {
    let chain = check(text).expect("the chain is good");
    let (output, mut results) = mpsc::channel(2);
    let (faults, mut reported) = mpsc::unbounded_channel();
    let (input, run) =
        chain.start(&Scan::default(), output, faults).expect("the gadgets fit the scan");
    let statistics = run.statistics.clone();
    let feeder = std::thread::spawn(move || {
        for message in inputs {
            if input.blocking_send(message).is_err() {
                break;
            }
        }
        drop(input);
        run.join();
    });
    let mut pixels = Vec::new();
    while let Some(message) = results.blocking_recv() {
        if let Message::Image(image) = message {
            pixels.extend(image.pixels.to_magnitude().iter().take(2));
        }
    }
    feeder.join().expect("the feeder ends");
    let mut faults = Vec::new();
    while let Ok(fault) = reported.try_recv() {
        faults.push(fault);
    }
    (pixels, faults, statistics)
}

#[test]
fn gadgets_work_in_the_order_of_the_file_and_are_counted() {
    let chain = "[[gadget]]\nuse = \"show\"\n[[gadget]]\nuse = \"add\"\namount = 0.5\n";
    let (pixels, faults, statistics) = run(chain, (1..=200).map(readout).collect());
    let expected: Vec<f32> = (1..=200).map(|n| n as f32 + 0.5).collect();
    assert_eq!(pixels, expected);
    assert!(faults.is_empty());
    let statistics = statistics.snapshot();
    assert_eq!(statistics.len(), 2);
    assert_eq!((statistics[0].messages_in, statistics[1].messages_out), (200, 200));
}

#[test]
fn workers_keep_the_order() {
    let chain = "[[gadget]]\nuse = \"show\"\n[[gadget]]\nuse = \"parallel_process\"\nworkers = 5\n[[gadget.gadget]]\nuse = \"add\"\n[[gadget]]\nuse = \"add\"\n";
    let (pixels, faults, _) = run(chain, (0..103).map(readout).collect());
    let expected: Vec<f32> = (0..103).map(|n| n as f32 + 2.0).collect();
    assert_eq!(pixels, expected);
    assert!(faults.is_empty());
}

#[test]
fn layered_streams_become_channels_of_one_image() {
    let chain = "<configuration><version>2</version><stream>
        <gadget><classname>ShowGadget</classname></gadget>
        <parallel><branch><classname>ImageFanout</classname></branch>
            <stream key='plain'/>
            <stream key='more'><gadget><classname>add</classname><property name='amount' value='10'/></gadget></stream>
            <merge><classname>ImageLayerer</classname></merge></parallel>
        </stream></configuration>";
    let (pixels, faults, _) = run(chain, vec![readout(1), readout(2)]);
    assert_eq!(pixels, [1.0, 11.0, 2.0, 12.0]);
    assert!(faults.is_empty());
}

#[test]
fn an_error_costs_its_message_only_and_is_reported_once() {
    let chain = "[[gadget]]\nuse = \"stumble\"\n[[gadget]]\nuse = \"show\"\n";
    let (pixels, faults, statistics) = run(chain, (1..=7).map(readout).collect());
    assert_eq!(pixels, [1.0, 2.0, 4.0, 5.0, 7.0]);
    let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "stumble, slice 2: it is a multiple of three\n  count differently",
            "stumble: 1 more faults like those reported\n  see the first ones",
        ]
    );
    assert_eq!(faults[0].severity, Severity::Error);
    assert_eq!(statistics.snapshot()[0].faults, 2);
}

#[test]
fn a_panic_ends_the_input_and_what_came_before_is_still_given() {
    let chain = "[[gadget]]\nuse = \"stumble\"\npanic_at = 5\n[[gadget]]\nuse = \"show\"\n[[gadget]]\nuse = \"add\"\namount = 0\n";
    let (pixels, faults, _) = run(chain, (1..=500).map(readout).collect());
    assert_eq!(pixels, [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].what.contains("panicked: told to at 5"), "{}", faults[0].what);
}

#[test]
fn a_run_whose_results_nobody_takes_ends() {
    let chain = check("[[gadget]]\nuse = \"show\"\n").expect("the chain is good");
    let (output, results) = mpsc::channel(1);
    let (faults, _reported) = mpsc::unbounded_channel();
    let (input, run) =
        chain.start(&Scan::default(), output, faults).expect("the gadgets fit the scan");
    drop(results);
    while input.blocking_send(readout(1)).is_ok() {}
    run.join();
}

#[test]
fn the_check_names_all_faults_with_their_lines() {
    let error = check(
        "[[gadget]]\nuse = \"add\"\namuont = 3\n[[gadget]]\nuse = \"shwo\"\n[[gadget]]\nuse = \"add\"\namount = \"3\"\n",
    )
    .expect_err("four faults");
    assert_eq!(
        error.to_string(),
        "chain c, line 3: `add`: unknown property `amuont`, expected `amount`
  `boreside chains schema add` lists its properties
chain c, line 5: there is no gadget `shwo`
  did you mean `show`?
chain c, line 8: `add`: property `amount`: invalid type: string \"3\", expected f32
  `boreside chains schema add` lists its properties"
    );
}

#[test]
fn the_check_holds_values_against_the_schema_and_says_where_they_were_set() {
    let text = "[[gadget]]\nuse = \"add\"\namount = 5000\n[[gadget]]\nuse = \"parallel_process\"\n\
                [[gadget.gadget]]\nuse = \"add\"\namount = -1000.5\n";
    assert_eq!(
        check(text).expect_err("two faults").to_string(),
        "chain c, line 3: `add`: property `amount`: 5000 is out of range: -1000 to 1000 are allowed
  `boreside chains schema add` lists its properties
chain c, line 8: `add`: property `amount`: -1000.5 is out of range: -1000 to 1000 are allowed
  `boreside chains schema add` lists its properties"
    );
    let mut file = ChainFile::parse("c", "[[gadget]]\nuse = \"add\"\namount = 5\n").expect("good");
    assert!(file.set_property("amount", &"-2e3".into(), &registry()));
    assert_eq!(
        Chain::check(&file, &registry()).expect_err("a parameter").to_string(),
        "chain c: `add`: parameter `amount`: -2000 is out of range: -1000 to 1000 are allowed
  give `amount` another value where it was set (`-p`, or the scanner's interface); \
         `boreside chains schema add` lists its properties"
    );
}

#[test]
fn the_check_refuses_a_gadget_that_cannot_get_what_it_takes() {
    let error = check("[[gadget]]\nuse = \"show\"\n[[gadget]]\nuse = \"stumble\"\n")
        .expect_err("stumble takes readouts, which show has consumed");
    assert_eq!(
        error.to_string(),
        "chain c, line 4: `stumble` takes Acquisition, `show` (line 2) gives Image
  put a gadget that makes the one from the other between them, or change the order"
    );
}

#[test]
fn parameters_from_outside_set_the_properties_that_fit() {
    let text = "[[gadget]]\nuse = \"show\"\n[[gadget]]\nuse = \"add\"\n[[gadget]]\nuse = \"add\"\nname = \"second\"\namount = 2\n";
    let mut file = ChainFile::parse("c", text).expect("the chain is good");
    let registry = registry();
    assert!(file.set_property("second.amount", &"30".into(), &registry));
    assert!(!file.set_property("volume", &"11".into(), &registry));
    let chain = Chain::check(&file, &registry).expect("text is read as the property's type");
    assert_eq!(chain.gadget_names(), ["show", "add", "second"]);
}

#[test]
fn the_schema_has_every_gadget_with_its_properties() {
    let schema = pipeline::chain::chain_schema(&registry());
    let steps = schema["$defs"]["steps"]["items"]["oneOf"].as_array().expect("a list of steps");
    let add = steps.iter().find(|step| step["title"] == "add").expect("add is there");
    assert_eq!(add["properties"]["amount"]["description"], "What is added.");
    assert_eq!(add["properties"]["use"]["const"], "add");
    assert_eq!(add["additionalProperties"], false);
    assert_eq!(steps.len(), 3 + 2);
}

#[test]
fn a_chain_too_long_for_the_server_is_refused() {
    let error = check(&"[[gadget]]\nuse = \"add\"\n".repeat(300)).expect_err("it is too long");
    assert!(error.to_string().contains("300 gadgets one behind the other, 256 are the limit"));
    let workers =
        "[[gadget]]\nuse = \"parallel_process\"\nworkers = 256\n[[gadget.gadget]]\nuse = \"add\"\n";
    let error = check(&workers.repeat(3)).expect_err("these are too many");
    assert!(error.to_string().contains("768 workers and heavy gadgets"), "{error}");
}

#[test]
fn a_chain_whose_results_would_vanish_is_refused() {
    let text = "output = [\"bucket\"]\n[[gadget]]\nuse = \"show\"\n";
    let error = check(text).expect_err("images are not among the outputs");
    assert!(
        error.to_string().contains("gives Waveform or Image")
            || error.to_string().contains("gives Image at its end"),
        "{error}"
    );
}
