//! Map of the extracellular volume from T1 before and after contrast agent.

mod motion;
mod overlap;

use std::sync::Arc;
use std::time::SystemTime;

use ndarray::Array3;
use numerics::relaxation::{EcvInputs, SyntheticHaematocrit, ValueWithSd, extracellular_volume};
use pipeline::map_store::{KeptMap, MapMemory, MapPlace, MapService, MapStore};
use pipeline::{
    Gadget, ParametricMap, Presentation, Remedy, Scan, Sink, Unit, Verdict, View, unprocessed,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::motion::brought_to;
use self::overlap::{blood_pool, dice, grown};
use crate::assess::{MOTION_PX, median};
use pipeline::appearance::{field_strength_t, is_1_5_t, is_after_contrast, protocol_name};

/// Whether a T1 map was taken after contrast agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContrastAgent {
    /// By a word in the protocol's name (`pre`, `native`, `post`), else by the map: after contrast
    /// agent the median T1 is below 700 ms.
    #[default]
    Auto,
    /// Before.
    Native,
    /// After.
    Post,
}

/// Makes a map of the extracellular volume when the second of two T1 maps of a slice arrives.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether the scan's T1 maps were taken after contrast agent.
    pub contrast_agent: ContrastAgent,
    /// Measured haematocrit, 0 to 1; where it is not given, the header's user parameter
    /// `Haematocrit` or `Hematocrit`, as a share or in percent.
    pub haematocrit: Option<f64>,
    /// Its standard deviation.
    pub haematocrit_sd: f64,
    /// Haematocrit from the T1 of blood, where none was measured. The map is marked as synthetic:
    /// the formula depends on field strength, sequence and vendor, and is wrong in anaemia.
    pub synthetic_haematocrit: bool,
    /// Constant of the formula; where none of the three is given, that of 1.5 T is taken, at 1.5 T
    /// only: 866 / T1 - 0.1232.
    pub synthetic_offset: Option<f64>,
    /// Its factor of 1 over T1 of blood before contrast agent, ms.
    pub synthetic_native_ms: Option<f64>,
    /// Its factor of 1 over T1 of blood after contrast agent, ms.
    pub synthetic_post_contrast_ms: Option<f64>,
    /// Whether the map before contrast agent is brought to where the heart lies in the one after it,
    /// if that makes them fit each other better.
    pub register: bool,
    /// T1 before contrast agent above which a pixel may be blood, ms. Where it is not given, 1250 ms
    /// at 1.5 T, and at other field strengths in proportion to their power 0.3.
    pub blood_above_ms: Option<f64>,
    /// T1 of blood before contrast agent, ms, where it is not to be found in the map.
    pub blood_t1_native_ms: Option<f64>,
    /// T1 of blood after contrast agent, ms, where it is not to be found in the map.
    pub blood_t1_post_contrast_ms: Option<f64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            contrast_agent: ContrastAgent::Auto,
            haematocrit: None,
            haematocrit_sd: 0.0,
            synthetic_haematocrit: false,
            synthetic_offset: None,
            synthetic_native_ms: None,
            synthetic_post_contrast_ms: None,
            register: true,
            blood_above_ms: None,
            blood_t1_native_ms: None,
            blood_t1_post_contrast_ms: None,
        }
    }
}

/// Series of the map and its standard deviation.
const SERIES: [u16; 2] = [21, 22];
/// T1 between those of wall and blood before contrast agent at 1.5 T, ms.
const BLOOD_ABOVE_MS: f64 = 1250.0;
/// T1 of tissue grows with about the third root of the field strength; our choice, as blood and wall
/// lie far apart.
const FIELD_EXPONENT: f64 = 0.3;
/// Dice coefficient of both maps' tissue, and of their blood, below which the heart has moved
/// between them.
const LEAST_OVERLAP: f64 = 0.8;
/// By so much registration has to raise this coefficient.
const LEAST_GAIN: f64 = 0.02;
/// Pixels of blood that are needed.
const LEAST_BLOOD: usize = 20;
/// Of the formula where none is given (Treibel et al. 2016, 1.5 T).
const SYNTHETIC_AT_1_5_T: SyntheticHaematocrit =
    SyntheticHaematocrit { offset: -0.1232, native_ms: 866.0, post_contrast_ms: 0.0 };

