//! Colours of maps: lipari for T1, navia for T2 and T2*, as recommended for relaxometry; batlow for
//! MD, FA and |E2A|, vik around a neutral 0, vikO for angles of lines, of which −90° and 90° are one.

const LIPARI: &str = include_str!("palette/lipari.txt");
const NAVIA: &str = include_str!("palette/navia.txt");
const BATLOW: &str = include_str!("palette/batlow.txt");
const VIK: &str = include_str!("palette/vik.txt");
const VIK_O: &str = include_str!("palette/viko.txt");

/// Colours of a palette.
const N: usize = 256;

/// A table of colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// For T1 and its rate.
    Lipari,
    /// For T2, T2* and their rates.
    Navia,
    /// From dark to bright, for what is not relaxometry.
    Batlow,
    /// From blue to red with a bright middle, for values with a sign.
    Vik,
    /// The same with both ends alike, for angles of lines.
    VikO,
}

impl Colors {
    /// All.
    pub const ALL: [Self; 5] = [Self::Lipari, Self::Navia, Self::Batlow, Self::Vik, Self::VikO];

    /// Its name, as images say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lipari => "lipari",
            Self::Navia => "navia",
            Self::Batlow => "batlow",
            Self::Vik => "vik",
            Self::VikO => "vikO",
        }
    }

    /// The table of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|colors| colors.name() == name)
    }

    /// Lowest and highest value of a window; [`None`] where it has no width. Values without a sign have
    /// windows that begin at 0 at the earliest.
    ///
    /// * `window`: centre and width, in the map's unit.
    pub fn range_of(self, [center, width]: [f64; 2]) -> Option<[f64; 2]> {
        let (low, high) = (center - 0.5 * width, center + 0.5 * width);
        let has_sign = matches!(self, Self::Vik | Self::VikO);
        let low = if has_sign { low } else { low.max(0.0) };
        (low < high).then_some([low, high])
    }

    /// Whether long times share few colours: the recommendation is for relaxation times alone.
    fn is_of_relaxation(self) -> bool {
        matches!(self, Self::Lipari | Self::Navia)
    }
}

/// A share of 0 to 1 in 8 bits.
pub fn byte(share: f32) -> u8 {
    (share * 255.0).round() as u8
}

fn table(colors: Colors) -> Vec<[f32; 3]> {
    let text = match colors {
        Colors::Lipari => LIPARI,
        Colors::Navia => NAVIA,
        Colors::Batlow => BATLOW,
        Colors::Vik => VIK,
        Colors::VikO => VIK_O,
    };
    let numbers = |line: &str| -> [f32; 3] {
        let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(0.0));
        std::array::from_fn(|_| numbers.next().unwrap_or(0.0))
    };
    text.lines().map(numbers).collect()
}

/// The colours from the lowest to the highest value, red, green, blue from 0 to 1. The first one is
/// black and means that there is no value.
///
/// * `range`: lowest and highest value, for the curve of lipari and navia that is linear up to a
///   third of the highest and logarithmic above; [`None`]: linear.
///
/// # Source
/// Fuderer et al. 2025, color-map recommendation for relaxometry maps; the curve from its
/// supplement. The tables: Crameri, Shephard and Heron 2020.
pub fn palette(colors: Colors, is_reversed: bool, range: Option<[f64; 2]>) -> Vec<[f32; 3]> {
    let mut table = table(colors);
    if is_reversed {
        table.reverse();
    }
    let n = N as f64;
    let mut palette: Vec<[f32; 3]> = match range.filter(|_| colors.is_of_relaxation()) {
        None => table.clone(),
        Some([low, high]) => {
            let bend = high / std::f64::consts::E;
            let from = bend.max(low);
            let share = if bend >= low { (bend - low) / (2.0 * bend - low) } else { 0.0 };
            let at_bend = 1.0 / n + share + 1e-7;
            (1..=N)
                .map(|place| {
                    let value = place as f64 * (high - low) / n + low;
                    let row = if value > from {
                        let logarithm = (from.ln() - value.ln()) / (from.ln() - high.ln());
                        n * (logarithm * (1.0 - at_bend) + at_bend)
                    } else if low < bend && value > low {
                        n * ((value - low) / (bend - low) * (at_bend - 1.0 / n)) + 1.0
                    } else {
                        1.0
                    };
                    table[(row.floor() as usize).min(N - 1)]
                })
                .collect()
        }
    };
    palette[0] = [0.0; 3];
    palette
}

