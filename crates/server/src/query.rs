//! Answers to QUERY, in Gadgetron's wording: its clients and test runner parse it.

use std::fmt::Write;

/// Version that is answered to `gadgetron::version` and stands in `gadgetron::info`: that of
/// the Gadgetron whose chains this server runs.
const GADGETRON_VERSION: &str = "4.7.2";

/// The answer to a query.
pub(crate) fn answer(query: &str) -> String {
    match query {
        "ismrmrd::version" => "0.0.0-alpha".to_owned(),
        "gadgetron::version" => GADGETRON_VERSION.to_owned(),
        "gadgetron::build" => git_sha().to_owned(),
        "gadgetron::info" => info(),
        "gadgetron::info::memory" => memory_bytes().to_string(),
        "gadgetron::info::python"
        | "gadgetron::info::matlab"
        | "gadgetron::info::cuda"
        | "gadgetron::info::julia" => "0".to_owned(),
        "gadgetron::cuda::devices" => "0".to_owned(),
        "gadgetron::cuda::driver" | "gadgetron::cuda::runtime" => "N/A".to_owned(),
        "gadgetron::cuda::memory" | "gadgetron::cuda::capabilities" => String::new(),
        "boreside::version" => env!("CARGO_PKG_VERSION").to_owned(),
        _ => "Unknown query".to_owned(),
    }
}

/// The text of `gadgetron::info`.
pub(crate) fn info() -> String {
    let mut text = format!("Boreside {} (answers as Gadgetron)\n", env!("CARGO_PKG_VERSION"));
    let lines = [
        ("Version", GADGETRON_VERSION.to_owned()),
        ("Git SHA1", git_sha().to_owned()),
        ("System Memory size", format!("{} MB", memory_bytes() >> 20)),
        ("Python Support", "NO".to_owned()),
        ("Julia Support", "NO".to_owned()),
        ("Matlab Support", "NO".to_owned()),
        ("CUDA Support", "NO".to_owned()),
    ];
    for (name, value) in lines {
        // Writing to a String does not fail.
        let _ = writeln!(text, "  -- {name:<19}: {value}");
    }
    text
}

fn git_sha() -> &'static str {
    option_env!("BORESIDE_GIT_SHA").unwrap_or("unknown")
}

/// Physical memory, 0 where the system does not say.
fn memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_has_the_lines_that_gadgetrons_test_runner_looks_for() {
        let info = info();
        for name in [
            "Version",
            "Git SHA1",
            "System Memory size",
            "Python Support",
            "Julia Support",
            "Matlab Support",
            "CUDA Support",
        ] {
            let line =
                info.lines().find(|line| line.trim_start().starts_with(&format!("-- {name}")));
            assert!(line.is_some_and(|line| line.contains(" : ") || line.contains(": ")), "{name}");
        }
        assert!(memory_bytes() > 1 << 20);
        assert_eq!(answer("what"), "Unknown query");
    }
}