/// Makes a map of the extracellular volume from T1 before and after contrast agent.
pub struct MapEcv {
    config: Config,
    store: Arc<dyn MapStore>,
    key: Result<String, KeyError>,
    protocol: String,
    field_strength_t: Option<f64>,
    haematocrit: Option<f64>,
}

/// The patient or the exam is not known, so that maps cannot be joined across scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KeyError(&'static str);

impl Gadget for MapEcv {
    const NAME: &str = "map_ecv";
    const HEAVY: bool = true;
    type Config = Config;
    type Input = ParametricMap; // [z, y, x]
    type Output = ParametricMap;
    type Error = Error;

    fn new(config: Config, scan: &Scan) -> Result<Self, Error> {
        let header = scan.header.as_ref();
        let parameters = header.and_then(|header| header.user_parameters.as_ref());
        let from_header = parameters.and_then(|parameters| {
            ["Haematocrit", "Hematocrit"].iter().find_map(|name| parameters.double(name))
        });
        let haematocrit = config.haematocrit.or(from_header);
        // Nobody has 1 % of red cells.
        let haematocrit = haematocrit.map(|value| if value > 1.0 { value / 100.0 } else { value });
        if let Some(value) = haematocrit
            && !(0.05..=0.8).contains(&value)
        {
            return Err(Error::Haematocrit(value.to_string()));
        }
        let service = scan.services.get::<MapService>();
        let store = service.map_or_else(
            || Arc::new(MapMemory::default()) as Arc<dyn MapStore>,
            |service| Arc::clone(&service.0),
        );
        Ok(Self {
            store,
            key: key_of(scan),
            protocol: protocol_name(scan),
            field_strength_t: field_strength_t(scan),
            haematocrit,
            config,
        })
    }

    fn process(&mut self, map: ParametricMap, out: &mut Sink<Self>) -> Result<(), Error> {
        if map.quantity != "T1" || unprocessed::is_marked(&map.meta) {
            out.push(map);
            return Ok(());
        }
        let key = match &self.key {
            Ok(key) => key.clone(),
            Err(KeyError(missing)) => {
                out.warn(
                    format!("no ECV: the header has no `{missing}` to join T1 maps by"),
                    "let the converter write patient, study and frame of reference into the header",
                );
                out.push(map);
                return Ok(());
            }
        };
        let kept = KeptMap {
            is_after_contrast: self.is_after_contrast(&map),
            since: SystemTime::now(),
            place: MapPlace::from(&map.header),
            values: map.values.clone(),
            sd: map.sd.clone().unwrap_or_else(|| Array3::zeros(map.values.dim())),
            check: match &map.verdict {
                Some(Verdict::Check(reason)) => Some(reason.clone()),
                _ => None,
            },
        };
        // A map that is to be repeated would spoil the ECV of the one that follows.
        let is_bad = matches!(map.verdict, Some(Verdict::Repeat(_)));
        // First kept, so that of two scans that end at the same time one finds the other.
        if !is_bad {
            self.store.keep(&key, kept.clone());
        }
        let others = self.store.find(&key);
        let partner = others
            .iter()
            .filter(|other| other.is_after_contrast != kept.is_after_contrast)
            .filter(|other| other.place.is_same_slice(&kept.place))
            .filter(|other| other.values.dim() == kept.values.dim())
            .max_by_key(|other| other.since);
        let ecv = match partner {
            Some(_) if is_bad => Ok(None),
            Some(other) if kept.is_after_contrast => self.join(&map, other, &kept).map(Some),
            Some(other) => self.join(&map, &kept, other).map(Some),
            None => Ok(None),
        };
        if partner.is_none() && !is_bad {
            out.inform(
                "this T1 map is kept: ECV follows with the one after or before contrast agent",
            );
        }
        out.push(map);
        match ecv {
            Ok(Some(ecv)) => out.push(ecv),
            Ok(None) => {}
            Err(error) => out.warn(format!("no ECV: {error}"), error.remedy()),
        }
        Ok(())
    }
}

