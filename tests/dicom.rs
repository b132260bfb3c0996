//! DICOM out of the real program: files, archives that are away, refuse, and come back, exports.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use ismrmrd::wire::Message as Mrd;
use ismrmrd::{Header, Image, ImageHeader, Meta, Pixels};
use ndarray::Array3;
use pipeline::{ParametricMap, Presentation, Unit, Verdict, View};
use server::proto::{self, FileFormat};
use support::archive::{Given, c_store, free_port, stow};
use support::control::{Call, Watcher, has_ended};
use support::{Client, TestServer, hearts, images, reconstruct, run, run_well, small_scan, texts};

/// A map that lies oblique, with one value that there is not.
fn t1_map() -> ParametricMap {
    let (a, b) = (0.6_f32, 0.8_f32);
    let header = ImageHeader {
        position: [10.0, -20.0, 30.0],
        read_dir: [b, a, 0.0],
        phase_dir: [-a, b, 0.0],
        slice_dir: [0.0, 0.0, 1.0],
        field_of_view: [12.0, 15.0, 8.0],
        image_index: 1,
        image_series_index: 3,
        ..ImageHeader::default()
    };
    let values = Array3::from_shape_fn((1, 5, 6), |(_, y, x)| {
        if (y, x) == (0, 0) { 0.0 } else { 700.4 + 100.0 * y as f32 + 10.0 * x as f32 }
    });
    let view =
        View { window: Some([1300.0, 1300.0]), color_map: Some("lipari"), ..View::default() };
    ParametricMap {
        quantity: "T1".to_owned(),
        unit: Unit::Ms,
        header,
        meta: Meta::new(),
        sd: Some(values.mapv(|value| value / 50.0)),
        values,
        r_squared: None,
        verdict: Some(Verdict::Check("motion of 4 px".to_owned())),
        presentation: Presentation { values: view, ..Presentation::default() },
    }
}

fn header() -> String {
    let mut header =
        Header { encoding: vec![ismrmrd::xml::Encoding::default()], ..Header::default() };
    header.subject_information = Some(ismrmrd::xml::SubjectInformation {
        patient_name: Some("Curie^Marie".to_owned()),
        patient_id: Some("4711".to_owned()),
        ..Default::default()
    });
    header.measurement_information = Some(ismrmrd::xml::MeasurementInformation {
        measurement_id: Some("1_2_3_44".to_owned()),
        protocol_name: Some("MOLLI sax".to_owned()),
        patient_position: Some(ismrmrd::xml::PatientPosition::Hfs),
        ..Default::default()
    });
    header.to_xml()
}

/// A chain of nothing but the gadget.
fn chain(properties: &str) -> String {
    format!("input = [\"image\"]\n\n[[gadget]]\nuse = \"write_dicom\"\n{properties}")
}

/// Sends a map and its uncertainty through a chain; what came back.
fn send_map(server: &TestServer, chain: &str) -> Vec<Mrd> {
    let mut client = Client::open_with(server, chain, &header());
    for image in t1_map().into_images() {
        client.send(Mrd::Image(image));
    }
    client.send(Mrd::Close);
    client.read_to_close()
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "dcm"))
        .collect();
    files.sort();
    files
}

fn text(object: &InMemDicomObject, tag: dicom_core::Tag) -> String {
    object.element(tag).expect("it is there").to_str().expect("a text").trim().to_owned()
}

fn numbers(object: &InMemDicomObject, tag: dicom_core::Tag) -> Vec<f64> {
    object.element(tag).expect("it is there").to_multi_float64().expect("numbers")
}

/// Values of an object in its unit; [`None`] where there is none.
fn values(object: &InMemDicomObject) -> Vec<Option<f64>> {
    let [slope, intercept] = [tags::RESCALE_SLOPE, tags::RESCALE_INTERCEPT]
        .map(|tag| object.get(tag).map(|element| element.to_float64().expect("a number")));
    let padding =
        object.get(tags::PIXEL_PADDING_VALUE).map(|e| e.to_int::<i32>().expect("a number"));
    let bytes = object.element(tags::PIXEL_DATA).expect("pixels").to_bytes().expect("bytes");
    let pixels = bytes.chunks_exact(2).map(|two| i32::from(i16::from_le_bytes([two[0], two[1]])));
    pixels
        .map(|pixel| {
            (Some(pixel) != padding)
                .then(|| f64::from(pixel) * slope.unwrap_or(1.0) + intercept.unwrap_or(0.0))
        })
        .collect()
}

