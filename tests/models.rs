//! Networks in chains of the real server: what they do, and that no scan is lost where they fail.

mod support;

use std::process::Command;

use inference::Tensor;
use inference::onnx::write_tensor;
use ismrmrd::wire::Message;
use ismrmrd::{Image, Pixels};
use pipeline::unprocessed;
use support::networks::{apply, has_runtime, pixels, send, serve, untouched};
use support::onnx::{self, Folder};
use support::{
    Client, TestServer, boreside, hearts, images, relative_error, run, run_well, skipped,
    small_scan, texts,
};

/// The answer holds the scan's images, untouched and marked, and text and log say why.
fn assert_fell_back(server: &TestServer, answer: Vec<Message>, original: &[f32], word: &str) {
    let told = texts(&answer).join("\n");
    assert!(told.contains("apply_model") && told.contains(word), "{word}: {told}");
    let images = images(answer);
    assert_eq!(images.len(), 1, "{word}: no image is lost");
    let meta = &images[0].meta;
    assert_eq!(pixels(&images[0]), original, "{word}: the image is as it was");
    assert!(unprocessed::is_marked(meta), "{word}");
    let reason = meta.get("BoresideModelFallback").unwrap_or_default();
    assert!(reason.contains(word), "{word}: {reason}");
    assert!(
        meta.values("ImageComments").iter().any(|text| text.contains(word)),
        "{word}: {meta:?}"
    );
    assert_eq!(meta.values("ImageComments"), meta.values("GADGETRON_ImageComment"), "{word}");
    server.wait_for_log(word);
}

#[test]
fn a_network_runs_on_each_image_and_the_image_says_which_and_where() {
    if !has_runtime() {
        return;
    }
    let folder = Folder::new();
    folder.put("doubling", &onnx::doubling(), |manifest| manifest);
    let server = serve(&folder, &[]);
    let original = untouched(&server);
    let answer = send(&server, &apply("doubling"), 3);
    assert!(texts(&answer).is_empty(), "{:?}", texts(&answer));
    let images = images(answer);
    assert_eq!(images.len(), 3);
    for image in &images {
        let doubled: Vec<f32> = original.iter().map(|value| 2.0 * value).collect();
        assert_eq!(pixels(image), doubled);
        let meta = &image.meta;
        assert_eq!(meta.get("BoresideModel"), Some("doubling 1.2.3"));
        assert_eq!(meta.get("BoresideModelProvider"), Some("cpu"));
        assert_eq!(meta.get("BoresideModelFallback"), Some("none"));
        let sha256 = inference::sha256_hex(&onnx::doubling());
        assert_eq!(meta.get("BoresideModelSha256"), Some(&*sha256));
        assert!(meta.get_f64("BoresideModelTimeMs").is_some_and(|ms| ms > 0.0));
        assert!(meta.values("ImageProcessingHistory").contains(&"MODEL doubling 1.2.3".to_owned()));
        assert!(
            meta.get("ImageComments").is_some_and(|text| text.contains("doubling 1.2.3 on cpu"))
        );
    }
    // The runtime's own profile says where the operator ran.
    server.wait_for_log("model doubling 1.2.3 is ready: cpu");
    server.stop();
}