impl MapEcv {
    fn is_after_contrast(&self, map: &ParametricMap) -> bool {
        match self.config.contrast_agent {
            ContrastAgent::Native => false,
            ContrastAgent::Post => true,
            ContrastAgent::Auto => is_after_contrast(&self.protocol, &map.values),
        }
    }

    /// The ECV of two maps, the first of which is brought to where the heart lies in the second
    /// if that makes them fit each other better.
    fn join(
        &self,
        newest: &ParametricMap,
        native: &KeptMap,
        post: &KeptMap,
    ) -> Result<ParametricMap, Error> {
        let as_it_is = self.ecv(newest, native, post);
        // Without common blood the maps may lie a ventricle apart.
        let overlap = match &as_it_is {
            Ok((_, overlap)) => *overlap,
            Err(Error::NoBlood(_)) => 0.0,
            Err(_) => 1.0,
        };
        if !self.config.register || overlap > 1.0 - LEAST_GAIN {
            return as_it_is.map(|found| found.0);
        }
        let (moved, lengths_px) = brought_to(native, post);
        let registered = self.ecv(newest, &moved, post).ok();
        let Some((mut map, _)) = registered.filter(|found| found.1 >= overlap + LEAST_GAIN) else {
            return as_it_is.map(|found| found.0);
        };
        let blood = blood_pool(&moved.values, &post.values, self.blood_above_ms());
        let inside = lengths_px.iter().zip(&blood).filter(|(_, is_blood)| **is_blood);
        let px = median(inside.map(|(length, _)| *length));
        let method = map.meta.get("BoresideMethod").unwrap_or_default();
        let method = format!("{method}; the map before was moved by {px:.1} px at the heart");
        map.meta.set("BoresideMethod", method);
        map.meta.set(pipeline::image_notes::MOTION_PX_KEY, f64::from(px));
        if px > MOTION_PX as f32 {
            let reason = format!("the heart had moved by {px:.0} px between both maps");
            map.verdict = Some(match map.verdict {
                Some(Verdict::Check(others)) => Verdict::Check(format!("{others}; {reason}")),
                _ => Verdict::Check(reason),
            });
        }
        Ok(map)
    }

