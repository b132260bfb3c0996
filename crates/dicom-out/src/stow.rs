//! STOW-RS: objects to a DICOMweb service.

use std::path::Path;

use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::delivery::{DeliveryError, PATIENCE};
use crate::dimse;

/// Largest answer that is read.
const MAX_ANSWER: u64 = 1 << 20;
/// Failed SOP Sequence. Some services send it empty where all went well.
const FAILED: &str = "00081198";
/// Failure Reason.
const REASON: &str = "00081197";

/// A client of one service.
pub struct Client {
    agent: Agent,
    url: String,
    authorization: Option<String>,
}

impl Client {
    /// A client of the service at `url`.
    ///
    /// # Errors
    /// The files with token or certificates cannot be read: they may another time.
    pub fn new(
        url: &str,
        token_file: Option<&Path>,
        ca_file: Option<&Path>,
    ) -> Result<Self, DeliveryError> {
        let read = |path: &Path| {
            std::fs::read(path)
                .map_err(|error| DeliveryError::Later(format!("{}: {error}", path.display())))
        };
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(PATIENCE))
            .timeout_global(Some(4 * PATIENCE))
            .max_redirects(0);
        if let Some(path) = ca_file {
            let pem = read(path)?;
            let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            if certificates.is_empty() {
                let what = format!("{} holds no certificate (PEM)", path.display());
                return Err(DeliveryError::Later(what));
            }
            let roots = RootCerts::new_with_certs(&certificates);
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        let authorization = match token_file {
            Some(path) => {
                let text = String::from_utf8(read(path)?)
                    .map_err(|_| DeliveryError::Later(format!("{} is no text", path.display())))?;
                let text = text.trim();
                // A token alone is a bearer's.
                let has_scheme = text.contains(' ');
                Some(if has_scheme { text.to_owned() } else { format!("Bearer {text}") })
            }
            None => None,
        };
        let url = match url.trim_end_matches('/') {
            url if url.ends_with("/studies") => url.to_owned(),
            url => format!("{url}/studies"),
        };
        Ok(Self { agent: config.build().into(), url, authorization })
    }

    /// Hands one file over.
    ///
    /// # Errors
    /// It was not taken.
    pub fn store(&mut self, file: &[u8]) -> Result<(), DeliveryError> {
        crate::delivery::sop_class(file)?;
        let boundary = boundary(file);
        let mut body = Vec::with_capacity(file.len() + 200);
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(file);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let content = format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
        let mut request = self
            .agent
            .post(&self.url)
            .header("content-type", &content)
            .header("accept", "application/dicom+json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let answer = request.send(&body[..]).map_err(|error| {
            DeliveryError::Later(format!("{} does not answer: {error}", self.url))
        })?;
        let status = answer.status().as_u16();
        let Some(text) = text_of(answer) else {
            // Whether it has been stored is not known; a second time does no harm.
            let what = format!("{}: HTTP {status}, and the answer broke off", self.url);
            return Err(DeliveryError::Later(what));
        };
        verdict(status, &text, &self.url)
    }

    /// Asks whether the service is there and lets us in.
    ///
    /// # Errors
    /// It is not, or does not.
    pub fn ask(&mut self) -> Result<(), DeliveryError> {
        let mut request = self
            .agent
            .get(&format!("{}?limit=1", self.url))
            .header("accept", "application/dicom+json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let answer = request.call().map_err(|error| {
            DeliveryError::Later(format!("{} does not answer: {error}", self.url))
        })?;
        match answer.status().as_u16() {
            200..=299 => Ok(()),
            status => verdict(status, &text_of(answer).unwrap_or_default(), &self.url),
        }
    }
}

/// [`None`]: it broke off, or is too long.
fn text_of(answer: ureq::http::Response<ureq::Body>) -> Option<String> {
    let body = answer.into_body().into_with_config().limit(MAX_ANSWER).read_to_vec().ok()?;
    Some(String::from_utf8_lossy(&body).into_owned())
}

/// What an answer means.
///
/// # Source
/// DICOM PS3.18 10.5.3.
fn verdict(status: u16, text: &str, url: &str) -> Result<(), DeliveryError> {
    let excerpt: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    let told = |what: &str| format!("{url}: HTTP {status}, {what} {excerpt}").trim().to_owned();
    if matches!(status, 200..=299 | 409) && has_failed(text) {
        let Some(reason) = failure_reason(text) else {
            return Err(DeliveryError::Refused(told("not stored")));
        };
        return dimse::verdict(reason, &told("not stored"));
    }
    match status {
        200..=299 => Ok(()),
        400 | 409 | 413 | 415 | 422 => {
            Err(DeliveryError::Refused(told("the object is not accepted")))
        }
        401 | 403 => Err(DeliveryError::Later(told("check the token"))),
        404 | 405 => Err(DeliveryError::Later(told("check the address"))),
        _ => Err(DeliveryError::Later(told("not stored"))),
    }
}

