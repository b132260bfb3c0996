//! What people and programs see of sessions, images and maps through the control plane.

mod support;

use ismrmrd::Pixels;
use ismrmrd::wire::Message as Mrd;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use server::proto::{self, watch_response::Event};
use support::control::{
    Call, INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED, Watcher, call, floats, get, has_ended,
    is_caught_up,
};
use support::{Client, TestServer, images, reconstruct, run_well, small_scan};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

/// With a control plane on a free port.
const HTTP: [&str; 2] = ["--http", "127.0.0.1:0"];

fn with_http(more: &[&str]) -> TestServer {
    TestServer::start(&[&HTTP, more].concat())
}

/// Values that the control plane must give for an image that a scanner got.
fn expected(image: &ismrmrd::Image) -> Vec<f32> {
    let values: Vec<f32> = match &image.pixels {
        Pixels::F32(pixels) => pixels.iter().copied().collect(),
        Pixels::U16(pixels) => pixels.iter().map(|value| f32::from(*value)).collect(),
        Pixels::C32(pixels) => pixels.iter().flat_map(|value| [value.re, value.im]).collect(),
        other => panic!("{:?}", other.data_type()),
    };
    let slope = image.meta.get_f64("RescaleSlope").unwrap_or(1.0) as f32;
    let is_map = image.meta.get("DataRole") == Some("Quantitative");
    let is_integer = matches!(image.pixels, Pixels::U16(_));
    match is_map && is_integer {
        true => values.into_iter().map(|value| value * slope).collect(),
        false => values,
    }
}

/// All images of the first session, once that has ended.
fn all_images(server: &TestServer) -> Vec<proto::NewImage> {
    let (mut is_over, mut is_all) = (false, false);
    let mut ended = has_ended(1);
    Watcher::start(server, None).images_until(|event| {
        is_over |= ended(event);
        is_all |= is_caught_up(event);
        is_over && is_all
    })
}

#[test]
fn a_watcher_sees_the_session_and_every_image_as_the_scanner_got_it() {
    let server = with_http(&[]);
    let mut watcher = Watcher::start(&server, None);
    assert!(watcher.images_until(is_caught_up).is_empty());
    let scan = small_scan(3);
    let sent = images(reconstruct(&server, "cartesian_fft", &scan));
    assert_eq!(sent.len(), 3);
    let told = watcher.images_until(has_ended(1));
    let listed: proto::ListImagesResponse =
        call(&server, "ImageService/ListImages", &proto::ListImagesRequest::default())
            .expect("listed");
    assert_eq!(told.len(), sent.len());
    for ((told, sent), listed) in told.iter().zip(&sent).zip(&listed.images) {
        let facts = told.image.as_ref().expect("it says what it is");
        assert_eq!(facts, listed);
        let [channels, z, y, x] = sent.pixels.shape().map(|n| u32::try_from(n).expect("small"));
        assert_eq!(facts.shape, [channels, z, y, x]);
        let (index, position_mm) = (sent.header.image_index, sent.header.position);
        assert_eq!(facts.index, u32::from(index));
        let inline = told.pixels.as_ref().expect("they are small");
        assert_eq!(floats(inline), expected(sent));
        let request = proto::GetImageRequest { id: facts.id };
        let got: proto::GetImageResponse =
            call(&server, "ImageService/GetImage", &request).expect("it is kept");
        assert_eq!(got.pixels.as_ref(), Some(inline));
        let geometry = facts.geometry.as_ref().expect("it lies somewhere");
        assert_eq!(geometry.position_mm, position_mm);
        assert_eq!(geometry.field_of_view_mm, Vec::from(sent.header.field_of_view));
        // The pixel of the transform's centre lies at the header's position.
        let center = [x / 2, y / 2, z / 2].map(f64::from);
        for (row, position_mm) in position_mm.iter().enumerate() {
            let row = &geometry.patient_from_voxel[4 * row..4 * row + 4];
            let at: f64 = row.iter().zip(center).map(|(a, b)| a * b).sum::<f64>() + row[3];
            assert!((at - f64::from(*position_mm)).abs() < 1e-3, "{at} mm for {position_mm}");
        }
        for entry in &facts.meta {
            assert_eq!(entry.values, sent.meta.values(&entry.key), "{}", entry.key);
        }
        assert_eq!(facts.meta.len(), sent.meta.len());
    }
    let session: proto::GetSessionResponse =
        call(&server, "SessionService/GetSession", &proto::GetSessionRequest { id: 1 })
            .expect("it is known");
    let session = session.session.expect("it is told");
    assert_eq!(session.state(), proto::SessionState::Ended, "{session:?}");
    assert_eq!((session.n_readouts, session.n_readouts_expected), (96, 96));
    assert_eq!((session.n_images, session.end_reason.as_str()), (3, "CLOSE"));
    assert_eq!(session.chain, "cartesian_fft.toml");
    assert_eq!(session.journal(), proto::JournalState::Kept);
    let busy: f64 = session.gadgets.iter().map(|gadget| gadget.busy_ms).sum();
    assert!(busy > 0.0 && session.gadgets[0].messages_in == 96, "{:?}", session.gadgets);
    server.stop();
}