#[test]
fn whatever_is_wrong_with_a_model_the_image_goes_on_untouched() {
    if !has_runtime() {
        return;
    }
    let folder = Folder::new();
    let good = onnx::doubling();
    let file = folder.put("other_file", &good, |manifest| manifest);
    std::fs::write(file, onnx::not_a_number()).expect("written");
    let file = folder.put("truncated", &good, |manifest| manifest);
    std::fs::write(file, &good[..good.len() / 2]).expect("written");
    folder.put("other_opset", &good, |manifest| manifest.replace("opset = 17", "opset = 18"));
    folder.put("other_shape", &good, |manifest| manifest.replace("\"n\", 1,", "\"n\", 3,"));
    folder
        .put("other_name", &good, |manifest| manifest.replace("name = \"result\"", "name = \"y\""));
    folder.put("no_manifest", &good, |_| "name = 7".to_owned());
    folder.put("unknown_operator", &onnx::unknown_operator(), |manifest| manifest);
    folder.put("out_of_range", &good, |manifest| {
        manifest.replace("[[output]]", "range = [0.0, 1e-9]\n[[output]]")
    });
    folder.put("other_field", &good, |manifest| {
        manifest.replace("[budget]", "[conditions]\nfield_strength_t = [7.0]\n[budget]")
    });
    folder.put("not_a_number", &onnx::not_a_number(), |manifest| manifest);
    folder.put("too_large", &good, |manifest| manifest + "guard = { range = [-1e-9, 1e-9] }\n");
    folder
        .put("slow", &onnx::slow(), |manifest| manifest.replace("time_ms = 20000", "time_ms = 60"));
    let server = serve(&folder, &[]);
    let original = untouched(&server);
    for (model, word) in [
        ("absent", "there is no model absent"),
        ("other_file", "the file has SHA-256"),
        ("truncated", "it is truncated"),
        ("other_opset", "the file needs opset 17, its manifest says 18"),
        ("other_shape", "has shape [n, 1, height, width] in the file, the manifest says [n, 3,"),
        ("other_name", "output `y` is in the manifest and not in the file, which has result"),
        ("no_manifest", "manifest: line 1: invalid type: integer `7`"),
        ("unknown_operator", "the runtime does not take the model"),
        ("out_of_range", "guard of the range of image"),
        ("other_field", "guard of the field strength"),
        ("not_a_number", "guard of the values of result"),
        ("too_large", "guard of the range of result"),
        ("slow", "did not answer within 60 ms"),
    ] {
        let answer = send(&server, &apply(model), 1);
        assert_fell_back(&server, answer, &original, word);
    }
    server.stop();
}

#[test]
fn a_model_whose_process_dies_costs_no_image_and_comes_back() {
    if !has_runtime() {
        return;
    }
    let folder = Folder::new();
    folder.put("slow", &onnx::slow(), |manifest| manifest);
    folder.put("doubling", &onnx::doubling(), |manifest| manifest);
    let server = serve(&folder, &[]);
    let original = untouched(&server);
    server.wait_for_log("model slow 1.2.3 is ready");
    let log = server.log();
    let line = log.lines().find(|line| line.contains("model slow 1.2.3 is ready"));
    let process = line.and_then(|line| line.rsplit("process ").next()).expect("its process");
    let process = process.trim().to_owned();
    // Killed once the call has begun, which its processor time shows.
    let killer = std::thread::spawn(move || {
        let cpu_ticks = || {
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            stat.rsplit(')').next()?.split_whitespace().nth(11)?.parse::<u64>().ok()
        };
        let before = cpu_ticks().expect("it runs");
        while cpu_ticks().is_some_and(|ticks| ticks < before + 10) {
            std::thread::yield_now();
        }
        Command::new("kill").args(["-9", &process]).status().expect("kill is there")
    });
    let answer = send(&server, &apply("slow"), 1);
    assert!(killer.join().expect("no panic").success());
    assert_fell_back(&server, answer, &original, "its process ended: signal 9");
    // Others were not touched, and it is started again.
    assert!(texts(&send(&server, &apply("doubling"), 1)).is_empty());
    let is_back = |log: &str| log.matches("model slow 1.2.3 is ready").count() == 2;
    while !is_back(&server.log()) {
        std::thread::yield_now();
    }
    server.stop();
}

#[test]
fn a_runtime_that_crashes_takes_no_session_down() {
    let folder = Folder::new();
    folder.put("doubling", &onnx::doubling(), |manifest| manifest);
    let source = folder.path().join("crash.c");
    let library = folder.path().join("libonnxruntime.so.1.99.0");
    std::fs::write(&source, "#include <stdlib.h>\nvoid *OrtGetApiBase(void) { abort(); }\n")
        .expect("written");
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    if !compiled.is_ok_and(|status| status.success()) {
        skipped("there is no C compiler");
        return;
    }
    let server = serve(&folder, &["--onnxruntime", library.to_str().expect("UTF-8")]);
    let original = untouched(&server);
    let answer = send(&server, &apply("doubling"), 1);
    assert_fell_back(&server, answer, &original, "its process ended: signal 6 (abort)");
    server.stop();
}

