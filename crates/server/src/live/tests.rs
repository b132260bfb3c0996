//! Watching sessions and images.

use super::*;
use ismrmrd::{Image, ImageHeader, Meta};
use ndarray::Array4;

fn live(max_images: usize) -> Arc<Live> {
    let images = Some(StoreLimits { max_images, ..StoreLimits::default() });
    Live::new(&LiveSettings { images, ..LiveSettings::default() })
}

fn image(value: f32) -> wire::Message {
    let pixels = Array4::from_elem((1, 1, 1, 1), value);
    wire::Message::Image(Image::new(ImageHeader::default(), Meta::new(), pixels))
}

fn peer() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

/// Waits until so many images have been told.
fn wait_for_images(live: &Live, n: usize) {
    let last = |live: &Live| live.state().images.iter().next_back().map(|image| image.facts.id);
    while last(live).is_none_or(|id| id < n as u64) {
        std::thread::yield_now();
    }
}

fn ids(missed: &Missed) -> Vec<u64> {
    match missed {
        Missed::Everything { images, .. } => images.clone(),
        Missed::Events { events, .. } => events
            .iter()
            .filter_map(|(_, _, event)| match event {
                Event::Image(image) => Some(image.facts.id),
                _ => None,
            })
            .collect(),
    }
}

#[test]
fn a_watcher_that_comes_back_gets_what_it_missed_and_nothing_twice() {
    let live = live(100);
    let record = live.begin(1, peer());
    let Missed::Everything { sequence, sessions, images } = live.since(None, 0, 100) else {
        panic!("a new watcher gets everything");
    };
    assert_eq!((sessions.len(), images.len()), (1, 0));
    live.publish(&record, image(1.0));
    live.publish(&record, image(2.0));
    wait_for_images(&live, 2);
    let missed = live.since(Some(sequence), 0, 1);
    assert_eq!(ids(&missed), [1], "one at a time");
    let Missed::Events { sequence, .. } = missed else { panic!("nothing is too old") };
    let missed = live.since(Some(sequence), 0, 100);
    assert_eq!(ids(&missed), [2]);
    let Missed::Events { sequence, .. } = missed else { panic!("nothing is too old") };
    assert_eq!(sequence, live.last_sequence());
    // Another session's events are not told, and looked at all the same.
    live.begin(2, peer());
    let Missed::Events { events, sequence } = live.since(Some(sequence), 1, 100) else {
        panic!("nothing is too old");
    };
    assert!(events.is_empty() && sequence == live.last_sequence());
}

#[test]
fn images_that_made_room_are_not_told_but_that_they_are_gone() {
    let live = live(1);
    let record = live.begin(1, peer());
    for n in 0..3_u8 {
        live.publish(&record, image(f32::from(n)));
    }
    wait_for_images(&live, 3);
    let missed = live.since(Some(0), 0, 100);
    assert_eq!(ids(&missed), [3]);
    let Missed::Events { events, .. } = missed else { panic!("nothing is too old") };
    let removed: Vec<_> = events
        .iter()
        .filter_map(|(_, _, event)| match event {
            Event::Removed(ids) => Some(ids.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(removed, [1, 2]);
}

#[test]
fn without_watchers_nothing_is_kept() {
    let live = Live::new(&LiveSettings::default());
    let record = live.begin(1, peer());
    live.publish(&record, image(1.0));
    assert!(live.images().is_empty());
    live.end(&record, "CLOSE");
    let (totals, running) = live.totals();
    assert_eq!((totals.n_sessions, running.len()), (1, 0));
}

#[test]
fn recent_sessions_are_remembered_up_to_a_limit() {
    let live = live(1);
    for id in 1..=MAX_ENDED_SESSIONS as u64 + 10 {
        let record = live.begin(id, peer());
        live.end(&record, "CLOSE");
    }
    while live.totals().0.n_sessions < MAX_ENDED_SESSIONS as u64 + 10 || !live.totals().1.is_empty()
    {
        std::thread::yield_now();
    }
    assert_eq!(live.sessions().len(), MAX_ENDED_SESSIONS);
    assert!(live.session(10).is_none() && live.session(11).is_some());
}
