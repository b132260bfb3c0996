//! Where things are: spheres at known places of the patient, imaged in planes of all kinds, must
//! lie where the header of the image says.

mod support;

use ismrmrd::Image;
use ismrmrd::wire::Message;
use ndarray::ArrayView2;
use phantom::{GradientEcho, Orientation, Setup, SimulatedScan, Sphere, Subject};
use support::{Client, TestServer, images};

/// A place or a direction in the patient \[left, posterior, superior\].
type Vector = [f64; 3];

/// A plane with its axes for readout, phase encoding and slice, written out.
struct Plane {
    name: &'static str,
    axes: [Vector; 3],
}

/// cos and sin of 30°, and of the angle whose sine is 0.6.
const COS_30: f64 = 0.866_025_403_784_438_6;
const SIN_30: f64 = 0.5;

const PLANES: [Plane; 7] = [
    Plane { name: "transverse", axes: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]] },
    Plane { name: "sagittal", axes: [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]] },
    Plane { name: "coronal", axes: [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]] },
    // Transverse, turned by 30° in its plane.
    Plane {
        name: "turned",
        axes: [[COS_30, SIN_30, 0.0], [-SIN_30, COS_30, 0.0], [0.0, 0.0, 1.0]],
    },
    // Transverse to coronal, 30°.
    Plane {
        name: "oblique",
        axes: [[1.0, 0.0, 0.0], [0.0, COS_30, -SIN_30], [0.0, SIN_30, COS_30]],
    },
    // The oblique one, tilted about its second axis by the angle of 3:4:5.
    Plane {
        name: "double oblique",
        axes: [
            [0.8, -0.6 * SIN_30, -0.6 * COS_30],
            [0.0, COS_30, -SIN_30],
            [0.6, 0.8 * SIN_30, 0.8 * COS_30],
        ],
    },
    // Axes against the patient's: 180° in plane, seen from the other side.
    Plane { name: "inverted", axes: [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]] },
];

/// Places in the plane and beside it, mm from the centre of the field of view along the three
/// axes of the plane, and intensities: no turn and no mirror takes one to another.
const MARKERS: [(Vector, f64); 4] = [
    ([0.0, 0.0, 0.0], 0.5),
    ([-50.0, 24.0, 2.0], 1.0),
    ([38.0, 31.0, -3.0], 0.7),
    ([17.0, -44.0, 1.0], 0.85),
];

const RADIUS_MM: f64 = 9.0;

/// The middle of the slices: nothing is at the isocentre.
const CENTER_MM: Vector = [31.0, -17.5, 42.0];

/// Matrix and field of view along readout and phase encoding.
const SIZES: [([usize; 2], [f64; 2]); 4] = [
    ([96, 96], [200.0, 200.0]),
    // A rectangular field of view.
    ([96, 64], [216.0, 144.0]),
    // Pixels that are not square.
    ([80, 112], [200.0, 168.0]),
    // Odd numbers of pixels.
    ([80, 75], [168.0, 165.0]),
];

fn dot(a: Vector, b: Vector) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn minus(a: Vector, b: Vector) -> Vector {
    [0, 1, 2].map(|n| a[n] - b[n])
}

/// The place in the patient that lies so far along the axes of a plane.
fn in_patient(plane: &Plane, from_center_mm: Vector) -> Vector {
    [0, 1, 2].map(|n| {
        CENTER_MM[n] + (0..3).map(|axis| from_center_mm[axis] * plane.axes[axis][n]).sum::<f64>()
    })
}

/// Spheres at fixed places of the patient that lie in this plane.
fn spheres(plane: &Plane) -> Vec<Sphere> {
    MARKERS
        .iter()
        .map(|&(from_center_mm, intensity)| Sphere {
            center_mm: in_patient(plane, from_center_mm),
            radius_mm: RADIUS_MM,
            intensity,
        })
        .collect()
}