#[test]
fn patients_are_hidden_unless_the_site_shows_them() {
    let scan = small_scan(1);
    let mut header = scan.header().clone();
    header.subject_information = Some(ismrmrd::xml::SubjectInformation {
        patient_name: Some("Curie, Marie".to_owned()),
        ..Default::default()
    });
    for (arguments, is_shown) in [(&[][..], false), (&["--show-patients"][..], true)] {
        let server = with_http(arguments);
        let mut client = Client::open(&server, "cartesian_fft", &header.to_xml());
        scan.acquisitions().for_each(|readout| client.send(readout));
        client.send(Mrd::Close);
        client.read_to_close();
        let mut export = Call::start(
            &server,
            "ImageService/ExportImages",
            &proto::ExportImagesRequest {
                ids: vec![all_images(&server)[0].image.as_ref().expect("one").id],
                format: proto::FileFormat::MrdStream.into(),
            },
        );
        let mut file = Vec::new();
        while let Some(piece) = export.next::<proto::ExportImagesResponse>() {
            file.extend_from_slice(&piece.data);
        }
        assert_eq!(export.status().map(|status| status.code), Some(0));
        let said = String::from_utf8_lossy(&file).contains("Curie");
        assert_eq!(said, is_shown, "in the file");
        let sessions: proto::ListSessionsResponse =
            call(&server, "SessionService/ListSessions", &proto::ListSessionsRequest::default())
                .expect("listed");
        let name = sessions.sessions[0].patient.as_ref().map(|patient| patient.name.as_str());
        assert_eq!(name, is_shown.then_some("Curie, Marie"));
        // What was written is a recording as any other.
        let path = server.data.path().join("export.mrd");
        std::fs::write(&path, &file).expect("writable");
        let report = run_well(&["inspect", path.to_str().expect("UTF-8")]);
        assert!(report.contains("image"), "{report}");
    }
}

#[test]
fn of_a_series_of_pictures_only_the_first_come_with_pixels_where_that_is_asked() {
    let server = with_http(&[]);
    let request = proto::WatchRequest {
        inline_pixels_up_to_bytes: 1 << 20,
        inline_pictures_up_to_index: 2,
        ..proto::WatchRequest::default()
    };
    let mut watcher = Watcher::ask(&server, request);
    assert!(watcher.images_until(is_caught_up).is_empty());
    let sent = images(reconstruct(&server, "cartesian_fft", &small_scan(3)));
    let told = watcher.images_until(has_ended(1));
    let inline: Vec<_> = told.iter().map(|told| told.pixels.as_ref().map(floats)).collect();
    assert_eq!(inline, [Some(expected(&sent[0])), Some(expected(&sent[1])), None]);
}

