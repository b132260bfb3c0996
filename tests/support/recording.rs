//! A simulated scan as it arrives, to be spoilt, and what is looked for in its maps.

use ismrmrd::wire::Message;
use ismrmrd::xml::UserParameter;
use ismrmrd::{Acquisition, Header, Image, Pixels};
use ndarray::{Array2, Array4};
use phantom::{Body, Label, PixelGrid, SimulatedScan, TissueMaps};

use super::{Client, TestServer, images, texts};

#[derive(Clone)]
pub struct Recording {
    pub header: Header,
    pub readouts: Vec<Acquisition>,
}

impl Recording {
    pub fn of(scan: &SimulatedScan) -> Self {
        Self { header: scan.header().clone(), readouts: scan.acquisitions().collect() }
    }

    /// One of a patient whose haematocrit, 42 %, is known: other scans are found by these numbers.
    pub fn of_patient(scan: &SimulatedScan) -> Self {
        let mut recording = Self::of(scan);
        let header = &mut recording.header;
        let subject = header.subject_information.get_or_insert_default();
        subject.patient_id = Some("heart 1".to_owned());
        let study = header.study_information.get_or_insert_default();
        study.study_instance_uid = Some("1.2.3".to_owned());
        let measurement = header.measurement_information.get_or_insert_default();
        measurement.frame_of_reference_uid = Some("1.2.4".to_owned());
        let parameters = header.user_parameters.get_or_insert_default();
        parameters.user_parameter_double.push(UserParameter::new("Haematocrit", 42.0));
        recording
    }

    /// The same with readouts that `change` has changed.
    pub fn spoilt(&self, change: impl FnOnce(&mut Vec<Acquisition>)) -> Self {
        let mut spoilt = self.clone();
        change(&mut spoilt.readouts);
        spoilt
    }

    /// What the chain makes of it: images by series, and what was told.
    pub fn through(&self, server: &TestServer, chain: &str) -> (Vec<Image>, Vec<String>) {
        self.send(Client::open(server, chain, &self.header.to_xml()))
    }

    /// What a chain makes of it that is sent along.
    pub fn through_text(&self, server: &TestServer, chain: &str) -> (Vec<Image>, Vec<String>) {
        self.send(Client::open_with(server, chain, &self.header.to_xml()))
    }

    fn send(&self, mut client: Client) -> (Vec<Image>, Vec<String>) {
        self.readouts.iter().for_each(|readout| client.send(readout.clone()));
        client.send(Message::Close);
        let answer = client.read_to_close();
        let told = texts(&answer).into_iter().map(str::to_owned).collect();
        (images(answer), told)
    }
}

pub fn with_role<'a>(images: &'a [Image], role: &str) -> Option<&'a Image> {
    images.iter().find(|image| image.meta.get("GADGETRON_DataRole") == Some(role))
}

pub fn values(image: &Image) -> Array4<f32> {
    match &image.pixels {
        Pixels::F32(pixels) => pixels.clone(),
        pixels => pixels.to_magnitude(),
    }
}

/// Extracellular volume of the wall, %.
pub fn wall_ecv_percent(scan: &SimulatedScan) -> f64 {
    let Body::Anatomy(anatomy) = &scan.bodies()[0] else { panic!("a body of tissues") };
    let wall = anatomy.regions.iter().find(|region| region.label == Label::Myocardium);
    wall.and_then(|wall| wall.tissue.ecv_percent).expect("the wall has one")
}

/// Pixels of the first slice that lie deep in this tissue.
pub fn inside(scan: &SimulatedScan, label: Label) -> Array2<bool> {
    inside_slice(scan, 0, label)
}

/// Pixels that lie deep in this tissue: all of their neighbours are of it as well.
pub fn inside_slice(scan: &SimulatedScan, slice: usize, label: Label) -> Array2<bool> {
    let Body::Anatomy(anatomy) = &scan.bodies()[slice] else { panic!("a body of tissues") };
    let setup = scan.setup();
    let grid =
        PixelGrid { matrix_size: setup.matrix_size, field_of_view_mm: setup.field_of_view_mm };
    let labels = TissueMaps::new(anatomy, grid).labels;
    let (height, width) = labels.dim();
    Array2::from_shape_fn((height, width), |(y, x)| {
        let rows = y.saturating_sub(1)..(y + 2).min(height);
        let mut around =
            rows.flat_map(|y| (x.saturating_sub(1)..(x + 2).min(width)).map(move |x| (y, x)));
        around.all(|place| labels[place] == label.code())
    })
}

/// Median of a map over some pixels, five at least.
#[track_caller]
pub fn median_inside(map: &Image, inside: &Array2<bool>) -> f32 {
    let map = values(map);
    let mut found: Vec<f32> =
        inside.indexed_iter().filter(|(_, is)| **is).map(|((y, x), _)| map[[0, 0, y, x]]).collect();
    assert!(found.len() >= 5, "{} pixels", found.len());
    found.sort_by(f32::total_cmp);
    found[found.len() / 2]
}
