//! `boreside dicom`, and what `boreside serve` sends to archives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use dicom_out::{
    Delivery, DeliveryError, Destination, Forms, Job, Outbox, OutboxSettings, Study, Tally,
};
use ismrmrd::{Header, Image, wire};
use pipeline::{ImageFacts, Remedy};
use serde::Deserialize;
use server::ImageTap;

use crate::cli::DataFolder;
use crate::recording::{self, Pace};

/// The outbox in the folder for data.
const OUTBOX: &str = "dicom-outbox";
/// Our AE title where none is given.
const OWN_AE_TITLE: &str = "BORESIDE";

#[derive(Args)]
pub struct DicomOptions {
    #[command(subcommand)]
    command: DicomCommand,
}

#[derive(Subcommand)]
enum DicomCommand {
    /// Write the images of a recording as DICOM files.
    Convert(ConvertOptions),
    /// Send DICOM files to an archive.
    Send(SendOptions),
    /// Ask whether an archive is there and speaks to us.
    Echo(ArchiveOptions),
}

#[derive(Args)]
struct ConvertOptions {
    /// HDF5 file or stream with images, or - for standard input
    input: String,
    /// Folder for the files
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Group of an HDF5 file
    #[arg(long, default_value = "dataset")]
    group: String,
    /// Maps also as Parametric Map Storage: 32-bit floats
    #[arg(long)]
    parametric_map: bool,
    /// Maps also as pictures in the recommended colours
    #[arg(long)]
    color: bool,
}

#[derive(Args)]
struct SendOptions {
    /// DICOM files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    archive: ArchiveOptions,
}

/// An archive.
#[derive(Args)]
struct ArchiveOptions {
    /// AET@HOST:PORT for C-STORE, or the http(s) address of a DICOMweb service for STOW-RS
    #[arg(long, value_name = "AET@HOST:PORT|URL")]
    to: String,
    /// Our AE title
    #[arg(long, default_value = OWN_AE_TITLE, value_name = "AET")]
    ae_title: String,
    /// File with the value of the Authorization header; a token alone is a bearer's
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) that the service's is signed by, where these are not public
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl ArchiveOptions {
    fn destination(&self) -> Result<Destination> {
        destination(&self.to, &self.ae_title, &self.token_file, &self.ca_file)
    }
}

fn destination(
    text: &str,
    ae_title: &str,
    token: &Option<PathBuf>,
    ca: &Option<PathBuf>,
) -> Result<Destination> {
    let mut destination = Destination::parse(text, ae_title)?;
    if let Destination::Stow { token_file, ca_file, .. } = &mut destination {
        token_file.clone_from(token);
        ca_file.clone_from(ca);
    }
    Ok(destination)
}

pub fn run(options: &DicomOptions) -> Result<()> {
    match &options.command {
        DicomCommand::Convert(options) => convert(options),
        DicomCommand::Send(options) => send(options),
        DicomCommand::Echo(options) => {
            let to = options.destination()?;
            dicom_out::echo(&to).map_err(anyhow::Error::msg)?;
            outln!("{} is there", to.label());
            Ok(())
        }
    }
}

fn convert(options: &ConvertOptions) -> Result<()> {
    let recording =
        recording::open(&options.input, &options.group, &DataFolder::default(), Pace::Max)?;
    let header = recording.header_text.as_deref().map(Header::from_xml).transpose();
    let header = header.unwrap_or_else(|error| {
        tracing::warn!("header: {error}");
        None
    });
    // Recordings without a header are not one study.
    let run = if header.is_none() { options.input.as_str() } else { "" };
    let study = Study::new(header.as_ref(), run);
    let forms = Forms { parametric_map: options.parametric_map, color: options.color };
    std::fs::create_dir_all(&options.output)
        .with_context(|| format!("folder {}", options.output.display()))?;
    let (mut n_images, mut n_files, mut n_lost, mut n_others) = (0, 0, 0, 0);
    for message in recording.messages {
        let images = match message? {
            wire::Message::Image(image) => vec![image],
            wire::Message::ImageArray(array) => array.to_images(),
            _ => {
                n_others += 1;
                continue;
            }
        };
        for image in images {
            n_images += 1;
            match dicom_out::objects(&image, &study, forms) {
                Ok(files) => {
                    for file in files {
                        let path = options.output.join(&file.name);
                        std::fs::write(&path, &file.bytes)
                            .with_context(|| path.display().to_string())?;
                        n_files += 1;
                    }
                }
                Err(error) => {
                    n_lost += 1;
                    tracing::error!("image {n_images}: {error}: {}", error.remedy());
                }
            }
        }
    }
    if n_images == 0 {
        bail!(
            "{} holds no images but {n_others} other messages: reconstruct it first (`boreside replay {} -o images.h5`)",
            options.input,
            options.input
        );
    }
    outln!("{n_images} images, {n_files} DICOM files in {}", options.output.display());
    if n_lost > 0 {
        bail!("{n_lost} of {n_images} images have no form in DICOM, see the log above");
    }
    Ok(())
}