#[test]
fn a_watcher_that_lost_its_connection_misses_nothing_and_gets_nothing_twice() {
    let server = with_http(&[]);
    let mut watcher = Watcher::start(&server, None);
    watcher.images_until(is_caught_up);
    reconstruct(&server, "cartesian_fft", &small_scan(2));
    let seen = watcher.images_until(|event| matches!(event, Event::Image(_)));
    assert_eq!(seen[0].image.as_ref().map(|image| image.id), Some(1));
    // What happens while nobody watches.
    let before = watcher;
    reconstruct(&server, "cartesian_fft", &small_scan(2));
    let mut again = Watcher::start(&server, Some(&before));
    assert_eq!(again.epoch, before.epoch);
    let (mut resets, mut ended) = (0, has_ended(2));
    let missed = again.images_until(|event| {
        resets += usize::from(matches!(event, Event::Reset(_)));
        ended(event)
    });
    let ids: Vec<_> = missed.iter().filter_map(|new| new.image.as_ref()).map(|i| i.id).collect();
    assert_eq!((ids, resets), (vec![2, 3, 4], 0));
}

#[test]
fn after_a_restart_a_watcher_is_told_and_images_that_are_kept_are_there() {
    let mut server = with_http(&["--keep-images"]);
    let mut watcher = Watcher::start(&server, None);
    watcher.images_until(is_caught_up);
    reconstruct(&server, "cartesian_fft", &small_scan(2));
    let before = watcher.images_until(has_ended(1));
    let data = server.take_data();
    server.terminate();
    assert!(server.wait(), "{}", server.log());
    let server =
        TestServer::start_in(data, support::boreside(), &[&HTTP[..], &["--keep-images"]].concat());
    let mut again = Watcher::start(&server, Some(&watcher));
    assert_ne!(again.epoch, watcher.epoch);
    let reason = match again.next() {
        Some(Event::Reset(reset)) => reset.reason(),
        other => panic!("{other:?}"),
    };
    assert_eq!(reason, proto::reset::Reason::Restarted);
    let mut sessions = Vec::new();
    let images = again.images_until(|event| {
        if let Event::Session(session) = event {
            sessions.push((session.id, session.n_readouts, session.chain.clone()));
        }
        is_caught_up(event)
    });
    assert_eq!(images, before);
    assert_eq!(sessions, [(1, 64, "cartesian_fft.toml".to_owned())]);
    // One whose line broke before it had been told everything is told everything.
    let request = proto::WatchRequest {
        epoch: again.epoch.clone(),
        after_sequence: 0,
        inline_pixels_up_to_bytes: 1 << 20,
        ..proto::WatchRequest::default()
    };
    let mut broken_off = Watcher::ask(&server, request);
    match broken_off.next() {
        Some(Event::Reset(reset)) => assert_eq!(reset.reason(), proto::reset::Reason::New),
        other => panic!("{other:?}"),
    }
    assert_eq!(broken_off.images_until(is_caught_up), before);
    // New ones get numbers of their own.
    reconstruct(&server, "cartesian_fft", &small_scan(1));
    let new = again.images_until(|event| matches!(event, Event::Image(_)));
    assert_eq!(new[0].image.as_ref().map(|image| image.id), Some(3));
}

