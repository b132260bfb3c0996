//! Boreside: an inline MR reconstruction server.

/// Writes a result to standard output. Where that is closed (`| head`) the program ends.
macro_rules! out {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        write!(std::io::stdout(), $($text)*)?
    }};
}

/// [`out`] and the end of the line.
macro_rules! outln {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($text)*)?
    }};
}

mod chains;
mod classifier;
mod cli;
mod client;
mod control;
mod demo;
mod dicom;
mod evaluate;
mod gadgets;
mod inspect;
mod journal;
mod local;
mod logging;
mod maps;
mod models;
mod noise;
mod outcome;
mod palette;
mod picture;
mod recording;
mod recordings;
mod replay;
mod series;
mod serve;
mod simulate;
mod stream;
#[cfg(feature = "otlp")]
mod telemetry;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let log = match logging::start(&cli.log) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("boreside: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    server::keep_freed_memory();
    // Without a name they would have that of the gadget that first asked for them.
    let workers = rayon::ThreadPoolBuilder::new().thread_name(|number| format!("compute {number}"));
    if let Err(error) = workers.build_global() {
        tracing::warn!("threads for computing: {error}");
    }
    let result = match cli.command {
        Command::Serve(options) => serve::run(options, Arc::clone(&log.tail)),
        Command::Replay(options) => replay::run(&options),
        Command::Simulate(options) => simulate::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Stream(options) => stream::run(&options),
        Command::Chains(options) => chains::run(&options),
        Command::Journal(options) => journal::run(&options),
        Command::Models(options) => models::run(&options),
        Command::Classifier(options) => classifier::run(&options),
        Command::Evaluate(options) => evaluate::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Dicom(options) => dicom::run(&options),
        Command::Palette(options) => palette::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A reader that has seen enough (`| head`) is no failure.
            if is_broken_pipe(&error) {
                return ExitCode::SUCCESS;
            }
            eprintln!("boreside: {}", sentence(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes; what one of them has said already is not said again.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text += ": ";
        }
        text += &cause;
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_its_error_has_told_is_told_once() {
        let cause = anyhow::anyhow!("no such file").context("a.h5: no such file");
        assert_eq!(sentence(&cause.context("the scan")), "the scan: a.h5: no such file");
    }
}