    /// The map, and how far both lie in the same place ([`Self::overlap`]).
    fn ecv(
        &self,
        newest: &ParametricMap,
        native: &KeptMap,
        post: &KeptMap,
    ) -> Result<(ParametricMap, f64), Error> {
        let blood = blood_pool(&native.values, &post.values, self.blood_above_ms());
        let n_blood = blood.iter().filter(|is_blood| **is_blood).count();
        let of_blood = |given: Option<f64>, map: &KeptMap| -> Result<ValueWithSd, Error> {
            if let Some(value) = given {
                return Ok(ValueWithSd::new(value, 0.0));
            }
            if n_blood < LEAST_BLOOD {
                return Err(Error::NoBlood(n_blood));
            }
            let inside = map.values.iter().zip(&blood).filter(|(_, is_blood)| **is_blood);
            let value = median(inside.map(|(value, _)| *value));
            let sds = map.sd.iter().zip(&blood).filter(|(_, is_blood)| **is_blood);
            let sd = f64::from(median(sds.map(|(sd, _)| *sd))) / (n_blood as f64).sqrt();
            Ok(ValueWithSd::new(value.into(), sd))
        };
        let native_blood = of_blood(self.config.blood_t1_native_ms, native)?;
        let post_blood = of_blood(self.config.blood_t1_post_contrast_ms, post)?;
        let (haematocrit, is_synthetic) = match self.haematocrit {
            Some(value) => (value, false),
            None if self.config.synthetic_haematocrit => {
                let formula = self.formula()?;
                let value = formula.from_blood(native_blood.value, post_blood.value);
                (value.ok_or(Error::Synthetic(native_blood.value.round().to_string()))?, true)
            }
            None => return Err(Error::NoHaematocrit),
        };
        let mut values = Array3::zeros(native.values.dim());
        let mut sd = Array3::zeros(native.values.dim());
        for (place, value) in values.indexed_iter_mut() {
            let of =
                |map: &KeptMap| ValueWithSd::new(map.values[place].into(), map.sd[place].into());
            let found = extracellular_volume(&EcvInputs {
                native_t1_ms: of(native),
                post_contrast_t1_ms: of(post),
                native_blood_t1_ms: native_blood,
                post_contrast_blood_t1_ms: post_blood,
                haematocrit: ValueWithSd::new(haematocrit, self.config.haematocrit_sd),
            });
            if let Some(found) = found.filter(|found| found.value <= 100.0) {
                *value = found.value as f32;
                sd[place] = found.sd as f32;
            }
        }
        let mut meta = newest.meta.clone();
        let method = format!(
            "ECV from T1 before and after contrast agent, {} haematocrit {haematocrit:.3}, blood \
             {:.0} and {:.0} ms ({n_blood} pixels)",
            if is_synthetic { "synthetic" } else { "measured" },
            native_blood.value,
            post_blood.value,
        );
        meta.set("BoresideMethod", method);
        meta.set("BoresideHaematocrit", haematocrit);
        if is_synthetic {
            meta.set("BoresideSynthetic", "haematocrit");
        }
        for key in ["ImageProcessingHistory", "GADGETRON_ImageProcessingHistory"] {
            meta.append(key, "ECV");
        }
        let mut reasons = Vec::new();
        let overlap = self.overlap(native, post, &blood, post_blood.value);
        if overlap < LEAST_OVERLAP {
            reasons.push(format!(
                "the heart does not lie in the same place in both maps (Dice {overlap:.2})"
            ));
        }
        for (name, map) in [("T1 before", native), ("T1 after", post)] {
            if let Some(reason) = &map.check {
                reasons.push(format!("{name} contrast agent: {reason}"));
            }
        }
        if is_synthetic {
            reasons.push("synthetic haematocrit: not a measured one".to_owned());
        }
        let verdict = match reasons.is_empty() {
            true => Verdict::Accept,
            false => Verdict::Check(reasons.join("; ")),
        };
        let has_sd = [native, post].iter().all(|map| map.sd.iter().any(|sd| *sd > 0.0));
        let map = ParametricMap {
            quantity: if is_synthetic { "ECV_SYNTHETIC" } else { "ECV" }.to_owned(),
            unit: Unit::Percent,
            header: newest.header,
            meta,
            values,
            sd: has_sd.then_some(sd),
            r_squared: None,
            verdict: Some(verdict),
            presentation: Presentation {
                values: View {
                    window: Some([40.0, 80.0]),
                    palette_file: Some("GadgetronParametricMap.pal".to_owned()),
                    color_map: Some("navia"),
                    series_index: Some(SERIES[0]),
                    ..View::default()
                },
                sd: View {
                    window: Some([5.0, 10.0]),
                    palette_file: Some("GadgetronParametricSDMap.pal".to_owned()),
                    color_map: Some("navia"),
                    series_index: Some(SERIES[1]),
                    ..View::default()
                },
                r_squared: View::default(),
            },
        };
        Ok((map, overlap))
    }

    fn blood_above_ms(&self) -> f32 {
        let of_field = || {
            let relative = self.field_strength_t.unwrap_or(1.5) / 1.5;
            BLOOD_ABOVE_MS * relative.powf(FIELD_EXPONENT)
        };
        self.config.blood_above_ms.unwrap_or_else(of_field) as f32
    }