#[test]
fn reflection_lists_the_services_and_a_method_is_called_by_its_descriptors() {
    let server = with_http(&[]);
    let ask = |request: MessageRequest| {
        let request =
            ServerReflectionRequest { host: String::new(), message_request: Some(request) };
        let mut call = Call::start_on(
            Box::new(support::control::connect(&server)),
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "",
            &request.encode_to_vec(),
        );
        let answer: ServerReflectionResponse = call.next().expect("an answer");
        answer.message_response.expect("it says something")
    };
    let MessageResponse::ListServicesResponse(list) =
        ask(MessageRequest::ListServices(String::new()))
    else {
        panic!("no list");
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for service in ["Session", "Image", "Live", "Chain", "Model", "Replay", "Log", "Server"] {
        let name = format!("boreside.v1.{service}Service");
        assert!(names.contains(&name.as_str()), "{name} is not in {names:?}");
    }
    assert!(names.contains(&"grpc.health.v1.Health"));
    let symbol = "boreside.v1.ChainService".to_owned();
    let MessageResponse::FileDescriptorResponse(files) =
        ask(MessageRequest::FileContainingSymbol(symbol))
    else {
        panic!("no descriptors");
    };
    let mut pool = DescriptorPool::new();
    for file in &files.file_descriptor_proto {
        pool.decode_file_descriptor_proto(file.as_ref()).expect("a descriptor");
    }
    let service = pool.get_service_by_name("boreside.v1.ChainService").expect("it is described");
    let method = service.methods().find(|method| method.name() == "CheckChain").expect("there");
    let mut request = DynamicMessage::new(method.input());
    request.set_field_by_name("text", prost_reflect::Value::String("no chain".to_owned()));
    let mut call = Call::start_on(
        Box::new(support::control::connect(&server)),
        &format!("/{}/{}", service.full_name(), method.name()),
        "",
        &request.encode_to_vec(),
    );
    let answer: proto::CheckChainResponse = call.next().expect("an answer");
    let answer = DynamicMessage::decode(method.output(), answer.encode_to_vec().as_slice())
        .expect("it is of the type that reflection names");
    let faults = answer.get_field_by_name("faults").expect("a field of it");
    assert!(!faults.as_list().expect("repeated").is_empty());
}

/// The answer of the standard health service.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    /// 1: serving, 2: not serving.
    #[prost(int32, tag = "1")]
    status: i32,
}

fn health(server: &TestServer) -> i32 {
    let stream = Box::new(support::control::connect(server));
    let mut call = Call::start_on(stream, "/grpc.health.v1.Health/Check", "", &[]);
    call.next::<HealthCheckResponse>().expect("an answer").status
}

#[test]
fn health_and_readiness_tell_whether_scans_are_taken() {
    let mut server = with_http(&["--max-sessions", "1"]);
    let (head, body) = get(&server, "/healthz", "");
    assert!(head.starts_with("HTTP/1.1 200") && body.contains("ok"), "{head}");
    assert!(get(&server, "/readyz", "").0.starts_with("HTTP/1.1 200"));
    assert_eq!(health(&server), 1);
    let scan = small_scan(1);
    let mut client = Client::open(&server, "cartesian_fft", &scan.header().to_xml());
    client.send(support::first_readout(&scan));
    server.wait_for_log("chain:");
    let (head, body) = get(&server, "/readyz", "");
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(body.contains("1 sessions are running"), "{body}");
    // A scan that runs may finish; nobody else is sent here meanwhile.
    server.terminate();
    server.wait_for_log("shutting down");
    let (head, body) = get(&server, "/readyz", "");
    assert!(head.starts_with("HTTP/1.1 503") && body.contains("shutting down"), "{head} {body}");
    assert_eq!(health(&server), 2);
    client.send(Mrd::Close);
    client.read_to_close();
    assert!(server.wait(), "{}", server.log());
}

#[test]
fn metrics_count_what_went_through() {
    let server = with_http(&[]);
    let mut watcher = Watcher::start(&server, None);
    reconstruct(&server, "cartesian_fft", &small_scan(2));
    watcher.images_until(has_ended(1));
    let (head, body) = get(&server, "/metrics", "");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    let value = |name: &str| -> f64 {
        let line = body.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {body}")).parse().expect("a number")
    };
    assert_eq!(value("boreside_sessions_total"), 1.0);
    assert_eq!(value("boreside_sessions_running"), 0.0);
    assert_eq!(value("boreside_readouts_total"), 64.0);
    assert_eq!(value("boreside_images_total"), 2.0);
    assert_eq!(value("boreside_image_latency_seconds_count"), 2.0);
    assert_eq!(value("boreside_gadget_messages_total{gadget=\"remove_oversampling\"}"), 64.0);
    // Every readout was a call of this gadget, and so was the end of the data.
    let calls = value("boreside_gadget_call_seconds_count{gadget=\"remove_oversampling\"}");
    assert!((64.0..=66.0).contains(&calls), "{calls}");
    assert!(value("boreside_received_bytes_total") > 64.0 * 4.0 * 64.0 * 8.0);
    assert!(value("boreside_sent_bytes_total") > 2.0 * 32.0 * 32.0 * 2.0);
    assert_eq!(value("boreside_journal_sessions"), 1.0);
    assert_eq!(value("boreside_watchers"), 1.0);
    assert_eq!(value("boreside_queue_fill_ratio{queue=\"chain\"}"), 0.0);
}