#[test]
fn a_maps_files_lead_back_to_its_values_and_its_place() {
    let server = TestServer::start(&[]);
    let back = send_map(&server, &chain("parametric_map = true\ncolor = true"));
    assert!(texts(&back).iter().any(|text| text.contains("DICOM: 5 objects in")), "{back:?}");
    assert_eq!(images(back).len(), 2, "the client gets its images all the same");
    let folder = server.data.path().join("saved/dicom");
    let files = files_in(&folder);
    assert_eq!(files.len(), 5, "two as MR, two as floats, one in colours: {files:?}");
    let open = |part: &str| {
        let path = files.iter().find(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            name.contains(part)
                && (part.contains("float")
                    || part.contains("color")
                    || !(name.contains("float") || name.contains("color")))
        });
        dicom_object::open_file(path.expect("it is there")).expect("it can be read").into_inner()
    };
    let map = open("_t1_0001");
    let truth = t1_map().values;
    for (value, truth) in values(&map).into_iter().zip(&truth) {
        match value {
            Some(value) => assert!((value - f64::from(*truth)).abs() <= 0.5, "{value} {truth}"),
            None => assert_eq!(*truth, 0.0),
        }
    }
    // Pixel 3, 2 of 6 × 5 lies at the image's position.
    let (origin, spacing) =
        (numbers(&map, tags::IMAGE_POSITION_PATIENT), numbers(&map, tags::PIXEL_SPACING));
    let orientation = numbers(&map, tags::IMAGE_ORIENTATION_PATIENT);
    for axis in 0..3 {
        let there = origin[axis]
            + 3.0 * spacing[1] * orientation[axis]
            + 2.0 * spacing[0] * orientation[3 + axis];
        assert!((there - [10.0, -20.0, 30.0][axis]).abs() < 1e-3, "{there}");
    }
    assert_eq!(text(&map, tags::PATIENT_NAME), "Curie^Marie");
    assert_eq!(text(&map, tags::SERIES_DESCRIPTION), "MOLLI sax T1");
    assert_eq!(text(&map, tags::IMAGE_TYPE), "DERIVED\\PRIMARY\\M\\T1");
    assert!(text(&map, tags::IMAGE_COMMENTS).starts_with("CHECK: motion of 4 px"));
    let sd = open("_t1_sd_0001");
    for (value, truth) in values(&sd).into_iter().zip(&truth) {
        let truth = f64::from(*truth) / 50.0;
        match value {
            Some(value) => assert!((value - truth).abs() <= 0.0501, "{value} {truth}"),
            None => assert_eq!(truth, 0.0),
        }
    }
    assert_eq!(text(&map, tags::STUDY_INSTANCE_UID), text(&sd, tags::STUDY_INSTANCE_UID));
    assert_ne!(text(&map, tags::SERIES_INSTANCE_UID), text(&sd, tags::SERIES_INSTANCE_UID));
    let float = open("_t1_0001_000_float");
    let floats =
        float.element(tags::FLOAT_PIXEL_DATA).expect("floats").to_multi_float32().expect("f32");
    for (value, truth) in floats.iter().zip(&truth) {
        assert!(value == truth || (value.is_nan() && *truth == 0.0));
    }
    let color = open("_t1_0001_000_color");
    assert_eq!(text(&color, tags::PHOTOMETRIC_INTERPRETATION), "RGB");
    // The same once more: objects of another session, with other UIDs, beside these.
    send_map(&server, &chain(""));
    assert_eq!(files_in(&folder).len(), 7);
    server.stop();
}

/// Series numbers of the next objects.
fn series(given: &Given, n: usize) -> Vec<String> {
    let mut series: Vec<_> = (0..n).map(|_| text(&given.next(), tags::SERIES_NUMBER)).collect();
    series.sort();
    series
}

#[test]
fn what_an_archive_missed_it_gets_when_it_is_back_also_after_a_restart() {
    let port = free_port();
    let chain = chain(&format!("send_to = \"ARCHIVE@127.0.0.1:{port}\""));
    let mut server = TestServer::start(&[]);
    let back = send_map(&server, &chain);
    assert_eq!(images(back).len(), 2, "the scan is not held up");
    server.wait_for_log("does not answer");
    let archive = c_store(port, |_| 0);
    assert_eq!(series(&archive, 2), ["4403", "4404"]);
    server.wait_for_log("is back");
    // Once more on another port, killed while that is away.
    let port = free_port();
    let chain = chain_for(port);
    send_map(&server, &chain);
    server.wait_for_log(&format!("127.0.0.1:{port} does not answer"));
    server.kill();
    let data = server.take_data();
    let archive = c_store(port, |_| 0);
    let server = TestServer::start_in(data, support::boreside(), &[]);
    assert_eq!(series(&archive, 2), ["4403", "4404"]);
    server.stop();
    assert!(archive.is_empty(), "each once");
}

fn chain_for(port: u16) -> String {
    chain(&format!("send_to = \"ARCHIVE@127.0.0.1:{port}\""))
}