    /// The smaller Dice coefficient of both maps' tissue and of their blood.
    fn overlap(
        &self,
        native: &KeptMap,
        post: &KeptMap,
        blood: &Array3<bool>,
        post_blood_ms: f64,
    ) -> f64 {
        let tissue = |map: &KeptMap| map.values.mapv(|value| value > 0.0);
        let of_tissue = dice(&tissue(native), &tissue(post));
        if !blood.iter().any(|is_blood| *is_blood) {
            return of_tissue;
        }
        // Each map's own blood around that which both show.
        let above = self.blood_above_ms();
        let is_native = native.values.mapv(|value| value > above);
        let near = |value: f32| (f64::from(value) / post_blood_ms - 1.0).abs() < 0.25;
        let is_post = post.values.mapv(near);
        of_tissue.min(dice(&grown(blood, &is_native), &grown(blood, &is_post)))
    }

    fn formula(&self) -> Result<SyntheticHaematocrit, Error> {
        let Config { synthetic_offset, synthetic_native_ms, synthetic_post_contrast_ms, .. } =
            &self.config;
        let given = [synthetic_offset, synthetic_native_ms, synthetic_post_contrast_ms];
        if given.iter().all(|number| number.is_none()) {
            return match self.field_strength_t {
                Some(field) if is_1_5_t(field) => Ok(SYNTHETIC_AT_1_5_T),
                Some(field) => Err(Error::NoFormula(format!("{field} T"))),
                None => Err(Error::NoFormula("a field strength that the header lacks".to_owned())),
            };
        }
        let [offset, native_ms, post_contrast_ms] = given.map(|number| number.unwrap_or(0.0));
        Ok(SyntheticHaematocrit { offset, native_ms, post_contrast_ms })
    }
}

/// What maps of one patient, exam and frame of reference have in common, so that nobody can read
/// from it who it is.
fn key_of(scan: &Scan) -> Result<String, KeyError> {
    let header = scan.header.as_ref().ok_or(KeyError("header"))?;
    let is_given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let subject = header.subject_information.as_ref();
    let patient = subject
        .and_then(|subject| is_given(&subject.patient_id).or(is_given(&subject.patient_name)))
        .ok_or(KeyError("patientID"))?;
    let study = header.study_information.as_ref();
    let exam = study
        .and_then(|study| is_given(&study.study_instance_uid).or(is_given(&study.study_id)))
        .ok_or(KeyError("studyInstanceUID"))?;
    let measurement = header.measurement_information.as_ref();
    let frame = measurement
        .and_then(|about| is_given(&about.frame_of_reference_uid))
        .ok_or(KeyError("frameOfReferenceUID"))?;
    let mut hash = Sha256::new();
    for part in [patient, exam, frame] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Why there is no map of the extracellular volume.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A haematocrit that nobody has.
    #[error("the haematocrit is {0}")]
    Haematocrit(String),
    /// None at all.
    #[error("there is no haematocrit")]
    NoHaematocrit,
    /// Blood from which no haematocrit follows.
    #[error("a T1 of blood of {0} ms gives no haematocrit between 0.15 and 0.70")]
    Synthetic(String),
    /// A field strength that the formula is not for.
    #[error("the formula of the synthetic haematocrit is for 1.5 T, not for {0}")]
    NoFormula(String),
    /// No blood pool in the maps.
    #[error("{0} pixels of the maps are blood, {LEAST_BLOOD} are needed")]
    NoBlood(usize),
}

