//! Prints the echoes of a sequence.
//!
//! ```text
//! cargo run --release -p phantom --example echoes -- bloch < sequence.txt
//! ```
//!
//! The argument is `closed-form` (the default), `bloch` or `epg`. Each line of the input is a
//! tissue or a block; times are in ms, angles in degrees, `#` starts a comment:
//!
//! ```text
//! tissue t1 1000 t2 45                       # t2_star as t2, off_resonance_hz 0, density 1
//! inversion factor 1
//! wait duration 20
//! t2_preparation te 50
//! saturation residual 0
//! balanced flip 35 tr 2.7 te 1.35 echoes 66 ramp 5        # without a ramp: half the angle
//! spoiled flips 4:12.5:16,12.5*31 tr 10 te 1.52,4 spoiling gradient dummies 0  # or ideal
//! spin_echo te 60
//! stimulated_echo te 30 tm 1000
//! ```
//!
//! `4:12.5:16` are 16 angles from 4 to 12.5, `12.5*31` is 31 times the same. One line per
//! tissue and echo comes out: tissue, echo, real and imaginary part.

use std::collections::HashMap;
use std::io::Read;
use std::process::ExitCode;

use phantom::{
    BalancedTrain, Block, SignalModel, SpoiledTrain, Spoiling, Startup, Tissue, check, echoes,
};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let model = match std::env::args().nth(1).as_deref() {
        None | Some("closed-form") => SignalModel::ClosedForm,
        Some("bloch") => SignalModel::Bloch,
        Some("epg") => SignalModel::Epg,
        Some(other) => return Err(format!("{other}: closed-form, bloch and epg are known")),
    };
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| error.to_string())?;
    let (mut tissues, mut blocks) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(kind) = words.next() else { continue };
        let words: Vec<&str> = words.collect();
        let fields =
            Fields(words.chunks(2).map(|pair| (pair[0], *pair.last().unwrap_or(&""))).collect());
        let read = match kind {
            "tissue" => tissue(&fields).map(|tissue| tissues.push(tissue)),
            _ => block(kind, &fields).map(|block| blocks.push(block)),
        };
        read.map_err(|message| format!("line {}: {message}", index + 1))?;
    }
    check(&blocks).map_err(|error| error.to_string())?;
    for (number, tissue) in tissues.iter().enumerate() {
        for (echo, value) in echoes(model, &blocks, tissue).iter().enumerate() {
            println!("{number} {echo} {:.12e} {:.12e}", value.re, value.im);
        }
    }
    Ok(())
}

fn tissue(fields: &Fields<'_>) -> Result<Tissue, String> {
    let t2_ms = fields.number("t2", None)?;
    Ok(Tissue {
        t1_ms: fields.number("t1", None)?,
        t2_ms,
        t2_star_ms: fields.number("t2_star", Some(t2_ms))?,
        proton_density: fields.number("density", Some(1.0))?,
        off_resonance_hz: fields.number("off_resonance_hz", Some(0.0))?,
        ecv_percent: None,
    })
}

fn block(kind: &str, fields: &Fields<'_>) -> Result<Block, String> {
    Ok(match kind {
        "wait" => Block::Wait { duration_ms: fields.number("duration", None)? },
        "inversion" => Block::Inversion { factor: fields.number("factor", Some(1.0))? },
        "saturation" => Block::Saturation { residual: fields.number("residual", Some(0.0))? },
        "t2_preparation" => Block::T2Preparation {
            echo_time_ms: fields.number("te", None)?,
            efficiency: fields.number("efficiency", Some(1.0))?,
            offset: fields.number("offset", Some(0.0))?,
        },
        "balanced" => {
            let ramp = fields.number("ramp", Some(0.0))? as usize;
            Block::BalancedTrain(BalancedTrain {
                flip_angle_deg: fields.number("flip", None)?,
                repetition_time_ms: fields.number("tr", None)?,
                echo_time_ms: fields.number("te", None)?,
                n_echoes: fields.number("echoes", None)? as usize,
                startup: if ramp == 0 { Startup::HalfAngle } else { Startup::Ramp(ramp) },
            })
        }
        "spoiled" => Block::SpoiledTrain(SpoiledTrain {
            flip_angles_deg: fields.list("flips")?,
            repetition_time_ms: fields.number("tr", None)?,
            echo_times_ms: fields.list("te")?,
            spoiling: match fields.0.get("spoiling") {
                None | Some(&"ideal") => Spoiling::Ideal,
                Some(&"gradient") => Spoiling::Gradient,
                Some(other) => return Err(format!("spoiling {other}: ideal or gradient")),
            },
            n_dummies: fields.number("dummies", Some(0.0))? as usize,
        }),
        "spin_echo" => Block::SpinEcho { echo_time_ms: fields.number("te", None)? },
        "stimulated_echo" => Block::StimulatedEcho {
            echo_time_ms: fields.number("te", None)?,
            mixing_time_ms: fields.number("tm", None)?,
        },
        other => return Err(format!("{other} is no block")),
    })
}

/// Pairs of a name and a value.
struct Fields<'a>(HashMap<&'a str, &'a str>);

impl Fields<'_> {
    fn number(&self, name: &str, default: Option<f64>) -> Result<f64, String> {
        match (self.0.get(name), default) {
            (Some(word), _) => parse(word),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(format!("{name} is missing")),
        }
    }

    fn list(&self, name: &str) -> Result<Vec<f64>, String> {
        let words = self.0.get(name).ok_or_else(|| format!("{name} is missing"))?;
        let mut values = Vec::new();
        for word in words.split(',') {
            if let Some((value, count)) = word.split_once('*') {
                values.extend(vec![parse(value)?; parse(count)? as usize]);
            } else if let [first, last, count] = word.split(':').collect::<Vec<_>>()[..] {
                let (first, last, count) = (parse(first)?, parse(last)?, parse(count)? as usize);
                let step = (last - first) / count.saturating_sub(1).max(1) as f64;
                values.extend((0..count).map(|n| first + step * n as f64));
            } else {
                values.push(parse(word)?);
            }
        }
        Ok(values)
    }
}

fn parse(word: &str) -> Result<f64, String> {
    word.parse().map_err(|_| format!("{word} is no number"))
}
