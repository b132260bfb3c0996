//! `boreside classifier`: classifiers of fingerprints' tissues, trained from labelled scans.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use cmrf::{Classifier, Examples, Validation};
use ismrmrd::Pixels;
use ismrmrd::hdf5::FileReader;
use ndarray::Array2;
use phantom::{
    Body, Fingerprinting, Label, Lesion, LesionKind, Motion, Noise, PixelGrid, Rhythm,
    RhythmOptions, Setup, ShortAxisOptions, SimulatedScan, SpiralOptions, Subject, TissueMaps,
};
use pipeline::chain::Step;
use pipeline::{Accept, ImageSeries, Message, Remedy, Scan};
use rand_distr::{Distribution, StandardUniform};
use rand_pcg::Pcg64Mcg;

use crate::cli::{ChainFolder, DataFolder, ModelOptions};
use crate::noise::NoiseOptions;
use crate::recording::{self, Pace};
use crate::{gadgets, local, outcome, replay};

#[derive(Args)]
pub struct ClassifierOptions {
    #[command(subcommand)]
    command: ClassifierCommand,
}

#[derive(Subcommand)]
enum ClassifierCommand {
    /// Train a classifier from fingerprints whose pixels are labelled, and say how good it is on
    /// scans that were left out
    Train(TrainOptions),
    /// Say what a classifier tells apart, and what it was trained on
    Show {
        /// Name of a built-in one, or a file
        #[arg(default_value = "heart_tissues")]
        name: String,
    },
}

#[derive(Args)]
struct TrainOptions {
    /// Recorded fingerprint: an ISMRMRD file or stream; may be repeated
    #[arg(long = "scan", value_name = "SCAN", conflicts_with = "simulated")]
    scans: Vec<String>,
    /// ISMRMRD file of the scan before it, with images `labels` of its slices: 0 where a pixel is no example
    #[arg(long = "labels", value_name = "FILE.h5", conflicts_with = "simulated")]
    labels: Vec<PathBuf>,
    /// Group of the label images
    #[arg(long, default_value = "labels", value_name = "NAME")]
    label_group: String,
    /// What a label stands for; labels of the same name are one class; may be repeated
    #[arg(long = "class", value_name = "LABEL=NAME", conflicts_with = "simulated")]
    classes: Vec<String>,
    /// Instead of recorded scans: so many simulated hearts, healthy and ill
    #[arg(long, value_name = "N")]
    simulated: Option<u32>,
    /// Seed of the simulated hearts
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Chain whose steps up to reconstruct_fingerprint are taken
    #[arg(long, default_value = "cmrf_t1_t2", value_name = "NAME")]
    chain: String,
    /// One example for each class of a scan, its mean course, rather than one for each pixel
    #[arg(long)]
    mean_courses: bool,
    /// What the classifier tells apart, in words
    #[arg(long, default_value = "")]
    description: String,
    /// New file for the classifier
    #[arg(long, short, value_name = "FILE.toml")]
    output: PathBuf,
    #[command(flatten)]
    chains: ChainFolder,
    #[command(flatten)]
    networks: ModelOptions,
    #[command(flatten)]
    data: DataFolder,
}

pub fn run(options: &ClassifierOptions) -> Result<()> {
    match &options.command {
        ClassifierCommand::Train(options) => train(options),
        ClassifierCommand::Show { name } => show(name),
    }
}

fn show(name: &str) -> Result<()> {
    let classifier = Classifier::open(name).map_err(explained)?;
    outln!("{}", classifier.description);
    outln!("trained on {}", classifier.trained_on);
    let [least, most] = classifier.beats_ms;
    outln!("beats from {least:.0} to {most:.0} ms");
    for (number, class) in classifier.classes.iter().enumerate() {
        outln!("label {} {class}", number + 1);
    }
    Ok(())
}

fn explained(error: cmrf::ClassifierError) -> anyhow::Error {
    anyhow::anyhow!("{error}\n  {}", error.remedy())
}

