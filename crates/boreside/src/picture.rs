//! Pictures of images: a contact sheet as PNG, and a small one for the terminal.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result};
use ismrmrd::Image;
use ndarray::{Array2, ArrayView2, s};
use pipeline::palette::{Colors, color, palette};

/// Images on a contact sheet at most.
const MAX_TILES: usize = 64;
/// Pixels between two images.
const GAP: usize = 2;
/// Columns of a picture in the terminal.
const TERMINAL_COLUMNS: usize = 64;

/// Collects images for a contact sheet.
#[derive(Default)]
pub struct ContactSheet {
    tiles: Vec<Array2<[u8; 3]>>,
    n_left_out: usize,
}

impl ContactSheet {
    /// Adds each channel and z position of the image, scaled to its own brightness:
    /// from 0 or its darkest pixel to its 99.8th percentile. A map that names its colours has them,
    /// with a bar of all of them, over its window.
    pub fn add(&mut self, image: &Image) {
        let pixels = image.pixels.to_magnitude();
        let colors = colors_of(image);
        let size = pixels.dim();
        let places = (0..size.0).flat_map(|channel| (0..size.1).map(move |z| (channel, z)));
        for (channel, z) in places {
            let plane = pixels.slice(s![channel, z, .., ..]);
            if self.tiles.len() == MAX_TILES {
                self.n_left_out += 1;
                continue;
            }
            if let Some(coloring) = &colors {
                self.tiles.push(colored(plane, coloring));
                continue;
            }
            let mut values: Vec<f32> = plane.iter().copied().filter(|v| v.is_finite()).collect();
            values.sort_by(f32::total_cmp);
            let last = values.len().saturating_sub(1);
            let brightest = values.get((last as f64 * 0.998) as usize).copied().unwrap_or(1.0);
            let darkest = values.first().copied().unwrap_or(0.0).min(0.0);
            let range = (brightest - darkest).max(f32::MIN_POSITIVE);
            // The cast clamps to 0 to 255 and makes 0 of NaN.
            self.tiles.push(plane.mapv(|v| [((v - darkest) / range * 255.0).round() as u8; 3]));
        }
    }

    /// Each image of this sheet and, to its right, that of `other` with the same number. What one
    /// has more than the other is left out.
    #[must_use]
    pub fn beside(self, other: Self) -> Self {
        let n_left_out = self.n_left_out.max(other.n_left_out);
        let pairs = self.tiles.into_iter().zip(other.tiles);
        let tiles = pairs.flat_map(|(left, right)| [left, right]).collect();
        Self { tiles, n_left_out }
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.tiles.is_empty()
    }

    /// Writes all images side by side as a PNG.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_png(&self, path: &Path) -> Result<()> {
        let sheet = self.sheet();
        let (height, width) = sheet.dim();
        let write = || -> Result<()> {
            let file = BufWriter::new(File::create(path)?);
            let mut encoder =
                png::Encoder::new(file, u32::try_from(width)?, u32::try_from(height)?);
            encoder.set_color(png::ColorType::Rgb);
            encoder.set_depth(png::BitDepth::Eight);
            let mut writer = encoder.write_header()?;
            let bytes: Vec<u8> = sheet.iter().flatten().copied().collect();
            writer.write_image_data(&bytes)?;
            Ok(writer.finish()?)
        };
        write().with_context(|| format!("picture {}", path.display()))?;
        if self.n_left_out > 0 {
            tracing::warn!(
                "{} shows the first {MAX_TILES} images; {} more are left out",
                path.display(),
                self.n_left_out
            );
        }
        Ok(())
    }

    /// The first image in half blocks, for a terminal of 256 colours.
    pub fn for_terminal(&self) -> String {
        let Some(tile) = self.tiles.first() else { return String::new() };
        let (height, width) = tile.dim();
        let columns = width.min(TERMINAL_COLUMNS);
        let rows = (height * columns / width.max(1)).max(2);
        // Mean of the pixels that fall into a cell, as one of the 24 greys from 232 on.
        let grey = |row: usize, column: usize| -> usize {
            let (y0, y1) = (row * height / rows, ((row + 1) * height / rows).min(height));
            let (x0, x1) = (column * width / columns, (column + 1) * width / columns);
            let cell = tile.slice(s![y0.min(height - 1)..y1.max(y0 + 1).min(height), x0..x1]);
            let sum: usize = cell.iter().flatten().map(|&v| usize::from(v)).sum();
            232 + sum / (3 * cell.len()).max(1) * 23 / 255
        };
        let mut text = String::new();
        for row in (0..rows - 1).step_by(2) {
            for column in 0..columns {
                let (upper, lower) = (grey(row, column), grey(row + 1, column));
                text.push_str(&format!("\x1b[38;5;{upper};48;5;{lower}m▀"));
            }
            text.push_str("\x1b[0m\n");
        }
        text
    }

    fn sheet(&self) -> Array2<[u8; 3]> {
        let n = self.tiles.len();
        let n_columns = (1..=n.max(1)).find(|c| c * c >= n).unwrap_or(1);
        let n_rows = n.div_ceil(n_columns).max(1);
        let height = self.tiles.iter().map(Array2::nrows).max().unwrap_or(1);
        let width = self.tiles.iter().map(Array2::ncols).max().unwrap_or(1);
        let size = |n: usize, tile: usize| n * (tile + GAP) - GAP;
        let mut sheet = Array2::from_elem((size(n_rows, height), size(n_columns, width)), [0; 3]);
        for (number, tile) in self.tiles.iter().enumerate() {
            let y = number / n_columns * (height + GAP);
            let x = number % n_columns * (width + GAP);
            sheet.slice_mut(s![y..y + tile.nrows(), x..x + tile.ncols()]).assign(tile);
        }
        sheet
    }
}

