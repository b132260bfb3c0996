//! A data set, attribute by attribute, each cleaned to its value representation.

use dicom_core::value::{C, PrimitiveValue};
use dicom_core::{DataElement, Tag, VR};
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use crate::text;

/// A data set that is being filled.
pub(crate) struct Dataset(pub InMemDicomObject);

impl Default for Dataset {
    fn default() -> Self {
        Self(InMemDicomObject::new_empty())
    }
}

impl Dataset {
    fn put(&mut self, tag: Tag, vr: VR, value: impl Into<PrimitiveValue>) {
        self.0.put(DataElement::new(tag, vr, value.into()));
    }

    fn put_text(&mut self, tag: Tag, vr: VR, text: String) {
        // An empty text is an empty value.
        let value = if text.is_empty() { PrimitiveValue::Empty } else { text.into() };
        self.put(tag, vr, value);
    }

    /// An attribute without a value.
    pub fn empty(&mut self, tag: Tag, vr: VR) {
        self.put(tag, vr, PrimitiveValue::Empty);
    }

    pub fn lo(&mut self, tag: Tag, text: &str) {
        self.put_text(tag, VR::LO, text::lo(text));
    }

    pub fn sh(&mut self, tag: Tag, text: &str) {
        self.put_text(tag, VR::SH, text::sh(text));
    }

    pub fn st(&mut self, tag: Tag, text: &str) {
        self.put_text(tag, VR::ST, text::paragraphs(text, 1024));
    }

    pub fn lt(&mut self, tag: Tag, text: &str) {
        self.put_text(tag, VR::LT, text::paragraphs(text, 10240));
    }

    pub fn pn(&mut self, tag: Tag, text: &str) {
        self.put_text(tag, VR::PN, text::person(text));
    }

    /// A code string of one or more values.
    pub fn cs(&mut self, tag: Tag, values: &[&str]) {
        let values: C<String> = values.iter().map(|value| text::code(value)).collect();
        self.put(tag, VR::CS, PrimitiveValue::Strs(values));
    }

    pub fn ui(&mut self, tag: Tag, uid: &str) {
        self.put_text(tag, VR::UI, uid.to_owned());
    }

    /// A date, empty where it is not known.
    pub fn da(&mut self, tag: Tag, date: Option<String>) {
        self.put_text(tag, VR::DA, date.unwrap_or_default());
    }

    /// A time, empty where it is not known.
    pub fn tm(&mut self, tag: Tag, time: Option<String>) {
        self.put_text(tag, VR::TM, time.unwrap_or_default());
    }

    /// Decimal strings; what is no number becomes an empty value.
    pub fn ds(&mut self, tag: Tag, values: &[f64]) {
        let values: C<String> =
            values.iter().map(|value| text::decimal(*value).unwrap_or_default()).collect();
        self.put(tag, VR::DS, PrimitiveValue::Strs(values));
    }

    pub fn is(&mut self, tag: Tag, value: i64) {
        let value = value.clamp(i32::MIN.into(), i32::MAX.into());
        self.put(tag, VR::IS, value.to_string());
    }

    pub fn us(&mut self, tag: Tag, value: u16) {
        self.put(tag, VR::US, value);
    }

    pub fn ul(&mut self, tag: Tag, values: &[u32]) {
        self.put(tag, VR::UL, PrimitiveValue::U32(values.iter().copied().collect()));
    }

    /// An integer of the pixels' own kind: SS for signed ones, US for others.
    pub fn us_or_ss(&mut self, tag: Tag, value: i32, is_signed: bool) {
        if is_signed {
            self.put(tag, VR::SS, PrimitiveValue::from(value as i16));
        } else {
            self.put(tag, VR::US, PrimitiveValue::from(value as u16));
        }
    }

    pub fn fd(&mut self, tag: Tag, values: &[f64]) {
        self.put(tag, VR::FD, PrimitiveValue::F64(values.iter().copied().collect()));
    }

    pub fn fl(&mut self, tag: Tag, value: f32) {
        self.put(tag, VR::FL, value);
    }

    pub fn at(&mut self, tag: Tag, value: Tag) {
        self.put(tag, VR::AT, value);
    }

    /// Pixels of 16 bits.
    pub fn ow(&mut self, tag: Tag, pixels: Vec<u16>) {
        self.put(tag, VR::OW, PrimitiveValue::U16(pixels.into()));
    }

    /// Pixels of 8 bits.
    pub fn ob(&mut self, tag: Tag, pixels: Vec<u8>) {
        self.put(tag, VR::OB, PrimitiveValue::U8(pixels.into()));
    }

    /// Pixels of 32-bit floats.
    pub fn of(&mut self, tag: Tag, pixels: Vec<f32>) {
        self.put(tag, VR::OF, PrimitiveValue::F32(pixels.into()));
    }

    pub fn sq(&mut self, tag: Tag, items: Vec<Dataset>) {
        let items: C<InMemDicomObject> = items.into_iter().map(|item| item.0).collect();
        let element: InMemElement =
            DataElement::new(tag, VR::SQ, dicom_core::value::DataSetSequence::from(items));
        self.0.put(element);
    }
}
