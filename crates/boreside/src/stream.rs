//! `boreside stream`: a chain as a filter between pipes, as `gadgetron --from_stream`.

use std::io::{self, Read, Write};

use anyhow::{Context, Result, bail};
use clap::Args;
use ismrmrd::wire::{self, Reader, Writer};
use pipeline::Kinds;

use crate::cli::{ChainFolder, DataFolder, ModelOptions};
use crate::noise::NoiseOptions;
use crate::{local, outcome, replay};

#[derive(Args)]
pub struct StreamOptions {
    /// Chain: a name, or a file
    #[arg(long, short, value_name = "NAME|FILE")]
    pub chain: String,
    /// Input, a file or - for standard input
    #[arg(long, short, default_value = "-", value_name = "FILE")]
    pub input: String,
    /// Output, a file or - for standard output
    #[arg(long, short, default_value = "-", value_name = "FILE")]
    pub output: String,
    /// Property of the gadgets: NAME sets it in every gadget of the chain that has it, GADGET.NAME
    /// in one; may be repeated
    #[arg(long = "parameter", short = 'p', value_name = "[GADGET.]NAME=VALUE")]
    pub parameters: Vec<String>,
    #[command(flatten)]
    pub noise: NoiseOptions,
    #[command(flatten)]
    pub chains: ChainFolder,
    #[command(flatten)]
    pub networks: ModelOptions,
    #[command(flatten)]
    pub data: DataFolder,
}

/// What goes out whatever the chain's writers say.
const OUTPUT: Kinds = Kinds::IMAGE.union(Kinds::IMAGE_SERIES).union(Kinds::BUCKET);

/// Reads a stream, echoes its header, and writes the results, then CLOSE.
pub fn run(options: &StreamOptions) -> Result<()> {
    let source: Box<dyn Read + Send> = match options.input.as_str() {
        "-" => Box::new(io::stdin()),
        path => Box::new(std::fs::File::open(path).with_context(|| path.to_owned())?),
    };
    let sink: Box<dyn Write> = match options.output.as_str() {
        "-" => Box::new(io::stdout()),
        path => Box::new(std::fs::File::create(path).with_context(|| path.to_owned())?),
    };
    let (mut noise, mut parameters) = (options.noise.clone(), options.parameters.clone());
    noise.take_from(&mut parameters);
    let mut chain = replay::chain_of_options(&options.chain, &parameters, &options.chains)?;
    chain.output = chain.output.union(OUTPUT);
    let mut reader = Reader::new(source);
    let mut writer = Writer::new(sink);
    let header_text = loop {
        match reader.read()? {
            // The adapters of the C++ library may send one; the command line has named the chain.
            Some(wire::Message::ConfigFile(_) | wire::Message::ConfigText(_)) => {}
            Some(wire::Message::Header(text)) => break text,
            Some(other) => {
                bail!("the stream begins with message {}: send the MRD header first", other.id())
            }
            None => bail!("the stream is empty: send the MRD header first"),
        }
    };
    writer.write(&wire::Message::Header(header_text.clone()))?;
    writer.flush()?;
    let scan = replay::scan_of(Some(header_text), &options.data, &noise, &options.networks)?;
    let messages = std::iter::from_fn(move || match reader.read() {
        Ok(Some(wire::Message::Close)) | Ok(None) => None,
        Ok(Some(message)) => Some(Ok(message)),
        Err(error) => Some(Err(error.into())),
    });
    let finished = local::run(&chain, &scan, messages, |message| {
        writer.write(&message)?;
        Ok(writer.flush()?)
    })?;
    writer.write(&wire::Message::Close)?;
    writer.flush()?;
    outcome::fail_on_reported(finished.n_errors)
}
