//! C-STORE and C-ECHO.

use dicom_core::value::PrimitiveValue;
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::TransferSyntaxIndex;
use dicom_object::{DefaultDicomObject, FileDicomObject, InMemDicomObject};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;
use dicom_ul::ClientAssociationOptions;
use dicom_ul::association::Error as AssociationError;
use dicom_ul::association::client::ClientAssociation;
use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu, PresentationContextResultReason};

use crate::delivery::{DeliveryError, PATIENCE};

/// Bytes of an answer that are read at most.
const MAX_ANSWER: usize = 1 << 20;
/// Pieces that it may come in.
const MAX_ANSWER_PIECES: usize = 1000;
const C_STORE_REQUEST: u16 = 0x0001;
const C_ECHO_REQUEST: u16 = 0x0030;
/// No data set follows.
const NO_DATA: u16 = 0x0101;

/// An association with an archive.
pub struct Association {
    inner: ClientAssociation<std::net::TcpStream>,
    called: String,
    message_id: u16,
    /// Nothing that comes now can be told to which request it belongs.
    is_broken: bool,
}

impl Association {
    /// Opens one for objects of these classes.
    ///
    /// # Errors
    /// Nobody answers, or the archive does not want to speak to us.
    pub fn open(
        called: &str,
        host: &str,
        port: u16,
        calling: &str,
        classes: &[String],
    ) -> Result<Self, DeliveryError> {
        let mut options = ClientAssociationOptions::new()
            .calling_ae_title(calling)
            .called_ae_title(called)
            .connection_timeout(PATIENCE)
            .read_timeout(PATIENCE)
            .write_timeout(PATIENCE);
        // Two for each class, 128 in all.
        for class in classes.iter().take(64) {
            for syntax in [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN] {
                options = options.with_presentation_context(class.as_str(), vec![syntax]);
            }
        }
        let inner = options.establish((host, port)).map_err(|error| match error {
            AssociationError::Rejected { association_rj, .. } => DeliveryError::Later(format!(
                "{called} at {host}:{port} does not accept {calling}: {}; enter our AE title {calling} there, and check its own",
                association_rj.source
            )),
            AssociationError::NoAcceptedPresentationContexts { .. } => DeliveryError::Refused(
                format!("{called} takes no objects of class {}", classes.join(", ")),
            ),
            error => {
                DeliveryError::Later(format!("{called} at {host}:{port} does not answer: {}", causes(&error)))
            }
        })?;
        Ok(Self { inner, called: called.to_owned(), message_id: 0, is_broken: false })
    }

    /// Asks whether it is there.
    ///
    /// # Errors
    /// It does not answer well.
    pub fn echo(&mut self) -> Result<(), DeliveryError> {
        let context = self.inner.presentation_contexts().first().map(|context| context.id);
        let context = context.unwrap_or(1);
        let id = self.next_id();
        self.send_command(
            context,
            &[
                (tags::AFFECTED_SOP_CLASS_UID, VR::UI, PrimitiveValue::from(uids::VERIFICATION)),
                (tags::COMMAND_FIELD, VR::US, C_ECHO_REQUEST.into()),
                (tags::MESSAGE_ID, VR::US, id.into()),
                (tags::COMMAND_DATA_SET_TYPE, VR::US, NO_DATA.into()),
            ],
        )?;
        match self.answer()? {
            (0, _) => Ok(()),
            (status, comment) => Err(DeliveryError::Later(format!(
                "{} answers C-ECHO with status {status:04X} {comment}",
                self.called
            ))),
        }
    }

    /// Hands one file over.
    ///
    /// # Errors
    /// It was not taken.
    pub fn store(&mut self, file: &[u8]) -> Result<(), DeliveryError> {
        let object: DefaultDicomObject = FileDicomObject::from_reader(file)
            .map_err(|error| DeliveryError::Refused(format!("it is no DICOM file: {error}")))?;
        let text = |text: &str| text.trim_end_matches('\0').to_owned();
        let class = text(object.meta().media_storage_sop_class_uid());
        let instance = text(object.meta().media_storage_sop_instance_uid());
        let own = text(object.meta().transfer_syntax());
        let accepted: Vec<_> = self
            .inner
            .presentation_contexts()
            .iter()
            .filter(|context| {
                context.abstract_syntax == class
                    && context.reason == PresentationContextResultReason::Acceptance
            })
            .collect();
        let context = accepted.iter().find(|context| context.transfer_syntax == own);
        let is_plain =
            [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN].contains(&&*own);
        let context = context.or_else(|| accepted.first().filter(|_| is_plain));
        let Some(context) = context else {
            return Err(DeliveryError::Refused(format!(
                "{} takes no objects of class {class} in transfer syntax {own}",
                self.called
            )));
        };
        let (context_id, syntax) = (context.id, context.transfer_syntax.clone());
        let syntax = TransferSyntaxRegistry.get(&syntax).ok_or_else(|| {
            DeliveryError::Refused(format!("transfer syntax {syntax} is not known"))
        })?;
        let mut data = Vec::with_capacity(file.len());
        object
            .write_dataset_with_ts(&mut data, syntax)
            .map_err(|error| DeliveryError::Refused(format!("it cannot be written: {error}")))?;
        let id = self.next_id();
        self.send_command(
            context_id,
            &[
                (tags::AFFECTED_SOP_CLASS_UID, VR::UI, PrimitiveValue::from(class)),
                (tags::COMMAND_FIELD, VR::US, C_STORE_REQUEST.into()),
                (tags::MESSAGE_ID, VR::US, id.into()),
                (tags::PRIORITY, VR::US, 0_u16.into()),
                (tags::COMMAND_DATA_SET_TYPE, VR::US, 0_u16.into()),
                (tags::AFFECTED_SOP_INSTANCE_UID, VR::UI, PrimitiveValue::from(instance)),
            ],
        )?;
        {
            use std::io::Write as _;
            let mut writer = self.inner.send_pdata(context_id);
            let sent = writer.write_all(&data).and_then(|()| writer.finish());
            sent.map_err(|error| self.broken(format!("it took only part of an object: {error}")))?;
        }
        let (status, comment) = self.answer()?;
        verdict(status, &comment)
    }

