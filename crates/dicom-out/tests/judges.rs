//! What programs of others say of the objects; each is left out where its program is not here.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use dicom_out::{Forms, Study, objects};
use ismrmrd::xml::MeasurementInformation;
use ismrmrd::{Header, Image, ImageHeader, Meta};
use ndarray::{Array3, Array4};
use num_complex::Complex32;
use pipeline::{ParametricMap, Presentation, Unit, Verdict, View};
use tempfile::TempDir;

/// Says that a test was skipped, past the harness, which would hide it.
fn skipped(why: &str) {
    // Where there is nobody to tell, it does not matter.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Oblique, of an even and an odd size, with its centre at 10, -20, 30.
fn geometry(series: u16) -> ImageHeader {
    ImageHeader {
        position: [10.0, -20.0, 30.0],
        read_dir: [0.8, 0.6, 0.0],
        phase_dir: [-0.6, 0.8, 0.0],
        slice_dir: [0.0, 0.0, 1.0],
        field_of_view: [12.0, 15.0, 8.0],
        image_index: 1,
        image_series_index: series,
        image_type: 1,
        physiology_time_stamp: [if series.is_multiple_of(2) { 280 } else { 0 }, 0, 0],
        ..ImageHeader::default()
    }
}

fn map(quantity: &str, unit: Unit, n_z: usize, series: u16) -> ParametricMap {
    let values = Array3::from_shape_fn((n_z, 5, 6), |(_, y, x)| {
        if (y, x) == (0, 0) { 0.0 } else { 700.4 + 100.0 * y as f32 + 10.0 * x as f32 }
    });
    let scale = if unit == Unit::Percent { 1.0 / 30.0 } else { 1.0 };
    let values = values.mapv(|value| value * scale);
    let view =
        View { window: Some([1300.0, 1300.0]), color_map: Some("lipari"), ..View::default() };
    let mut header = geometry(series);
    header.field_of_view[2] *= n_z as f32;
    ParametricMap {
        quantity: quantity.to_owned(),
        unit,
        header,
        meta: Meta::from_iter([
            ("BoresideMethod", "three-parameter fit"),
            ("BoresideTimesMs", "100 180 260"),
            ("BoresideModel", "moconet 1.2.0"),
        ]),
        sd: (n_z == 1).then(|| values.mapv(|value| value / 50.0)),
        r_squared: (n_z == 1).then(|| values.mapv(|value| if value > 0.0 { 0.987 } else { 0.0 })),
        values,
        verdict: Some(Verdict::Check("motion of 4 px".to_owned())),
        presentation: Presentation { values: view, ..Presentation::default() },
    }
}

/// Objects of everything that there is, in all forms, with and without a header.
fn files() -> (TempDir, Vec<PathBuf>) {
    let every_element = include_str!("../../ismrmrd-rs/src/xml/every_element.xml");
    let full = Header::from_xml(every_element).expect("a header");
    let about = MeasurementInformation {
        measurement_id: Some("1_2_3_44".to_owned()),
        ..MeasurementInformation::default()
    };
    let small = Header { measurement_information: Some(about), ..Header::default() };
    let studies = [
        Study::new(Some(&small), ""),
        Study::new(Some(&full), "session 1"),
        Study::new(None, "session 2"),
    ];
    let mut images = map("T1", Unit::Ms, 1, 3).into_images();
    images.extend(map("T1", Unit::Ms, 3, 20).into_images());
    images.extend(map("ECV", Unit::Percent, 1, 23).into_images());
    images.extend(map("T2STAR", Unit::Ms, 1, 30).into_images());
    let picture = Array4::from_shape_fn((1, 1, 5, 6), |(.., y, x)| (y * x) as f32 * 0.01);
    images.push(Image::new(geometry(40), Meta::new(), picture));
    images.push(Image::new(
        geometry(41),
        Meta::new(),
        Array4::from_elem((2, 1, 5, 6), Complex32::ONE),
    ));
    images.push(Image::new(geometry(42), Meta::new(), Array4::from_elem((1, 1, 5, 6), 40_000_u16)));
    let colored = ImageHeader { image_type: 6, ..geometry(43) };
    images.push(Image::new(colored, Meta::new(), Array4::from_elem((3, 1, 5, 5), 77_u16)));
    let folder = tempfile::tempdir().expect("a folder");
    let mut paths = Vec::new();
    for (n, study) in studies.iter().enumerate() {
        for image in &images {
            let forms = Forms { parametric_map: true, color: true };
            for file in objects(image, study, forms).expect("it has a form") {
                let path = folder.path().join(format!("{n}_{}", file.name));
                fs::write(&path, file.bytes).expect("writable");
                paths.push(path);
            }
        }
    }
    (folder, paths)
}

#[test]
fn dciodvfy_finds_no_error() {
    let (_folder, files) = files();
    let mut found = std::collections::BTreeSet::new();
    for file in &files {
        let Ok(output) = Command::new("dciodvfy").arg(file).output() else {
            skipped("dciodvfy is not here");
            return;
        };
        let said =
            String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        let errors = said.lines().filter(|line| line.starts_with("Error"));
        let class = said.lines().find(|line| !line.contains(' ')).unwrap_or_default();
        found.extend(errors.map(|error| format!("{class}: {error}")));
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// What pydicom says of a file, independently of how it was written.
const READ_BY_PYDICOM: &str = r#"
import sys, numpy, pydicom
for path in sys.argv[1:]:
    data = pydicom.dcmread(path)
    if data.SOPClassUID != "1.2.840.10008.5.1.4.1.1.4" or "RealWorldValueMappingSequence" not in data:
        continue
    mapping = data.RealWorldValueMappingSequence[0]
    pixels = data.pixel_array.astype(float)
    values = pixels * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
    rescaled = pixels * float(data.RescaleSlope) + float(data.RescaleIntercept)
    assert numpy.array_equal(values, rescaled)
    valid = pixels != data.PixelPaddingValue if "PixelPaddingValue" in data else pixels == pixels
    assert mapping.RealWorldValueFirstValueMapped <= pixels[valid].min()
    assert mapping.RealWorldValueLastValueMapped >= pixels[valid].max()
    quantity = mapping.QuantityDefinitionSequence
    code = quantity[0].ConceptCodeSequence[0]
    unit = mapping.MeasurementUnitsCodeSequence[0]
    of = quantity[1].ConceptCodeSequence[0].CodeMeaning if len(quantity) > 1 else "value"
    position, orientation = numpy.array(data.ImagePositionPatient), numpy.array(data.ImageOrientationPatient)
    spacing = data.PixelSpacing
    middle = position + 3 * spacing[1] * orientation[:3] + 2 * spacing[0] * orientation[3:]
    print(data.SeriesNumber, code.CodeValue, code.CodingSchemeDesignator, unit.CodeValue, of, round(float(values[1, 1]), 3), *(round(float(v), 3) for v in middle), sep="|")
"#;

#[test]
fn pydicom_reads_the_same_values_units_and_places() {
    let has_pydicom = |python: &&str| {
        let output = Command::new(python).args(["-c", "import pydicom, numpy"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(has_pydicom) else {
        skipped("no Python with pydicom and numpy");
        return;
    };
    let (_folder, files) = files();
    let of_first_study = files.iter().filter(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("0_"))
    });
    let output = Command::new(python)
        .args(["-c", READ_BY_PYDICOM])
        .args(of_first_study)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<_> = said.lines().collect();
    lines.sort_unstable();
    // 810.4 ms lies on 810; 810.4 / 50 on 16.2; 810.4 / 30 % on 27.0; T2* on tenths.
    assert_eq!(
        lines,
        [
            "4403|113063|DCM|ms|value|810.0|10.0|-20.0|30.0",
            "4404|113063|DCM|ms|Standard Deviation|16.2|10.0|-20.0|30.0",
            "4405|113063|DCM|1|Coefficient of Determination|0.987|10.0|-20.0|30.0",
            "4420|113063|DCM|ms|value|810.0|10.0|-20.0|22.0",
            "4420|113063|DCM|ms|value|810.0|10.0|-20.0|30.0",
            "4420|113063|DCM|ms|value|810.0|10.0|-20.0|38.0",
            "4423|ECV|99BORESIDE|%|value|27.0|10.0|-20.0|30.0",
            "4424|ECV|99BORESIDE|%|Standard Deviation|0.5|10.0|-20.0|30.0",
            "4425|ECV|99BORESIDE|1|Coefficient of Determination|0.987|10.0|-20.0|30.0",
            "4430|113064|DCM|ms|value|810.4|10.0|-20.0|30.0",
            "4431|113064|DCM|ms|Standard Deviation|16.2|10.0|-20.0|30.0",
            "4432|113064|DCM|1|Coefficient of Determination|0.987|10.0|-20.0|30.0",
        ]
    );
}
