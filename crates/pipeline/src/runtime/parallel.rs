//! Streams side by side: a branch shares messages out, a merge joins the results.

use std::collections::VecDeque;

use ismrmrd::{Image, Pixels};
use ndarray::{Axis, concatenate};

use crate::runtime::node::{Node, deliver, finish};
use crate::runtime::{Control, Fault};
use crate::{Kinds, Message};

/// How messages are shared out to the streams. What a branch does not take passes the whole
/// block by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Branch {
    /// A copy of each message of one kind to every stream.
    FanOut(Kinds),
    /// Readouts to the stream `acquisitions`, waveforms to the stream `waveforms`.
    ByKind,
}

impl Branch {
    /// Our names and Gadgetron's.
    pub const NAMES: &[(&str, &str)] = &[
        ("fan_out_acquisitions", "AcquisitionFanout"),
        ("fan_out_waveforms", "WaveformFanout"),
        ("fan_out_images", "ImageFanout"),
        ("split_by_kind", "AcquisitionWaveformBranch"),
    ];

    pub fn from_name(name: &str) -> Option<Self> {
        let (ours, _) =
            Self::NAMES.iter().find(|(ours, theirs)| [*ours, *theirs].contains(&name))?;
        Some(match *ours {
            "fan_out_acquisitions" => Self::FanOut(Kinds::ACQUISITION),
            "fan_out_waveforms" => Self::FanOut(Kinds::WAVEFORM),
            "fan_out_images" => Self::FanOut(Kinds::IMAGE),
            _ => Self::ByKind,
        })
    }
}

/// How the results of the streams are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    /// As they come.
    Unordered,
    /// The n-th images of all streams become one image whose channels are those of the streams,
    /// in the order of the streams.
    LayerImages,
}

impl Merge {
    /// Our names and Gadgetron's.
    pub const NAMES: &[(&str, &str)] =
        &[("merge_unordered", "UnorderedMerge"), ("layer_images", "ImageLayerer")];

    pub fn from_name(name: &str) -> Option<Self> {
        let (ours, _) =
            Self::NAMES.iter().find(|(ours, theirs)| [*ours, *theirs].contains(&name))?;
        Some(if *ours == "layer_images" { Self::LayerImages } else { Self::Unordered })
    }
}

pub(crate) struct ParallelNode {
    branch: Branch,
    streams: Vec<(String, Vec<Node>)>,
    merge: MergeState,
}

enum MergeState {
    Unordered,
    /// Images of each stream that wait for the others.
    LayerImages(Vec<VecDeque<Image>>),
}

impl ParallelNode {
    pub fn new(branch: Branch, merge: Merge, streams: Vec<(String, Vec<Node>)>) -> Self {
        let merge = match merge {
            Merge::Unordered => MergeState::Unordered,
            Merge::LayerImages => {
                MergeState::LayerImages(streams.iter().map(|_| VecDeque::new()).collect())
            }
        };
        Self { branch, streams, merge }
    }

    pub fn process(
        &mut self,
        message: Message,
        control: &Control,
        forward: &mut dyn FnMut(Message),
    ) {
        let kind = message.kind();
        match self.branch {
            Branch::FanOut(kinds) if kind.intersects(kinds) => {
                let last = self.streams.len().saturating_sub(1);
                for stream in 0..last {
                    self.run(stream, message.clone(), control, forward);
                }
                self.run(last, message, control, forward);
            }
            Branch::ByKind => {
                let keys = [(Kinds::ACQUISITION, "acquisitions"), (Kinds::WAVEFORM, "waveforms")];
                let key = keys.iter().find(|(keyed, _)| *keyed == kind).map(|(_, key)| *key);
                let stream =
                    key.and_then(|key| self.streams.iter().position(|(known, _)| known == key));
                match stream {
                    Some(stream) => self.run(stream, message, control, forward),
                    None => forward(message),
                }
            }
            Branch::FanOut(_) => forward(message),
        }
    }

    fn run(
        &mut self,
        stream: usize,
        message: Message,
        control: &Control,
        forward: &mut dyn FnMut(Message),
    ) {
        let merge = &mut self.merge;
        if let Some((_, nodes)) = self.streams.get_mut(stream) {
            deliver(nodes, message, control, &mut |result| {
                merge.add(stream, result, control, forward);
            });
        }
    }

    pub fn finish(&mut self, control: &Control, forward: &mut dyn FnMut(Message)) {
        let merge = &mut self.merge;
        for (stream, (_, nodes)) in self.streams.iter_mut().enumerate() {
            finish(nodes, control, &mut |result| merge.add(stream, result, control, forward));
        }
        if let MergeState::LayerImages(waiting) = merge {
            let n_left: usize = waiting.iter().map(VecDeque::len).sum();
            if n_left > 0 {
                control.report(Fault::error(
                    "layer_images",
                    format!("{n_left} images have no partner in the other streams"),
                    "let every stream give the same number of images",
                ));
            }
        }
    }
}

impl MergeState {
    fn add(
        &mut self,
        stream: usize,
        message: Message,
        control: &Control,
        forward: &mut dyn FnMut(Message),
    ) {
        match (self, message) {
            (Self::LayerImages(waiting), Message::Image(image)) => {
                waiting[stream].push_back(image);
                if waiting.iter().all(|images| !images.is_empty()) {
                    let layers = waiting.iter_mut().filter_map(VecDeque::pop_front).collect();
                    match layer(layers) {
                        Ok(image) => forward(image.into()),
                        Err(what) => control.report(Fault::error(
                            "layer_images",
                            what,
                            "let every stream give images of the same size and pixel type",
                        )),
                    }
                }
            }
            (_, message) => forward(message),
        }
    }
}

fn layer(images: Vec<Image>) -> Result<Image, String> {
    macro_rules! stack {
        ($($variant:ident)*) => {
            match &images[0].pixels {
                $(Pixels::$variant(_) => {
                    let views: Option<Vec<_>> = images.iter().map(|image| match &image.pixels {
                        Pixels::$variant(pixels) => Some(pixels.view()),
                        _ => None,
                    }).collect();
                    let views = views.ok_or("the streams' images differ in pixel type")?;
                    concatenate(Axis(0), &views).map(Pixels::$variant)
                })*
            }
        };
    }
    let pixels = stack!(U16 I16 U32 I32 F32 F64 C32 C64)
        .map_err(|_| "the streams' images differ in size".to_owned())?;
    let first = images.into_iter().next().ok_or("no images")?;
    Ok(Image::new(first.header, first.meta, pixels))
}