/// How a map that names its colours is painted.
struct Coloring {
    palette: Vec<[f32; 3]>,
    /// Lowest and highest value.
    range: [f64; 2],
    /// From what is stored to values.
    slope: f32,
    intercept: f32,
}

fn colors_of(image: &Image) -> Option<Coloring> {
    let meta = &image.meta;
    let colors = Colors::from_name(meta.get("BoresideColorMap")?)?;
    let range = colors.range_of(pipeline::window_of(meta)?)?;
    let (slope, intercept) = pipeline::image_facts::rescale(image);
    Some(Coloring {
        palette: palette(colors, false, Some(range)),
        range,
        slope: slope as f32,
        intercept: intercept as f32,
    })
}

/// A plane in colours, with a bar of all of them at its right edge.
fn colored(plane: ArrayView2<'_, f32>, coloring: &Coloring) -> Array2<[u8; 3]> {
    let &Coloring { ref palette, range, slope, intercept } = coloring;
    let (height, width) = plane.dim();
    let bar = (width / 24).max(2);
    Array2::from_shape_fn((height, width + GAP + bar), |(y, x)| {
        if x < width {
            let stored = plane[[y, x]];
            // Nothing was stored: also where values that have a sign were lifted above 0.
            let value = if stored == 0.0 { 0.0 } else { slope * stored + intercept };
            return color(palette, value, range);
        }
        if x < width + GAP {
            return [0; 3];
        }
        let share = 1.0 - (y as f64 + 0.5) / height as f64;
        color(palette, (range[0] + share * (range[1] - range[0])) as f32, range)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;

    fn image(brightness: f32) -> Image {
        let pixels =
            Array4::from_shape_fn((1, 1, 4, 6), |(_, _, y, x)| brightness * (x + y) as f32);
        Image::new(Default::default(), Default::default(), pixels)
    }

    #[test]
    fn the_sheet_shows_each_image_in_its_own_brightness() {
        let mut sheet = ContactSheet::default();
        for brightness in [1e-5, 1.0, 1e4] {
            sheet.add(&image(brightness));
        }
        let pixels = sheet.sheet();
        assert_eq!(pixels.dim(), (2 * 4 + GAP, 2 * 6 + GAP));
        assert_eq!(pixels[[0, 0]], [0; 3]);
        for (y, x) in [(3, 5), (3, 5 + 6 + GAP), (3 + 4 + GAP, 5)] {
            assert_eq!(pixels[[y, x]], [255; 3], "the brightest corner of a tile is white");
        }
    }

    #[test]
    fn angles_that_were_lifted_above_0_have_the_colours_of_their_values() {
        // Stored as 10·(angle + 90); 0 is no value.
        let meta = ismrmrd::Meta::from_iter([
            ("DataRole", "Quantitative"),
            ("BoresideColorMap", "vikO"),
            ("WindowCenter", "0"),
            ("WindowWidth", "180"),
            ("RescaleSlope", "0.1"),
            ("RescaleIntercept", "-90"),
        ]);
        let stored = [0_u16, 500, 1300];
        let pixels = Array4::from_shape_fn((1, 1, 1, 3), |(_, _, _, x)| stored[x]);
        let mut sheet = ContactSheet::default();
        sheet.add(&Image::new(Default::default(), meta, pixels));
        let range = [-90.0, 90.0];
        let table = palette(Colors::VikO, false, Some(range));
        let expected = [[0; 3], color(&table, -40.0, range), color(&table, 40.0, range)];
        let tile = &sheet.tiles[0];
        for (x, expected) in expected.into_iter().enumerate() {
            let far = (0..3).map(|k| tile[[0, x]][k].abs_diff(expected[k])).max();
            // Rounding of the slope may be a colour off.
            assert!(far <= Some(4), "{x}: {:?} for {expected:?}", tile[[0, x]]);
        }
        assert_ne!(tile[[0, 1]], [0; 3]);
    }

    #[test]
    fn images_stand_beside_each_other_in_pairs() {
        let mut sheets = [ContactSheet::default(), ContactSheet::default()];
        for sheet in &mut sheets {
            sheet.add(&image(1.0));
        }
        sheets[1].add(&image(2.0));
        let [left, right] = sheets;
        assert_eq!(left.beside(right).sheet().dim(), (4, 2 * 6 + GAP));
    }

    #[test]
    fn the_png_can_be_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sheet.png");
        let mut sheet = ContactSheet::default();
        sheet.add(&image(1.0));
        sheet.write_png(&path).expect("written");
        let file = std::io::BufReader::new(File::open(&path).expect("there"));
        let reader = png::Decoder::new(file).read_info().expect("a PNG");
        assert_eq!((reader.info().width, reader.info().height), (6, 4));
    }
}
