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
    /// A MOLLI 3(3)3(3)5 of 192 × 160 pixels in place of frames: timed is its T1 map
    #[arg(long)]
    molli: bool,
}

/// Prints median, 95th percentile and largest latency over the frames, or that of a map.
pub fn run(options: &Options) -> Result<()> {
    let candidate = options.server.start("boreside", &[])?;
    let scan = match options.molli {
        true => options.scan.molli()?,
        false => options.scan.scan(options.frames)?,
    };
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
        let ends = match options.molli {
            true => AcquisitionFlags::LAST_IN_MEASUREMENT,
            false => AcquisitionFlags::LAST_IN_REPETITION,
        };
        let is_last = readout.header.has_any(ends);
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
    if options.molli {
        return print_map(options, &sent, &received);
    }
    if received.len() != sent.len() {
        bail!("{} frames were sent and {} images came back", sent.len(), received.len());
    }
    let mut latencies_ms: Vec<f64> = sent
        .iter()
        .zip(&received)
        .map(|(sent, (received, _))| received.saturating_duration_since(*sent).as_secs_f64() * 1e3)
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

/// Prints when the T1 map and the last image had arrived.
fn print_map(options: &Options, sent: &[Instant], received: &[(Instant, String)]) -> Result<()> {
    let Some(sent) = sent.last() else { bail!("no readout is flagged as the last one") };
    let after_ms = |arrived: &Instant| arrived.saturating_duration_since(*sent).as_secs_f64() * 1e3;
    let map = received.iter().find(|(_, role)| role == "T1");
    let (Some((map, _)), Some((last, _))) = (map, received.last()) else {
        bail!("no T1 map came back, but {} images", received.len())
    };
    println!(
        "MOLLI of 11 images, 192x160, {} channels, chain {}, a readout every {} ms; last readout \
         to T1 map {:.0} ms, to the last of {} images {:.0} ms",
        options.scan.channels,
        options.scan.chain,
        options.repetition_time_ms,
        after_ms(map),
        received.len(),
        after_ms(last),
    );
    Ok(())
}

/// When each image had arrived whole, and its data role.
fn receive(stream: TcpStream) -> Result<Vec<(Instant, String)>> {
    let mut reader = Reader::new(stream);
    let mut arrived = Vec::new();
    loop {
        match reader.read()? {
            Some(Message::Image(image)) => {
                let role = image.meta.get("GADGETRON_DataRole").unwrap_or_default().to_owned();
                arrived.push((Instant::now(), role));
            }
            Some(Message::Close) => return Ok(arrived),
            Some(Message::Text(text)) => eprintln!("{text}"),
            Some(_) => {}
            None => bail!("the connection ended without CLOSE"),
        }
    }
}