    /// Whether more can be sent. After a silence or a broken answer it cannot: a late answer would be
    /// taken for that to the next object.
    pub fn is_usable(&self) -> bool {
        !self.is_broken
    }

    /// Ends it orderly.
    pub fn release(self) {
        if let Err(error) = self.inner.release() {
            tracing::debug!("{}: the association does not end orderly: {error}", self.called);
        }
    }

    fn next_id(&mut self) -> u16 {
        self.message_id = self.message_id.wrapping_add(1);
        self.message_id
    }

    fn broken(&mut self, what: String) -> DeliveryError {
        self.is_broken = true;
        DeliveryError::Later(format!("the association with {} broke: {what}", self.called))
    }

    fn send_command(
        &mut self,
        context: u8,
        elements: &[(Tag, VR, PrimitiveValue)],
    ) -> Result<(), DeliveryError> {
        let elements =
            elements.iter().map(|(tag, vr, value)| DataElement::new(*tag, *vr, value.clone()));
        let command = InMemDicomObject::command_from_element_iter(elements);
        let mut data = Vec::new();
        command
            .write_dataset_with_ts(&mut data, &IMPLICIT_VR_LITTLE_ENDIAN.erased())
            .map_err(|error| DeliveryError::Refused(error.to_string()))?;
        let value = PDataValue {
            presentation_context_id: context,
            value_type: PDataValueType::Command,
            is_last: true,
            data,
        };
        self.inner
            .send(&Pdu::PData { data: vec![value] })
            .map_err(|error| self.broken(causes(&error)))
    }

    /// Status and error comment of the answer to the last request.
    fn answer(&mut self) -> Result<(u16, String), DeliveryError> {
        let mut bytes = Vec::new();
        for _ in 0..MAX_ANSWER_PIECES {
            let pdu = self.inner.receive().map_err(|error| self.broken(causes(&error)))?;
            let Pdu::PData { data } = pdu else {
                return Err(self.broken(format!("it answers with {}", pdu.short_description())));
            };
            let mut is_last = false;
            for value in data {
                is_last |= value.is_last;
                bytes.extend(value.data);
            }
            if bytes.len() > MAX_ANSWER {
                break;
            }
            if is_last {
                let Some((to, status, comment)) = read_answer(&bytes) else {
                    return Err(self.broken("it answers unreadably".to_owned()));
                };
                if to.is_none_or(|to| to == self.message_id) {
                    return Ok((status, comment));
                }
                return Err(self.broken("it answers another request".to_owned()));
            }
        }
        Err(self.broken("it answers without an end".to_owned()))
    }
}

/// Of an answer: the request that it is to, the status, and the error comment.
fn read_answer(bytes: &[u8]) -> Option<(Option<u16>, u16, String)> {
    let syntax = IMPLICIT_VR_LITTLE_ENDIAN.erased();
    let answer = InMemDicomObject::read_dataset_with_ts(bytes, &syntax).ok()?;
    let number = |tag| answer.get(tag).and_then(|number| number.to_int::<u16>().ok());
    let comment = answer.get(tags::ERROR_COMMENT).and_then(|text| text.to_str().ok());
    let comment = comment.map(|text| text.trim().to_owned()).unwrap_or_default();
    Some((number(tags::MESSAGE_ID_BEING_RESPONDED_TO), number(tags::STATUS)?, comment))
}

/// What a status of C-STORE means; STOW-RS gives the same as its Failure Reason.
///
/// # Source
/// DICOM PS3.4 B.2.3 and PS3.7 annex C.
pub(crate) fn verdict(status: u16, comment: &str) -> Result<(), DeliveryError> {
    let told = |what: &str| format!("status {status:04X}, {what} {comment}").trim().to_owned();
    match status {
        // Success, and warnings: it is kept.
        0x0000 | 0xB000 | 0xB006 | 0xB007 => Ok(()),
        // It has this one already.
        0x0111 => Ok(()),
        0xA900..=0xA9FF => {
            Err(DeliveryError::Refused(told("the data set does not match its class")))
        }
        0xC000..=0xCFFF => Err(DeliveryError::Refused(told("it cannot be understood"))),
        0x0105..=0x0107 | 0x0115..=0x0117 | 0x0119..=0x0122 => {
            Err(DeliveryError::Refused(told("the object is not accepted")))
        }
        0xA700..=0xA7FF => Err(DeliveryError::Later(told("out of resources"))),
        0x0124 => Err(DeliveryError::Later(told("we are not authorised"))),
        _ => Err(DeliveryError::Later(told("not stored"))),
    }
}

/// An error with what is behind it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_tell_bad_objects_from_bad_moments() {
        for status in [0x0000, 0xB000, 0xB007, 0x0111] {
            assert_eq!(verdict(status, ""), Ok(()));
        }
        for status in [0xA900, 0xA9FF, 0xC000, 0xC123, 0x0122, 0x0117] {
            assert!(
                matches!(verdict(status, "why"), Err(DeliveryError::Refused(text)) if text.contains("why"))
            );
        }
        for status in [0xA700, 0x0124, 0x0110, 0xFE00] {
            assert!(matches!(verdict(status, ""), Err(DeliveryError::Later(_))));
        }
    }
}
