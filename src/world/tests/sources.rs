//! Sources: opened for the first viewer, closed after the last, tried again when they die.
use super::super::*;
use crate::engine::api::ErrorKind;

#[test]
fn a_source_is_opened_for_the_first_viewer_and_closed_a_while_after_the_last() {
    let mut world = World::new(1, "{cam: 'cam:'}");
    world.run(Duration::from_secs(60));
    assert_eq!(world.opened, 0, "nobody watches");
    let viewers: Vec<usize> = (0..3).map(|_| world.view("cam", Link::default())).collect();
    viewers.iter().for_each(|viewer| world.connect(*viewer));
    assert_eq!((world.opened, world.running()), (1, 1));
    viewers.iter().for_each(|viewer| world.close(*viewer));
    world.run(Duration::from_secs(1));
    assert_eq!(world.running(), 1, "somebody may come back");
    world.run(Duration::from_secs(60));
    assert_eq!(world.running(), 0);
}

#[test]
fn a_source_that_dies_a_thousand_times_comes_back_each_time_and_its_viewer_stays() {
    let mut world = World::new(2, "{cam: 'cam:'}");
    // Healthy for long enough each time, so that it is tried again at once.
    world.plan(
        "cam:",
        Plan {
            dies_after: Some(Duration::from_secs(11)),
            parts: 1,
            every: Duration::from_millis(500),
            gop: 2,
            ..Plan::default()
        },
    );
    let viewer = world.view("cam", Link::default());
    world.connect(viewer);
    world.run_until(Duration::from_secs(1_000 * 14), |world| world.opened > 1_000);
    assert!(world.clients[viewer].is_connected());
    world.run(Duration::from_secs(2));
    assert!(world.clients[viewer].shown.is_some() && world.running() == 1);
    let status = world.status();
    assert_eq!(status["sessions"], 1, "{status}");
}

#[test]
fn a_source_that_never_comes_is_tried_ever_more_slowly_and_whoever_waits_is_told() {
    let mut world = World::new(3, "{cam: 'cam:'}");
    world.plan(
        "cam:",
        Plan {
            starts_after: Duration::from_secs(3600),
            dies_after: Some(Duration::from_millis(10)),
            ..Plan::default()
        },
    );
    let viewer = world.view("cam", Link::default());
    world.run(Duration::from_secs(1));
    let error = world.refusal(viewer).unwrap();
    assert_eq!((error.kind, error.message.contains("switched off")), (ErrorKind::SourceFailed, true), "{error}");
    let opened = world.opened;
    world.run(Duration::from_secs(600));
    assert_eq!(world.opened, opened, "nobody waits for it any more");
}

#[test]
fn the_second_source_is_there_while_the_first_is_down_and_viewers_notice_a_short_pause() {
    let mut world = World::new(4, "{cam: ['cam:first', 'cam:second']}");
    world.plan("cam:first", Plan { dies_after: Some(Duration::from_secs(5)), ..Plan::default() });
    let viewer = world.view("cam", Link::default());
    world.connect(viewer);
    world.run(Duration::from_secs(20));
    assert!(world.clients[viewer].is_connected());
    let shown = world.clients[viewer].shown.unwrap().1;
    assert!(shown > world.now - Duration::from_secs(1), "{:?} ago", world.now - shown);
}

#[test]
fn a_viewer_that_asks_for_a_keyframe_gets_one_and_the_camera_is_not_asked_all_the_time() {
    let mut world = World::new(5, "{cam: 'cam:'}");
    world.plan("cam:", Plan { gop: 100_000, ..Plan::default() });
    let viewers: Vec<usize> = (0..10).map(|_| world.view("cam", Link::losing(100))).collect();
    viewers.iter().for_each(|viewer| world.connect(*viewer));
    world.run(Duration::from_secs(30));
    for viewer in viewers {
        assert!(
            world.clients[viewer].longest_pause < Duration::from_secs(3),
            "{:?}",
            world.clients[viewer].longest_pause
        );
    }
}
