//! The models that are part of the program.

use inference::BuiltIn;

macro_rules! file {
    ($family:literal, $name:expr) => {
        include_bytes!(concat!("../../../../gadgets/", $family, "/models/", $name))
    };
}

macro_rules! built_in {
    ($($family:literal $name:literal: $($golden:literal)*;)*) => {
        &[$(BuiltIn {
            manifest: include_str!(concat!(
                "../../../../gadgets/", $family, "/models/", $name, ".toml"
            )),
            model: file!($family, concat!($name, ".onnx")),
            golden: &[
                $(($golden, file!($family, concat!($name, ".golden/", $golden))),)*
            ],
        },)*]
    };
}

/// Those of the gadgets, by family, with the files of their golden sets.
pub const BUILT_IN: &[BuiltIn] = built_in! {
    "model" "denoise_magnitude": "input_0.pb" "input_1.pb" "output_0.pb";
    "model" "lv_segmentation": "input_0.pb" "output_0.pb" "output_1.pb";
    "model" "t1_map_quality": "input_0.pb" "output_0.pb" "output_1.pb";
    "cmrf" "fingerprint_t1_t2": "input_0.pb" "input_1.pb" "input_2.pb" "output_0.pb";
    "cartesian" "series_regulariser": "input_0.pb" "input_1.pb" "input_2.pb" "output_0.pb" "output_1.pb";
    "dti" "diffusion_denoising": "input_0.pb" "input_1.pb" "output_0.pb";
    "mapping" "t1_from_few_images": "input_0.pb" "input_1.pb" "input_2.pb" "output_0.pb";
    "moco" "motion_of_series": "input_0.pb" "input_1.pb" "input_2.pb" "output_0.pb";
};

#[cfg(test)]
mod tests {
    use super::*;
    use inference::{GoldenSet, Manifest, check};

    #[test]
    fn manifests_files_and_golden_sets_fit_together() {
        for built_in in BUILT_IN {
            let manifest = Manifest::parse(built_in.manifest).expect("a good manifest");
            if let Err(difference) = check(&manifest, built_in.model) {
                panic!("{}: {difference}", manifest.name);
            }
            let golden = GoldenSet::read_with(&manifest, |name| {
                let file = built_in.golden.iter().find(|(known, _)| *known == name);
                Ok(file.map(|(_, bytes)| bytes.to_vec()))
            });
            assert!(golden.is_ok(), "{}: {golden:?}", manifest.name);
        }
    }
}