#[test]
fn a_journalled_session_is_replayed_with_another_chain() {
    let server = with_http(&[]);
    let mut watcher = Watcher::start(&server, None);
    let sent = images(reconstruct(&server, "default.xml", &small_scan(2)));
    watcher.images_until(has_ended(1));
    let request = |source, chain: &str| proto::StartReplayRequest {
        source: Some(source),
        chain: chain.to_owned(),
        ..Default::default()
    };
    let session = proto::start_replay_request::Source::Session;
    let start = |request: &proto::StartReplayRequest| {
        call::<proto::StartReplayResponse>(&server, "ReplayService/StartReplay", request)
    };
    let replay = start(&request(session(1), "")).expect("it is kept").session;
    let images = watcher.images_until(has_ended(replay));
    let values: Vec<_> = images.iter().filter_map(|new| new.pixels.as_ref()).map(floats).collect();
    assert_eq!(values, sent.iter().map(expected).collect::<Vec<_>>());
    let replay = start(&request(session(1), "cartesian_fft")).expect("it is kept").session;
    assert_eq!(watcher.images_until(has_ended(replay)).len(), 2);
    let session_of = |id| {
        let request = proto::GetSessionRequest { id };
        call::<proto::GetSessionResponse>(&server, "SessionService/GetSession", &request)
            .expect("it is known")
            .session
            .expect("it is told")
    };
    let told = session_of(replay);
    assert_eq!((told.replay.as_str(), told.chain.as_str()), ("session 1", "cartesian_fft.toml"));
    assert_eq!(told.journal(), proto::JournalState::None, "it is kept already");
    let unknown = start(&request(session(77), "")).expect_err("there is none");
    assert_eq!(unknown.code, NOT_FOUND);
    let unknown = start(&request(session(1), "cartesian_ftt")).expect_err("there is none");
    assert_eq!(unknown.code, INVALID_ARGUMENT);
    assert!(unknown.message.contains("did you mean"), "{}", unknown.message);
}

#[test]
fn chains_gadgets_and_models_are_listed_checked_and_described() {
    let server = with_http(&[]);
    let chains: proto::ListChainsResponse =
        call(&server, "ChainService/ListChains", &proto::ListChainsRequest {}).expect("listed");
    let molli = chains.chains.iter().find(|chain| chain.name == "molli_t1.toml").expect("there");
    assert!(molli.is_built_in && molli.error.is_empty(), "{molli:?}");
    assert!(molli.gadgets.iter().any(|gadget| gadget == "map_t1"), "{molli:?}");
    let request = proto::GetChainRequest { name: "molli_t1".to_owned() };
    let chain: proto::GetChainResponse =
        call(&server, "ChainService/GetChain", &request).expect("there");
    let request = proto::CheckChainRequest { text: chain.text.clone() };
    let checked: proto::CheckChainResponse =
        call(&server, "ChainService/CheckChain", &request).expect("checked");
    assert!(checked.faults.is_empty() && checked.chain.is_some());
    let request = proto::CheckChainRequest { text: chain.text.replace("\"map_t1\"", "\"map_t9\"") };
    let checked: proto::CheckChainResponse =
        call(&server, "ChainService/CheckChain", &request).expect("checked");
    assert!(checked.chain.is_none());
    assert!(checked.faults.iter().any(|fault| fault.line > 0 && fault.what.contains("map_t9")));
    let request = proto::DescribeGadgetRequest { name: "map_t1".to_owned() };
    let gadget: proto::DescribeGadgetResponse =
        call(&server, "ChainService/DescribeGadget", &request).expect("there");
    assert!(gadget.properties.len() > 3);
    assert!(gadget.properties.iter().all(|property| !property.description.is_empty()));
    let _: proto::ListModelsResponse =
        call(&server, "ModelService/ListModels", &proto::ListModelsRequest {}).expect("listed");
    let info: proto::GetServerInfoResponse =
        call(&server, "ServerService/GetServerInfo", &proto::GetServerInfoRequest {})
            .expect("told");
    let info = info.server.expect("told");
    assert_eq!(info.scanner_address, server.address);
    assert!(info.hides_patients && info.has_journal && !info.has_recordings);
    let missing = call::<proto::GetChainResponse>(&server, "ChainService/Nothing", &request)
        .expect_err("there is no such method");
    assert_eq!(missing.code, UNIMPLEMENTED);
}

