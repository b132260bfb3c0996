//! The models that are part of the program.

use inference::BuiltIn;

macro_rules! file {
    ($name:expr) => {
        include_bytes!(concat!("../../../../gadgets/model/models/", $name))
    };
}

macro_rules! built_in {
    ($($name:literal: $($golden:literal)*;)*) => {
        &[$(BuiltIn {
            manifest: include_str!(concat!("../../../../gadgets/model/models/", $name, ".toml")),
            model: file!(concat!($name, ".onnx")),
            golden: &[$(($golden, file!(concat!($name, ".golden/", $golden))),)*],
        },)*]
    };
}

/// Those of `gadgets/model/models`, with the files of their golden sets.
pub const BUILT_IN: &[BuiltIn] = built_in! {
    "denoise_magnitude": "input_0.pb" "input_1.pb" "output_0.pb";
    "lv_segmentation": "input_0.pb" "output_0.pb" "output_1.pb";
    "t1_map_quality": "input_0.pb" "output_0.pb" "output_1.pb";
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