/// The colour of a value in 8 bits: black where there is none. Below 0 there are values only where
/// the range begins below it.
pub fn color(palette: &[[f32; 3]], value: f32, [low, high]: [f64; 2]) -> [u8; 3] {
    if value.is_nan() || value == 0.0 || (value < 0.0 && low >= 0.0) {
        return [0; 3];
    }
    let place = (f64::from(value) - low) / (high - low) * N as f64;
    // The lowest colour that is one.
    palette[(place as usize).clamp(1, N - 1)].map(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_crameris() {
        for (colors, first, last) in [
            (Colors::Lipari, [0.011, 0.073, 0.148], [0.992, 0.959, 0.857]),
            (Colors::Navia, [0.013, 0.076, 0.153], [0.987, 0.958, 0.850]),
            (Colors::Batlow, [0.005, 0.098, 0.350], [0.981, 0.801, 0.981]),
            (Colors::Vik, [0.001, 0.070, 0.380], [0.350, 0.000, 0.031]),
            (Colors::VikO, [0.310, 0.101, 0.238], [0.313, 0.099, 0.234]),
        ] {
            let table = table(colors);
            assert_eq!(table.len(), N);
            for (row, expected) in [(table[0], first), (table[N - 1], last)] {
                let is_near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-3;
                assert!(row.iter().zip(&expected).all(is_near), "{row:?}");
            }
        }
    }

    #[test]
    fn the_curve_spends_its_colours_below_a_third_and_ends_at_the_brightest() {
        let curve = palette(Colors::Lipari, false, Some([0.0, 2000.0]));
        let linear = palette(Colors::Lipari, false, None);
        assert_eq!(curve[0], [0.0; 3]);
        assert_eq!(curve[N - 1], linear[N - 1]);
        // Half of the colours are used up at the bend, 2000 / e.
        let at = |values: &[[f32; 3]], color: [f32; 3]| values.iter().position(|c| *c == color);
        let middle = at(&linear, curve[94]).expect("a colour of the table");
        assert!((126..=131).contains(&middle), "{middle}");
        let brightness: Vec<f32> = curve.iter().map(|c| c.iter().sum()).collect();
        assert!(brightness.windows(2).all(|pair| pair[1] >= pair[0] - 0.02));
        assert_eq!(color(&curve, 0.0, [0.0, 2000.0]), [0; 3]);
        assert_ne!(color(&curve, 0.1, [0.0, 2000.0]), [0; 3]);
    }

    #[test]
    fn colours_of_angles_close_and_are_brightest_at_0() {
        let table = palette(Colors::VikO, false, Some([-90.0, 90.0]));
        let range = [-90.0, 90.0];
        let at = |angle: f32| color(&table, angle, range).map(f32::from);
        let apart = |a: [f32; 3], b: [f32; 3]| {
            a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
        };
        // One line, one colour; and one that turns is never on a jump.
        assert!(apart(at(-89.9), at(89.9)) < 5.0);
        for angle in -89..89 {
            let (here, next) = (at(angle as f32 + 0.1), at(angle as f32 + 1.1));
            assert!(apart(here, next) < 16.0, "{angle}");
        }
        let brightness = |angle: f32| at(angle).iter().sum::<f32>();
        let [left, middle, right] = [-45.0, 0.1, 45.0].map(brightness);
        assert!(middle > left + 100.0 && middle > right + 100.0);
        // Blue on one side, red on the other, and nothing where there is no value.
        assert!(at(-40.0)[2] > at(-40.0)[0] && at(40.0)[0] > at(40.0)[2]);
        assert_eq!(at(0.0), [0.0; 3]);
        assert_eq!(color(&table, f32::NAN, range), [0; 3]);
    }

    #[test]
    fn brightness_rises_throughout_where_values_have_no_sign() {
        // Lightness of CIELAB, roughly: the cube root of luminance.
        let table = palette(Colors::Batlow, false, Some([0.0, 3.0]));
        let linear =
            |v: f32| if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) };
        let lightness = |[r, g, b]: [f32; 3]| {
            116.0 * (0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)).cbrt() - 16.0
        };
        let steps: Vec<f32> = table[1..]
            .chunks(17)
            .map(|rows| lightness(rows[rows.len() - 1]) - lightness(rows[0]))
            .collect();
        // Equal steps of colour, of which lightness is a part.
        let mean = steps.iter().sum::<f32>() / steps.len() as f32;
        assert!(steps.iter().all(|step| (0.5..2.0).contains(&(step / mean))), "{steps:?}");
    }

    #[test]
    fn windows_begin_below_0_only_where_values_have_a_sign() {
        assert_eq!(Colors::VikO.range_of([0.0, 180.0]), Some([-90.0, 90.0]));
        assert_eq!(Colors::Batlow.range_of([45.0, 90.0]), Some([0.0, 90.0]));
        assert_eq!(Colors::Lipari.range_of([200.0, 600.0]), Some([0.0, 500.0]));
        assert_eq!(Colors::Navia.range_of([10.0, 0.0]), None);
    }
}
