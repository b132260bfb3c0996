//! Copies of the images that a gadget has in hand, for when it fails on them.

use std::collections::VecDeque;

use crate::{ImageSeries, Message};

/// Pixels that are kept for a gadget that answers nothing: beyond it the oldest images are given
/// up. A gadget that holds as much holds the images themselves, too.
const MAX_KEPT_BYTES: usize = 256 << 20;

/// Copies of messages that a gadget has not answered. Their memory is used again: the copy of a
/// steady stream of images costs no allocation of pixels.
#[derive(Default)]
pub(crate) struct Kept {
    messages: VecDeque<Message>,
    n_bytes: usize,
    /// A message that is not needed any more, for its memory.
    spare: Option<Message>,
}

impl Kept {
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Copies an image, a series or a map.
    pub fn keep(&mut self, message: &Message) {
        let copy = match (self.spare.take(), message) {
            (Some(Message::ImageSeries(mut copy)), Message::ImageSeries(series)) => {
                copy_into(series, &mut copy);
                Message::ImageSeries(copy)
            }
            (Some(Message::Image(mut copy)), Message::Image(image)) => {
                copy.header = image.header;
                copy.meta.clone_from(&image.meta);
                image.pixels.copy_into(&mut copy.pixels);
                Message::Image(copy)
            }
            (_, message) => message.clone(),
        };
        self.n_bytes += pixel_bytes(&copy);
        self.messages.push_back(copy);
        while self.n_bytes > MAX_KEPT_BYTES && self.messages.len() > 1 {
            if let Some(oldest) = self.messages.pop_front() {
                self.n_bytes -= pixel_bytes(&oldest);
            }
        }
    }

    /// The gadget has answered: what was kept is not needed any more.
    pub fn release(&mut self) {
        self.spare = self.messages.pop_back().or(self.spare.take());
        self.messages.clear();
        self.n_bytes = 0;
    }

    /// The copy of the latest message.
    pub fn take_last(&mut self) -> Option<Message> {
        let last = self.messages.pop_back()?;
        self.n_bytes -= pixel_bytes(&last);
        Some(last)
    }

    /// All copies, the oldest first.
    pub fn take_all(&mut self) -> impl Iterator<Item = Message> + use<> {
        self.n_bytes = 0;
        std::mem::take(&mut self.messages).into_iter()
    }
}

fn copy_into(series: &ImageSeries, copy: &mut ImageSeries) {
    let ImageSeries { role, s, n, data, headers, meta, waveforms, acquisition_headers, sampling } =
        series;
    copy.role = *role;
    copy.s = *s;
    copy.n = *n;
    copy.data.clone_from(data);
    copy.headers.clone_from(headers);
    copy.meta.clone_from(meta);
    copy.waveforms.clone_from(waveforms);
    copy.acquisition_headers.clone_from(acquisition_headers);
    copy.sampling.clone_from(sampling);
}

fn pixel_bytes(message: &Message) -> usize {
    match message {
        Message::ImageSeries(series) => size_of_val(series.data.as_slice().unwrap_or_default()),
        Message::Image(image) => {
            image.pixels.shape().iter().product::<usize>() * image.pixels.data_type().size_bytes()
        }
        Message::ParametricMap(map) => map.values.len() * 2 * size_of::<f32>(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::{Image, Pixels};
    use ndarray::Array4;

    fn image(value: f32, size: usize) -> Message {
        Image::new(
            Default::default(),
            Default::default(),
            Array4::from_elem((1, 1, size, size), value),
        )
        .into()
    }

    fn value(message: &Message) -> f32 {
        let Message::Image(Image { pixels: Pixels::F32(pixels), .. }) = message else {
            panic!("an image of floats")
        };
        pixels[[0, 0, 0, 0]]
    }

    #[test]
    fn copies_come_back_in_order_and_their_memory_is_used_again() {
        let mut kept = Kept::default();
        kept.keep(&image(1.0, 4));
        kept.release();
        assert!(kept.is_empty());
        for number in 2..5 {
            kept.keep(&image(number as f32, 4));
        }
        assert_eq!(kept.take_last().as_ref().map(value), Some(4.0));
        assert_eq!(kept.take_all().map(|copy| value(&copy)).collect::<Vec<_>>(), [2.0, 3.0]);
        assert!(kept.is_empty() && kept.n_bytes == 0);
    }

    #[test]
    fn a_copy_into_used_memory_has_the_new_images_size_and_type() {
        let mut kept = Kept::default();
        kept.keep(&image(1.0, 8));
        kept.release();
        let other = Image::new(
            Default::default(),
            Default::default(),
            Array4::from_elem((1, 1, 2, 3), 7_u16),
        );
        kept.keep(&other.clone().into());
        let Some(Message::Image(copy)) = kept.take_last() else { panic!("an image") };
        assert_eq!(copy, other);
    }
}
