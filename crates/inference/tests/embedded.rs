//! The runtime that is part of the program against golden arrays, which ONNX Runtime gave:
//! `cargo test --release -p inference --features embedded --test embedded -- --nocapture`
#![cfg(feature = "embedded")]

use std::path::Path;

use inference::{Engine, EngineOptions, GoldenSet, Manifest, ProviderChoice};

#[test]
fn the_embedded_runtime_agrees_with_the_golden_arrays_of_all_models() {
    let gadgets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../gadgets");
    let options = EngineOptions {
        provider: ProviderChoice::Embedded,
        n_threads: 1,
        ..EngineOptions::default()
    };
    let mut wrong = Vec::new();
    for (family, name) in [
        ("model", "denoise_magnitude"),
        ("model", "lv_segmentation"),
        ("model", "t1_map_quality"),
        ("moco", "motion_of_series"),
    ] {
        let folder = gadgets.join(family).join("models");
        let read = |file: &str| std::fs::read(folder.join(file)).expect("the model's files");
        let manifest = String::from_utf8(read(&format!("{name}.toml"))).expect("UTF-8");
        let manifest = Manifest::parse(&manifest).expect("a good manifest");
        let golden = GoldenSet::read_with(&manifest, |file| {
            Ok(std::fs::read(folder.join(format!("{name}.golden")).join(file)).ok())
        });
        let golden = golden.expect("its golden arrays");
        let result = Engine::load(&read(&format!("{name}.onnx")), &options, None)
            .and_then(|mut engine| engine.run(&golden.inputs, None));
        let tolerance = manifest.golden.as_ref().expect("it has golden arrays").tolerance;
        match result.map(|outputs| golden.compare(&outputs, tolerance)) {
            Ok(Ok(difference)) => println!("{name}: {difference:.1e} of {tolerance:.0e}"),
            Ok(Err(error)) => wrong.push(format!("{name}: {error}")),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