#[test]
fn a_gpu_that_is_not_there_never_becomes_a_processor_in_silence() {
    if !has_runtime() {
        return;
    }
    let folder = Folder::new();
    folder.put("doubling", &onnx::doubling(), |manifest| manifest);
    let server = serve(&folder, &["--provider", "cuda"]);
    let log = || server.log();
    let original = untouched(&server);
    let answer = send(&server, &apply("doubling"), 1);
    if texts(&answer).is_empty() {
        // A machine with a GPU: it ran there.
        assert_eq!(images(answer)[0].meta.get("BoresideModelProvider"), Some("cuda"), "{}", log());
        return;
    }
    assert_fell_back(&server, answer, &original, "cuda is asked for and cannot be had");
    server.stop();
    // A chain that insists on it does not start, with any provider of the server.
    let server = serve(&folder, &["--provider", "cpu"]);
    let insisting = apply("doubling") + "require = \"cuda\"\n";
    let answer = send(&server, &insisting, 1);
    let told = texts(&answer).join("\n");
    assert!(told.contains("model doubling runs on cpu, cuda is required"), "{told}");
    assert!(images(answer).is_empty());
    server.stop();
}

#[test]
fn a_model_that_is_deleted_or_exchanged_during_a_scan_is_noticed() {
    if !has_runtime() {
        return;
    }
    let folder = Folder::new();
    let file = folder.put("doubling", &onnx::doubling(), |manifest| manifest);
    let server = serve(&folder, &[]);
    let original = untouched(&server);
    let scan = small_scan(2);
    let mut client = Client::open_with(&server, &apply("doubling"), &scan.header().to_xml());
    let readouts: Vec<_> = scan.acquisitions().collect();
    let (first, second) = readouts.split_at(readouts.len() / 2);
    first.iter().for_each(|readout| client.send(readout.clone()));
    // The first repetition ends with the first readout of the next.
    client.send(second[0].clone());
    let Some(Message::Image(image)) = client.read() else { panic!("an image") };
    assert_eq!(image.meta.get("BoresideModelFallback"), Some("none"));
    std::fs::remove_file(file).expect("it was there");
    second[1..].iter().for_each(|readout| client.send(readout.clone()));
    client.send(Message::Close);
    let answer = client.read_to_close();
    assert_fell_back(&server, answer, &original, "model doubling was deleted");
    // Put back, it is used again.
    folder.put("doubling", &onnx::doubling(), |manifest| manifest);
    let answer = send(&server, &apply("doubling"), 1);
    assert!(texts(&answer).is_empty(), "{:?}", texts(&answer));
    server.stop();
}

#[test]
fn ten_sessions_share_one_model_and_get_what_one_gets() {
    if !has_runtime() {
        return;
    }
    let folder = Folder::new();
    folder.put("doubling", &onnx::doubling(), |manifest| {
        manifest.replace("time_ms = 20000", "time_ms = 20000\nmax_batch = 4")
    });
    let server = serve(&folder, &[]);
    let doubled: Vec<f32> = untouched(&server).iter().map(|value| 2.0 * value).collect();
    std::thread::scope(|scope| {
        let sessions: Vec<_> =
            (0..10).map(|_| scope.spawn(|| images(send(&server, &apply("doubling"), 4)))).collect();
        for session in sessions {
            let images = session.join().expect("no panic");
            assert_eq!(images.len(), 4);
            assert!(images.iter().all(|image| pixels(image) == doubled));
            assert!(images.iter().all(|image| !unprocessed::is_marked(&image.meta)));
        }
    });
    assert_eq!(
        server.log().matches("model doubling 1.2.3 is ready").count(),
        1,
        "{}",
        server.log()
    );
    server.stop();
}

#[test]
fn models_keep_within_their_memory_and_make_room_for_each_other() {
    if !has_runtime() {
        return;
    }
    let folder = Folder::new();
    for name in ["first", "second"] {
        folder.put(name, &onnx::doubling(), |manifest| manifest);
    }
    let server = serve(&folder, &["--models-mib", "1500"]);
    for name in ["first", "second", "first"] {
        let answer = send(&server, &apply(name), 1);
        assert!(texts(&answer).is_empty(), "{name}: {:?}", texts(&answer));
    }
    server.wait_for_log("model first makes room for second");
    server.wait_for_log("model second makes room for first");
    server.stop();
    let server = serve(&folder, &["--models-mib", "100"]);
    let original = untouched(&server);
    let answer = send(&server, &apply("first"), 1);
    assert_fell_back(&server, answer, &original, "model first needs 1024 MiB");
    server.stop();
}

