//! What a client wants to know about images, as meta attributes.

use std::convert::Infallible;

use ismrmrd::{Image, ImageHeader, Meta};
use pipeline::{Gadget, Scan, Sink};
use schemars::JsonSchema;
use serde::Deserialize;

/// Adds meta attributes to images.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `DataRole`, e.g. `Image`. Left alone where empty.
    pub data_role: String,
    /// Added to `ImageProcessingHistory`.
    pub processing_history: Vec<String>,
    /// `WindowCenter`, in pixel values.
    pub window_center: Option<f64>,
    /// `WindowWidth`, in pixel values.
    pub window_width: Option<f64>,
    /// Whether to set `Keep_image_geometry`, so that a FIRE client turns the image neither round
    /// nor over.
    pub keep_image_geometry: bool,
}

/// Adds the directions of rows and columns to the meta attributes of images that lack them, and
/// what the chain says.
pub struct DescribeImages(Config);

impl Gadget for DescribeImages {
    const NAME: &str = "describe_images";
    const ALIASES: &'static [&'static str] = &["AugmentImageMetadataGadget"];
    type Config = Config;
    type Input = Image;
    type Output = Image;
    type Error = Infallible;

    fn new(config: Config, _scan: &Scan) -> Result<Self, Infallible> {
        Ok(Self(config))
    }

    fn process(&mut self, mut image: Image, out: &mut Sink<Self>) -> Result<(), Infallible> {
        let meta = &mut image.meta;
        set_directions(meta, &image.header);
        if !self.0.data_role.is_empty() {
            meta.set("DataRole", self.0.data_role.as_str());
        }
        for step in &self.0.processing_history {
            meta.append("ImageProcessingHistory", step.as_str());
        }
        if let Some(center) = self.0.window_center {
            meta.set("WindowCenter", center);
        }
        if let Some(width) = self.0.window_width {
            meta.set("WindowWidth", width);
        }
        if self.0.keep_image_geometry {
            meta.set("Keep_image_geometry", 1);
        }
        out.push(image);
        Ok(())
    }
}

/// Sets the directions of rows (x) and columns (y), three numbers each, unless they are there.
pub(crate) fn set_directions(meta: &mut Meta, header: &ImageHeader) {
    for (key, direction) in [("ImageRowDir", header.read_dir), ("ImageColumnDir", header.phase_dir)]
    {
        if meta.values(key).len() != 3 {
            meta.set_all(key, direction);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;
    use pipeline::{Message, run_gadget};

    fn run(config: Config, meta: Meta) -> Meta {
        let header = ImageHeader {
            read_dir: [1.0, 0.0, 0.0],
            phase_dir: [0.0, 0.5, -0.25],
            ..ImageHeader::default()
        };
        let image = Image::new(header, meta, Array4::<f32>::zeros((1, 1, 1, 1)));
        let Ok((mut outputs, _)) = run_gadget::<DescribeImages>(config, &Scan::default(), [image]);
        let Message::Image(image) = outputs.remove(0) else { panic!("an image comes out") };
        image.meta
    }

    #[test]
    fn directions_come_from_the_header_unless_they_are_there() {
        let meta = run(Config::default(), Meta::new());
        assert_eq!(meta.values("ImageRowDir"), ["1", "0", "0"]);
        assert_eq!(meta.values("ImageColumnDir"), ["0", "0.5", "-0.25"]);
        assert_eq!(meta.len(), 2, "nothing else is set");
        let mut own = Meta::new();
        own.set_all("ImageRowDir", ["0", "0", "1"]);
        assert_eq!(run(Config::default(), own).values("ImageRowDir"), ["0", "0", "1"]);
    }

    #[test]
    fn what_the_chain_says_is_set() {
        let config = Config {
            data_role: "Image".to_owned(),
            processing_history: vec!["FIRE".to_owned(), "BORESIDE".to_owned()],
            window_center: Some(2048.0),
            window_width: Some(4096.0),
            keep_image_geometry: true,
        };
        let meta = run(config, Meta::from_iter([("ImageProcessingHistory", "ICE")]));
        assert_eq!(meta.get("DataRole"), Some("Image"));
        assert_eq!(meta.values("ImageProcessingHistory"), ["ICE", "FIRE", "BORESIDE"]);
        assert_eq!(meta.get("WindowCenter"), Some("2048"));
        assert_eq!(meta.get("WindowWidth"), Some("4096"));
        assert_eq!(meta.get("Keep_image_geometry"), Some("1"));
    }
}
