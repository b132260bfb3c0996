//! The one list of gadgets, and the chains that are built in.

use pipeline::{ChainLibrary, Registry};

use crate::cli::ChainFolder;

/// All gadgets, a line each.
pub fn registry() -> Registry {
    Registry::new()
        .with::<acquisition::AdjustAsymmetricEcho>()
        .with::<acquisition::AdjustNoise>()
        .with::<acquisition::CollectByFlags>()
        .with::<acquisition::CollectReadouts>()
        .with::<acquisition::CompressChannels>()
        .with::<acquisition::Discard>()
        .with::<acquisition::InjectFault>()
        .with::<acquisition::ListDependencies>()
        .with::<acquisition::Passthrough>()
        .with::<acquisition::RemoveOversampling>()
        .with::<acquisition::SaveData>()
        .with::<acquisition::SaveCopy>()
        .with::<acquisition::SelectChannels>()
        .with::<acquisition::SortKSpace>()
        .with::<acquisition::SummariseNoise>()
        .with::<cartesian::AdjustFieldOfView>()
        .with::<cartesian::CgSense>()
        .with::<cartesian::CombineChannels>()
        .with::<cartesian::CompressCoils>()
        .with::<cartesian::CorrectEpiPhase>()
        .with::<cartesian::CutReadout>()
        .with::<cartesian::FilterKSpace>()
        .with::<cartesian::GatherReplicas>()
        .with::<cartesian::Grappa>()
        .with::<cartesian::ImageToKSpace>()
        .with::<cartesian::InjectNoise>()
        .with::<cartesian::MergeEncodingSpaces>()
        .with::<cartesian::NoiseSdMap>()
        .with::<cartesian::PartialFourierFilter>()
        .with::<cartesian::PartialFourierHomodyne>()
        .with::<cartesian::PartialFourierPocs>()
        .with::<cartesian::PrepareReference>()
        .with::<cartesian::PseudoReplica>()
        .with::<cartesian::ReconstructCoils>()
        .with::<cartesian::ReconstructFft>()
        .with::<cartesian::ReconstructSeries>()
        .with::<cartesian::RegridEpi>()
        .with::<cartesian::ScaleSeries>()
        .with::<cartesian::Spirit>()
        .with::<cartesian::SpiritNonLinear>()
        .with::<cartesian::TransformKSpace>()
        .with::<cartesian::TransformReadout>()
        .with::<cmrf::ClassifyFingerprint>()
        .with::<cmrf::MapFingerprint>()
        .with::<cmrf::ReconstructFingerprint>()
        .with::<dti::AssembleDiffusion>()
        .with::<dti::CorrectDiffusionMotion>()
        .with::<dti::DenoiseDiffusion>()
        .with::<dti::MapDiffusion>()
        .with::<image::AutoScale>()
        .with::<image::ComplexToFloat>()
        .with::<image::ConvertToI16>()
        .with::<image::ConvertToI32>()
        .with::<image::ConvertToU16>()
        .with::<image::ConvertToU32>()
        .with::<image::Denoise>()
        .with::<image::DescribeImages>()
        .with::<image::Extract>()
        .with::<image::FinishDicom>()
        .with::<image::FinishImages>()
        .with::<image::InterpolatePhases>()
        .with::<image::InvertContrast>()
        .with::<image::NumberImages>()
        .with::<image::ResizeImages>()
        .with::<image::Scale>()
        .with::<image::SortImages>()
        .with::<image::SplitSeries>()
        .with::<image::WriteDicom>()
        .with::<mapping::EstimateT1>()
        .with::<mapping::MapEcv>()
        .with::<mapping::MapT1>()
        .with::<mapping::MapT1Saturation>()
        .with::<mapping::MapT1T2>()
        .with::<mapping::MapT2>()
        .with::<mapping::MapT2Star>()
        .with::<mapping::ReportMyocardium>()
        .with::<moco::CorrectMotion>()
        .with::<model::ApplyModel>()
        .with::<spiral::AddTrajectory>()
        .with::<spiral::ReconstructNonCartesian>()
        .with_chain("T1MocoGadget", &["correct_motion", "map_t1"])
}

macro_rules! built_in {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../config/", $name))),)*]
    };
}