#[test]
fn what_an_archive_refuses_is_put_away_with_its_reason_and_the_rest_is_sent() {
    let port = free_port();
    // The first is bad, the second comes at a bad moment.
    let archive = c_store(port, |n| [0xA900, 0xA700, 0][n.min(2)]);
    let server = TestServer::start(&[]);
    send_map(&server, &chain_for(port));
    assert_eq!(series(&archive, 1).len(), 1);
    server.wait_for_log("does not take a DICOM object");
    let outbox = server.data.path().join("dicom-outbox");
    let lane = fs::read_dir(&outbox).expect("there").flatten().find(|entry| entry.path().is_dir());
    let lane = lane.expect("the archive's folder").path();
    let refused = files_in(&lane.join("refused"));
    assert_eq!(refused.len(), 1);
    let reason = fs::read_to_string(refused[0].with_extension("txt")).expect("the reason");
    assert!(reason.contains("status A900"), "{reason}");
    server.stop();
    assert!(files_in(&lane).is_empty(), "nothing waits");
}

#[test]
fn a_dicomweb_service_that_stumbles_gets_everything_with_the_token() {
    let port = free_port();
    let (archive, tokens) = stow(port, |n| if n == 0 { 503 } else { 200 });
    let server = TestServer::start(&[]);
    let token = server.data.path().join("token");
    fs::write(&token, "secret\n").expect("writable");
    let properties = format!(
        "send_to = \"http://127.0.0.1:{port}/dicom-web\"\ntoken_file = {:?}",
        token.display().to_string()
    );
    send_map(&server, &chain(&properties));
    assert_eq!(series(&archive, 2), ["4403", "4404"]);
    assert_eq!(tokens.recv().expect("it came"), "Bearer secret");
    server.stop();
}

#[test]
fn a_site_sends_all_maps_without_a_word_in_its_chains() {
    let port = free_port();
    let archive = c_store(port, |_| 0);
    let to = format!("ARCHIVE@127.0.0.1:{port}");
    let server = TestServer::start(&["--dicom-send", &to]);
    reconstruct(&server, "cartesian_fft", &small_scan(1));
    let back = images(reconstruct(&server, "molli_t1", &hearts::molli()));
    let is_map = |image: &&Image| image.meta.get("DataRole") == Some("Quantitative");
    let maps: Vec<_> = back.iter().filter(is_map).collect();
    assert!(!maps.is_empty());
    for _ in &maps {
        let object = archive.next();
        let quantity = text(&object, tags::IMAGE_TYPE);
        assert!(quantity.starts_with("DERIVED\\PRIMARY\\M\\T1"), "{quantity}");
        if quantity.ends_with("T1") {
            // As the client got it, to half a millisecond.
            let map = maps.iter().find(|m| m.meta.get("GADGETRON_DataRole") == Some("T1"));
            let Pixels::F32(truth) = &map.expect("it came").pixels else { panic!("floats") };
            for (value, truth) in values(&object).into_iter().zip(truth) {
                let truth = f64::from(*truth);
                assert!(value.map_or(truth == 0.0, |value| (value - truth).abs() <= 0.5001));
            }
        }
    }
    server.stop();
    assert!(archive.is_empty(), "no image was asked for");
}

#[test]
fn an_archive_is_asked_and_files_are_sent_from_the_command_line() {
    let port = free_port();
    let to = format!("ARCHIVE@127.0.0.1:{port}");
    let away = run(&["dicom", "echo", "--to", &to]);
    assert!(!away.status.success());
    assert!(String::from_utf8_lossy(&away.stderr).contains("does not answer"));
    let archive = c_store(port, |_| 0);
    assert_eq!(run_well(&["dicom", "echo", "--to", &to]), format!("{to} is there\n"));
    let stranger = run(&["dicom", "echo", "--to", &to.replace("ARCHIVE", "OTHER")]);
    assert!(String::from_utf8_lossy(&stranger.stderr).contains("does not accept BORESIDE"));
    // A recording with images becomes files, these are sent.
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("images.mrd");
    let mut writer = ismrmrd::wire::Writer::new(fs::File::create(&recording).expect("writable"));
    writer.write(&Mrd::Header(header())).expect("writable");
    for image in t1_map().into_images() {
        writer.write(&Mrd::Image(image)).expect("writable");
    }
    writer.write(&Mrd::Close).expect("writable");
    writer.flush().expect("writable");
    let out = folder.path().join("out");
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let convert = ["dicom", "convert", &path(&recording), "-o", &path(&out)];
    assert!(run_well(&convert).starts_with("2 images, 2 DICOM files in "));
    let first: Vec<_> = files_in(&out).iter().map(|f| fs::read(f).expect("there").len()).collect();
    // Once more: the same objects under the same names.
    run_well(&convert);
    let files = files_in(&out);
    assert_eq!(files.len(), first.len());
    let mut send = vec!["dicom".to_owned(), "send".to_owned(), "--to".to_owned(), to.clone()];
    send.extend(files.iter().map(|file| path(file)));
    let send: Vec<&str> = send.iter().map(String::as_str).collect();
    assert_eq!(run_well(&send), format!("2 of 2 files are at {to}\n"));
    assert_eq!(series(&archive, 2), ["4403", "4404"]);
}

