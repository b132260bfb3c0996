//! Who may ask: everybody on this machine, or who knows the token.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tonic::Code;

use super::refusal;

/// Characters that a token has at least.
const MIN_TOKEN_CHARS: usize = 16;

const NO_TOKEN: &str = "this server wants a token";
const NO_TOKEN_REMEDY: &str =
    "send it in the header: authorization: Bearer TOKEN; who runs the server knows it";
const WRONG_HOST: &str = "this name does not stand for this machine";
const WRONG_HOST_REMEDY: &str =
    "ask http://127.0.0.1 or http://localhost; for other names start the server with a token";

/// What clients must know. It is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// The token that a file holds: its text without blanks around.
    ///
    /// # Errors
    /// What is wrong with the file or the token, and what to do.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("token file {}: {error}", path.display()))?;
        let token = text.trim();
        let is_printable = token.chars().all(|c| c.is_ascii_graphic());
        if token.len() < MIN_TOKEN_CHARS || !is_printable {
            return Err(format!(
                "token file {}: a token has {MIN_TOKEN_CHARS} or more characters, letters and signs without blanks\n  make one: head -c 24 /dev/urandom | base64 > FILE",
                path.display()
            ));
        }
        Ok(Self(token.to_owned()))
    }

    /// Compares in a time that does not tell how much of it is right.
    fn is(&self, other: &str) -> bool {
        let (own, other) = (self.0.as_bytes(), other.as_bytes());
        let difference = own
            .iter()
            .zip(other.iter().chain(std::iter::repeat(&0)))
            .fold(0, |difference, (a, b)| difference | (a ^ b));
        own.len() == other.len() && difference == 0
    }
}

/// Lets requests pass or not.
pub(super) struct Guard {
    token: Option<Token>,
}

enum Denied {
    Token,
    Host,
}

impl Guard {
    pub fn new(token: Option<Token>) -> Self {
        Self { token }
    }

    fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Denied> {
        let Some(token) = &self.token else {
            // A page from elsewhere that gives this machine another name must not read images.
            return if is_local(headers, uri) { Ok(()) } else { Err(Denied::Host) };
        };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        if given.is_some_and(|given| token.is(given)) { Ok(()) } else { Err(Denied::Token) }
    }
}

/// Whether the request was made to a name of this machine.
fn is_local(headers: &HeaderMap, uri: &Uri) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(authority) = uri.authority().map(|authority| authority.as_str()).or(host) else {
        // No browser leaves it out.
        return true;
    };
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// For gRPC: a status, which gRPC-web gets as well.
pub(super) async fn check_rpc(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    // Probes know no token, and learn nothing but that it runs.
    if request.uri().path().starts_with("/grpc.health.v1.Health/") {
        return next.run(request).await;
    }
    match guard.check(request.headers(), request.uri()) {
        Ok(()) => next.run(request).await,
        Err(Denied::Token) => {
            refusal(Code::Unauthenticated, NO_TOKEN, NO_TOKEN_REMEDY).into_http::<Body>()
        }
        Err(Denied::Host) => {
            refusal(Code::PermissionDenied, WRONG_HOST, WRONG_HOST_REMEDY).into_http::<Body>()
        }
    }
}

/// For plain HTTP.
pub(super) async fn check_page(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    match guard.check(request.headers(), request.uri()) {
        Ok(()) => next.run(request).await,
        Err(Denied::Token) => {
            let header = [(header::WWW_AUTHENTICATE, "Bearer")];
            let text = format!("{NO_TOKEN}\n  {NO_TOKEN_REMEDY}\n");
            (StatusCode::UNAUTHORIZED, header, text).into_response()
        }
        Err(Denied::Host) => {
            let text = format!("{WRONG_HOST}\n  {WRONG_HOST_REMEDY}\n");
            (StatusCode::FORBIDDEN, text).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_right() {
        let token = Token("0123456789abcdef".to_owned());
        assert!(token.is("0123456789abcdef"));
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF"] {
            assert!(!token.is(wrong), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn names_of_other_machines_are_not_this_one() {
        let host = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().expect("a header"));
            is_local(&headers, &Uri::from_static("/x"))
        };
        for local in ["127.0.0.1:9080", "localhost", "LOCALHOST:1", "[::1]:9080", "127.0.0.1"] {
            assert!(host(local), "{local}");
        }
        for other in ["evil.example:9080", "10.0.0.1", "127.0.0.1.evil.example", "[::2]:1"] {
            assert!(!host(other), "{other}");
        }
    }

    #[test]
    fn a_short_token_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        for (text, is_good) in
            [("0123456789abcdef\n", true), ("short\n", false), ("0123456789 abcdef", false)]
        {
            std::fs::write(&path, text).expect("writable");
            assert_eq!(Token::read(&path).is_ok(), is_good, "{text:?}");
        }
    }
}
