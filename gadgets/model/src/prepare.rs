//! From images to what a network takes, and from what it gives back to planes.

use inference::guard::{check_statistics, check_values};
use inference::manifest::{Axis, Input, InputRole, Length, Linear, Manifest, Output};
use inference::{InferenceError, Tensor};
use ismrmrd::ImageHeader;

use crate::geometry::{Grid, Planes, Turn};
use crate::tiles::Cut;

/// Elements of a tensor at most: more is a mistake.
const MAX_ELEMENTS: usize = 1 << 28;

/// Images that go into a network together.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Pixels: `n_groups` times `n_frames` planes.
    pub planes: Planes,
    /// Independent images, or series.
    pub n_groups: usize,
    /// Images of each series; 1 where they are independent.
    pub n_frames: usize,
    /// Header of the first image.
    pub header: ImageHeader,
    /// `[x, y]`, [`None`] where the header does not tell.
    pub spacing_mm: Option<[f64; 2]>,
}

/// What else an input may ask for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// Times of the frames in ms.
    pub times_ms: Vec<f64>,
    /// Main field.
    pub field_strength_t: Option<f64>,
    /// Standard deviation of the noise in units of the pixels.
    pub noise_sd: Option<f64>,
    /// Images of other series by their role, on the grid of the image.
    pub companions: Vec<(String, Planes)>,
}

/// What a network is given.
pub(crate) struct Prepared {
    pixels: Vec<(Input, Planes)>,
    numbers: Vec<(String, Tensor)>,
    /// Between the image and the network.
    pub grid: Grid,
    /// Between the image as it came and as the network wants it.
    pub turn: Turn,
    /// What was done to the values of each group.
    pub linear: Vec<Linear>,
    pub cuts: [Cut; 2],
    /// What the guards found, in words.
    pub guards: Vec<String>,
    n_groups: usize,
    n_frames: usize,
}

/// An output on the network's grid.
#[derive(Clone, Debug)]
pub(crate) struct Result4 {
    /// `n_groups` times `n_channels` planes.
    pub planes: Planes,
    pub n_channels: usize,
}

/// Why images do not fit an input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Misfit {
    Inference(InferenceError),
    /// In words.
    Other(String),
}

/// Prepares everything that the manifest asks for.
pub(crate) fn prepare(
    manifest: &Manifest,
    source: &Source,
    around: &Surroundings,
) -> Result<Prepared, Misfit> {
    let guard =
        |breach| Misfit::Inference(InferenceError::Guard { model: manifest.name.clone(), breach });
    let main = manifest
        .inputs
        .iter()
        .find(|input| matches!(input.role, InputRole::Image | InputRole::Frames));
    let main = main.ok_or_else(|| Misfit::Other("the model takes no image".to_owned()))?;
    let turn = Turn::to(main.orientation, &source.header);
    let turned = turn.apply(&source.planes);
    let spacing =
        source.spacing_mm.map(|[x, y]| if turn_exchanges(turn) { [y, x] } else { [x, y] });
    let grid = Grid::plan(main, [turned.n_y, turned.n_x], spacing);
    let [n_y, n_x] = grid.network;
    let cuts = [Cut::plan(n_y, main.tiles), Cut::plan(n_x, main.tiles)];
    let (n_groups, n_frames) = (source.n_groups, source.n_frames);
    let mut prepared = Prepared {
        pixels: Vec::new(),
        numbers: Vec::new(),
        grid,
        turn,
        linear: Vec::new(),
        cuts,
        guards: Vec::new(),
        n_groups,
        n_frames,
    };
    for input in &manifest.inputs {
        let planes = match input.role {
            InputRole::Image | InputRole::Frames => turned.clone(),
            InputRole::Companion => {
                let role = input.series.as_deref().unwrap_or_default();
                let found = around.companions.iter().find(|(known, _)| known == role);
                let (_, planes) = found.ok_or_else(|| {
                    Misfit::Other(format!("no image of series {role} came before this one"))
                })?;
                turn.apply(planes)
            }
            _ => continue,
        };
        check_values(input, &planes.values).map_err(guard)?;
        let mut planes = planes;
        let group_len = planes.values.len() / n_groups.max(1);
        let mut linear = Vec::with_capacity(n_groups);
        for group in planes.values.chunks_exact_mut(group_len.max(1)) {
            let transform = input.intensity.of(group);
            transform.apply(group);
            linear.push(transform);
        }
        let network = prepared.grid.network_from_image(&planes);
        let mut worst: Option<f64> = None;
        for plane in network.planes() {
            let distance =
                check_statistics(input, plane, network.n_y, network.n_x).map_err(guard)?;
            worst = worst.max_with(distance);
        }
        if let Some(worst) = worst {
            prepared.guards.push(format!("statistics of {} at distance {worst:.2}", input.name));
        }
        if input.range.is_some() {
            prepared.guards.push(format!("range of {} kept", input.name));
        }
        if std::ptr::eq(input, main) {
            prepared.linear = linear;
        }
        prepared.pixels.push((input.clone(), network));
    }
    let factor = prepared.linear.first().map_or(1.0, |linear| f64::from(linear.factor));
    for input in manifest.inputs.iter().filter(|input| !input.role.is_image()) {
        let numbers = numbers(input, source, around, factor)?;
        prepared.numbers.push((input.name.clone(), number_tensor(input, &prepared, &numbers)?));
    }
    Ok(prepared)
}

