//! Times the running server at the pace of the scanner: from the last readout of a frame to its
//! image.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use ismrmrd::wire::{Message, Reader, Writer};
use ismrmrd::{Acquisition, AcquisitionFlags};

use crate::bench_scan::ScanOptions;
use crate::candidate::ServerOptions;

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    scan: ScanOptions,
    #[command(flatten)]
    server: ServerOptions,
    /// Frames of the scan
    #[arg(long, default_value_t = 30)]
    frames: usize,
    /// Time between two readouts, ms
    #[arg(long, default_value_t = 4.0)]
    repetition_time_ms: f64,
}

/// Prints median, 95th percentile and largest latency over the frames.
pub fn run(options: &Options) -> Result<()> {
    let candidate = options.server.start("boreside", &[])?;
    let scan = options.scan.scan(options.frames)?;
    // Made beforehand: the simulator must not compete for the processor.
    let readouts: Vec<Acquisition> = scan.acquisitions().collect();
    let stream = TcpStream::connect(&candidate.address)?;
    stream.set_nodelay(true)?;
    let receiving = stream.try_clone()?;
    let receiver = std::thread::spawn(move || receive(receiving));
    let mut writer = Writer::new(stream);
    writer.write(&Message::ConfigFile(options.scan.chain.clone()))?;
    writer.write(&Message::Header(scan.header().to_xml()))?;
    writer.flush()?;
    let between = Duration::from_secs_f64(options.repetition_time_ms / 1000.0);
    let mut due = Instant::now();
    let mut sent = Vec::new();
    for readout in readouts {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let is_last = readout.header.has_any(AcquisitionFlags::LAST_IN_REPETITION);
        writer.write(&Message::Acquisition(readout))?;
        writer.flush()?;
        if is_last {
            sent.push(Instant::now());
        }
        due += between;
    }
    writer.write(&Message::Close)?;
    writer.flush()?;
    let received = match receiver.join() {
        Ok(received) => received?,
        Err(_) => bail!("the receiver panicked"),
    };
    if received.len() != sent.len() {
        bail!("{} frames were sent and {} images came back", sent.len(), received.len());
    }
    let mut latencies_ms: Vec<f64> = sent
        .iter()
        .zip(&received)
        .map(|(sent, received)| received.saturating_duration_since(*sent).as_secs_f64() * 1e3)
        .collect();
    let first_ms = latencies_ms[0];
    latencies_ms.sort_by(f64::total_cmp);
    let at = |part: f64| latencies_ms[((latencies_ms.len() - 1) as f64 * part).round() as usize];
    println!(
        "{}, {} frames, a readout every {} ms; last readout to image: median {:.1} ms, 95 % \
         {:.1} ms, most {:.1} ms, first frame {first_ms:.1} ms",
        options.scan,
        options.frames,
        options.repetition_time_ms,
        at(0.5),
        at(0.95),
        at(1.0),
    );
    Ok(())
}

/// When each image had arrived whole.
fn receive(stream: TcpStream) -> Result<Vec<Instant>> {
    let mut reader = Reader::new(stream);
    let mut arrived = Vec::new();
    loop {
        match reader.read()? {
            Some(Message::Image(_)) => arrived.push(Instant::now()),
            Some(Message::Close) => return Ok(arrived),
            Some(Message::Text(text)) => eprintln!("{text}"),
            Some(_) => {}
            None => bail!("the connection ended without CLOSE"),
        }
    }
}
