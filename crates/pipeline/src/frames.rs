//! The images of a series that differ in preparation or echo time.

use ismrmrd::{AcquisitionHeader, ImageHeader, Meta};
use ndarray::{Array4, ArrayView4, Axis, Ix4, s};
use num_complex::Complex32;

use crate::ImageSeries;

/// One stack of a series: the images of one slice along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Index of the slice.
    pub slice: usize,
    /// Index along the other of the axes `s` and `n`.
    pub other: usize,
    /// Whether the images lie along `s`, because there is only one along `n`.
    pub along_s: bool,
    /// Images.
    pub n_frames: usize,
}

/// A series whose parts do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "images of shape {shape:?} with headers of shape {headers:?}, expected (slice, s, n, channel, \
     z, y, x) with a header for each image"
)]
pub struct SeriesShapeError {
    /// Shape of the pixels.
    pub shape: Vec<usize>,
    /// Shape of the headers.
    pub headers: Vec<usize>,
}

impl Stack {
    /// Where image `frame` lies: slice, s, n.
    pub fn place(&self, frame: usize) -> [usize; 3] {
        if self.along_s { [self.slice, frame, self.other] } else { [self.slice, self.other, frame] }
    }
}

impl ImageSeries {
    /// The stacks of the series: images along `n`, or along `s` where `n` has length 1.
    ///
    /// # Errors
    /// [`SeriesShapeError`].
    pub fn stacks(&self) -> Result<Vec<Stack>, SeriesShapeError> {
        let &[slices, n_s, n_n, channels, z, y, x] = self.data.shape() else {
            return Err(self.shape_error());
        };
        let is_empty = [channels, z, y, x].contains(&0);
        if self.headers.dim() != (slices, n_s, n_n) || is_empty {
            return Err(self.shape_error());
        }
        let along_s = n_n == 1 && n_s > 1;
        let (n_frames, n_others) = if along_s { (n_s, n_n) } else { (n_n, n_s) };
        let stacks = (0..slices).flat_map(|slice| {
            (0..n_others).map(move |other| Stack { slice, other, along_s, n_frames })
        });
        Ok(stacks.collect())
    }

    fn shape_error(&self) -> SeriesShapeError {
        SeriesShapeError {
            shape: self.data.shape().to_vec(),
            headers: self.headers.shape().to_vec(),
        }
    }

    /// Header of an image of a stack.
    pub fn frame_header(&self, stack: &Stack, frame: usize) -> ImageHeader {
        self.headers.get(stack.place(frame)).copied().unwrap_or_default()
    }

    /// Meta attributes of an image of a stack, where it has any.
    pub fn frame_meta(&self, stack: &Stack, frame: usize) -> Option<&Meta> {
        self.meta.get(self.meta_index(stack.place(frame)))
    }

    /// Meta attributes of an image of a stack, to be written.
    pub fn frame_meta_mut(&mut self, stack: &Stack, frame: usize) -> Option<&mut Meta> {
        self.meta.resize(self.headers.len(), Meta::new());
        let index = self.meta_index(stack.place(frame));
        self.meta.get_mut(index)
    }

    fn meta_index(&self, [slice, s, n]: [usize; 3]) -> usize {
        let (_, n_s, n_n) = self.headers.dim();
        (slice * n_s + s) * n_n + n
    }

