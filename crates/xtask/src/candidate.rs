//! Servers that are measured.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::process::Process;

/// Who is measured.
pub struct Candidate {
    pub name: String,
    pub address: String,
    /// The process, [`None`] for the loop in this process.
    pub process: Option<Process>,
    /// Folder that goes when it ends.
    pub _data: Option<tempfile::TempDir>,
}

#[derive(Args)]
pub struct ServerOptions {
    /// The server under test [default: target/release/boreside]
    #[arg(long)]
    server: Option<PathBuf>,
}

impl ServerOptions {
    /// Starts our server on a free port with a folder of its own.
    pub fn start(&self, name: &str, arguments: &[&str]) -> Result<Candidate> {
        let beside =
            || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("boreside"));
        let binary = self.server.clone().map_or_else(beside, Ok)?;
        if !binary.exists() {
            bail!("{} is not there: cargo build --release -p boreside", binary.display());
        }
        let data = tempfile::tempdir()?;
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--journal-gib", "2", "--data"]);
        let mut process = Process::start(command.arg(data.path()).args(arguments))?;
        let mut line = String::new();
        BufReader::new(process.stdout().context("no standard output")?).read_line(&mut line)?;
        let address =
            line.trim().strip_prefix("listening on ").context("the server does not listen")?;
        Ok(Candidate {
            name: name.to_owned(),
            address: address.to_owned(),
            process: Some(process),
            _data: Some(data),
        })
    }
}
