//! Gadgetron's gadgets that Boreside does not have on purpose, each with what to do instead.

/// What is wrong with a chain that names this class, and what to do; [`None`] for a class that
/// nobody knows.
pub(super) fn reason(class: &str) -> Option<(&'static str, &'static str)> {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| class.starts_with(prefix));
    let is = |names: &[&str]| names.contains(&class);
    Some(if is(&["PythonGadget"]) || starts(&["Python"]) {
        (
            "Python modules are not run inside the server",
            "use a gadget of Boreside in its place, or send the images on to the module's own \
             server with `boreside replay --to`",
        )
    } else if starts(&["Matlab", "Julia"]) {
        (
            "MATLAB and Julia programs are not run inside the server",
            "use a gadget of Boreside in its place",
        )
    } else if starts(&["gpuSpiral", "gpuRadial", "gpuRetroGated", "gpuGeneric", "gpuBuffer"])
        || class.starts_with("gpu") && class.contains("Sense")
    {
        (
            "Gadgetron's GPU gadgets do not exist here",
            "take the chain `non_cartesian_sense`, which does it on the CPU, or `non_cartesian` \
             for complete scans",
        )
    } else if starts(&["gpu", "cu", "GPU"]) || class.contains("CUDA") {
        (
            "Gadgetron's GPU gadgets do not exist here",
            "take the chain of the same scan that runs on the CPU, such as `grappa_cpu.xml` for \
             `grappa.xml`",
        )
    } else if starts(&["Bart", "BART"]) {
        (
            "BART is not called from inside the server",
            "take a chain with `grappa` or `spirit`, or run BART on the recorded file",
        )
    } else if starts(&["DeviceChannelSplitter"]) {
        (
            "it writes files for other programs, which the server leaves to its client",
            "take it out: the client gets the images themselves",
        )
    } else if is(&[
        "IsmrmrdAcquisitionDistributeGadget",
        "AcquisitionDistributeGadget",
        "CollectGadget",
        "ImageArrayDistributeGadget",
        "DistributeGadget",
        "IsmrmrdImageDistributeGadget",
    ]) {
        (
            "a scan is not shared out to other servers; Gadgetron has dropped this gadget, too",
            "take it out, with its `CollectGadget`: the chain then runs in this process",
        )
    } else if is(&["GenericReconReferenceKSpaceDelayedBufferGadget"]) || class.contains("Storage") {
        (
            "reference scans are not kept from one scan to the next",
            "acquire the calibration lines in the scan itself",
        )
    } else if is(&["NoiseCovariancePlottingGadget"]) {
        ("it plots with a program outside the server", "take it out: the images do not change")
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn families_of_gadgets_that_are_absent_are_known_and_others_are_not() {
        for (class, word) in [
            ("PythonGadget", "Python"),
            ("MatlabBucketReconGadget", "MATLAB"),
            ("gpuCgSenseGadget", "GPU"),
            ("gpuSpiralSensePrepGadget", "GPU"),
            ("gpuCgSpiritGadget", "GPU"),
            ("cuFFTGadget", "GPU"),
            ("BartGadget", "BART"),
            ("DeviceChannelSplitterGadget", "files for other programs"),
            ("IsmrmrdAcquisitionDistributeGadget", "shared out"),
            ("GenericReconReferenceKSpaceDelayedBufferGadget", "reference scans"),
            ("NoiseCovariancePlottingGadget", "plots"),
        ] {
            let (what, remedy) = reason(class).expect("it is known");
            assert!(what.contains(word), "{class}: {what}");
            assert!(!remedy.is_empty());
        }
        assert_eq!(reason("ExtractGadgte"), None);
    }
}