trait MaxWith {
    fn max_with(self, other: Self) -> Self;
}

impl MaxWith for Option<f64> {
    fn max_with(self, other: Self) -> Self {
        match (self, other) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        }
    }
}

fn turn_exchanges(turn: Turn) -> bool {
    let probe = Planes { values: vec![0.0; 2], n: 1, n_y: 1, n_x: 2 };
    turn.apply(&probe).n_y == 2
}

fn numbers(
    input: &Input,
    source: &Source,
    around: &Surroundings,
    factor: f64,
) -> Result<Vec<f64>, Misfit> {
    let missing = |what: &str| Misfit::Other(format!("input {}: {what} is not known", input.name));
    let or_default = |value: Option<f64>, what: &str| {
        value.or(input.value).map(|value| vec![value]).ok_or_else(|| missing(what))
    };
    match input.role {
        InputRole::TimesMs => {
            if around.times_ms.len() == source.n_frames {
                return Ok(around.times_ms.clone());
            }
            Err(Misfit::Other(format!(
                "input {}: {} times for {} images",
                input.name,
                around.times_ms.len(),
                source.n_frames
            )))
        }
        InputRole::FieldStrengthT => or_default(around.field_strength_t, "the field strength"),
        InputRole::NoiseSd => {
            let sd = around.noise_sd.map(|sd| sd * factor.abs());
            or_default(sd, "the noise")
        }
        InputRole::SpacingMm => {
            source.spacing_mm.map(|spacing| spacing.to_vec()).ok_or_else(|| missing("the spacing"))
        }
        _ => or_default(None, "the value"),
    }
}

/// Numbers in the shape that the input has: one for each image of the batch, or for each frame.
fn number_tensor(input: &Input, prepared: &Prepared, numbers: &[f64]) -> Result<Tensor, Misfit> {
    let shape: Vec<usize> = input
        .axes
        .iter()
        .zip(&input.shape)
        .map(|(axis, length)| match (axis, length) {
            (_, Length::Fixed(length)) => *length,
            (Axis::Batch, _) => prepared.n_groups,
            (Axis::Frame | Axis::Channel, _) => numbers.len(),
            _ => 1,
        })
        .collect();
    let n: usize = shape.iter().product();
    if numbers.is_empty() || !n.is_multiple_of(numbers.len()) || n > MAX_ELEMENTS {
        return Err(Misfit::Other(format!(
            "input {} has shape {shape:?}, there are {} numbers",
            input.name,
            numbers.len()
        )));
    }
    let values = (0..n).map(|index| numbers[index % numbers.len()] as f32).collect();
    let tensor = Tensor::from_f32(&shape, values);
    tensor
        .map(|tensor| tensor.cast(input.element_type))
        .map_err(|error| Misfit::Other(error.to_string()))
}