/// Chains that every server has.
const BUILT_IN: &[(&str, &str)] = built_in! {
    "CMR_2DT_T1Mapping_SASHA.xml"
    "Generic_Cartesian_FFT.xml"
    "Generic_Cartesian_Grappa.xml"
    "Generic_Cartesian_Grappa_Cine_Denoise.xml"
    "Generic_Cartesian_Grappa_Complex.xml"
    "Generic_Cartesian_Grappa_EPI.xml"
    "Generic_Cartesian_Grappa_EPI_AVE.xml"
    "Generic_Cartesian_Grappa_ImageArray.xml"
    "Generic_Cartesian_Grappa_RealTimeCine.xml"
    "Generic_Cartesian_Grappa_SNR.xml"
    "Generic_Cartesian_Grappa_T2W.xml"
    "Generic_Cartesian_Image_Chain_FFT.xml"
    "Generic_Cartesian_NonLinear_Spirit_RealTimeCine.xml"
    "Generic_Cartesian_RandomSampling_NonLinear_Spirit_RealTimeCine.xml"
    "Generic_Cartesian_Spirit.xml"
    "Generic_Cartesian_Spirit_RealTimeCine.xml"
    "Generic_Cartesian_Spirit_SASHA.xml"
    "Generic_CPU_Gridding_Recon.xml"
    "Generic_Spiral.xml"
    "Generic_Spiral_Flag.xml"
    "Generic_Spiral_SNR.xml"
    "MOLLI_T1_Moco.xml"
    "MOLLI_T1_Moco_istore.xml"
    "NoiseSummary.xml"
    "cartesian_fft.toml"
    "cartesian_grappa.toml"
    "cdti.toml"
    "cdti_cartesian.toml"
    "cdti_denoised.toml"
    "cdti_images.toml"
    "cmrf_ecv.toml"
    "cmrf_t1_t2.toml"
    "cmrf_t1_t2_both.toml"
    "cmrf_t1_t2_network.toml"
    "cmrf_t1_t2_tissues.toml"
    "default.xml"
    "default_measurement_dependencies.xml"
    "default_measurement_dependencies_ismrmrd_storage.xml"
    "default_optimized.xml"
    "default_short.xml"
    "dicom.xml"
    "distributed_default.xml"
    "distributed_generic_default.xml"
    "distributed_image_default.xml"
    "ecv.toml"
    "epi.xml"
    "external_equivalent_example.xml"
    "grappa_cpu.xml"
    "grappa_float_cpu.xml"
    "gtquery.xml"
    "invertcontrast.toml"
    "isalive.xml"
    "lv_segmentation.toml"
    "molli_t1.toml"
    "molli_t1_accelerated.toml"
    "molli_t1_four_beats.toml"
    "molli_t1_segments.toml"
    "non_cartesian.toml"
    "non_cartesian_sense.toml"
    "null.toml"
    "parallel_bypass_example.xml"
    "pseudoreplica.xml"
    "realtime_cine.toml"
    "retro_cine.toml"
    "sasha_t1.toml"
    "sasha_t1_accelerated.toml"
    "sasha_t1_segments.toml"
    "sasha_t1_t2.toml"
    "sasha_t1_t2_accelerated.toml"
    "savedataonly.toml"
    "shmolli_t1.toml"
    "simplefft.toml"
    "stream_complex_to_float.xml"
    "stream_float_to_short.xml"
    "stream_image_array_scaling.xml"
    "stream_image_array_split.xml"
    "t2.toml"
    "t2_accelerated.toml"
    "t2_segments.toml"
    "t2_star.toml"
    "t2_star_segments.toml"
};

/// The chains in the folder and those built in.
pub fn library(folder: &ChainFolder) -> ChainLibrary {
    ChainLibrary::new(folder.chains.clone(), BUILT_IN, registry())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_chain_can_be_run() {
        let library = library(&ChainFolder::default());
        for entry in library.list() {
            assert!(entry.is_built_in);
            if let Err(error) = entry.chain {
                panic!("{error}");
            }
        }
    }

    #[test]
    fn every_file_of_the_config_folder_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config");
        for file in std::fs::read_dir(folder).expect("the folder is part of the repository") {
            let name = file.expect("readable").file_name().into_string().expect("UTF-8");
            if name.ends_with(".toml") || name.ends_with(".xml") {
                assert!(BUILT_IN.iter().any(|(known, _)| *known == name), "{name} is not built in");
            }
        }
    }
}
