//! What the control plane refuses, and that a scan meanwhile gives the same images.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;

use ismrmrd::wire::Message as Mrd;
use ismrmrd::{Image, Pixels};
use prost::Message;
use server::proto;
use support::control::{
    Call, Connection, INVALID_ARGUMENT, OUT_OF_RANGE, PERMISSION_DENIED, RESOURCE_EXHAUSTED,
    Status, UNAUTHENTICATED, Watcher, call, connect, get, has_ended, is_caught_up,
};
use support::{Client, TestServer, boreside, images, run, small_scan};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};

const TOKEN: &str = "0123456789abcdef-of-a-test";

fn with_http(more: &[&str]) -> TestServer {
    TestServer::start(&[&["--http", "127.0.0.1:0"], more].concat())
}

/// Runs a scan in the middle of which `trouble` is made, and one before it: both must give the
/// same images.
fn scan_through(server: &TestServer, trouble: impl FnOnce()) {
    let scan = small_scan(2);
    let pixels = |images: Vec<Image>| -> Vec<Pixels> {
        images.into_iter().map(|image| image.pixels).collect()
    };
    let before = pixels(images(support::reconstruct(server, "cartesian_fft", &scan)));
    let mut client = Client::open(server, "cartesian_fft", &scan.header().to_xml());
    let readouts: Vec<_> = scan.acquisitions().collect();
    let (first, second) = readouts.split_at(readouts.len() / 2);
    first.iter().for_each(|readout| client.send(readout.clone()));
    trouble();
    second.iter().for_each(|readout| client.send(readout.clone()));
    client.send(Mrd::Close);
    let during = pixels(images(client.read_to_close()));
    assert_eq!(before.len(), 2);
    assert!(before == during, "the same images");
}

fn info_status(server: &TestServer, headers: &str) -> Option<Status> {
    let request = proto::GetServerInfoRequest {}.encode_to_vec();
    let path = "/boreside.v1.ServerService/GetServerInfo";
    let mut call = Call::start_on(Box::new(connect(server)), path, headers, &request);
    while call.next::<proto::GetServerInfoResponse>().is_some() {}
    call.status().cloned()
}

#[test]
fn without_the_token_nothing_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, TOKEN).expect("writable");
    let server = with_http(&["--http-token-file", token.to_str().expect("UTF-8")]);
    scan_through(&server, || {
        for headers in [
            "",
            "authorization: Bearer wrong\r\n",
            "authorization: Bearer 0123456789abcdef-of-a-tesT\r\n",
            "authorization: Basic 0123456789abcdef-of-a-test\r\n",
        ] {
            let status = info_status(&server, headers).expect("it is answered");
            assert_eq!(status.code, UNAUTHENTICATED, "{headers}: {status:?}");
            assert!(status.message.contains("wants a token"), "{status:?}");
            assert!(get(&server, "/metrics", headers).0.starts_with("HTTP/1.1 401"));
        }
    });
    let right = format!("authorization: Bearer {TOKEN}\r\n");
    assert_eq!(info_status(&server, &right).map(|status| status.code), Some(0));
    assert!(get(&server, "/metrics", &right).0.starts_with("HTTP/1.1 200"));
    // Probes know no token, and the pages say nothing of patients.
    assert!(get(&server, "/healthz", "").0.starts_with("HTTP/1.1 200"));
    assert!(!server.log().contains(TOKEN));
}

#[test]
fn a_page_from_elsewhere_cannot_read_images_under_another_name() {
    let server = with_http(&[]);
    let status = info_status(&server, "host: evil.example\r\n").expect("it is answered");
    assert_eq!(status.code, PERMISSION_DENIED);
    assert_eq!(info_status(&server, "host: localhost:1\r\n").map(|status| status.code), Some(0));
}

#[test]
fn beyond_this_machine_a_token_and_tls_are_demanded() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, TOKEN).expect("writable");
    let token = token.to_str().expect("UTF-8");
    let data = folder.path().to_str().expect("UTF-8");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", data, "--http", "0.0.0.0:0"];
    for (more, missing) in
        [(&[][..], "no token and no TLS"), (&["--http-token-file", token][..], "no TLS")]
    {
        let output = run(&[&serve[..], more].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(missing), "{stderr}");
        assert!(stderr.contains("--http-tls-cert"), "{stderr}");
    }
    std::fs::write(folder.path().join("short"), "short").expect("writable");
    let short = folder.path().join("short");
    let output =
        run(&[&serve[..], &["--http-token-file", short.to_str().expect("UTF-8")]].concat());
    assert!(String::from_utf8_lossy(&output.stderr).contains("16 or more characters"));
}

