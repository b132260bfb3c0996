//! Images of other series that a network takes beside its own.

use std::collections::BTreeMap;

use inference::Manifest;
use inference::manifest::InputRole;
use ismrmrd::{Image, ImageHeader};

use crate::geometry::Planes;

/// How far apart images may lie and still show the same, in mm.
const MAX_DISTANCE_MM: f32 = 1.0;

/// The last image of each role and slice that some input asks for.
#[derive(Debug, Default)]
pub(crate) struct Companions {
    roles: Vec<String>,
    kept: BTreeMap<(String, u16), (ImageHeader, Planes)>,
}

impl Companions {
    pub fn of(manifest: &Manifest) -> Self {
        let roles = manifest
            .inputs
            .iter()
            .filter(|input| input.role == InputRole::Companion)
            .filter_map(|input| input.series.clone())
            .collect();
        Self { roles, kept: BTreeMap::new() }
    }

    /// Keeps an image if its role is asked for. Gives whether it was.
    pub fn keep(&mut self, role: &str, image: &Image) -> bool {
        if !self.roles.iter().any(|known| known == role) {
            return false;
        }
        let pixels = image.pixels.to_magnitude();
        let (channels, z, n_y, n_x) = pixels.dim();
        let planes = Planes { values: pixels.iter().copied().collect(), n: channels * z, n_y, n_x };
        self.kept.insert((role.to_owned(), image.header.slice), (image.header, planes));
        true
    }

    /// Those that show the same as an image of this header.
    pub fn beside(&self, header: &ImageHeader) -> Vec<(String, Planes)> {
        let is_same = |other: &ImageHeader| {
            let close = |a: [f32; 3], b: [f32; 3], most: f32| {
                a.iter().zip(b).all(|(a, b)| (a - b).abs() <= most)
            };
            close(other.position, header.position, MAX_DISTANCE_MM)
                && close(other.field_of_view, header.field_of_view, MAX_DISTANCE_MM)
                && close(other.read_dir, header.read_dir, 1e-3)
                && close(other.phase_dir, header.phase_dir, 1e-3)
                && { other.matrix_size } == { header.matrix_size }
        };
        self.kept
            .iter()
            .filter(|((_, slice), (other, _))| *slice == header.slice && is_same(other))
            .map(|((role, _), (_, planes))| (role.clone(), planes.clone()))
            .collect()
    }
}
