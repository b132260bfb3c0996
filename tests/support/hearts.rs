//! Images of simulated hearts that no training set had, with what is in them.

use ismrmrd::{Image, ImageHeader, ImageType, Meta};
use ndarray::Array4;
use phantom::{
    Dataset, ImageContent, ImageOptions, LineOptions, LineOrder, Molli, Motion, Noise, Rhythm,
    SegmentationContrast, SegmentationDataset, Setup, ShortAxisOptions, SignalModel, SimulatedScan,
    Subject, Values,
};

/// A seed that no training command uses.
const SEED: u64 = 990_001;
/// Label of papillary muscle, which counts as blood.
const PAPILLARY: u16 = 10;

/// Image number `index` and the class of each of its pixels: 0 background, 1 myocardium, 2 blood
/// of the left ventricle, 3 blood of the right one.
pub fn heart(index: u64) -> (Image, Vec<u16>) {
    made(index, ImageOptions::default())
}

/// The same heart with this signal of the wall over the noise.
pub fn heart_at(index: u64, signal_to_noise: f64) -> Image {
    let signal_to_noise = [signal_to_noise; 2];
    made(index, ImageOptions { signal_to_noise, ..ImageOptions::default() }).0
}

fn made(index: u64, options: ImageOptions) -> (Image, Vec<u16>) {
    let options = ImageOptions { seed: SEED, content: ImageContent::Magnitude, ..options };
    let [n_x, n_y] = options.grid.matrix_size;
    let [width_mm, height_mm] = options.grid.field_of_view_mm;
    let dataset = SegmentationDataset::new(options, SegmentationContrast::ALL.to_vec())
        .expect("the options are good");
    let arrays = dataset.group(index).expect("a case can be made");
    let array = |name: &str| {
        let place = dataset.arrays().iter().position(|array| array.name == name);
        &arrays[place.expect("the set has it")]
    };
    let mask = |name| match array(name) {
        Values::Bool(values) => values.clone(),
        _ => panic!("{name} is a mask"),
    };
    let (wall, left, right) =
        (mask("myocardium_mask"), mask("left_blood_mask"), mask("right_blood_mask"));
    let Values::U16(labels) = array("labels") else { panic!("labels are integers") };
    let classes = labels.iter().enumerate().map(|(place, label)| match () {
        () if wall[place] => 1,
        () if left[place] || *label == PAPILLARY => 2,
        () if right[place] => 3,
        () => 0,
    });
    let classes = classes.collect();
    let Values::F32(pixels) = array("images") else { panic!("images are floats") };
    let pixels = Array4::from_shape_vec((1, 1, n_y, n_x), pixels.clone()).expect("one image");
    let header = ImageHeader {
        version: 1,
        field_of_view: [width_mm as f32, height_mm as f32, 8.0],
        read_dir: [1.0, 0.0, 0.0],
        phase_dir: [0.0, 1.0, 0.0],
        slice_dir: [0.0, 0.0, 1.0],
        image_type: ImageType::Magnitude as u16,
        image_index: 1 + index as u16,
        ..ImageHeader::default()
    };
    (Image::new(header, Meta::new(), pixels), classes)
}

/// A MOLLI scan of a still heart.
pub fn molli() -> SimulatedScan {
    let setup = Setup {
        matrix_size: [64, 48],
        n_channels: 4,
        // Else an image does not fit between an inversion and 100 ms after it.
        lines: LineOptions { order: LineOrder::Centric, ..LineOptions::default() },
        motion: Motion::still(Rhythm::default()),
        signal_model: SignalModel::Ideal,
        noise: Noise::Sd(1e-3),
        ..Setup::new(Subject::ShortAxis(ShortAxisOptions::default()))
    };
    SimulatedScan::new(&Molli::default(), setup).expect("a good setup")
}

/// 2 |A ∩ B| / (|A| + |B|) of the pixels of a class.
pub fn dice(found: &[u16], truth: &[u16], class: u16) -> f64 {
    let count = |values: &[u16]| values.iter().filter(|value| **value == class).count();
    let both = found.iter().zip(truth).filter(|(a, b)| **a == class && **b == class).count();
    2.0 * both as f64 / (count(found) + count(truth)).max(1) as f64
}
