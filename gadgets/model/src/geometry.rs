//! Between the grid of an image and the grid that a network was trained on.

use inference::manifest::{Axis, Input, Length, Orientation};
use ismrmrd::ImageHeader;

/// Planes `[plane, y, x]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Planes {
    pub values: Vec<f32>,
    pub n: usize,
    pub n_y: usize,
    pub n_x: usize,
}

impl Planes {
    pub fn planes(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact((self.n_y * self.n_x).max(1))
    }

    /// Each plane made anew by `make`, which gives pixels `[y, x]` of this size.
    fn map(&self, [n_y, n_x]: [usize; 2], make: impl Fn(&[f32]) -> Vec<f32>) -> Self {
        let values = self.planes().flat_map(make).collect();
        Self { values, n: self.n, n_y, n_x }
    }
}

/// A turn by quarters with or without a mirror: first axes exchanged, then directions turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    exchange: bool,
    flip_y: bool,
    flip_x: bool,
}

impl Turn {
    /// The one that brings an image into an orientation.
    pub fn to(orientation: Orientation, header: &ImageHeader) -> Self {
        if orientation == Orientation::AsAcquired {
            return Self::default();
        }
        let (x, y) = (header.read_dir, header.phase_dir);
        // The image's axis that goes along left and right becomes x.
        let exchange = y[0].abs() > x[0].abs();
        let (x, y) = if exchange { (y, x) } else { (x, y) };
        Self { exchange, flip_x: x[0] < 0.0, flip_y: y[1] < 0.0 }
    }

    pub fn apply(self, planes: &Planes) -> Planes {
        if self == Self::default() {
            return planes.clone();
        }
        let (n_y, n_x) = (planes.n_y, planes.n_x);
        let [new_y, new_x] = if self.exchange { [n_x, n_y] } else { [n_y, n_x] };
        planes.map([new_y, new_x], |plane| {
            let mut turned = Vec::with_capacity(plane.len());
            for y in 0..new_y {
                for x in 0..new_x {
                    let y = if self.flip_y { new_y - 1 - y } else { y };
                    let x = if self.flip_x { new_x - 1 - x } else { x };
                    let (y, x) = if self.exchange { (x, y) } else { (y, x) };
                    turned.push(plane[y * n_x + x]);
                }
            }
            turned
        })
    }

    pub fn undo(self, planes: &Planes) -> Planes {
        // Mirrors first, then the exchange: the inverse in its own order.
        let flips = Self { exchange: false, ..self };
        let exchange = Self { exchange: self.exchange, ..Self::default() };
        exchange.apply(&flips.apply(planes))
    }
}

/// Where the pixels of a network's grid lie on the image's: pixel `i` at `offset + i · step`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    /// Height and width of the image.
    pub image: [usize; 2],
    /// Height and width that the network sees.
    pub network: [usize; 2],
    offset: [f64; 2],
    step: [f64; 2],
}

impl Grid {
    /// The grid for an input of pixels.
    ///
    /// * `image`: height and width.
    /// * `spacing_mm`: of the image, `[x, y]`; [`None`] where it is not known.
    pub fn plan(input: &Input, image: [usize; 2], spacing_mm: Option<[f64; 2]>) -> Self {
        let fixed = [Axis::Y, Axis::X].map(|axis| {
            match input.axis(axis).and_then(|place| input.shape.get(place)) {
                Some(Length::Fixed(len)) => Some(*len),
                _ => None,
            }
        });
        let ratio = match (input.spacing_mm, spacing_mm, input.resample) {
            (Some([x, y]), Some([image_x, image_y]), true) => {
                let close = |ratio: f64| {
                    let is_close = (ratio - 1.0).abs() <= input.spacing_tolerance_percent / 100.0;
                    if is_close { 1.0 } else { ratio }
                };
                Some([close(y / image_y), close(x / image_x)])
            }
            _ => None,
        };
        let [y, x] = image.map(|n| n as f64);
        let step = match (ratio, fixed) {
            (Some(step), _) => step,
            // A network of one size sees the whole image, whatever its size.
            (None, [Some(n_y), Some(n_x)]) => [(y / n_y as f64).max(x / n_x as f64); 2],
            _ => [1.0; 2],
        };
        let mut network = [0; 2];
        let mut offset = [0.0; 2];
        for axis in 0..2 {
            let whole = (image[axis] as f64 / step[axis]).round().max(1.0) as usize;
            network[axis] =
                fixed[axis].unwrap_or_else(|| whole.next_multiple_of(input.multiple_of));
            // Both centres at the same place; by whole pixels where nothing is resampled.
            let outside = (network[axis] as f64 * step[axis] - image[axis] as f64) / 2.0;
            offset[axis] = (step[axis] - 1.0) / 2.0 - outside;
            if step[axis] == 1.0 {
                offset[axis] = offset[axis].ceil();
            }
        }
        Self { image, network, offset, step }
    }

    /// Pixels on the network's grid.
    pub fn network_from_image(&self, planes: &Planes) -> Planes {
        let place = [0, 1]
            .map(|axis| move |index: usize| self.offset[axis] + index as f64 * self.step[axis]);
        let rows = taps(self.network[0], self.image[0], self.step[0], &place[0]);
        let columns = taps(self.network[1], self.image[1], self.step[1], &place[1]);
        resample(planes, &rows, &columns)
    }

