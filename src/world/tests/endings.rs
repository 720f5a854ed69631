//! Sessions end, for each reason there is, and nothing of them is left.
use super::super::*;
use crate::rtc::session::Reason;

fn nothing_left(world: &mut World) {
    let status = world.status();
    assert_eq!((&status["sessions"], &status["ring_bytes"]), (&0.into(), &0.into()), "{status}");
    assert_eq!(world.running(), 0);
}

fn past(world: &mut World) -> Vec<String> {
    let doctor = world.doctor();
    let list = doctor["past"].as_array().unwrap();
    list.iter().map(|past| past["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_viewer_that_vanishes_is_given_up_when_its_consent_runs_out() {
    let mut world = World::new(1, "{cam: 'cam:'}");
    let viewer = world.view("cam", Link::default());
    world.connect(viewer);
    world.run(Duration::from_secs(3));
    world.vanish(viewer);
    let before = world.now;
    world.run_until(Duration::from_secs(40), |world| world.session(viewer).is_err());
    let took = world.now - before;
    assert!((10..=30).contains(&took.as_secs()), "{took:?}");
    world.run(Duration::from_secs(30));
    nothing_left(&mut world);
    assert!(past(&mut world)[0].contains("stopped answering") || !past(&mut world)[0].is_empty());
}

#[test]
fn a_viewer_that_says_goodbye_is_gone_at_once() {
    let mut world = World::new(2, "{cam: 'cam:'}");
    let viewer = world.view("cam", Link::default());
    world.connect(viewer);
    let now = world.now;
    world.clients[viewer].leave(now);
    world.run(Duration::from_millis(50));
    assert!(world.session(viewer).is_err());
    world.run(Duration::from_secs(30));
    nothing_left(&mut world);
}

#[test]
fn a_session_that_the_relay_closes_is_told_so() {
    let mut world = World::new(3, "{cam: 'cam:'}");
    let viewer = world.view("cam", Link::default());
    world.connect(viewer);
    world.close(viewer);
    world.run(Duration::from_millis(50));
    assert_eq!(world.clients[viewer].ended, Some(Reason::ClosedByPeer));
    world.run(Duration::from_secs(30));
    nothing_left(&mut world);
}

#[test]
fn a_peer_that_nothing_reaches_is_given_up_and_costs_nothing_afterwards() {
    let mut world = World::new(4, "{cam: 'cam:'}");
    let viewer = world.view("cam", Link { cut: true, ..Link::default() });
    world.run(Duration::from_secs(60));
    assert!(world.session(viewer).is_err());
    nothing_left(&mut world);
}

#[test]
fn a_machine_that_slept_for_hours_ends_its_sessions_and_serves_the_next() {
    let mut world = World::new(5, "{cam: 'cam:'}");
    let viewer = world.view("cam", Link::default());
    world.connect(viewer);
    world.run(Duration::from_secs(2));
    world.vanish(viewer);
    world.now += Duration::from_secs(8 * 3600);
    world.run(Duration::from_secs(60));
    assert!(world.session(viewer).is_err());
    let next = world.view("cam", Link::default());
    world.connect(next);
    world.run(Duration::from_secs(1));
    assert!(world.clients[next].first_picture.is_some());
}

#[test]
fn the_end_of_the_relay_is_told_to_everybody() {
    let mut world = World::new(6, "{cam: 'cam:'}");
    let viewers: Vec<usize> = (0..5).map(|_| world.view("cam", Link::default())).collect();
    viewers.iter().for_each(|viewer| world.connect(*viewer));
    let now = world.now;
    assert!(world.engine.farewell(now));
    world.run(Duration::from_millis(20));
    for viewer in viewers {
        assert_eq!(world.clients[viewer].ended, Some(Reason::ClosedByPeer));
    }
}
