//! The XML header of an MRD data set, in plain structs.
//!
//! Fields have the elements' own names in snake case; types say how often an element occurs.
//! Reading is lenient, because headers in the field are not all valid: elements may come in any
//! order and under any prefix, unknown ones are skipped, empty ones count as absent, blanks around
//! numbers and `128.0` for a whole number are accepted. Writing follows the schema, so that the C++ and Python libraries read it.
//!
//! What is unknown is not kept: hold on to the client's text where it has to be passed on whole.
//!
//! # Source
//! `schema/ismrmrd.xsd` of the ISMRMRD library.

mod element;
mod encoding;
mod parameters;
mod scan;
mod sequence;
pub(crate) mod tree;

pub use encoding::{
    AccelerationFactor, CalibrationMode, Encoding, EncodingLimits, EncodingSpace, FieldOfView,
    InterleavingDimension, Limit, MatrixSize, Multiband, MultibandCalibration, MultibandSpacing,
    ParallelImaging, Trajectory, TrajectoryDescription,
};
pub use parameters::{UserParameter, UserParameters, WaveformInformation, WaveformType};
pub use scan::{
    AcquisitionSystemInformation, CoilLabel, ExperimentalConditions, MeasurementDependency,
    MeasurementInformation, PatientPosition, ReferencedImageSequence, StudyInformation,
    SubjectInformation, ThreeDimensionalFloat,
};
pub use sequence::{Diffusion, DiffusionDimension, GradientDirection, SequenceParameters};
pub use tree::XmlError;

use element::{Path, Value, element};
use tree::{Document, Node};

const ROOT: &str = "ismrmrdHeader";

const ROOT_ATTRIBUTES: &str = concat!(
    " xmlns=\"http://www.ismrm.org/ISMRMRD\"",
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"",
    " xmlns:xs=\"http://www.w3.org/2001/XMLSchema\"",
    " xsi:schemaLocation=\"http://www.ismrm.org/ISMRMRD ismrmrd.xsd\""
);

element! {
    /// The XML header: everything about a scan that is the same for all its readouts.
    pub struct Header {
        /// Version that the text names. Not written: builds of the C++ library take 2, 8 or 15
        /// for their own and refuse any other, but all take none.
        version: Option<i64> = "version",
        /// The patient or object.
        subject_information: Option<SubjectInformation> = "subjectInformation",
        /// The study.
        study_information: Option<StudyInformation> = "studyInformation",
        /// The measurement.
        measurement_information: Option<MeasurementInformation> = "measurementInformation",
        /// The scanner.
        acquisition_system_information: Option<AcquisitionSystemInformation>
            = "acquisitionSystemInformation",
        /// The main field. An absent element reads as 0 Hz.
        experimental_conditions: ExperimentalConditions = "experimentalConditions" or default,
        /// Encoding spaces, one at least.
        encoding: Vec<Encoding> = "encoding",
        /// Times, angles and diffusion weighting.
        sequence_parameters: Option<SequenceParameters> = "sequenceParameters",
        /// Parameters of the vendor's or the sequence's own.
        user_parameters: Option<UserParameters> = "userParameters",
        /// Waveforms that may come with the scan.
        waveform_information: Vec<WaveformInformation> = "waveformInformation",
    }
}

/// Why a text is not a usable header. Names elements by their path, and values only where they
/// cannot be personal data.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The text is not XML.
    #[error("MRD header: {0}")]
    Xml(#[from] XmlError),
    /// The document is something else.
    #[error("MRD header: the document's element is `{0}`, expected `ismrmrdHeader`")]
    WrongRoot(String),
    /// An element that every header needs is absent or empty.
    #[error("MRD header: `{path}` is missing; the sender has to fill it in")]
    Missing {
        /// Elements from the root.
        path: String,
    },
    /// An element holds something else than it should.
    #[error("MRD header: `{path}` is `{value}`, expected {expected}")]
    Invalid {
        /// Elements from the root.
        path: String,
        /// What stands there, shortened.
        value: String,
        /// What may stand there.
        expected: &'static str,
    },
}

impl HeaderError {
    fn invalid(path: &Path<'_>, value: &str, expected: &'static str) -> Self {
        let value = value.chars().take(60).collect();
        Self::Invalid { path: path.to_string(), value, expected }
    }
}

impl Header {
    /// Reads a header of any version of the schema.
    ///
    /// # Errors
    /// [`HeaderError::Missing`] for `encoding`, and in a section that is there for `encodedSpace`,
    /// `reconSpace`, `matrixSize`, `fieldOfView_mm` and its numbers, `trajectory`,
    /// `accelerationFactor`, `identifier`, and the parts of `multiband` and `diffusion`.
    /// [`HeaderError::Invalid`] for numbers and enumerations that cannot be read.
    ///
    /// ```
    /// let error = ismrmrd::Header::from_xml("<ismrmrdHeader/>").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "MRD header: `ismrmrdHeader/encoding` is missing; the sender has to fill it in"
    /// );
    /// ```
    pub fn from_xml(text: &str) -> Result<Self, HeaderError> {
        let root = Node::parse(text)?;
        if root.name != ROOT {
            return Err(HeaderError::WrongRoot(root.name));
        }
        let path = Path { parent: None, name: ROOT, index: None };
        match Self::read(&root, &path)? {
            Some(header) if !header.encoding.is_empty() => Ok(header),
            _ => Err(HeaderError::Missing { path: format!("{ROOT}/encoding") }),
        }
    }

    /// The header as a document of the schema.
    ///
    /// It is valid where the header has what the schema wants: an encoding, the patient's position
    /// if there is a measurement, non-empty names. Numbers are written so that they read back as
    /// the same bits.
    pub fn to_xml(&self) -> String {
        let header = Self { version: None, ..self.clone() };
        let mut document = Document::new();
        document.element(ROOT, ROOT_ATTRIBUTES, |document| header.write_children(document));
        document.finish()
    }

    /// The user parameter of this name that is a whole number.
    pub fn user_long(&self, name: &str) -> Option<i64> {
        self.user_parameters.as_ref()?.long(name)
    }

    /// The user parameter of this name that is a number, with or without decimals.
    pub fn user_double(&self, name: &str) -> Option<f64> {
        self.user_parameters.as_ref()?.double(name)
    }

    /// The user parameter of this name that is a text.
    pub fn user_string(&self, name: &str) -> Option<&str> {
        self.user_parameters.as_ref()?.string(name)
    }

    /// Sets or replaces a whole number among the user parameters.
    pub fn set_user_long(&mut self, name: &str, value: i64) {
        set(&mut self.user_parameters.get_or_insert_default().user_parameter_long, name, value);
    }

    /// Sets or replaces a number among the user parameters.
    pub fn set_user_double(&mut self, name: &str, value: f64) {
        set(&mut self.user_parameters.get_or_insert_default().user_parameter_double, name, value);
    }

    /// Sets or replaces a text among the user parameters.
    pub fn set_user_string(&mut self, name: &str, value: &str) {
        let parameters = self.user_parameters.get_or_insert_default();
        set(&mut parameters.user_parameter_string, name, value.to_owned());
    }
}

fn set<T>(parameters: &mut Vec<UserParameter<T>>, name: &str, value: T) {
    match parameters.iter_mut().find(|parameter| parameter.name == name) {
        Some(parameter) => parameter.value = value,
        None => parameters.push(UserParameter { name: name.to_owned(), value }),
    }
}

#[cfg(test)]
mod tests;