/// A certificate for `localhost` and its key, as files.
fn certificate(folder: &Path) -> (CertificateDer<'static>, [String; 2]) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    let files = [("cert.pem", made.cert.pem()), ("key.pem", made.signing_key.serialize_pem())];
    let files = files.map(|(name, text)| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("writable");
        path.to_str().expect("UTF-8").to_owned()
    });
    (made.cert.der().clone(), files)
}

#[test]
fn with_token_and_tls_it_answers_from_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, [cert, key]) = certificate(folder.path());
    let token = folder.path().join("token");
    std::fs::write(&token, TOKEN).expect("writable");
    let server = TestServer::start_by(
        boreside(),
        &[
            "--http",
            "0.0.0.0:0",
            "--http-token-file",
            token.to_str().expect("UTF-8"),
            "--http-tls-cert",
            &cert,
            "--http-tls-key",
            &key,
        ],
    );
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("it is a certificate");
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("they are supported")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let tls = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let port = server.http.rsplit_once(':').expect("it has a port").1;
    let stream = TcpStream::connect(format!("127.0.0.1:{port}")).expect("it listens");
    let stream: Box<dyn Connection> = Box::new(StreamOwned::new(tls, stream));
    let header = format!("authorization: Bearer {TOKEN}\r\n");
    let request = proto::GetServerInfoRequest {}.encode_to_vec();
    let path = "/boreside.v1.ServerService/GetServerInfo";
    let mut call = Call::start_on(stream, path, &header, &request);
    let info: proto::GetServerInfoResponse = call.next().expect("an answer");
    assert_eq!(info.server.map(|server| server.scanner_address), Some(server.address.clone()));
    // Without TLS there is no answer at all.
    let mut plain = TcpStream::connect(format!("127.0.0.1:{port}")).expect("it listens");
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = plain.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
}

#[test]
fn a_giant_message_is_refused_before_it_is_read() {
    let server = with_http(&[]);
    scan_through(&server, || {
        let text = "x".repeat(3 << 20);
        let request = proto::CheckChainRequest { text };
        let refused =
            call::<proto::CheckChainResponse>(&server, "ChainService/CheckChain", &request)
                .expect_err("it is too large");
        assert_eq!(refused.code, OUT_OF_RANGE, "{refused:?}");
        // One that only says that it is: 4 GiB are never asked for.
        let mut stream = connect(&server);
        let head = "POST /boreside.v1.ChainService/CheckChain HTTP/1.1\r\nhost: localhost\r\n\
                    content-type: application/grpc-web+proto\r\ncontent-length: 4294967300\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(&[0, 0xff, 0xff, 0xff, 0xff]).expect("sent");
        let mut answer = [0; 4096];
        let n = stream.read(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..n]).to_lowercase();
        assert!(answer.contains("grpc-status: 11"), "{answer}");
        // A chain below that limit and above its own.
        let text = "x".repeat((1 << 20) + 1);
        let request = proto::CheckChainRequest { text };
        let refused =
            call::<proto::CheckChainResponse>(&server, "ChainService/CheckChain", &request)
                .expect_err("it is too large");
        assert_eq!(refused.code, INVALID_ARGUMENT, "{refused:?}");
    });
}