/// Whether an answer, in JSON or XML, names an object that was not stored.
fn has_failed(text: &str) -> bool {
    if let Ok(answer) = serde_json::from_str::<serde_json::Value>(text) {
        let failed = answer.get(FAILED).and_then(|failed| failed.get("Value"));
        return failed.and_then(|items| items.as_array()).is_some_and(|items| !items.is_empty());
    }
    let Some((_, failed)) = text.split_once(&format!("tag=\"{FAILED}\"")) else { return false };
    // An element without items ends at once, or before the first of another element.
    let head = failed.split_once('>').map_or("", |(head, _)| head);
    let own = failed.split("</DicomAttribute>").next().unwrap_or_default();
    !head.ends_with('/') && own.contains("<Item")
}

/// Failure Reason of the first object that was not stored.
fn failure_reason(text: &str) -> Option<u16> {
    if let Ok(answer) = serde_json::from_str::<serde_json::Value>(text) {
        let reason = answer.get(FAILED)?.get("Value")?.get(0)?.get(REASON)?.get("Value")?.get(0)?;
        return u16::try_from(reason.as_u64()?).ok();
    }
    let (_, element) = text.split_once(&format!("tag=\"{REASON}\""))?;
    let (_, value) = element.split_once("<Value")?;
    let (_, value) = value.split_once('>')?;
    value.split('<').next()?.trim().parse().ok()
}

/// A line that is not in the file.
fn boundary(file: &[u8]) -> String {
    let mut n = 0_u32;
    loop {
        let boundary = format!("boreside-{n:08x}");
        let is_in = file.windows(boundary.len()).any(|window| window == boundary.as_bytes());
        if !is_in {
            return boundary;
        }
        n += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_tell_bad_objects_from_bad_moments() {
        assert_eq!(verdict(200, "{}", "u"), Ok(()));
        for failed in [
            r#"{"00081198":{"vr":"SQ","Value":[{"00081197":{"vr":"US","Value":[43264]}}]}}"#,
            r#"<NativeDicomModel><DicomAttribute tag="00081198" vr="SQ"><Item number="1"><DicomAttribute tag="00081197" vr="US"><Value number="1">49152</Value></DicomAttribute></Item></DicomAttribute></NativeDicomModel>"#,
            r#"<NativeDicomModel><DicomAttribute tag="00081198" vr="SQ"><Item number="1"/></DicomAttribute></NativeDicomModel>"#,
        ] {
            assert!(
                matches!(verdict(202, failed, "u"), Err(DeliveryError::Refused(_))),
                "{failed}"
            );
        }
        // Out of resources (A700), and a processing failure: another time.
        for reason in [0xA700, 0x0110] {
            let json = format!(
                r#"{{"00081198":{{"vr":"SQ","Value":[{{"00081197":{{"vr":"US","Value":[{reason}]}}}}]}}}}"#
            );
            let xml = format!(
                r#"<NativeDicomModel><DicomAttribute tag="00081198" vr="SQ"><Item number="1"><DicomAttribute tag="00081197" vr="US"><Value number="1">{reason}</Value></DicomAttribute></Item></DicomAttribute></NativeDicomModel>"#
            );
            for (status, text) in [(409, &json), (202, &json), (202, &xml)] {
                assert!(
                    matches!(verdict(status, text, "u"), Err(DeliveryError::Later(_))),
                    "{text}"
                );
            }
        }
        // It has it already.
        let known = r#"{"00081198":{"vr":"SQ","Value":[{"00081197":{"vr":"US","Value":[273]}}]}}"#;
        assert_eq!(verdict(409, known, "u"), Ok(()));
        // As Orthanc says that all went well.
        for stored in [
            r#"{"00081198":{"vr":"SQ"},"00081199":{"vr":"SQ","Value":[{}]}}"#,
            r#"{"00081198":{"vr":"SQ","Value":[]}}"#,
            r#"<NativeDicomModel><DicomAttribute tag="00081198" vr="SQ"/><DicomAttribute tag="00081199" vr="SQ"><Item number="1"/></DicomAttribute></NativeDicomModel>"#,
        ] {
            assert_eq!(verdict(200, stored, "u"), Ok(()), "{stored}");
        }
        for status in [400, 409, 413, 415] {
            assert!(
                matches!(verdict(status, "why", "u"), Err(DeliveryError::Refused(text)) if text.contains("why"))
            );
        }
        for status in [302, 401, 404, 429, 500, 503] {
            assert!(matches!(verdict(status, "", "u"), Err(DeliveryError::Later(_))));
        }
    }

    #[test]
    fn the_boundary_is_not_in_the_file() {
        assert_eq!(boundary(b"x boreside-00000000 y"), "boreside-00000001");
    }
}