fn train(options: &TrainOptions) -> Result<()> {
    if options.output.extension().is_none_or(|ending| ending != "toml") {
        bail!("{}: the name must end in .toml", options.output.display());
    }
    if options.output.exists() {
        bail!("{} is there already: choose another name", options.output.display());
    }
    let (classes, mut groups) = match options.simulated {
        Some(n) => (simulated_classes(), simulated(n, options)?),
        None => recorded(options)?,
    };
    if options.mean_courses {
        let means = |group: Vec<Examples>| group.into_iter().map(Examples::into_means).collect();
        groups = groups.into_iter().map(means).collect();
    }
    let description = match options.description.as_str() {
        "" => classes.join(", "),
        text => text.to_owned(),
    };
    for (class, name) in classes.iter().enumerate() {
        let n: usize = groups.iter().flatten().map(|examples| examples.n_of(class)).sum();
        outln!("{n:>8} examples of {name}");
    }
    let (mut classifier, validation) =
        Classifier::train(&groups, &classes, description).map_err(explained)?;
    if options.simulated.is_some() {
        classifier.trained_on += &format!(
            ": `boreside classifier train --simulated {} --seed {}`",
            groups.len(),
            options.seed
        );
    }
    print(&classes, &validation)?;
    std::fs::write(&options.output, classifier.to_toml())
        .with_context(|| options.output.display().to_string())?;
    outln!("written: {}", options.output.display());
    Ok(())
}

fn print(classes: &[String], validation: &Validation) -> Result<()> {
    let Some(confusion) = &validation.confusion else {
        outln!("no scan can be left out to test with: give more scans, of all classes");
        return Ok(());
    };
    outln!("each scan left out in turn; rows: what it is, columns: what was found, %");
    let width = classes.iter().map(String::len).max().unwrap_or(0).max(6);
    out!("{:width$}", "");
    for class in classes {
        out!(" {class:>width$}");
    }
    outln!("");
    for (class, row) in classes.iter().zip(confusion.outer_iter()) {
        out!("{class:width$}");
        let sum = row.sum().max(1) as f64;
        for n in row {
            out!(" {:>width$.1}", 100.0 * *n as f64 / sum);
        }
        outln!("");
    }
    if let Some(error) = validation.error_percent() {
        outln!("error, mean of the classes: {error:.1} %");
    }
    for ([a, b], coefficient) in &validation.fisher {
        outln!("Fisher coefficient of {} and {}: {coefficient:.2}", classes[*a], classes[*b]);
    }
    Ok(())
}

