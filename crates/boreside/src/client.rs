//! A client of any MRD server: sends a recording, takes what comes back.

use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ismrmrd::wire::{self, Reader, Writer};

/// A server that does not answer for so long is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What is sent before the data.
pub struct Opening {
    /// The chain's name, or its text.
    pub config: wire::Message,
    /// The MRD header.
    pub header_text: String,
    /// Parameters as JSON.
    pub parameters: Option<String>,
}

/// How it went.
pub struct Finished {
    /// Texts of level ERROR or CRITICAL from the server.
    pub n_errors: usize,
}

/// Sends the opening and the messages to the server at `address` and hands everything that it
/// sends to `on_message` until its CLOSE. Its texts go to the log.
///
/// # Errors
/// No connection, a connection that ends without CLOSE, a source that fails, or `on_message`'s error.
pub fn run(
    address: &str,
    opening: Opening,
    messages: impl Iterator<Item = Result<wire::Message>> + Send,
    on_message: impl FnMut(wire::Message) -> Result<()>,
) -> Result<Finished> {
    run_on(connect(address)?, opening, messages, on_message)
}

/// The same on a connection that is there.
///
/// # Errors
/// As [`run`].
pub fn run_on(
    stream: TcpStream,
    opening: Opening,
    messages: impl Iterator<Item = Result<wire::Message>> + Send,
    mut on_message: impl FnMut(wire::Message) -> Result<()>,
) -> Result<Finished> {
    stream.set_nodelay(true).context("TCP_NODELAY")?;
    let sending = stream.try_clone().context("the connection cannot be shared")?;
    let mut reader = Reader::new(stream);
    let mut n_errors = 0;
    let mut has_closed = false;
    std::thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let sent = send(&sending, opening, messages);
            // The server must not wait for data that will not come.
            if sent.is_err() {
                let _ = sending.shutdown(Shutdown::Write);
            }
            sent
        });
        let received = loop {
            match reader.read() {
                Ok(Some(wire::Message::Close)) => {
                    has_closed = true;
                    break Ok(());
                }
                Ok(Some(wire::Message::Text(text))) => n_errors += usize::from(log(&text)),
                Ok(Some(message)) => {
                    if let Err(error) = on_message(message) {
                        break Err(error);
                    }
                }
                Ok(None) => {
                    break Err(anyhow::anyhow!("the server ended the connection without CLOSE"));
                }
                Err(error) => break Err(anyhow::Error::new(error).context("from the server")),
            }
        };
        // Ends a sender that still waits for the server to take something.
        let _ = reader.into_inner().shutdown(Shutdown::Both);
        let sent = sender.join().unwrap_or_else(|_| bail!("the source of the data panicked"));
        received?;
        match sent {
            Err(error) if !(has_closed && is_connection_error(&error)) => Err(error),
            // The server closed before it had everything, and has said why.
            _ => Ok(()),
        }
    })?;
    Ok(Finished { n_errors })
}

fn connect(address: &str) -> Result<TcpStream> {
    let addresses: Vec<_> = address
        .to_socket_addrs()
        .with_context(|| format!("{address} is no address: write HOST:PORT"))?
        .collect();
    let mut last = None;
    for address in &addresses {
        match TcpStream::connect_timeout(address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error).with_context(|| {
            format!("no server answers at {address}: start one with `boreside serve`")
        }),
        None => bail!("{address} has no address"),
    }
}

fn send(
    stream: &TcpStream,
    opening: Opening,
    messages: impl Iterator<Item = Result<wire::Message>>,
) -> Result<()> {
    let mut writer = Writer::new(stream);
    writer.write(&opening.config)?;
    writer.write(&wire::Message::Header(opening.header_text))?;
    if let Some(parameters) = opening.parameters {
        writer.write(&wire::Message::Text(parameters))?;
    }
    writer.flush()?;
    for message in messages {
        let message = message?;
        if matches!(message, wire::Message::Close) {
            break;
        }
        writer.write(&message)?;
    }
    writer.write(&wire::Message::Close)?;
    Ok(writer.flush()?)
}

/// Logs a text with its level; whether it is an error.
fn log(text: &str) -> bool {
    let (level, rest) = text.split_at_checked(8).unwrap_or(("", text));
    match level.trim_end() {
        "ERROR" | "CRITICAL" => {
            tracing::error!("server: {}", rest.trim_start());
            return true;
        }
        "WARNING" => tracing::warn!("server: {}", rest.trim_start()),
        "INFO" => tracing::info!("server: {}", rest.trim_start()),
        "DEBUG" => tracing::debug!("server: {}", rest.trim_start()),
        _ => tracing::info!("server: {text}"),
    }
    false
}

fn is_connection_error(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<wire::WriteError>())
}
