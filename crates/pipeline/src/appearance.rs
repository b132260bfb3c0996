//! How maps are shown: windows, palettes, series.

use ismrmrd::Meta;
use ndarray::Array3;

use crate::{Presentation, Scan, View};

/// Field strengths within this of 1.5 T have the palettes for it.
const FIELD_MARGIN_T: f64 = 0.1;

/// Field strength of the scanner, where the header says it.
pub fn field_strength_t(scan: &Scan) -> Option<f64> {
    let system = scan.header.as_ref()?.acquisition_system_information.as_ref()?;
    system.system_field_strength_t.map(f64::from)
}

/// Whether a field strength is 1.5 T as scanners have it.
pub fn is_1_5_t(field_strength_t: f64) -> bool {
    (field_strength_t - 1.5).abs() < FIELD_MARGIN_T
}

/// Whether the scanner has 1.5 T, as far as palettes go: also where nobody says.
fn has_palettes_of_1_5_t(scan: &Scan) -> bool {
    field_strength_t(scan).is_none_or(is_1_5_t)
}

/// Median T1 below which a map was taken after contrast agent, ms: muscle and heart are most of
/// what is not fat.
const POST_CONTRAST_BELOW_MS: f32 = 700.0;

/// Name of the scan's protocol, empty where it has none.
pub fn protocol_name(scan: &Scan) -> String {
    let measurement =
        scan.header.as_ref().and_then(|header| header.measurement_information.as_ref());
    measurement.and_then(|about| about.protocol_name.clone()).unwrap_or_default()
}

/// Whether a T1 map was taken after contrast agent: by a word in the protocol's name, `pre`,
/// `native` or `post`; else by the values themselves.
pub fn is_after_contrast(protocol_name: &str, values: &Array3<f32>) -> bool {
    let has = |wanted: &str| {
        let mut words = protocol_name.split(|c: char| !c.is_alphanumeric());
        words.any(|word| word.eq_ignore_ascii_case(wanted))
    };
    if has("post") {
        return true;
    }
    let typical = median(values);
    !has("pre") && !has("native") && typical > 0.0 && typical < POST_CONTRAST_BELOW_MS
}

/// Says in the meta attributes that pixels are labels, of what, and which stands for what.
///
/// * `classes`: names of 0, 1, 2, …; empty where they are not known.
pub fn of_labels(meta: &mut Meta, name: &str, classes: &[String]) {
    forget_appearance(meta);
    meta.set("DataRole", "Segmentation");
    meta.set("GADGETRON_DataRole", name);
    meta.set("RescaleSlope", "1");
    meta.set("RescaleIntercept", "0");
    let comment = if classes.is_empty() {
        name.to_owned()
    } else {
        let classes = classes.iter().enumerate();
        let classes: Vec<_> = classes.map(|(n, name)| format!("{n} {name}")).collect();
        format!("labels: {}", classes.join(", "))
    };
    if !classes.is_empty() {
        meta.set("WindowCenter", (classes.len() / 2) as i64);
        meta.set("WindowWidth", classes.len() as i64);
    }
    for key in ["ImageComments", "GADGETRON_ImageComment"] {
        meta.append(key, comment.as_str());
    }
    for key in ["SequenceDescriptionAdditional", "GADGETRON_SeqDescription"] {
        meta.set(key, name);
    }
}

/// Takes the comments and the window of the images that something was made of out of the meta
/// attributes.
pub fn forget_appearance(meta: &mut Meta) {
    let comments = ["ImageComments", "GADGETRON_ImageComment"];
    let windows =
        ["WindowCenter", "WindowWidth", "GADGETRON_WindowCenter", "GADGETRON_WindowWidth"];
    comments.into_iter().chain(windows).for_each(|key| {
        meta.remove(key);
    });
}

/// The median of what is above 0, 0 where nothing is.
fn median(values: &Array3<f32>) -> f32 {
    let mut values: Vec<f32> =
        values.iter().copied().filter(|value| *value > 0.0 && value.is_finite()).collect();
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// Centre and width of the window of T1 before and after contrast agent, ms.
const NATIVE: [f64; 2] = [1300.0, 1300.0];
const POST_CONTRAST: [f64; 2] = [400.0, 300.0];

/// The window of a T1 map.
pub fn t1_window(scan: &Scan, values: &Array3<f32>) -> [f64; 2] {
    if is_after_contrast(&protocol_name(scan), values) { POST_CONTRAST } else { NATIVE }
}

/// Presentation of a T1 map, with series as Gadgetron numbers them.
pub fn of_t1(scan: &Scan, values: &Array3<f32>, kind: &str, series: [u16; 3]) -> Presentation {
    let field = if has_palettes_of_1_5_t(scan) { "1_5T" } else { "3T" };
    let [map, sd, r_squared] = series;
    Presentation {
        values: View {
            window: Some(t1_window(scan, values)),
            palette_file: Some(format!("GadgetronT1_{kind}_{field}.pal")),
            color_map: Some("lipari"),
            series_index: Some(map),
            ..View::default()
        },
        sd: View {
            window: Some([200.0, 400.0]),
            palette_file: Some("GadgetronT1_SD.pal".to_owned()),
            color_map: Some("lipari"),
            series_index: Some(sd),
            ..View::default()
        },
        r_squared: View { series_index: Some(r_squared), ..View::default() },
    }
}

/// Presentation of maps in the colours for T2.
pub fn of_t2(scan: &Scan, window: [f64; 2], series: [u16; 3]) -> Presentation {
    let field = if has_palettes_of_1_5_t(scan) { "" } else { "_3T" };
    let [map, sd, r_squared] = series;
    Presentation {
        values: View {
            window: Some(window),
            palette_file: Some(format!("GadgetronParametricMap{field}.pal")),
            color_map: Some("navia"),
            series_index: Some(map),
            ..View::default()
        },
        sd: View {
            window: Some([window[0] / 10.0, window[1] / 10.0]),
            palette_file: Some("GadgetronParametricSDMap.pal".to_owned()),
            color_map: Some("navia"),
            series_index: Some(sd),
            ..View::default()
        },
        r_squared: View { series_index: Some(r_squared), ..View::default() },
    }
}

/// What properties say against the usual presentation.
pub struct Overrides<'a> {
    /// At 1.5 T, and at others.
    pub palette_files: [&'a Option<String>; 2],
    /// Centres of the window, likewise.
    pub centers: [Option<f64>; 2],
    /// Widths of the window, likewise.
    pub widths: [Option<f64>; 2],
    /// What values are multiplied by where they become integers.
    pub scale: f32,
    /// Palette file of standard deviations.
    pub sd_palette_file: &'a Option<String>,
    /// Centre and width.
    pub sd_window: [Option<f64>; 2],
    /// What standard deviations are multiplied by where they become integers.
    pub sd_scale: f32,
}

impl Overrides<'_> {
    /// Puts them into a presentation.
    pub fn apply(&self, scan: &Scan, presentation: &mut Presentation) {
        let field = usize::from(!has_palettes_of_1_5_t(scan));
        let replace = |view: &mut View, file: &Option<String>, window: [Option<f64>; 2], scale| {
            if let Some(file) = file {
                view.palette_file = Some(file.clone());
            }
            if let Some([center, width]) = view.window {
                view.window = Some([window[0].unwrap_or(center), window[1].unwrap_or(width)]);
            }
            view.integer_scale = Some(scale);
        };
        let window = [self.centers[field], self.widths[field]];
        replace(&mut presentation.values, self.palette_files[field], window, self.scale);
        replace(&mut presentation.sd, self.sd_palette_file, self.sd_window, self.sd_scale);
    }
}