/// A file out of the control plane: its name, type and bytes.
fn export(server: &TestServer, ids: &[u64], format: FileFormat) -> (String, String, Vec<u8>) {
    let request = proto::ExportImagesRequest { ids: ids.to_vec(), format: format.into() };
    let mut call = Call::start(server, "ImageService/ExportImages", &request);
    let (mut name, mut media_type, mut file) = (String::new(), String::new(), Vec::new());
    while let Some(piece) = call.next::<proto::ExportImagesResponse>() {
        if file.is_empty() {
            (name, media_type) = (piece.file_name, piece.media_type);
        }
        file.extend_from_slice(&piece.data);
    }
    assert_eq!(call.status().map(|status| status.code), Some(0), "{:?}", call.status());
    (name, media_type, file)
}

#[test]
fn images_leave_the_control_plane_as_dicom_and_hdf5_with_the_patient_where_that_is_allowed() {
    for is_shown in [false, true] {
        let mut arguments = vec!["--http", "127.0.0.1:0"];
        arguments.extend(is_shown.then_some("--show-patients"));
        let server = TestServer::start(&arguments);
        let mut watcher = Watcher::start(&server, None);
        send_map(&server, &chain("folder = \"dicom\""));
        let told = watcher.images_until(has_ended(1));
        let ids: Vec<u64> =
            told.iter().filter_map(|new| new.image.as_ref()).map(|i| i.id).collect();
        let (name, media_type, file) = export(&server, &ids[..1], FileFormat::Dicom);
        assert_eq!(
            (name.as_str(), media_type.as_str()),
            ("boreside-session-1-image-1.dcm", "application/dicom")
        );
        let object = dicom_object::from_reader(file.as_slice()).expect("DICOM").into_inner();
        assert_eq!(values(&object)[7], Some(810.0));
        let patient = if is_shown { "Curie^Marie" } else { "" };
        assert_eq!(text(&object, tags::PATIENT_NAME), patient);
        let id = if is_shown { "4711" } else { "" };
        assert_eq!(text(&object, tags::PATIENT_ID), id);
        let (name, media_type, file) = export(&server, &ids, FileFormat::Dicom);
        assert_eq!(
            (name.as_str(), media_type.as_str()),
            ("boreside-session-1-dicom.zip", "application/zip")
        );
        let mut archive = zip::ZipArchive::new(Cursor::new(file)).expect("a ZIP archive");
        let mut studies = BTreeMap::new();
        for n in 0..archive.len() {
            let mut bytes = Vec::new();
            archive.by_index(n).expect("there").read_to_end(&mut bytes).expect("whole");
            let object = dicom_object::from_reader(bytes.as_slice()).expect("DICOM").into_inner();
            *studies.entry(text(&object, tags::STUDY_INSTANCE_UID)).or_insert(0) += 1;
        }
        assert_eq!(studies.into_values().collect::<Vec<_>>(), [2], "one study");
        let (name, _, file) = export(&server, &ids, FileFormat::MrdHdf5);
        assert_eq!(name, "boreside-session-1.h5");
        let path = server.data.path().join("export.h5");
        fs::write(&path, file).expect("writable");
        let report = run_well(&["inspect", path.to_str().expect("UTF-8")]);
        assert!(report.contains("image"), "{report}");
        server.stop();
    }
}

#[test]
fn gadgetrons_dicom_chain_sends_files_to_its_client() {
    let server = TestServer::start(&[]);
    let back = reconstruct(&server, "dicom.xml", &small_scan(2));
    let files: Vec<_> = back
        .iter()
        .filter_map(|message| match message {
            Mrd::Dicom { data, file_name, .. } => Some((data, file_name)),
            _ => None,
        })
        .collect();
    assert_eq!(files.len(), 2, "{back:?}");
    for (data, name) in files {
        assert!(name.ends_with(".dcm"));
        let object = dicom_object::from_reader(data.as_slice()).expect("DICOM").into_inner();
        assert!(values(&object).iter().flatten().any(|value| *value > 0.0));
    }
    server.stop();
}

#[test]
fn a_full_outbox_leaves_out_what_has_no_room_and_says_so() {
    // A few bytes: no object fits.
    let server = TestServer::start(&["--dicom-outbox-gib", "0.0000001"]);
    let back = send_map(&server, &chain_for(free_port()));
    assert!(texts(&back).iter().any(|text| text.contains("is full")), "{:?}", texts(&back));
    assert_eq!(images(back).len(), 2);
    server.stop();
}