#[test]
fn a_model_that_disagrees_with_its_golden_arrays_is_refused() {
    if !has_runtime() {
        return;
    }
    let folder = Folder::new();
    let with_golden =
        |manifest: String| manifest.replace("[[input]]", "[golden]\ntolerance = 1e-5\n[[input]]");
    for (name, value) in [("right", 6.0), ("wrong", 6.1)] {
        folder.put(name, &onnx::doubling(), with_golden);
        let golden = folder.path().join(format!("{name}.golden"));
        std::fs::create_dir(&golden).expect("made");
        for (file, name, value) in [("input_0.pb", "image", 3.0), ("output_0.pb", "result", value)]
        {
            let tensor = Tensor::from_f32(&[1, 1, 1, 1], vec![value]).expect("one element");
            std::fs::write(golden.join(file), write_tensor(name, &tensor)).expect("written");
        }
    }
    let checked = run(&["models", "check", folder.text()]);
    assert!(!checked.status.success());
    let text = String::from_utf8(checked.stdout).expect("UTF-8");
    assert!(text.contains("right: good: cpu"), "{text}");
    assert!(text.contains("operators 1 on CPUExecutionProvider"), "{text}");
    assert!(text.contains("golden check within 0.0e0"), "{text}");
    assert!(text.contains("wrong: REFUSED"), "{text}");
    assert!(text.contains("output `result` differs from the golden one by 1.64e-2"), "{text}");
}

#[test]
fn what_a_model_lacks_is_told_once_with_what_to_do() {
    let folder = Folder::new();
    for name in ["alone", "bare", "whole"] {
        folder.put(name, &onnx::doubling(), |manifest| match name {
            "bare" => manifest.replace("[[input]]", "[golden]\ntolerance = 1e-5\n[[input]]"),
            _ => manifest,
        });
    }
    std::fs::remove_file(folder.path().join("alone.onnx")).expect("there");
    let nowhere = folder.path().join("nowhere.so");
    let nowhere = nowhere.to_str().expect("UTF-8");
    let place = ["--models", folder.text(), "--onnxruntime", nowhere];
    let listed = run(&[&["models", "list"], &place[..]].concat());
    assert!(listed.status.success());
    assert!(listed.stderr.is_empty(), "{}", String::from_utf8_lossy(&listed.stderr));
    let text = String::from_utf8(listed.stdout).expect("UTF-8");
    for (name, what, remedy) in [
        ("alone", "alone.onnx, which its manifest names", "put the file there"),
        ("bare", "there is no golden array for `image`", "put the arrays (input_0.pb"),
        ("whole", "nowhere.so cannot be used: there is no such file", "name another one"),
    ] {
        let from = text.find(&format!("REFUSED: model {name}")).expect("it is refused");
        let told: Vec<_> = text[from..].lines().take(2).collect();
        assert!(told[0].contains(what) && told[1].contains(remedy), "{told:?}");
    }
    let found = run(&["models", "runtime", "--no-models", "--onnxruntime", nowhere]);
    let text = String::from_utf8(found.stdout).expect("UTF-8");
    assert!(text.contains(&format!("not found at {nowhere}")), "{text}");
}