/// A scan of the spheres with readout and phase encoding along the plane's axes, or exchanged.
fn scan(
    plane: &Plane,
    swapped: bool,
    matrix_size: [usize; 2],
    field_of_view_mm: [f64; 2],
    change: impl FnOnce(&mut Setup),
) -> SimulatedScan {
    let orientation = Orientation::Axes(plane.axes);
    let mut setup = Setup {
        matrix_size,
        field_of_view_mm,
        orientation: if swapped { orientation.swapped() } else { orientation },
        center_mm: CENTER_MM,
        n_channels: 1,
        ..Setup::new(Subject::Spheres(spheres(plane)))
    };
    change(&mut setup);
    SimulatedScan::new(&GradientEcho::default(), setup).expect("a good setup")
}

fn double(vector: [f32; 3]) -> Vector {
    vector.map(f64::from)
}

/// Where the header puts the pixel at column x and row y, mm in the patient: the position is
/// the pixel of the transform's centre.
struct ImagePlace {
    position: Vector,
    directions: [Vector; 2],
    pixel_mm: [f64; 2],
    center_px: [f64; 2],
}

impl ImagePlace {
    fn of(image: &Image) -> Self {
        let header = &image.header;
        let [nx, ny, _] = header.matrix_size;
        let [x_mm, y_mm, _] = header.field_of_view;
        Self {
            position: double(header.position),
            directions: [double(header.read_dir), double(header.phase_dir)],
            pixel_mm: [f64::from(x_mm) / f64::from(nx), f64::from(y_mm) / f64::from(ny)],
            center_px: [f64::from(nx / 2), f64::from(ny / 2)],
        }
    }

    /// Pixel coordinates \[x, y\] of a place in the patient.
    fn pixel(&self, place_mm: Vector) -> [f64; 2] {
        let from_center_mm = minus(place_mm, self.position);
        [0, 1].map(|axis| {
            dot(from_center_mm, self.directions[axis]) / self.pixel_mm[axis] + self.center_px[axis]
        })
    }
}

/// Centre of mass \[x, y\] of what lies within `reach_px` of a place, and the mean of the pixels
/// within half of that.
fn blob(pixels: ArrayView2<'_, f32>, at: [f64; 2], reach_px: [f64; 2]) -> ([f64; 2], f64) {
    let (mut mass, mut moment) = (0.0, [0.0; 2]);
    let (mut sum, mut count) = (0.0, 0.0);
    let largest = pixels.iter().copied().fold(0.0, f32::max);
    for ((y, x), value) in pixels.indexed_iter() {
        let from = [x as f64 - at[0], y as f64 - at[1]];
        let distance = (from[0] / reach_px[0]).hypot(from[1] / reach_px[1]);
        if distance < 1.0 && *value > 0.15 * largest {
            mass += f64::from(*value);
            moment = [0, 1].map(|axis| moment[axis] + f64::from(*value) * from[axis]);
        }
        if distance < 0.4 {
            sum += f64::from(*value);
            count += 1.0;
        }
    }
    ([0, 1].map(|axis| at[axis] + moment[axis] / mass), sum / count)
}

/// Finds every sphere where it is, and nothing else there: largest error in pixels.
fn check(name: &str, image: &Image, plane: &Plane) -> f64 {
    let place = ImagePlace::of(image);
    let pixels = image.pixels.to_magnitude();
    let pixels = pixels.slice(ndarray::s![0, 0, .., ..]);
    let reach_px = place.pixel_mm.map(|mm| (RADIUS_MM + 4.0) / mm);
    let mut brightness = Vec::new();
    let mut largest = 0.0_f64;
    for sphere in spheres(plane) {
        let expected = place.pixel(sphere.center_mm);
        let (found, mean) = blob(pixels, expected, reach_px);
        brightness.push(mean / sphere.intensity);
        for axis in 0..2 {
            let error = (found[axis] - expected[axis]).abs();
            assert!(error < 0.1, "{name}: {found:?} px, expected {expected:?}");
            largest = largest.max(error);
        }
    }
    // Each one is the one that belongs there: ringing changes the mean by some percent.
    for value in &brightness {
        assert!((value / brightness[0] - 1.0).abs() < 0.1, "{name}: intensities {brightness:?}");
    }
    let slice_direction = double(image.header.slice_dir);
    assert!((dot(slice_direction, plane.axes[2]) - 1.0).abs() < 1e-5, "{name}: the normal");
    largest
}