impl Prepared {
    /// The inputs for one tile whose first pixel is at (y, x).
    pub fn tile(&self, y: usize, x: usize) -> Result<Vec<(String, Tensor)>, Misfit> {
        let [len_y, len_x] = [self.cuts[0].len, self.cuts[1].len];
        let mut inputs = self.numbers.clone();
        for (input, planes) in &self.pixels {
            let is_whole = [len_y, len_x] == [planes.n_y, planes.n_x];
            let tensor = if is_whole {
                pixel_tensor(input, planes, self.n_groups, self.n_frames)
            } else {
                let cut = cut_out(planes, [y, x], [len_y, len_x]);
                pixel_tensor(input, &cut, self.n_groups, self.n_frames)
            }?;
            inputs.push((input.name.clone(), tensor));
        }
        Ok(inputs)
    }
}

fn cut_out(planes: &Planes, [y, x]: [usize; 2], [n_y, n_x]: [usize; 2]) -> Planes {
    let width = planes.n_x;
    let values = planes
        .planes()
        .flat_map(|plane| {
            (y..y + n_y).flat_map(move |y| &plane[y * width + x..y * width + x + n_x])
        })
        .copied()
        .collect();
    Planes { values, n: planes.n, n_y, n_x }
}

/// Planes `[group, frame, y, x]` in the order of the input's axes.
fn pixel_tensor(
    input: &Input,
    planes: &Planes,
    n_groups: usize,
    n_frames: usize,
) -> Result<Tensor, Misfit> {
    let has = |axis| input.axis(axis).is_some();
    let along_channel = input.role == InputRole::Frames && !has(Axis::Frame);
    let shape: Vec<usize> = input
        .axes
        .iter()
        .zip(&input.shape)
        .map(|(axis, length)| match (axis, length) {
            (Axis::Y, _) => planes.n_y,
            (Axis::X, _) => planes.n_x,
            (Axis::Z, _) => n_groups,
            (Axis::Batch, _) if has(Axis::Z) => 1,
            (Axis::Batch, _) => n_groups,
            (Axis::Frame, _) => n_frames,
            (Axis::Channel, _) if along_channel => n_frames,
            (Axis::Channel, Length::Fixed(length)) => *length,
            (Axis::Channel, Length::Free(_)) => 1,
        })
        .collect();
    for (length, found) in input.shape.iter().zip(&shape) {
        if let Length::Fixed(length) = length
            && length != found
        {
            return Err(Misfit::Other(format!(
                "input {} has shape {:?}, the images make {shape:?}",
                input.name, input.shape
            )));
        }
    }
    let n = shape.iter().try_fold(1_usize, |n, len| n.checked_mul(*len));
    let n = n.filter(|n| *n <= MAX_ELEMENTS);
    let n = n.ok_or_else(|| Misfit::Other(format!("input {} is too large", input.name)))?;
    // The order of axes of length 1 does not matter, so those of a kind may lie either way.
    let rank = |axis: &Axis| match axis {
        Axis::Batch | Axis::Z => 0,
        Axis::Channel | Axis::Frame => 1,
        Axis::Y => 2,
        Axis::X => 3,
    };
    let is_plain = n == planes.values.len() && input.axes.is_sorted_by_key(rank);
    let values = if is_plain {
        planes.values.clone()
    } else {
        let mut values = Vec::with_capacity(n);
        for mut index in 0..n {
            let (mut group, mut frame, mut y, mut x) = (0, 0, 0, 0);
            for (axis, len) in input.axes.iter().zip(&shape).rev() {
                let place = index % len;
                index /= len;
                match axis {
                    Axis::Y => y = place,
                    Axis::X => x = place,
                    Axis::Z => group = place,
                    Axis::Batch if !has(Axis::Z) => group = place,
                    Axis::Frame => frame = place,
                    Axis::Channel if along_channel => frame = place,
                    Axis::Batch | Axis::Channel => {}
                }
            }
            let plane = group * n_frames + frame;
            values.push(planes.values[(plane * planes.n_y + y) * planes.n_x + x]);
        }
        values
    };
    let tensor = Tensor::from_f32(&shape, values);
    tensor
        .map(|tensor| tensor.cast(input.element_type))
        .map_err(|error| Misfit::Other(error.to_string()))
}

