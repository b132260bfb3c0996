//! A map as a picture in colours with its bar and numbers baked in: Secondary Capture.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use ismrmrd::Image;
use ndarray::{Array2, ArrayView2};
use pipeline::ImageFacts;
use pipeline::palette::{self, Colors};

use crate::dataset::Dataset;
use crate::modules::{self, Form};
use crate::quantity::Quantity;
use crate::study::Study;

/// Smaller maps are enlarged, so that the numbers have room.
const LEAST_SIZE: usize = 256;
/// Pixels of a dot of a digit.
const DOT: usize = 2;
/// Numbers at the bar.
const N_TICKS: usize = 5;

/// The data set of a plane in colours, without its UIDs. [`None`] for what has no colours: pictures, and
/// maps without a palette or a window.
pub(crate) fn plane(
    study: &Study,
    image: &Image,
    facts: &ImageFacts,
    values: &Array2<f32>,
) -> Option<(Dataset, Vec<u8>)> {
    let quantity = Quantity::of(facts)?;
    let colors = Colors::from_name(facts.palette)?;
    let range = colors.range_of(facts.window?)?;
    let picture = picture(values.view(), colors, range, &facts.unit);
    let (rows, columns) = picture.dim();
    let (rows, columns) = (u16::try_from(rows).ok()?, u16::try_from(columns).ok()?);
    let mut data = Dataset::default();
    modules::patient_and_study(&mut data, study);
    modules::series(&mut data, study, image, facts, Form::Color);
    modules::equipment(&mut data, study, facts);
    modules::acquisition_time(&mut data, study, &image.header);
    data.cs(tags::CONVERSION_TYPE, &["WSD"]);
    data.cs(tags::IMAGE_TYPE, &["DERIVED", "SECONDARY", "M", &quantity.label]);
    data.empty(tags::PATIENT_ORIENTATION, VR::CS);
    if let Some(derivation) = modules::derivation(facts) {
        data.st(tags::DERIVATION_DESCRIPTION, &derivation);
    }
    let comments = modules::comments(image, facts);
    data.lt(tags::IMAGE_COMMENTS, &comments);
    data.cs(tags::BURNED_IN_ANNOTATION, &["NO"]);
    data.cs(tags::LOSSY_IMAGE_COMPRESSION, &["00"]);
    data.us(tags::SAMPLES_PER_PIXEL, 3);
    data.cs(tags::PHOTOMETRIC_INTERPRETATION, &["RGB"]);
    data.us(tags::PLANAR_CONFIGURATION, 0);
    data.us(tags::ROWS, rows);
    data.us(tags::COLUMNS, columns);
    eight_bits(&mut data);
    let mut pixels: Vec<u8> = picture.iter().flatten().copied().collect();
    let key = pixels.clone();
    if pixels.len() % 2 == 1 {
        pixels.push(0);
    }
    data.ob(tags::PIXEL_DATA, pixels);
    Some((data, key))
}

/// The data set of an image that is in colours already.
pub(crate) fn as_it_is(
    study: &Study,
    image: &Image,
    facts: &ImageFacts,
    pixels: Vec<u8>,
) -> Dataset {
    let [_, _, rows, columns] = image.pixels.shape();
    let mut data = Dataset::default();
    modules::patient_and_study(&mut data, study);
    modules::series(&mut data, study, image, facts, Form::Color);
    modules::equipment(&mut data, study, facts);
    modules::acquisition_time(&mut data, study, &image.header);
    data.cs(tags::CONVERSION_TYPE, &["WSD"]);
    data.cs(tags::IMAGE_TYPE, &["DERIVED", "SECONDARY"]);
    data.empty(tags::PATIENT_ORIENTATION, VR::CS);
    data.lt(tags::IMAGE_COMMENTS, &modules::comments(image, facts));
    // What was painted into it, nobody knows here.
    data.cs(tags::LOSSY_IMAGE_COMPRESSION, &["00"]);
    data.us(tags::SAMPLES_PER_PIXEL, 3);
    data.cs(tags::PHOTOMETRIC_INTERPRETATION, &["RGB"]);
    data.us(tags::PLANAR_CONFIGURATION, 0);
    data.us(tags::ROWS, u16::try_from(rows).unwrap_or(u16::MAX));
    data.us(tags::COLUMNS, u16::try_from(columns).unwrap_or(u16::MAX));
    eight_bits(&mut data);
    data.ob(tags::PIXEL_DATA, pixels);
    data
}

fn eight_bits(data: &mut Dataset) {
    data.us(tags::BITS_ALLOCATED, 8);
    data.us(tags::BITS_STORED, 8);
    data.us(tags::HIGH_BIT, 7);
    data.us(tags::PIXEL_REPRESENTATION, 0);
}