impl Remedy for Error {
    fn remedy(&self) -> &str {
        match self {
            Self::Haematocrit(_) => "give it as a share or in percent",
            Self::NoHaematocrit => {
                "set `haematocrit`, or let the converter write the user parameter `Haematocrit`; `synthetic_haematocrit` estimates it from blood"
            }
            Self::NoFormula(_) => {
                "measure the haematocrit, or set `synthetic_offset`, `synthetic_native_ms` and `synthetic_post_contrast_ms`"
            }
            Self::Synthetic(_) => "measure the haematocrit",
            Self::NoBlood(_) => "set `blood_t1_native_ms` and `blood_t1_post_contrast_ms`",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ismrmrd::xml::{Header, MeasurementInformation, StudyInformation, SubjectInformation};
    use ismrmrd::{ImageHeader, Meta};
    use pipeline::{Message, Services, run_gadget};

    fn scan(patient: &str, store: &Arc<MapMemory>) -> Scan {
        let header = Header {
            subject_information: Some(SubjectInformation {
                patient_id: Some(patient.to_owned()),
                ..Default::default()
            }),
            study_information: Some(StudyInformation {
                study_instance_uid: Some("1.2.3".to_owned()),
                ..Default::default()
            }),
            measurement_information: Some(MeasurementInformation {
                frame_of_reference_uid: Some("1.2.4".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut header = header;
        header.acquisition_system_information.get_or_insert_default().system_field_strength_t =
            Some(1.5);
        let store: Arc<dyn MapStore> = Arc::clone(store) as Arc<dyn MapStore>;
        let services = Services::default().with(Arc::new(MapService(store)));
        Scan { services, ..Scan::with_header(header) }
    }

    /// A disc of blood in a wall.
    fn map(wall_ms: f32, blood_ms: f32) -> ParametricMap {
        let values = Array3::from_shape_fn((1, 48, 48), |(_, y, x)| {
            let radius = (y as f32 - 24.0).hypot(x as f32 - 24.0);
            if radius < 9.0 {
                blood_ms
            } else if radius < 16.0 {
                wall_ms
            } else {
                0.0
            }
        });
        ParametricMap {
            quantity: "T1".to_owned(),
            unit: Unit::Ms,
            header: ImageHeader { field_of_view: [300.0, 300.0, 8.0], ..ImageHeader::default() },
            meta: Meta::new(),
            sd: Some(values.mapv(|value| 0.02 * value)),
            values,
            r_squared: None,
            verdict: Some(Verdict::Accept),
            presentation: Presentation::default(),
        }
    }

    fn maps_of(
        config: Config,
        scan: &Scan,
        map: ParametricMap,
    ) -> (Vec<ParametricMap>, Vec<String>) {
        let (outputs, reports) = run_gadget::<MapEcv>(config, scan, [map]).expect("it runs");
        let maps = outputs.into_iter().map(|message| match message {
            Message::ParametricMap(map) => map,
            other => panic!("{:?} came out", other.kind()),
        });
        (maps.collect(), reports)
    }

    #[test]
    fn the_second_map_of_a_patient_makes_the_ecv_whichever_comes_first() {
        let expected = 58.0 * (1.0 / 450.0 - 1.0 / 1000.0) / (1.0 / 300.0 - 1.0 / 1600.0);
        for is_native_first in [true, false] {
            let store = Arc::new(MapMemory::default());
            let config = Config { haematocrit: Some(42.0), ..Config::default() };
            let mut maps = vec![map(1000.0, 1600.0), map(450.0, 300.0)];
            if !is_native_first {
                maps.reverse();
            }
            let second = maps.remove(1);
            let (first, _) = maps_of(config.clone(), &scan("a", &store), maps.remove(0));
            assert_eq!(first.len(), 1, "only the T1 map");
            let (other, _) = maps_of(config.clone(), &scan("b", &store), second.clone());
            assert_eq!(other.len(), 1, "another patient's");
            let (both, _) = maps_of(config, &scan("a", &store), second);
            let [_, ecv] = &both[..] else { panic!("T1 and ECV") };
            assert_eq!((ecv.quantity.as_str(), ecv.unit), ("ECV", Unit::Percent));
            assert!((f64::from(ecv.values[[0, 24, 37]]) - expected).abs() < 0.05);
            assert!(ecv.sd.as_ref().is_some_and(|sd| (0.3..3.0).contains(&sd[[0, 24, 37]])));
            assert_eq!(ecv.values[[0, 0, 0]], 0.0);
            assert_eq!(ecv.verdict, Some(Verdict::Accept));
        }
    }

    #[test]
    fn without_a_haematocrit_there_is_none_unless_a_synthetic_one_is_asked_for() {
        let store = Arc::new(MapMemory::default());
        let scan = scan("a", &store);
        maps_of(Config::default(), &scan, map(1000.0, 1600.0));
        let (maps, reports) = maps_of(Config::default(), &scan, map(450.0, 300.0));
        assert_eq!(maps.len(), 1);
        assert!(reports.iter().any(|report| report.contains("there is no haematocrit")));
        let config = Config { synthetic_haematocrit: true, ..Config::default() };
        let (maps, _) = maps_of(config, &scan, map(450.0, 300.0));
        assert_eq!(maps[1].quantity, "ECV_SYNTHETIC");
        assert_eq!(maps[1].meta.get("BoresideSynthetic"), Some("haematocrit"));
        assert!(
            matches!(&maps[1].verdict, Some(Verdict::Check(reason)) if reason.contains("synthetic"))
        );
        let mut at_3_t = scan.clone();
        if let Some(header) = &mut at_3_t.header {
            header.acquisition_system_information.get_or_insert_default().system_field_strength_t =
                Some(3.0);
        }
        let config = Config { synthetic_haematocrit: true, ..Config::default() };
        let (maps, reports) = maps_of(config, &at_3_t, map(450.0, 300.0));
        assert_eq!(maps.len(), 1);
        assert!(reports.iter().any(|text| text.contains("for 1.5 T, not for 3 T")), "{reports:?}");
    }

    /// Maps of a patient, the first before and the second after contrast agent.
    fn ecv_of(native: ParametricMap, post: ParametricMap, register: bool) -> ParametricMap {
        let store = Arc::new(MapMemory::default());
        let config = Config { haematocrit: Some(42.0), register, ..Config::default() };
        maps_of(config.clone(), &scan("a", &store), native);
        let (mut maps, reports) = maps_of(config, &scan("a", &store), post);
        assert_eq!(maps.len(), 2, "{reports:?}");
        maps.remove(1)
    }

    #[test]
    fn a_heart_that_has_moved_between_the_maps_is_brought_back_or_to_be_checked() {
        let moved = |by: isize| {
            let mut map = map(450.0, 300.0);
            // In muscle, whose outline stays.
            let still = self::map(450.0, 300.0).values;
            map.values = Array3::from_shape_fn(still.dim(), |(_, y, x)| {
                let from = usize::try_from(x as isize - by).unwrap_or(0);
                let value = still.get((0, y, from)).copied().unwrap_or(0.0);
                if value > 0.0 { value } else { 460.0 }
            });
            map
        };
        let native = {
            let mut map = map(1000.0, 1600.0);
            map.values.mapv_inplace(|value| if value > 0.0 { value } else { 1000.0 });
            map
        };
        let still = ecv_of(native.clone(), moved(0), true);
        assert_eq!(still.verdict, Some(Verdict::Accept));
        assert_eq!(still.meta.get("BoresideMotionPx"), None);
        let unregistered = ecv_of(native.clone(), moved(4), false);
        let Some(Verdict::Check(reason)) = &unregistered.verdict else {
            panic!("{:?}", unregistered.verdict)
        };
        assert!(reason.contains("the heart does not lie in the same place in both"), "{reason}");
        let registered = ecv_of(native.clone(), moved(4), true);
        assert_eq!(registered.verdict, Some(Verdict::Accept));
        let px = registered.meta.get_f64("BoresideMotionPx").expect("what was moved");
        assert!((3.5..4.5).contains(&px), "{px} px");
        // In the wall, and 4 px to the side where the blood was before.
        for x in [24 + 4 + 12, 24 + 4 - 8] {
            let place = [0, 24, x];
            let off = registered.values[place] - still.values[[0, 24, x - 4]];
            assert!(off.abs() < 1.5, "{off} at {x}");
        }
        // No pixel is blood in both.
        let far = ecv_of(native, moved(14), true);
        let px = far.meta.get_f64("BoresideMotionPx").expect("what was moved");
        assert!((12.5..15.5).contains(&px), "{px} px");
        let Some(Verdict::Check(reason)) = &far.verdict else { panic!("{:?}", far.verdict) };
        assert!(reason.contains("the heart had moved by 14 px"), "{reason}");
    }

    #[test]
    fn a_heart_that_rests_is_not_moved_by_noise() {
        let noisy = |mut map: ParametricMap, sd_ms: f32, seed: u32| {
            let mut state = seed;
            map.values.iter_mut().filter(|value| **value > 0.0).for_each(|value| {
                // The sum of four uniform numbers.
                let sum: f32 = (0..4)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
                    })
                    .sum();
                *value += sd_ms * 1.73 * sum;
            });
            map
        };
        let ecv =
            ecv_of(noisy(map(1000.0, 1600.0), 50.0, 1), noisy(map(450.0, 300.0), 15.0, 2), true);
        assert_eq!(ecv.meta.get("BoresideMotionPx"), None);
        assert_eq!(ecv.verdict, Some(Verdict::Accept));
    }

    #[test]
    fn the_verdict_of_the_earlier_map_decides_as_well_and_no_sd_is_no_hindrance() {
        let mut native = map(1000.0, 1600.0);
        native.verdict = Some(Verdict::Check("image 3 of 8 holds nothing".to_owned()));
        native.sd = None;
        let ecv = ecv_of(native, map(450.0, 300.0), true);
        assert!(ecv.sd.is_none());
        let Some(Verdict::Check(reason)) = ecv.verdict else { panic!("{:?}", ecv.verdict) };
        assert_eq!(reason, "T1 before contrast agent: image 3 of 8 holds nothing");
    }

    #[test]
    fn the_newest_map_is_the_partner() {
        let store = Arc::new(MapMemory::default());
        let scan = scan("a", &store);
        let config = Config { haematocrit: Some(42.0), ..Config::default() };
        let at = |z_mm: f32, wall_ms| {
            let mut map = map(wall_ms, 1600.0);
            map.header.position = [0.0, 0.0, z_mm];
            map
        };
        // Both are the slice of the third.
        maps_of(config.clone(), &scan, at(2.8, 900.0));
        maps_of(config.clone(), &scan, at(-0.9, 1000.0));
        let mut post = map(450.0, 300.0);
        post.header.position = [0.0; 3];
        let (maps, _) = maps_of(config, &scan, post);
        let expected = 58.0 * (1.0 / 450.0 - 1.0 / 1000.0) / (1.0 / 300.0 - 1.0 / 1600.0);
        assert!((f64::from(maps[1].values[[0, 24, 37]]) - expected).abs() < 0.05);
    }

    #[test]
    fn blood_is_looked_for_by_the_field_strength() {
        let of = |field: Option<f32>, config: Config| {
            let mut scan = scan("a", &Arc::default());
            if let Some(header) = &mut scan.header {
                let system = header.acquisition_system_information.get_or_insert_default();
                system.system_field_strength_t = field;
            }
            MapEcv::new(config, &scan).expect("good properties").blood_above_ms()
        };
        assert_eq!(of(Some(1.5), Config::default()), 1250.0);
        assert_eq!(of(None, Config::default()), 1250.0);
        assert!((of(Some(3.0), Config::default()) - 1539.0).abs() < 1.0);
        assert!((of(Some(0.55), Config::default()) - 925.0).abs() < 1.0);
        let config = Config { blood_above_ms: Some(1400.0), ..Config::default() };
        assert_eq!(of(Some(3.0), config), 1400.0);
    }

    #[test]
    fn a_patient_who_is_not_named_gets_no_ecv_and_is_told() {
        let (maps, reports) = maps_of(Config::default(), &Scan::default(), map(1000.0, 1600.0));
        assert_eq!(maps.len(), 1);
        assert!(reports[0].contains("no ECV: the header has no `header`"), "{reports:?}");
    }
}