fn reconstruct(server: &TestServer, chain: &str, scan: &SimulatedScan, header: &str) -> Vec<Image> {
    let mut client = Client::open(server, chain, header);
    for readout in scan.acquisitions() {
        client.send(readout);
    }
    client.send(Message::Close);
    images(client.read_to_close())
}

#[test]
fn spheres_lie_where_the_header_says_in_every_plane_and_phase_direction() {
    let server = TestServer::start(&["--no-journal"]);
    let mut largest = 0.0_f64;
    for plane in &PLANES {
        for swapped in [false, true] {
            for (number, (matrix_size, field_of_view_mm)) in SIZES.into_iter().enumerate() {
                let scan = scan(plane, swapped, matrix_size, field_of_view_mm, |_| {});
                let header = scan.header().to_xml();
                let images = reconstruct(&server, "default.xml", &scan, &header);
                let [image] = &images[..] else { panic!("{} images", images.len()) };
                let name = format!("{}, swapped {swapped}, size {number}", plane.name);
                largest = largest.max(check(&name, image, plane));
            }
        }
    }
    println!("default.xml: spheres are within {largest:.3} px of their place");
    server.stop();
}

#[test]
fn every_slice_of_a_stack_lies_where_its_header_says() {
    let server = TestServer::start(&["--no-journal"]);
    for plane in &PLANES[4..6] {
        // Slices 5 mm apart: the spheres end after two of them.
        let (matrix_size, field_of_view_mm) = SIZES[1];
        let scan = scan(plane, false, matrix_size, field_of_view_mm, |setup| {
            (setup.n_slices, setup.slice_spacing_mm) = (3, 5.0);
        });
        let images = reconstruct(&server, "default.xml", &scan, &scan.header().to_xml());
        assert_eq!(images.len(), 3);
        for (slice, image) in images.iter().enumerate() {
            let offset_mm = (slice as f64 - 1.0) * 5.0;
            let expected = in_patient(plane, [0.0, 0.0, offset_mm]);
            let off_mm = minus(double(image.header.position), expected);
            assert!(dot(off_mm, off_mm).sqrt() < 1e-3, "slice {slice} is {off_mm:?} mm off");
            check_discs(image, plane, offset_mm);
        }
    }
    server.stop();
}

/// The disc of each sphere has the radius that belongs to the distance of the slice.
fn check_discs(image: &Image, plane: &Plane, offset_mm: f64) {
    let place = ImagePlace::of(image);
    let pixels = image.pixels.to_magnitude();
    let pixels = pixels.slice(ndarray::s![0, 0, .., ..]);
    let largest = pixels.iter().copied().fold(0.0, f32::max);
    for (sphere, (from_center_mm, _)) in spheres(plane).iter().zip(MARKERS) {
        let distance_mm = offset_mm - from_center_mm[2];
        let radius_mm = (RADIUS_MM * RADIUS_MM - distance_mm * distance_mm).sqrt();
        let at = place.pixel(sphere.center_mm);
        let bright = 0.5 * sphere.intensity as f32 * largest;
        let area_px = pixels
            .indexed_iter()
            .filter(|((y, x), value)| {
                let [dx, dy] = [*x as f64 - at[0], *y as f64 - at[1]];
                let mm = (dx * place.pixel_mm[0]).hypot(dy * place.pixel_mm[1]);
                mm < RADIUS_MM + 4.0 && **value > bright
            })
            .count();
        let area_mm2 = area_px as f64 * place.pixel_mm[0] * place.pixel_mm[1];
        let found_mm = (area_mm2 / std::f64::consts::PI).sqrt();
        // Half a pixel of 2.25 mm.
        assert!((found_mm - radius_mm).abs() < 1.2, "{found_mm} mm, expected {radius_mm} mm");
    }
}
