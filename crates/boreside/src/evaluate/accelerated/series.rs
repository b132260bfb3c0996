//! One simulated series, of which any share of the lines can be taken.

use acquisition::{
    CollectReadouts, RemoveOversampling, SortKSpace, collect_readouts, sort_k_space,
};
use anyhow::{Result, bail};
use cartesian::{CompressCoils, PrepareReference, compress_coils, prepare_reference};
use ismrmrd::xml::{AccelerationFactor, CalibrationMode, ParallelImaging};
use ismrmrd::{Acquisition, AcquisitionFlags};
use ndarray::{Array2, Array3, Axis};
use num_complex::Complex32;
use phantom::{
    CalibrationLines, LineOptions, LineOrder, LinePattern, LineRole, Motion, Noise, Rhythm,
    Sequence, Setup, SignalModel, SimulatedScan, Undersampling,
};
use pipeline::{Accept, Gadget, KSpace, Message, Scan, run_gadget};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64Mcg;

use super::super::averages::median;
use super::{FIELD_OF_VIEW_MM, MATRIX};

const N_CHANNELS: usize = 16;
const N_CALIBRATION_LINES: usize = 24;

/// A scan of all lines.
pub(super) struct Series {
    scan: SimulatedScan,
    /// With noise.
    readouts: Vec<Acquisition>,
    brightness: Array2<f32>,
    noise_sd: f64,
    seed: u64,
}

impl Series {
    /// * `setup`: who lies in the scanner, its field, and the seed.
    /// * `snr`: of `myocardium` in the brightest image of all lines and channels.
    pub(super) fn new(
        sequence: &dyn Sequence,
        setup: Setup,
        snr: f64,
        myocardium: &Array2<bool>,
    ) -> Result<Self> {
        let seed = setup.seed;
        let setup = Setup {
            matrix_size: MATRIX,
            field_of_view_mm: FIELD_OF_VIEW_MM,
            n_channels: N_CHANNELS,
            lines: LineOptions { order: LineOrder::Centric, ..LineOptions::default() },
            motion: Motion::still(Rhythm::default()),
            signal_model: SignalModel::Ideal,
            noise: Noise::SignalToNoise(snr),
            ..setup
        };
        let scan = SimulatedScan::new(sequence, setup.clone())?;
        // Coil maps of Σ|s|² = 1 leave the channels' common brightness in the images.
        let brightness = scan.coil_maps(0).map_axis(Axis(0), |channels| {
            channels.iter().map(|value| value.norm_sqr()).sum::<f32>().sqrt()
        });
        // The simulator's ratio is that of a channel of sensitivity 1.
        let wall = brightness.iter().zip(myocardium).filter(|(_, is_wall)| **is_wall);
        let of_wall = median(wall.map(|(value, _)| f64::from(*value)).collect());
        let noise = Noise::SignalToNoise(snr / of_wall);
        let scan = SimulatedScan::new(sequence, Setup { noise, ..setup })?;
        let readouts = scan.acquisitions().collect();
        let noise_sd = scan.noise_sd();
        Ok(Self { scan, readouts, brightness, noise_sd, seed })
    }

    /// Inversion times of the images, as the header has them.
    pub(super) fn inversion_times_ms(&self) -> Vec<f64> {
        let parameters = self.scan.header().sequence_parameters.as_ref();
        parameters.map_or_else(Vec::new, |p| p.ti.iter().map(|ti| f64::from(*ti)).collect())
    }

    /// Images of all lines without noise, `[frame, y, x]`.
    pub(super) fn truth(&self) -> Array3<Complex32> {
        let n = self.scan.plan().frames.len();
        let mut images = Array3::zeros((n, MATRIX[1], MATRIX[0]));
        for (frame, mut image) in images.outer_iter_mut().enumerate() {
            image.assign(&self.scan.object_image(frame));
            image.zip_mut_with(&self.brightness, |image, factor| *image *= *factor);
        }
        images
    }

