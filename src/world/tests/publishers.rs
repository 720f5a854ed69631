//! Who publishes when several want to, at the door that they use.
use super::super::*;
use crate::engine::api::ErrorKind;
use crate::rtc::session::Reason;

#[test]
fn the_newest_publisher_replaces_the_one_before_it_and_viewers_go_on() {
    let mut world = World::new(1, "{studio: }");
    let first = world.publish("studio", Link::default());
    world.connect(first);
    let viewer = world.view("studio", Link::default());
    world.connect(viewer);
    world.run(Duration::from_secs(2));
    let before = world.clients[viewer].complete;
    assert!(before > 40, "{before}");
    let second = world.publish("studio", Link::default());
    world.connect(second);
    world.run(Duration::from_secs(3));
    assert_eq!(world.clients[first].ended, Some(Reason::ClosedByPeer));
    assert!(world.clients[viewer].is_connected());
    let streams = world.streams();
    assert_eq!(streams["studio"]["producers"].as_array().unwrap().len(), 1, "{streams}");
}

#[test]
fn with_reject_the_second_publisher_is_refused_and_with_append_it_waits_for_its_turn() {
    let mut world = World::new(2, "{studio: {policy: reject}, queue: {policy: append}}");
    let first = world.publish("studio", Link::default());
    world.connect(first);
    world.run(Duration::from_millis(100));
    let second = world.publish("studio", Link::default());
    assert_eq!(world.refusal(second).unwrap().kind, ErrorKind::Conflict);
    let [now, next] = std::array::from_fn(|_| {
        let publisher = world.publish("queue", Link::default());
        world.connect(publisher);
        publisher
    });
    let viewer = world.view("queue", Link::default());
    world.connect(viewer);
    world.run(Duration::from_secs(2));
    assert!(world.clients[viewer].complete > 20);
    assert_eq!(world.session(next).unwrap()["waits"], true);
    let moment = world.now;
    world.clients[now].leave(moment);
    world.run(Duration::from_secs(2));
    assert_eq!(world.session(next).unwrap()["waits"], false);
    assert!(world.clients[next].keyframes_asked() > 0, "its first keyframe was sent long ago");
    let shown = world.clients[viewer].shown.unwrap().1;
    assert!(shown > world.now - Duration::from_millis(200), "the viewer sees the next one");
}

#[test]
fn a_stream_with_a_camera_takes_no_publisher_unless_its_configuration_says_so() {
    let mut world = World::new(3, "{cam: 'cam:', open: {url: 'cam:', publish: true}}");
    let refused = world.publish("cam", Link::default());
    let error = world.refusal(refused).unwrap();
    assert_eq!((error.kind, error.message.contains("publish: true")), (ErrorKind::Forbidden, true));
    let viewer = world.view("open", Link::default());
    world.connect(viewer);
    world.run(Duration::from_secs(1));
    assert_eq!(world.running(), 1);
    let publisher = world.publish("open", Link::default());
    world.connect(publisher);
    world.run(Duration::from_secs(1));
    assert_eq!(world.running(), 0, "the camera gives way");
    let moment = world.now;
    world.clients[publisher].leave(moment);
    world.run(Duration::from_secs(3));
    assert_eq!(world.running(), 1, "and comes back");
    assert!(world.clients[viewer].shown.unwrap().1 > world.now - Duration::from_millis(200));
}