#[test]
fn the_log_and_the_warnings_of_a_session_are_told() {
    let server = with_http(&[]);
    let mut client = Client::open(&server, "no_such_chain.xml", "<x/>");
    client.send(Mrd::Close);
    client.read_to_close();
    let request = proto::TailLogRequest {
        min_level: proto::LogLevel::Error.into(),
        session: 1,
        n_lines: 10,
        follow: false,
    };
    let line: proto::TailLogResponse =
        call(&server, "LogService/TailLog", &request).expect("it is in the log");
    assert!(line.text.contains("no_such_chain"), "{}", line.text);
    let mut watcher = Watcher::start(&server, None);
    let mut last = None;
    watcher.images_until(|event| {
        if let Event::Session(session) = event {
            last = Some(session.clone());
        }
        last.as_ref().is_some_and(|session| session.ended_unix_ms > 0.0)
    });
    let session = last.expect("it is known");
    assert_eq!(session.state(), proto::SessionState::Failed);
    assert_eq!(session.n_errors, 1);
    assert!(session.notices[0].what.contains("no_such_chain"), "{:?}", session.notices);
    assert!(!session.notices[0].remedy.is_empty());
}

#[test]
fn a_map_is_told_with_its_unit_verdict_window_and_uncertainty() {
    let server = with_http(&[]);
    let scan = support::hearts::molli();
    let sent = images(reconstruct(&server, "molli_t1", &scan));
    let told = all_images(&server);
    assert_eq!(told.len(), sent.len());
    for (told, sent) in told.iter().zip(&sent) {
        let request =
            proto::GetImageRequest { id: told.image.as_ref().expect("it says what it is").id };
        let got: proto::GetImageResponse =
            call(&server, "ImageService/GetImage", &request).expect("it is kept");
        assert_eq!(floats(&got.pixels.expect("pixels")), expected(sent));
    }
    let facts = |kind| {
        told.iter()
            .filter_map(|new| new.image.as_ref())
            .find(|image| image.kind() == kind && image.quantity == "T1")
            .unwrap_or_else(|| panic!("no {kind:?}"))
    };
    let map = facts(proto::ImageKind::Map);
    let sd = facts(proto::ImageKind::Uncertainty);
    assert_eq!((map.unit.as_str(), sd.unit.as_str()), ("ms", "ms"));
    assert_eq!(map.palette, "lipari");
    assert!(map.zero_is_invalid && map.window.is_some() && map.verdict.is_some(), "{map:?}");
    assert!(map.times_ms.len() >= 8, "{:?}", map.times_ms);
    let latency = map.latency.as_ref().expect("it took some time");
    assert!(latency.since_last_readout_ms > 0.0);
    assert!(latency.stages.iter().any(|stage| stage.gadget.contains("map_t1")), "{latency:?}");
}