    /// The same with the noise that all lines have in an image combined with the true coil maps.
    pub(super) fn all_lines(&self) -> Array3<Complex32> {
        let mut random = Pcg64Mcg::new((u128::from(self.seed) << 64) | 1);
        let mut normal = || -> f32 { StandardNormal.sample(&mut random) };
        let sd = self.noise_sd as f32;
        self.truth().mapv(|value| value + Complex32::new(sd * normal(), sd * normal()))
    }

    /// K-space of every so many lines, as it reaches the reconstruction in the chain `molli_t1`.
    pub(super) fn undersampled(&self, acceleration: usize) -> Result<(Scan, KSpace)> {
        let pattern = LinePattern::new(
            MATRIX[1],
            LineOptions {
                undersampling: Undersampling::Interleaved { acceleration },
                calibration: CalibrationLines::Embedded(N_CALIBRATION_LINES),
                ..LineOptions::default()
            },
        )?;
        let kept = self.readouts.iter().filter_map(|readout| {
            let idx = readout.header.idx;
            let lines = pattern.frame(idx.set.into());
            let own = lines.iter().find(|l| l.line == usize::from(idx.kspace_encode_step_1))?;
            let mut readout = readout.clone();
            let flags = match own.role {
                LineRole::Image => AcquisitionFlags::NONE,
                LineRole::Calibration => AcquisitionFlags::IS_PARALLEL_CALIBRATION,
                LineRole::CalibrationAndImage => {
                    AcquisitionFlags::IS_PARALLEL_CALIBRATION_AND_IMAGING
                }
            };
            readout.header.set_flags(flags);
            Some(Message::from(readout))
        });
        let mut header = self.scan.header().clone();
        for encoding in &mut header.encoding {
            encoding.parallel_imaging = Some(ParallelImaging {
                acceleration_factor: AccelerationFactor {
                    kspace_encoding_step_1: acceleration as u16,
                    kspace_encoding_step_2: 1,
                },
                calibration_mode: Some(CalibrationMode::Embedded),
                ..ParallelImaging::default()
            });
        }
        let scan = Scan::with_header(header);
        let messages = kept.collect();
        let messages = step::<RemoveOversampling>(Default::default(), &scan, messages)?;
        let collect = collect_readouts::Config {
            trigger_dimension: Some(collect_readouts::Dimension::Slice),
            ..Default::default()
        };
        let messages = step::<CollectReadouts>(collect, &scan, messages)?;
        let sort = sort_k_space::Config {
            n_dimension: Some(sort_k_space::Dimension::Set),
            s_dimension: Some(sort_k_space::Dimension::Contrast),
            ignore_segment: true,
            ..Default::default()
        };
        let messages = step::<SortKSpace>(sort, &scan, messages)?;
        let prepare = prepare_reference::Config {
            average_all_ref_n: true,
            average_all_ref_s: true,
            ref_fill_into_data_embedded: true,
            ..Default::default()
        };
        let messages = step::<PrepareReference>(prepare, &scan, messages)?;
        let compress = compress_coils::Config {
            average_all_ref_n: true,
            average_all_ref_s: true,
            upstream_coil_compression_thres: 0.0005,
            ..Default::default()
        };
        let messages = step::<CompressCoils>(compress, &scan, messages)?;
        match messages.into_iter().next() {
            Some(Message::KSpace(k_space)) => Ok((scan, k_space)),
            _ => bail!("no k-space came out"),
        }
    }
}

fn step<G: Gadget>(config: G::Config, scan: &Scan, messages: Vec<Message>) -> Result<Vec<Message>>
where
    G::Error: Send + Sync + 'static,
{
    let inputs: Vec<_> =
        messages.into_iter().filter_map(|message| G::Input::accept(message).ok()).collect();
    Ok(run_gadget::<G>(config, scan, inputs)?.0)
}