#[test]
fn no_name_leads_out_of_the_folders() {
    let outer = tempfile::tempdir().expect("a folder");
    let folder = outer.path().join("recordings");
    std::fs::create_dir(&folder).expect("writable");
    std::fs::write(outer.path().join("secret.mrd"), "x").expect("writable");
    std::fs::write(folder.join("noise.mrd"), "no recording").expect("writable");
    let server = with_http(&["--recordings", folder.to_str().expect("UTF-8")]);
    scan_through(&server, || {
        for file in ["../secret.mrd", "/etc/passwd", "", "a/../../secret.mrd", "noise.mrd\0"] {
            let request = proto::StartReplayRequest {
                source: Some(proto::start_replay_request::Source::File(file.to_owned())),
                chain: "cartesian_fft".to_owned(),
                ..Default::default()
            };
            let refused =
                call::<proto::StartReplayResponse>(&server, "ReplayService/StartReplay", &request)
                    .expect_err(file);
            assert_eq!(refused.code, INVALID_ARGUMENT, "{refused:?}");
            assert!(refused.message.contains("is no file of the folder"), "{refused:?}");
        }
        for name in ["../molli_t1", "/etc/passwd", "..", "a\0"] {
            let request = proto::GetChainRequest { name: name.to_owned() };
            let refused =
                call::<proto::GetChainResponse>(&server, "ChainService/GetChain", &request)
                    .expect_err(name);
            assert_eq!(refused.code, INVALID_ARGUMENT, "{refused:?}");
        }
        for path in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "//etc/passwd", "/index.html/.."] {
            let (head, _) = get(&server, path, "");
            assert!(head.starts_with("HTTP/1.1 404"), "{path}: {head}");
        }
    });
    let request = proto::StartReplayRequest {
        source: Some(proto::start_replay_request::Source::File("noise.mrd".to_owned())),
        chain: "cartesian_fft".to_owned(),
        ..Default::default()
    };
    let refused =
        call::<proto::StartReplayResponse>(&server, "ReplayService/StartReplay", &request)
            .expect_err("it is no recording");
    assert!(refused.message.contains("noise.mrd"), "{refused:?}");
}

#[test]
fn one_who_watches_and_does_not_read_is_sent_away_and_disturbs_nobody() {
    let server = with_http(&["--watch-stall-s", "0.2", "--images-mib", "2"]);
    // Never reads: what the sockets take fills up, then it stalls.
    let mut lazy = connect(&server);
    let request = proto::WatchRequest {
        inline_pixels_up_to_bytes: u32::MAX,
        ..proto::WatchRequest::default()
    }
    .encode_to_vec();
    write!(
        lazy,
        "POST /boreside.v1.LiveService/Watch HTTP/1.1\r\nhost: localhost\r\n\
         content-type: application/grpc-web+proto\r\ncontent-length: {}\r\n\r\n",
        request.len() + 5
    )
    .expect("sent");
    lazy.write_all(&[0, 0, 0, 0, u8::try_from(request.len()).expect("short")]).expect("sent");
    lazy.write_all(&request).expect("sent");
    let mut other = Watcher::start(&server, None);
    other.images_until(is_caught_up);
    let mut n_sessions = 0;
    while !server.log().contains("is sent away") {
        n_sessions += 1;
        assert!(n_sessions < 2000, "it is not sent away");
        support::reconstruct(&server, "cartesian_fft", &small_scan(20));
        // Images beyond two MiB are forgotten, and both are told so.
        assert_eq!(other.images_until(has_ended(n_sessions)).len(), 20);
    }
    scan_through(&server, || {});
}

#[test]
fn a_flood_of_watchers_and_of_connections_is_refused_with_a_sentence() {
    let server = with_http(&["--max-watchers", "3", "--max-http-connections", "8"]);
    scan_through(&server, || {
        let watchers: Vec<_> = (0..3).map(|_| Watcher::start(&server, None)).collect();
        let mut fourth = Call::start(&server, "LiveService/Watch", &proto::WatchRequest::default());
        assert!(fourth.next::<proto::WatchResponse>().is_none());
        let status = fourth.status().expect("it is answered");
        assert_eq!(status.code, RESOURCE_EXHAUSTED);
        assert!(status.message.contains("3 are watching already"), "{status:?}");
        drop(fourth);
        let idle: Vec<_> = (0..30).map(|_| connect(&server)).collect();
        let mut answers = 0;
        for mut stream in idle {
            stream.shutdown(Shutdown::Write).expect("it is open");
            let mut answer = String::new();
            // Those that are not refused end without a word.
            let _ = stream.read_to_string(&mut answer);
            answers += usize::from(answer.starts_with("HTTP/1.1 503"));
        }
        assert!(answers >= 30 - 8, "{answers} were refused");
        drop(watchers);
    });
    // There is room again.
    let mut watcher = Watcher::start(&server, None);
    watcher.images_until(is_caught_up);
    server.stop();
}