    /// Pixels of the network, whose result may be coarser than what it was given, on the
    /// image's grid; where `is_label`, the nearest ones.
    pub fn image_from_network(&self, planes: &Planes, is_label: bool) -> Planes {
        let coarse = [
            self.network[0] as f64 / planes.n_y.max(1) as f64,
            self.network[1] as f64 / planes.n_x.max(1) as f64,
        ];
        let place = [0, 1].map(|axis| {
            move |index: usize| {
                let network = (index as f64 - self.offset[axis]) / self.step[axis];
                let place = (network + 0.5) / coarse[axis] - 0.5;
                if is_label { place.round() } else { place }
            }
        });
        let width =
            if is_label { [1.0; 2] } else { [0, 1].map(|n| 1.0 / (self.step[n] * coarse[n])) };
        let rows = taps(self.image[0], planes.n_y, width[0], &place[0]);
        let columns = taps(self.image[1], planes.n_x, width[1], &place[1]);
        resample(planes, &rows, &columns)
    }
}

/// The pixels that make a new one, with their weights.
type Taps = Vec<Vec<(usize, f32)>>;

/// Taps of a triangle of the wider of both pixels; at the edges the last pixel goes on.
fn taps(n_new: usize, n_old: usize, width: f64, place: &dyn Fn(usize) -> f64) -> Taps {
    let width = width.max(1.0);
    let last = n_old.saturating_sub(1) as f64;
    (0..n_new)
        .map(|index| {
            let center = place(index);
            let (from, to) = ((center - width).floor() as i64, (center + width).ceil() as i64);
            let mut taps: Vec<(usize, f32)> = Vec::new();
            for old in from..=to {
                let weight = (1.0 - (old as f64 - center).abs() / width).max(0.0) as f32;
                if weight > 0.0 {
                    taps.push(((old as f64).clamp(0.0, last) as usize, weight));
                }
            }
            let sum: f32 = taps.iter().map(|(_, weight)| weight).sum();
            taps.iter_mut().for_each(|(_, weight)| *weight /= sum);
            taps
        })
        .collect()
}

fn resample(planes: &Planes, rows: &Taps, columns: &Taps) -> Planes {
    let (n_y, n_x) = (planes.n_y, planes.n_x);
    planes.map([rows.len(), columns.len()], |plane| {
        let mut wide = Vec::with_capacity(n_y * columns.len());
        for row in plane.chunks_exact(n_x.max(1)) {
            wide.extend(columns.iter().map(|taps| match taps.as_slice() {
                &[(x, _)] => row[x],
                taps => taps.iter().map(|(x, weight)| row[*x] * weight).sum(),
            }));
        }
        let mut all = Vec::with_capacity(rows.len() * columns.len());
        for taps in rows {
            all.extend((0..columns.len()).map(|x| match taps.as_slice() {
                &[(y, _)] => wide[y * columns.len() + x],
                taps => taps.iter().map(|(y, weight)| wide[y * columns.len() + x] * weight).sum(),
            }));
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(text: &str) -> Input {
        let text = format!("name = \"x\"\nrole = \"image\"\naxes = [\"y\", \"x\"]\n{text}");
        toml::from_str(&text).expect("a good input")
    }

    fn ramp(n_y: usize, n_x: usize) -> Planes {
        let value = |index: usize| (10 * (index / n_x) + index % n_x) as f32;
        Planes { values: (0..n_y * n_x).map(value).collect(), n: 1, n_y, n_x }
    }

    #[test]
    fn padding_comes_off_bit_by_bit() {
        let input = input("shape = [\"h\", \"w\"]\nmultiple_of = 8");
        for (n_y, n_x) in [(8, 8), (9, 13), (1, 3)] {
            let planes = ramp(n_y, n_x);
            let grid = Grid::plan(&input, [n_y, n_x], None);
            let network = grid.network_from_image(&planes);
            assert_eq!(grid.network, [n_y.next_multiple_of(8), n_x.next_multiple_of(8)]);
            assert_eq!(grid.image_from_network(&network, false), planes);
            assert_eq!(grid.image_from_network(&network, true), planes);
        }
    }

    #[test]
    fn a_ramp_survives_another_spacing() {
        let input = input(
            "shape = [\"h\", \"w\"]\nspacing_mm = [1.5, 1.5]\nresample = true\nmultiple_of = 4",
        );
        let planes = ramp(24, 30);
        let grid = Grid::plan(&input, [24, 30], Some([1.0, 1.0]));
        assert_eq!(grid.network, [16, 20]);
        let back = grid.image_from_network(&grid.network_from_image(&planes), false);
        for y in 3..21 {
            for x in 3..27 {
                let place = y * 30 + x;
                assert!((back.values[place] - planes.values[place]).abs() < 0.7, "{y} {x}");
            }
        }
    }

    #[test]
    fn a_network_of_one_size_sees_the_whole_image() {
        let input = input("shape = [16, 16]");
        let grid = Grid::plan(&input, [32, 20], None);
        assert_eq!(grid.network, [16, 16]);
        let seen = grid.network_from_image(&ramp(32, 20));
        let (first, last) = (seen.values[8], seen.values[15 * 16 + 8]);
        assert!(first < 20.0 && last > 300.0, "{first} {last}");
    }

    #[test]
    fn turns_come_back() {
        let planes = ramp(2, 3);
        for exchange in [false, true] {
            for flip_y in [false, true] {
                for flip_x in [false, true] {
                    let turn = Turn { exchange, flip_y, flip_x };
                    assert_eq!(turn.undo(&turn.apply(&planes)), planes, "{turn:?}");
                }
            }
        }
        let header = ImageHeader {
            read_dir: [0.0, -1.0, 0.0],
            phase_dir: [-1.0, 0.0, 0.0],
            ..ImageHeader::default()
        };
        let turn = Turn::to(Orientation::PatientLeftBack, &header);
        assert_eq!(turn, Turn { exchange: true, flip_y: true, flip_x: true });
        assert_eq!(turn.apply(&planes).values, [12.0, 2.0, 11.0, 1.0, 10.0, 0.0]);
    }
}