fn send(options: &SendOptions) -> Result<()> {
    let to = options.archive.destination()?;
    let mut classes = Vec::new();
    let mut files = Vec::new();
    for path in &options.files {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let class = dicom_out::sop_class(&bytes)
            .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        if !classes.contains(&class) {
            classes.push(class);
        }
        files.push((path, bytes));
    }
    let mut delivery = Delivery::open(&to, &classes).map_err(anyhow::Error::msg)?;
    let mut n_refused = 0;
    for (path, bytes) in &files {
        match delivery.store(bytes) {
            Ok(()) => {}
            Err(DeliveryError::Refused(reason)) => {
                n_refused += 1;
                tracing::error!("{}: refused: {reason}", path.display());
            }
            Err(error) => bail!("{}: {error}", path.display()),
        }
    }
    delivery.close();
    outln!("{} of {} files are at {}", files.len() - n_refused, files.len(), to.label());
    if n_refused > 0 {
        bail!("{n_refused} files were refused, see the log above");
    }
    Ok(())
}

macro_rules! dicom_settings {
    ($($(#[$attribute:meta])* $field:ident: $type:ty,)*) => {
        /// What a site can set of DICOM, the same by flag, variable and file.
        #[derive(Args, Clone, Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct DicomSettings {
            $($(#[$attribute])* pub $field: Option<$type>,)*
        }

        impl DicomSettings {
            /// These settings, and those of the file where there is none here.
            pub fn or(self, file: Self) -> Self {
                Self { $($field: self.$field.or(file.$field),)* }
            }

            /// Whether a name of the settings file is one of these.
            pub fn has(name: &str) -> bool {
                [$(stringify!($field)),*].contains(&name)
            }
        }
    };
}

dicom_settings! {
    /// Archives that every map (or image) of every scan is sent to as DICOM, commas between: AET@HOST:PORT for C-STORE, the http(s) address of a DICOMweb service for STOW-RS
    #[arg(long, env = "BORESIDE_DICOM_SEND", value_name = "AET@HOST:PORT|URL")]
    dicom_send: String,
    /// Send images as well, and not maps with their uncertainties only
    #[arg(long, env = "BORESIDE_DICOM_IMAGES", num_args = 0..=1, default_missing_value = "true")]
    dicom_images: bool,
    /// Send maps also as Parametric Map Storage: 32-bit floats
    #[arg(long, env = "BORESIDE_DICOM_PARAMETRIC_MAP", num_args = 0..=1, default_missing_value = "true")]
    dicom_parametric_map: bool,
    /// Send maps also as pictures in the recommended colours
    #[arg(long, env = "BORESIDE_DICOM_COLOR", num_args = 0..=1, default_missing_value = "true")]
    dicom_color: bool,
    /// Our AE title [default: BORESIDE]
    #[arg(long, env = "BORESIDE_DICOM_AE_TITLE", value_name = "AET")]
    dicom_ae_title: String,
    /// File with the value of the Authorization header for STOW-RS
    #[arg(long, env = "BORESIDE_DICOM_TOKEN_FILE", value_name = "FILE")]
    dicom_token_file: PathBuf,
    /// Certificates (PEM) that a DICOMweb service's is signed by, where these are not public
    #[arg(long, env = "BORESIDE_DICOM_CA_FILE", value_name = "FILE")]
    dicom_ca_file: PathBuf,
    /// Disk for DICOM objects that wait for their archive, in GiB [default: 10]
    #[arg(long, env = "BORESIDE_DICOM_OUTBOX_GIB", value_name = "N")]
    dicom_outbox_gib: f64,
}

impl DicomSettings {
    /// The outbox in the data folder; it is not started yet.
    ///
    /// # Errors
    /// A value that makes no sense.
    pub fn outbox(&self, data: &Path) -> Result<Arc<Outbox>> {
        let mut settings =
            OutboxSettings { folder: Some(data.join(OUTBOX)), ..OutboxSettings::default() };
        if let Some(gib) = self.dicom_outbox_gib {
            if !(gib > 0.0 && gib.is_finite()) {
                bail!("--dicom-outbox-gib {gib} is not a positive number");
            }
            settings.max_bytes = (gib * f64::from(1 << 30)) as u64;
        }
        Ok(Arc::new(Outbox::new(settings)))
    }

    /// Starts it: what waits since the last run is sent. Where that cannot be, scans run all the same,
    /// unless every map is to be sent.
    ///
    /// # Errors
    /// Maps are to be sent, and cannot.
    pub fn start(&self, outbox: &Outbox) -> Result<()> {
        match outbox.start() {
            Err(error) if self.dicom_send.is_some() => Err(error.into()),
            Err(error) => {
                tracing::warn!("no DICOM can be sent: {error}");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Who sends every image, where that is wanted.
    ///
    /// # Errors
    /// An archive that is none.
    pub fn tap(&self, outbox: &Arc<Outbox>) -> Result<Option<Arc<dyn ImageTap>>> {
        let Some(text) = &self.dicom_send else { return Ok(None) };
        let ae_title = self.dicom_ae_title.as_deref().unwrap_or(OWN_AE_TITLE);
        let to = text
            .split(',')
            .filter(|text| !text.trim().is_empty())
            .map(|text| destination(text, ae_title, &self.dicom_token_file, &self.dicom_ca_file))
            .collect::<Result<Vec<_>>>()
            .context("--dicom-send")?;
        if to.is_empty() {
            bail!(
                "--dicom-send names no archive: give AET@HOST:PORT or the address of a DICOMweb service"
            );
        }
        Ok(Some(Arc::new(SendEverything {
            outbox: Arc::clone(outbox),
            to,
            forms: Forms {
                parametric_map: self.dicom_parametric_map == Some(true),
                color: self.dicom_color == Some(true),
            },
            has_images: self.dicom_images == Some(true),
            running: Mutex::default(),
        })))
    }
}

/// Sends what clients get to archives as well.
#[derive(Debug)]
struct SendEverything {
    outbox: Arc<Outbox>,
    to: Vec<Destination>,
    forms: Forms,
    has_images: bool,
    /// By session.
    running: Mutex<BTreeMap<u64, RunningSession>>,
}

/// What the images of a session belong to, and what became of them.
#[derive(Debug)]
struct RunningSession {
    study: Arc<Study>,
    tally: Arc<Tally>,
}

impl ImageTap for SendEverything {
    fn take(&self, session: u64, header_text: &dyn Fn() -> String, image: &Image) {
        if !self.has_images && !ImageFacts::of(image).kind.is_of_map() {
            return;
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let RunningSession { study, tally } = running.entry(session).or_insert_with(|| {
            let header = Header::from_xml(&header_text()).ok();
            let study = Study::new(header.as_ref(), &format!("session {session}"));
            RunningSession { study: Arc::new(study), tally: Arc::default() }
        });
        self.outbox.post(Job {
            image: image.clone(),
            study: Arc::clone(study),
            forms: self.forms,
            folder: None,
            to: self.to.clone(),
            tally: Arc::clone(tally),
        });
    }

    fn end(&self, session: u64) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
    }
}

/// The outbox for a chain that runs in this process: what it cannot send at once waits for the next
/// server. It touches no disk unless the chain sends something.
pub fn service(data: &DataFolder) -> Arc<Outbox> {
    let folder = Some(data.path().join(OUTBOX));
    Arc::new(Outbox::new(OutboxSettings { folder, ..OutboxSettings::default() }))
}