/// Names of the classes, and the examples of each scan.
fn recorded(options: &TrainOptions) -> Result<(Vec<String>, Vec<Vec<Examples>>)> {
    if options.scans.is_empty() || options.scans.len() != options.labels.len() {
        bail!(
            "{} scans and {} files of labels: each --scan needs its --labels, or give --simulated N",
            options.scans.len(),
            options.labels.len()
        );
    }
    let mut names: Vec<String> = Vec::new();
    let mut class_of = BTreeMap::new();
    for text in &options.classes {
        let (label, name) = text
            .split_once('=')
            .and_then(|(label, name)| Some((label.trim().parse::<u16>().ok()?, name.trim())))
            .filter(|(label, name)| *label > 0 && !name.is_empty())
            .with_context(|| {
                format!("--class {text}: it is LABEL=NAME, for example 8=myocardium")
            })?;
        let class = names.iter().position(|own| own == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        if class_of.insert(label, class).is_some() {
            bail!("--class {text}: label {label} has two names");
        }
    }
    if names.len() < 2 {
        bail!("{} classes: give two or more with --class LABEL=NAME", names.len());
    }
    let mut groups = Vec::new();
    for (input, labels) in options.scans.iter().zip(&options.labels) {
        let of_slices = label_images(labels, &options.label_group)?;
        let series = series_of(input, options)?;
        let mut group = Vec::new();
        for series in series {
            let slice = series.headers.first().map_or(0, |header| header.slice);
            let Some(labels) = of_slices.get(&slice) else {
                tracing::warn!("{input}: slice {slice} has no labels");
                continue;
            };
            let classes = labels.mapv(|label| class_of.get(&label).copied());
            let examples = Examples::of(&series, classes.view())
                .map_err(|error| anyhow::anyhow!("{input}: {error}\n  {}", error.remedy()))?;
            group.extend(examples);
        }
        if group.is_empty() {
            bail!("{input}: no fingerprint with labels came out");
        }
        groups.push(group);
    }
    Ok((names, groups))
}

/// Labels of each slice.
fn label_images(path: &Path, group: &str) -> Result<BTreeMap<u16, Array2<u16>>> {
    let what = || path.display().to_string();
    let file = FileReader::open(path).with_context(what)?;
    let names = file.image_names()?;
    if !names.iter().any(|name| name == group) {
        bail!("{}: no images {group}; there are: {}", what(), names.join(", "));
    }
    let mut of_slices = BTreeMap::new();
    for image in file.images(group).with_context(what)? {
        let image = image?;
        let Pixels::U16(pixels) = &image.pixels else {
            bail!("{}: the labels are not 16-bit unsigned integers", what());
        };
        let &[1, 1, n_y, n_x] = pixels.shape() else {
            bail!("{}: labels of shape {:?}, not of one plane", what(), pixels.shape());
        };
        let plane: Vec<u16> = pixels.iter().copied().collect();
        let slice = image.header.slice;
        of_slices.insert(slice, Array2::from_shape_vec((n_y, n_x), plane)?);
    }
    Ok(of_slices)
}

/// What `reconstruct_fingerprint` makes of a recording.
fn series_of(input: &str, options: &TrainOptions) -> Result<Vec<ImageSeries>> {
    let mut recording = recording::open(input, "dataset", &options.data, Pace::Max)?;
    let header_text = recording.header_text.take();
    let noise = NoiseOptions::default();
    let scan = replay::scan_of(header_text, &options.data, &noise, &options.networks)?;
    series_through(&scan, recording.messages, options)
}

fn series_through(
    scan: &Scan,
    messages: impl Iterator<Item = Result<ismrmrd::wire::Message>> + Send,
    options: &TrainOptions,
) -> Result<Vec<ImageSeries>> {
    const LAST: &str = "reconstruct_fingerprint";
    let library = gadgets::library(&options.chains);
    let mut file = library.find(&options.chain)?;
    let is_last = |step: &Step| matches!(step, Step::Gadget(step) if step.gadget == LAST);
    let Some(last) = file.steps.iter().position(is_last) else {
        bail!("chain {} has no gadget {LAST}", options.chain);
    };
    file.steps.truncate(last + 1);
    file.output = Some(<ImageSeries as Accept>::KINDS);
    let chain = library.check(&file)?;
    let mut found = Vec::new();
    let finished = local::run_messages(&chain, scan, messages, |message, _| {
        if let Message::ImageSeries(series) = message {
            found.push(series);
        }
        Ok(())
    })?;
    outcome::fail_on_reported(finished.n_errors)?;
    Ok(found)
}

/// What the built-in classifier tells apart, and labels of the simulated hearts.
const SIMULATED: [(&str, &[Label]); 6] = [
    ("blood", &[Label::LeftBlood, Label::RightBlood, Label::Aorta]),
    ("myocardium", &[Label::Myocardium, Label::RightWall, Label::Papillary]),
    (
        "ill myocardium",
        &[
            Label::Lesion(LesionKind::Infarct),
            Label::Lesion(LesionKind::AcuteInfarct),
            Label::Lesion(LesionKind::Fibrosis),
            Label::Lesion(LesionKind::Oedema),
            Label::Lesion(LesionKind::Amyloid),
        ],
    ),
    ("liver", &[Label::Liver]),
    ("muscle", &[Label::Muscle]),
    ("fat", &[Label::Fat]),
];

fn simulated_classes() -> Vec<String> {
    SIMULATED.iter().map(|(name, _)| (*name).to_owned()).collect()
}

const MATRIX: usize = 128;
const FIELD_OF_VIEW_MM: f64 = 360.0;

/// Hearts from 45 to 110 beats per minute, every second one with early and missed beats, with
/// lesions, and noise.
fn simulated(n: u32, options: &TrainOptions) -> Result<Vec<Vec<Examples>>> {
    let kinds = [
        LesionKind::Infarct,
        LesionKind::AcuteInfarct,
        LesionKind::Fibrosis,
        LesionKind::Oedema,
        LesionKind::Amyloid,
    ];
    let mut groups = Vec::new();
    for number in 0..n {
        let seed = (u128::from(options.seed) << 64) | u128::from(2 * number + 1);
        let mut random = Pcg64Mcg::new(seed);
        let mut between = |least: f64, most: f64| {
            let share: f64 = StandardUniform.sample(&mut random);
            least + share * (most - least)
        };
        let rhythm = Rhythm::new(&RhythmOptions {
            rr_interval_ms: 60_000.0 / between(45.0, 110.0),
            variability: between(0.0, 0.15),
            ectopic_probability: if number % 2 == 1 { 0.1 } else { 0.0 },
            missed_trigger_probability: if number % 2 == 1 { 0.1 } else { 0.0 },
            seed: u64::from(number),
            ..RhythmOptions::default()
        })?;
        let kind = kinds[number as usize % kinds.len()];
        let lesion = Lesion {
            kind,
            angle_rad: between(0.0, std::f64::consts::TAU),
            extent_rad: between(1.2, 3.0),
            transmural: [0.0, 1.0],
        };
        let body = ShortAxisOptions {
            wall_thickness_mm: between(9.0, 14.0),
            endocardial_radius_mm: between(18.0, 26.0),
            lesions: vec![lesion],
            ..ShortAxisOptions::default()
        };
        let setup = Setup {
            matrix_size: [MATRIX; 2],
            field_of_view_mm: [FIELD_OF_VIEW_MM; 2],
            n_channels: 8,
            motion: Motion::still(rhythm),
            noise: Noise::SignalToNoise(between(15.0, 60.0)),
            seed: u64::from(number),
            ..Setup::new(Subject::ShortAxis(body))
        };
        let sequence = Fingerprinting {
            spiral: SpiralOptions { n_arms: 48, ..SpiralOptions::default() },
            ..Fingerprinting::default()
        };
        let simulated = SimulatedScan::new(&sequence, setup)?;
        let labels = examples_of(&simulated)?;
        let scan = Scan::with_header(simulated.header().clone());
        let messages = simulated
            .acquisitions()
            .map(|acquisition| Ok(ismrmrd::wire::Message::Acquisition(acquisition)));
        for series in series_through(&scan, messages, options)? {
            let examples = Examples::of(&series, labels.view())
                .map_err(|error| anyhow::anyhow!("{error}\n  {}", error.remedy()))?;
            groups.extend(examples.map(|examples| vec![examples]));
        }
        tracing::info!("heart {} of {n}", number + 1);
    }
    Ok(groups)
}

/// Classes of the pixels whose neighbours are all of the same class.
fn examples_of(scan: &SimulatedScan) -> Result<Array2<Option<usize>>> {
    let Some(Body::Anatomy(anatomy)) = scan.bodies().first() else { bail!("no tissues") };
    let grid = PixelGrid { matrix_size: [MATRIX; 2], field_of_view_mm: [FIELD_OF_VIEW_MM; 2] };
    let class = |code: u16| {
        SIMULATED.iter().position(|(_, labels)| labels.iter().any(|label| label.code() == code))
    };
    let classes = TissueMaps::new(anatomy, grid).labels.mapv(class);
    let (n_y, n_x) = classes.dim();
    Ok(Array2::from_shape_fn((n_y, n_x), |(y, x)| {
        let rows = y.saturating_sub(1)..(y + 2).min(n_y);
        let mut around =
            rows.flat_map(|y| (x.saturating_sub(1)..(x + 2).min(n_x)).map(move |x| [y, x]));
        classes[[y, x]].filter(|own| around.all(|place| classes[place] == Some(*own)))
    }))
}