#[test]
fn the_command_line_lists_describes_and_times_models() {
    let folder = Folder::new();
    folder.put("doubling", &onnx::doubling(), |manifest| manifest);
    let list = run_well(&["models", "list", "--no-load", "--models", folder.text()]);
    assert!(list.contains("doubling") && list.contains("1.2.3"), "{list}");
    let card = run_well(&["models", "card", "doubling", "--models", folder.text()]);
    assert!(card.starts_with("# doubling 1.2.3\n"), "{card}");
    assert!(card.contains("| in | `image` | image | n × 1 × height × width |"), "{card}");
    let schema = run_well(&["models", "schema"]);
    assert!(schema.contains("\"sha256\""), "{schema}");
    let embedded = boreside()
        .args(["models", "check", "doubling", "--provider", "embedded", "--models", folder.text()])
        .output()
        .expect("the program starts");
    let text = String::from_utf8(embedded.stdout).expect("UTF-8");
    assert!(text.contains("built without it") || text.contains("good: embedded"), "{text}");
    if has_runtime() {
        let times =
            run_well(&["models", "bench", "doubling", "--calls", "3", "--models", folder.text()]);
        assert_eq!(times.lines().count(), 5, "{times}");
    }
}

#[test]
fn the_wall_and_the_blood_of_unseen_hearts_are_found() {
    if !has_runtime() {
        return;
    }
    let server = TestServer::start(&[]);
    let chain = "[[gadget]]\nuse = \"apply_model\"\nmodel = \"lv_segmentation\"\n";
    let header = small_scan(1).header().to_xml();
    let mut client = Client::open_with(&server, chain, &header);
    const N: u64 = 12;
    let truth: Vec<_> = (0..N)
        .map(|index| {
            let (image, classes) = hearts::heart(index);
            client.send(image);
            classes
        })
        .collect();
    client.send(Message::Close);
    let answer = client.read_to_close();
    assert!(texts(&answer).is_empty(), "{:?}", texts(&answer));
    let (masks, sources): (Vec<_>, Vec<_>) = images(answer)
        .into_iter()
        .partition(|image| image.meta.get("DataRole") == Some("Segmentation"));
    assert_eq!((masks.len(), sources.len()), (N as usize, N as usize));
    let mut mean = [0.0; 3];
    for (mask, truth) in masks.iter().zip(&truth) {
        let Pixels::U16(labels) = &mask.pixels else { panic!("labels are integers") };
        let labels: Vec<u16> = labels.iter().copied().collect();
        for (sum, class) in mean.iter_mut().zip(1..) {
            *sum += hearts::dice(&labels, truth, class) / N as f64;
        }
    }
    println!("Dice of wall, left and right blood: {mean:.3?}");
    assert!(mean.iter().all(|dice| *dice >= 0.9), "{mean:?}");
    let spacing_mm2 = 1.875 * 1.875;
    let mut areas = [0.0; 2];
    for (source, truth) in sources.iter().zip(&truth) {
        let meta = &source.meta;
        assert!(meta.values("ROI_myocardium").len() > 6 + 2 * 20, "an outline of the wall");
        let text = meta.get("BoresideMeasurement").expect("it was measured");
        let measured: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let area = &measured["measured"]["area_mm2"]["myocardium"];
        areas[0] += area.as_f64().expect("a number");
        areas[1] += truth.iter().filter(|class| **class == 1).count() as f64 * spacing_mm2;
    }
    // Single hearts may be off by a quarter; their sum is not.
    assert!((areas[0] / areas[1] - 1.0).abs() < 0.1, "found and true areas {areas:?} mm²");
    server.stop();
}

#[test]
fn the_built_in_denoiser_takes_noise_away_and_keeps_the_scale() {
    if !has_runtime() {
        return;
    }
    let server = TestServer::start(&[]);
    let chain = "[[gadget]]\nuse = \"apply_model\"\nmodel = \"denoise_magnitude\"\n";
    let header = small_scan(1).header().to_xml();
    for index in 0..4 {
        let (clean, image) = (hearts::heart_at(index, 1e8), hearts::heart_at(index, 10.0));
        let mut client = Client::open_with(&server, chain, &header);
        client.send(image.clone());
        client.send(Message::Close);
        let answer = client.read_to_close();
        assert!(texts(&answer).is_empty(), "{:?}", texts(&answer));
        let images = images(answer);
        assert_eq!(images.len(), 1);
        let error = |image: &Image| relative_error(&pixels(image), &pixels(&clean));
        let (before, after) = (error(&image), error(&images[0]));
        println!("heart {index}: {before:.4} before, {after:.4} after");
        assert!(after < 0.7 * before, "heart {index}: {before} before, {after} after");
    }
    server.stop();
}
