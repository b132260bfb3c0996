//! Colours of maps: lipari for T1, navia for T2 and T2*, as recommended for relaxometry.

const LIPARI: &str = include_str!("palette/lipari.txt");
const NAVIA: &str = include_str!("palette/navia.txt");

/// Colours of a palette.
const N: usize = 256;

/// A table of colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// For T1 and its rate.
    Lipari,
    /// For T2, T2* and their rates.
    Navia,
}

impl Colors {
    /// The table of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "lipari" => Some(Self::Lipari),
            "navia" => Some(Self::Navia),
            _ => None,
        }
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
/// * `range`: lowest and highest value, for the curve that is linear up to a third of the highest
///   and logarithmic above; [`None`]: linear.
///
/// # Source
/// Fuderer et al. 2025, color-map recommendation for relaxometry maps; the curve from its
/// supplement.
pub fn palette(colors: Colors, is_reversed: bool, range: Option<[f64; 2]>) -> Vec<[f32; 3]> {
    let mut table = table(colors);
    if is_reversed {
        table.reverse();
    }
    let n = N as f64;
    let mut palette: Vec<[f32; 3]> = match range {
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

/// The colour of a value in 8 bits: black where there is none.
pub fn color(palette: &[[f32; 3]], value: f32, [low, high]: [f64; 2]) -> [u8; 3] {
    if value.is_nan() || value <= 0.0 {
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
}