    /// Pixels of an image of a stack: `[channel, z, y, x]`.
    pub fn frame(&self, stack: &Stack, frame: usize) -> ArrayView4<'_, Complex32> {
        let [slice, s, n] = stack.place(frame);
        let view = self.data.slice(s![slice, s, n, .., .., .., ..]);
        view.into_dimensionality::<Ix4>().unwrap_or_else(|_| {
            ArrayView4::from_shape((0, 0, 0, 0), &[]).expect("nothing has that shape")
        })
    }

    /// All images of a stack: `[frame, z, y, x]` of one channel.
    pub fn channel_of_stack(&self, stack: &Stack, channel: usize) -> Array4<Complex32> {
        let shape = self.data.shape();
        let mut pixels = Array4::zeros((stack.n_frames, shape[4], shape[5], shape[6]));
        for frame in 0..stack.n_frames {
            let image = self.frame(stack, frame);
            pixels.index_axis_mut(Axis(0), frame).assign(&image.index_axis(Axis(0), channel));
        }
        pixels
    }

    /// Whether an image of a stack was not acquired or holds nothing: all its pixels are 0.
    pub fn is_blank(&self, stack: &Stack, frame: usize) -> bool {
        self.frame(stack, frame).iter().all(|value| value.norm_sqr() == 0.0)
    }

    /// Whether every pixel of an image of a stack is a number.
    pub fn is_finite(&self, stack: &Stack, frame: usize) -> bool {
        self.frame(stack, frame).iter().all(|value| value.re.is_finite() && value.im.is_finite())
    }

    /// The line of an image of a stack that lies nearest to `center` along encoding step 1, among
    /// those that were read.
    pub fn center_line(
        &self,
        stack: &Stack,
        frame: usize,
        center: usize,
    ) -> Option<AcquisitionHeader> {
        let lines = self.acquisition_headers.as_ref()?;
        let [slice, s, n] = stack.place(frame);
        let (n_slices, n_s, n_n, ..) = lines.dim();
        if slice >= n_slices || s >= n_s || n >= n_n {
            return None;
        }
        let lines = lines.slice(s![slice, s, n, .., ..]);
        let read = lines.iter().filter(|line| line.version != 0);
        let distance = |line: &&AcquisitionHeader| {
            let idx = line.idx;
            usize::from(idx.kspace_encode_step_1).abs_diff(center)
        };
        read.min_by_key(distance).copied()
    }

    /// Puts the images of a stack into another order: image `order[i]` becomes image i. Headers,
    /// meta attributes, pixels and lines move together.
    ///
    /// # Panics
    /// If `order` does not name each image of the stack once.
    pub fn reorder_stack(&mut self, stack: &Stack, order: &[usize]) {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..stack.n_frames), "an order that names each image once");
        self.meta.resize(self.headers.len(), Meta::new());
        let metas: Vec<Meta> = order
            .iter()
            .map(|&from| self.meta[self.meta_index(stack.place(from))].clone())
            .collect();
        for (frame, meta) in metas.into_iter().enumerate() {
            let index = self.meta_index(stack.place(frame));
            self.meta[index] = meta;
        }
        let headers: Vec<_> = order.iter().map(|&from| self.headers[stack.place(from)]).collect();
        for (frame, header) in headers.into_iter().enumerate() {
            self.headers[stack.place(frame)] = header;
        }
        let pixels: Vec<_> = order.iter().map(|&from| self.frame(stack, from).to_owned()).collect();
        for (frame, pixels) in pixels.iter().enumerate() {
            let [slice, s, n] = stack.place(frame);
            self.data.slice_mut(s![slice, s, n, .., .., .., ..]).assign(pixels);
        }
        let shape = self.headers.dim();
        if let Some(lines) = &mut self.acquisition_headers {
            let (n_slices, n_s, n_n, ..) = lines.dim();
            if (n_slices, n_s, n_n) == shape {
                let of = |frame: usize| {
                    let [slice, s, n] = stack.place(frame);
                    s![slice, s, n, .., ..]
                };
                let moved: Vec<_> =
                    order.iter().map(|&from| lines.slice(of(from)).to_owned()).collect();
                for (frame, moved) in moved.iter().enumerate() {
                    lines.slice_mut(of(frame)).assign(moved);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, Array5, ArrayD, IxDyn};

    fn series(outer: [usize; 3]) -> ImageSeries {
        let [slices, s, n] = outer;
        ImageSeries {
            role: crate::ImageRole::Image,
            s: None,
            n: None,
            data: ArrayD::from_shape_fn(IxDyn(&[slices, s, n, 1, 1, 2, 2]), |place| {
                Complex32::from((100 * place[0] + 10 * place[1] + place[2]) as f32)
            }),
            headers: Array3::from_shape_fn(outer, |(slice, s, n)| ImageHeader {
                image_index: (100 * slice + 10 * s + n) as u16,
                ..ImageHeader::default()
            }),
            meta: (0..slices)
                .flat_map(|slice| {
                    (0..s).flat_map(move |s| {
                        (0..n).map(move |n| Meta::from_iter([("number", 100 * slice + 10 * s + n)]))
                    })
                })
                .collect(),
            waveforms: Vec::new(),
            acquisition_headers: Some(Array5::default((slices, s, n, 1, 2))),
            sampling: None,
        }
    }

    #[test]
    fn headers_meta_and_pixels_move_together() {
        for (outer, along_s) in [([2, 1, 4], false), ([2, 4, 1], true), ([1, 2, 4], false)] {
            let mut moved = series(outer);
            let stacks = moved.stacks().expect("a good shape");
            // Each by itself: the others stay.
            let orders = [[2, 0, 3, 1], [3, 2, 1, 0]];
            for (stack, order) in stacks.iter().zip(orders) {
                moved.reorder_stack(stack, &order);
            }
            for (stack, order) in stacks.into_iter().zip(orders) {
                assert_eq!((stack.along_s, stack.n_frames), (along_s, 4));
                for (frame, from) in order.into_iter().enumerate() {
                    let number = { moved.frame_header(&stack, frame).image_index };
                    assert_eq!(
                        usize::from(number) % 10
                            + usize::from(number) / 10 % 10 * usize::from(along_s),
                        from
                    );
                    let meta = moved.frame_meta(&stack, frame).expect("it has meta");
                    assert_eq!(meta.get_i64("number"), Some(i64::from(number)));
                    assert_eq!(moved.frame(&stack, frame)[[0, 0, 1, 1]].re, f32::from(number));
                }
            }
        }
    }

    #[test]
    fn a_series_whose_headers_are_not_those_of_its_images_has_no_stacks() {
        let mut wrong = series([1, 1, 3]);
        wrong.headers = Array3::default((1, 1, 2));
        assert!(wrong.stacks().is_err());
        let mut wrong = series([1, 1, 3]);
        wrong.data = ArrayD::zeros(IxDyn(&[3, 2, 2]));
        assert!(wrong.stacks().is_err());
    }
}