/// An output's elements as planes `[group, channel, y, x]`; a frame counts as a channel.
pub(crate) fn planes_of(output: &Output, tensor: &Tensor) -> Result<Result4, Misfit> {
    let shape = tensor.shape();
    let wrong = || {
        Misfit::Other(format!("output {} has shape {shape:?}, its axes do not fit", output.name))
    };
    if shape.len() != output.axes.len() {
        return Err(wrong());
    }
    let len = |axis| output.axis(axis).map_or(1, |place| shape[place]);
    let n_groups = len(Axis::Batch) * len(Axis::Z);
    let n_channels = len(Axis::Channel) * len(Axis::Frame);
    let (n_y, n_x) = (len(Axis::Y), len(Axis::X));
    let all = tensor.to_f32();
    let order = |axis: &Axis| match axis {
        Axis::Batch => 0,
        Axis::Z => 1,
        Axis::Channel => 2,
        Axis::Frame => 3,
        Axis::Y => 4,
        Axis::X => 5,
    };
    let values = if output.axes.is_sorted_by_key(order) {
        all
    } else {
        let mut values = vec![0.0; all.len()];
        for (from, value) in all.into_iter().enumerate() {
            let (mut index, mut at) = (from, [0; 6]);
            for (axis, len) in output.axes.iter().zip(shape).rev() {
                at[order(axis)] = index % len;
                index /= len;
            }
            let [batch, z, channel, frame, y, x] = at;
            let group = batch * len(Axis::Z) + z;
            let channel = channel * len(Axis::Frame) + frame;
            values[((group * n_channels + channel) * n_y + y) * n_x + x] = value;
        }
        values
    };
    Ok(Result4 { planes: Planes { values, n: n_groups * n_channels, n_y, n_x }, n_channels })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes(n: usize) -> Planes {
        Planes { values: (0..n * 6).map(|v| v as f32).collect(), n, n_y: 2, n_x: 3 }
    }

    fn input(role: &str, axes: &str, shape: &str) -> Input {
        let text = format!("name = \"x\"\nrole = \"{role}\"\naxes = {axes}\nshape = {shape}");
        toml::from_str(&text).expect("a good input")
    }

    #[test]
    fn pixels_follow_the_axes() {
        let first = input("image", r#"["batch", "channel", "y", "x"]"#, r#"["n", 1, "h", "w"]"#);
        let tensor = pixel_tensor(&first, &planes(2), 2, 1).expect("it fits");
        assert_eq!(tensor.shape(), [2, 1, 2, 3]);
        assert_eq!(tensor.as_f32().map(|v| v[6]), Some(6.0));
        let last = input("image", r#"["batch", "y", "x", "channel"]"#, r#"["n", "h", "w", 3]"#);
        let tensor = pixel_tensor(&last, &planes(1), 1, 1).expect("it fits");
        assert_eq!(tensor.shape(), [1, 2, 3, 3]);
        assert_eq!(
            tensor.as_f32().map(|v| v[..6].to_vec()),
            Some(vec![0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
        );
        let frames = input("frames", r#"["batch", "channel", "y", "x"]"#, r#"["n", 2, "h", "w"]"#);
        let tensor = pixel_tensor(&frames, &planes(4), 2, 2).expect("it fits");
        assert_eq!(tensor.shape(), [2, 2, 2, 3]);
        assert!(pixel_tensor(&frames, &planes(3), 1, 3).is_err(), "three frames instead of two");
    }

    #[test]
    fn outputs_of_any_order_become_planes() {
        let text = "name = \"y\"\nkind = \"probability\"\naxes = [\"batch\", \"y\", \"x\", \"channel\"]\n\
                    shape = [1, 1, 2, 2]";
        let output: Output = toml::from_str(text).expect("a good output");
        let tensor = Tensor::from_f32(&[1, 1, 2, 2], vec![1.0, 2.0, 3.0, 4.0]).expect("four");
        let result = planes_of(&output, &tensor).expect("it fits");
        assert_eq!(result.n_channels, 2);
        assert_eq!(result.planes.values, [1.0, 3.0, 2.0, 4.0]);
        let wrong = Tensor::from_f32(&[4], vec![0.0; 4]).expect("four");
        assert!(planes_of(&output, &wrong).is_err());
    }
}
