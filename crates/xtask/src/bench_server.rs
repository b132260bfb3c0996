//! Times the running server on a generated scan.
//!
//! The scan is made once, in memory, as the bytes that a client sends; so no file is read while
//! the clock runs. It is sent to each candidate in turn, several times: our server, a loop that
//! only reads the bytes, and peers that the command line names.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use clap::Args;
use ismrmrd::wire::{self, Message, Reader};

use crate::bench_scan::ScanOptions;
use crate::candidate::{Candidate, ServerOptions};
use crate::process::{PeakMemory, Process, cpu_seconds};

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    scan: ScanOptions,
    /// Frames of the scan
    #[arg(long, default_value_t = 40)]
    repetitions: usize,
    /// Runs of each candidate; the median is printed
    #[arg(long, default_value_t = 5)]
    runs: usize,
    #[command(flatten)]
    server: ServerOptions,
    /// Command line of a peer that serves on a port, its name in front: NAME=PORT=COMMAND
    #[arg(long, value_name = "NAME=PORT=COMMAND")]
    peer: Vec<String>,
}

struct Measurement {
    wall_s: f64,
    cpu_s: f64,
    peak_bytes: u64,
    n_images: usize,
}

/// Prints the table.
pub fn run(options: &Options) -> Result<()> {
    let bytes = scan_bytes(&options.scan, options.repetitions)?;
    println!(
        "{} MB: {}, {} repetitions; {} runs in turn, median (least to most)",
        bytes.len() / 1_000_000,
        options.scan,
        options.repetitions,
        options.runs
    );
    let mut candidates = vec![
        options.server.start("boreside", &[])?,
        options.server.start("boreside, no journal", &["--no-journal"])?,
        bare_loop()?,
    ];
    for peer in &options.peer {
        candidates.push(start_peer(peer)?);
    }
    let mut all: Vec<Vec<Measurement>> = candidates.iter().map(|_| Vec::new()).collect();
    // One run of each that does not count.
    for run in 0..=options.runs {
        for (candidate, measurements) in candidates.iter().zip(&mut all) {
            let measurement = measure(candidate, &bytes).with_context(|| candidate.name.clone())?;
            if run > 0 {
                measurements.push(measurement);
            }
        }
    }
    println!(
        "{:<22} {:>24} {:>9} {:>10} {:>7} {:>9}",
        "", "wall s", "CPU s", "peak MB", "images", "wall / 1st"
    );
    let first = median(&all[0], |m| m.wall_s).1;
    for (candidate, measurements) in candidates.iter().zip(&all) {
        let (least, middle, most) = median(measurements, |m| m.wall_s);
        println!(
            "{:<22} {:>24} {:>9.3} {:>10.1} {:>7} {:>9.2}",
            candidate.name,
            format!("{middle:.3} ({least:.3} to {most:.3})"),
            median(measurements, |m| m.cpu_s).1,
            median(measurements, |m| m.peak_bytes as f64 / 1e6).1,
            measurements.first().map_or(0, |m| m.n_images),
            middle / first,
        );
    }
    Ok(())
}

fn median(measurements: &[Measurement], value: impl Fn(&Measurement) -> f64) -> (f64, f64, f64) {
    let mut values: Vec<f64> = measurements.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(values.len() / 2), at(values.len().saturating_sub(1)))
}

/// Reads everything up to CLOSE, which it recognises as the last bytes, and answers with CLOSE.
fn bare_loop() -> Result<Candidate> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        for mut stream in listener.incoming().flatten() {
            loop {
                match stream.read(&mut buffer) {
                    Ok(n) if n > 0 => {
                        // The client has shut down its half: the end follows.
                    }
                    _ => break,
                }
            }
            // The client may be gone.
            let _ = stream.write_all(&4_u16.to_le_bytes());
        }
    });
    Ok(Candidate { name: "bare loop".to_owned(), address, process: None, _data: None })
}

/// What a client sends.
fn scan_bytes(options: &ScanOptions, n_repetitions: usize) -> Result<Vec<u8>> {
    let scan = options.scan(n_repetitions)?;
    let mut bytes = BytesMut::new();
    wire::encode(&Message::ConfigFile(options.chain.clone()), &mut bytes)?;
    wire::encode(&Message::Header(scan.header().to_xml()), &mut bytes)?;
    for readout in scan.acquisitions() {
        wire::encode_acquisition(&readout, &mut bytes)?;
    }
    wire::encode(&Message::Close, &mut bytes)?;
    Ok(bytes.into())
}

fn start_peer(peer: &str) -> Result<Candidate> {
    let mut parts = peer.splitn(3, '=');
    let (Some(name), Some(port), Some(command)) = (parts.next(), parts.next(), parts.next()) else {
        bail!("--peer {peer}: write NAME=PORT=COMMAND");
    };
    let address = format!("127.0.0.1:{port}");
    let exec = format!("exec {command} >/dev/null");
    let process = Process::start(Command::new("sh").args(["-c", &exec]))?;
    let started = Instant::now();
    while TcpStream::connect(&address).is_err() {
        if started.elapsed() > Duration::from_secs(20) {
            bail!("peer {name} does not listen on {address}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(Candidate { name: name.to_owned(), address, process: Some(process), _data: None })
}

fn measure(candidate: &Candidate, bytes: &[u8]) -> Result<Measurement> {
    let pid = candidate.process.as_ref().map_or_else(std::process::id, Process::id);
    let memory = PeakMemory::watch(pid);
    let cpu_before = cpu_seconds(pid);
    let started = Instant::now();
    let mut stream = TcpStream::connect(&candidate.address)?;
    let receiving = stream.try_clone()?;
    let receiver = std::thread::spawn(move || receive(receiving));
    stream.write_all(bytes)?;
    if candidate.process.is_none() {
        stream.shutdown(std::net::Shutdown::Write)?;
    }
    let n_images = match receiver.join() {
        Ok(received) => received?,
        Err(_) => bail!("the receiver panicked"),
    };
    let wall_s = started.elapsed().as_secs_f64();
    drop(stream);
    // A server's child process is counted once it has been waited for.
    std::thread::sleep(Duration::from_millis(300));
    let cpu_s = cpu_seconds(pid) - cpu_before;
    Ok(Measurement { wall_s, cpu_s, peak_bytes: memory.finish(), n_images })
}

fn receive(stream: TcpStream) -> Result<usize> {
    let mut reader = Reader::new(stream);
    let mut n_images = 0;
    loop {
        match reader.read()? {
            Some(Message::Image(_)) => n_images += 1,
            Some(Message::Close) => return Ok(n_images),
            Some(Message::Text(text)) => eprintln!("{text}"),
            Some(_) => {}
            None => bail!("the connection ended without CLOSE"),
        }
    }
}
