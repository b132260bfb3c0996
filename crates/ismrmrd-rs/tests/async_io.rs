//! Readers and writers of tokio agree with the blocking ones.
#![cfg(feature = "tokio")]

use ismrmrd::wire::{AsyncReader, AsyncWriter, Dialect, Limits, Message, ReadError, Reader};
use ismrmrd::{Acquisition, AcquisitionHeader};
use ndarray::Array2;
use tokio::io::AsyncWriteExt;

fn messages() -> Vec<Message> {
    let readout = |n| Acquisition::new(AcquisitionHeader::default(), Array2::ones((4, n)));
    let mut messages = vec![Message::Header("<ismrmrdHeader/>".into())];
    // Longer than the buffers in between, and much longer than the pipe.
    messages.extend([1, 3000, 60_000, 2].map(|n| readout(n).into()));
    messages.push(Message::Close);
    messages
}

#[tokio::test]
async fn messages_go_through_a_narrow_pipe() {
    let (near, far) = tokio::io::duplex(1000);
    let writing = async {
        let mut writer = AsyncWriter::new(near);
        writer.set_dialect(Dialect::Python);
        for message in messages() {
            writer.write(&message).await.unwrap();
        }
        writer.shutdown().await.unwrap();
    };
    let reading = async {
        let mut reader = AsyncReader::new(far, Limits::default());
        let mut read = Vec::new();
        while let Some(message) = reader.read().await.unwrap() {
            read.push(message);
        }
        assert!(reader.decoder().saw_nul_terminated_text());
        read
    };
    let ((), read) = tokio::join!(writing, reading);
    assert_eq!(read, messages());
}

#[tokio::test]
async fn the_bytes_are_those_of_the_blocking_writer() {
    let mut bytes = Vec::new();
    let mut writer = AsyncWriter::new(&mut bytes);
    for message in messages() {
        writer.write(&message).await.unwrap();
    }
    writer.flush().await.unwrap();
    let read: Vec<Message> = Reader::new(&bytes[..]).map(Result::unwrap).collect();
    assert_eq!(read, messages());
}

#[tokio::test]
async fn a_sender_that_vanishes_is_noticed() {
    let (mut near, far) = tokio::io::duplex(64);
    near.write_all(&[4, 0, 5, 0, 9, 0]).await.unwrap();
    drop(near);
    let mut reader = AsyncReader::new(far, Limits::default());
    assert_eq!(reader.read().await.unwrap(), Some(Message::Close));
    let error = reader.read().await.unwrap_err();
    assert!(matches!(error, ReadError::Truncated { offset: 2, id: Some(5), missing: 2, .. }));
}

/// As in a `select!` with another branch that is ready first.
#[tokio::test]
async fn a_read_that_is_cancelled_loses_nothing() {
    let (mut near, far) = tokio::io::duplex(64);
    let mut reader = AsyncReader::new(far, Limits::default());
    for byte in [5, 0, 2, 0, 0, 0, b'h'] {
        near.write_all(&[byte]).await.unwrap();
        tokio::select! {
            biased;
            message = reader.read() => panic!("{message:?}"),
            () = std::future::ready(()) => {}
        }
    }
    near.write_all(b"i").await.unwrap();
    assert_eq!(reader.read().await.unwrap(), Some(Message::Text("hi".into())));
}