/// Map, bar and numbers: `[y, x]`.
fn picture(
    values: ArrayView2<'_, f32>,
    colors: Colors,
    range: [f64; 2],
    unit: &str,
) -> Array2<[u8; 3]> {
    let table = palette::palette(colors, false, Some(range));
    let (rows, columns) = values.dim();
    let factor = LEAST_SIZE.div_ceil(rows.min(columns).max(1)).max(1);
    let (height, width) = (factor * rows, factor * columns);
    let gap = 8;
    let bar = 16;
    let labels: Vec<String> = (0..N_TICKS)
        .map(|tick| {
            let share = tick as f64 / (N_TICKS - 1) as f64;
            let value = range[0] + share * (range[1] - range[0]);
            if range[1] < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
        })
        .collect();
    let n_chars = labels.iter().map(String::len).max().unwrap_or(0).max(unit.chars().count());
    let room = gap + bar + gap + n_chars * 4 * DOT + gap;
    // An even number of columns keeps the bytes even.
    let total = (width + room).next_multiple_of(2);
    let mut picture = Array2::from_elem((height, total), [0_u8; 3]);
    for ((y, x), pixel) in picture.indexed_iter_mut() {
        if x < width {
            *pixel = palette::color(&table, values[[y / factor, x / factor]], range);
        } else if (width + gap..width + gap + bar).contains(&x) {
            let share = 1.0 - (y as f64 + 0.5) / height as f64;
            *pixel =
                palette::color(&table, (range[0] + share * (range[1] - range[0])) as f32, range);
        }
    }
    let x = width + gap + bar + gap;
    let text_height = 5 * DOT;
    for (tick, label) in labels.iter().enumerate() {
        let middle = (N_TICKS - 1 - tick) * (height - 1) / (N_TICKS - 1);
        let y = middle.saturating_sub(text_height / 2).min(height.saturating_sub(text_height));
        write(&mut picture, label, y, x);
    }
    // Below the highest number.
    write(&mut picture, unit, text_height + 2 * DOT, x);
    picture
}

/// Characters of 3 × 5 dots: a row is three bits.
const FONT: [(char, [u8; 5]); 22] = [
    ('0', [7, 5, 5, 5, 7]),
    ('1', [2, 6, 2, 2, 7]),
    ('2', [7, 1, 7, 4, 7]),
    ('3', [7, 1, 3, 1, 7]),
    ('4', [5, 5, 7, 1, 1]),
    ('5', [7, 4, 7, 1, 7]),
    ('6', [7, 4, 7, 5, 7]),
    ('7', [7, 1, 2, 2, 2]),
    ('8', [7, 5, 7, 5, 7]),
    ('9', [7, 5, 7, 1, 7]),
    ('.', [0, 0, 0, 0, 2]),
    ('-', [0, 0, 7, 0, 0]),
    ('%', [5, 1, 2, 4, 5]),
    ('/', [1, 1, 2, 4, 4]),
    ('^', [2, 5, 0, 0, 0]),
    ('m', [0, 7, 7, 5, 5]),
    ('s', [0, 7, 6, 3, 7]),
    ('d', [1, 1, 7, 5, 7]),
    ('e', [0, 7, 7, 4, 7]),
    ('g', [0, 7, 5, 7, 3]),
    ('H', [5, 5, 7, 5, 5]),
    ('z', [0, 7, 2, 4, 7]),
];

/// Writes a text in white; what the font lacks stays blank, and what has no room is cut off.
fn write(picture: &mut Array2<[u8; 3]>, text: &str, y: usize, x: usize) {
    for (n, c) in text.chars().enumerate() {
        let Some((_, rows)) = FONT.iter().find(|(known, _)| *known == c) else { continue };
        for (row, bits) in rows.iter().enumerate() {
            for column in (0..3).filter(|column| bits & (4 >> column) != 0) {
                for (dy, dx) in (0..DOT).flat_map(|dy| (0..DOT).map(move |dx| (dy, dx))) {
                    let place = [y + DOT * row + dy, x + DOT * (4 * n + column) + dx];
                    if let Some(pixel) = picture.get_mut(place) {
                        *pixel = [255; 3];
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_has_the_maps_colours_and_a_bar_from_the_lowest_to_the_highest() {
        let values =
            Array2::from_shape_fn((64, 32), |(y, _)| if y < 8 { f32::NAN } else { 1200.0 });
        let range = [0.0, 2000.0];
        let picture = picture(values.view(), Colors::Lipari, range, "ms");
        let (height, width) = picture.dim();
        assert_eq!((height, width % 2), (64 * 8, 0));
        assert_eq!(picture[[0, 0]], [0; 3], "black is no value");
        let table = palette::palette(Colors::Lipari, false, Some(range));
        let expected = palette::color(&table, 1200.0, range);
        assert_eq!(picture[[height - 1, 0]], expected);
        let bar = 32 * 8 + 8 + 4;
        let bright = |y: usize| picture[[y, bar]].iter().map(|v| u32::from(*v)).sum::<u32>();
        assert!(
            bright(2) > 600 && bright(height - 3) < 200,
            "{} {}",
            bright(2),
            bright(height - 3)
        );
        // 2000 at the top: white dots to the right of the bar.
        let white = picture.slice(ndarray::s![..12, bar + 16..]).iter().any(|p| *p == [255; 3]);
        assert!(white);
    }

    #[test]
    fn the_font_has_every_digit_and_each_is_its_own() {
        for (n, (c, rows)) in FONT.iter().enumerate() {
            assert!(FONT[..n].iter().all(|(_, other)| other != rows), "{c}");
        }
        assert!(('0'..='9').all(|digit| FONT.iter().any(|(c, _)| *c == digit)));
    }
}
