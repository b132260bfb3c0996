//! `boreside journal`: journalled sessions.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use ismrmrd::hdf5::FileWriter;
use server::JournalSettings;
use server::journal::JournalStore;

use crate::cli::DataFolder;
use crate::recording::{self, Pace};

#[derive(Args)]
pub struct JournalOptions {
    #[command(subcommand)]
    command: JournalCommand,
}

#[derive(Subcommand)]
enum JournalCommand {
    /// List the sessions that are kept
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: DataFolder,
    },
    /// Write a session's recording to a file: HDF5, or the bytes as they arrived (.mrd)
    Export {
        /// Number of the session
        session: u64,
        /// New file: .h5 for HDF5, any other ending for the raw stream
        #[arg(long, short)]
        output: PathBuf,
        #[command(flatten)]
        data: DataFolder,
    },
}

/// Runs the sub-command.
pub fn run(options: &JournalOptions) -> Result<()> {
    match &options.command {
        JournalCommand::List { json, data } => list(data, *json),
        JournalCommand::Export { session, output, data } => export(*session, output, data),
    }
}

fn store(data: &DataFolder) -> Result<Arc<JournalStore>> {
    let directory = data.path().join("journal");
    if !directory.is_dir() {
        bail!("there is no journal in {}", directory.display());
    }
    Ok(Arc::new(JournalStore::open(JournalSettings::in_directory(directory))?))
}

fn list(data: &DataFolder, json: bool) -> Result<()> {
    let store = store(data)?;
    let mut rows = Vec::new();
    for entry in store.list()? {
        let mut row = serde_json::json!({ "session": entry.session, "bytes": entry.bytes });
        match store.read(entry.session) {
            Ok(mut reader) => {
                let info = reader.info().clone();
                let skimmed = reader.skim();
                let fault = skimmed.as_ref().err().map(ToString::to_string);
                let seconds = skimmed.map_or(0.0, |last| last.as_secs_f64());
                row["started_unix_ms"] = info.started_unix_ms.into();
                row["peer"] = info.peer.into();
                row["seconds"] = seconds.into();
                row["end"] = reader.end().map(str::to_owned).or(fault).into();
            }
            Err(error) => row["end"] = error.to_string().into(),
        }
        rows.push(row);
    }
    if json {
        outln!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    outln!("{:>7}  {:>10}  {:>9}  {:<22} end", "session", "MB", "seconds", "from");
    for row in rows {
        outln!(
            "{:>7}  {:>10.3}  {:>9.3}  {:<22} {}",
            row["session"],
            row["bytes"].as_f64().unwrap_or(0.0) / 1e6,
            row["seconds"].as_f64().unwrap_or(0.0),
            row["peer"].as_str().unwrap_or("?"),
            row["end"].as_str().unwrap_or("none: running, or the server was killed"),
        );
    }
    Ok(())
}

fn export(session: u64, output: &PathBuf, data: &DataFolder) -> Result<()> {
    if output.exists() {
        bail!("{} is there already", output.display());
    }
    let is_hdf5 = output.extension().is_some_and(|ending| ending == "h5" || ending == "hdf5");
    if !is_hdf5 {
        let mut reader = store(data)?.read(session)?;
        let file = File::create(output).with_context(|| output.display().to_string())?;
        let mut file = BufWriter::new(file);
        let n = std::io::copy(&mut reader, &mut file)?;
        file.flush()?;
        outln!("{n} bytes as they arrived in {}", output.display());
        return Ok(());
    }
    let recording = recording::open(&session.to_string(), "dataset", data, Pace::Max)?;
    let mut file = FileWriter::create(output)?;
    if let Some(text) = &recording.header_text {
        file.write_header_text(text)?;
    }
    if let Some(config) = &recording.config {
        file.write(config)?;
    }
    if let Some(parameters) = &recording.parameters {
        file.write_text("configAdditional", parameters)?;
    }
    let mut n = 0_u64;
    for message in recording.messages {
        n += u64::from(file.write(&message?)?);
    }
    file.finish()?;
    outln!("{n} messages in {}", output.display());
    Ok(())
}
