//! What the doctor says when something is wrong, from what the engine saw.
use super::super::*;
use crate::media::codec::Codec;

/// The codes of all verdicts.
fn codes(world: &mut World) -> Vec<String> {
    let doctor = world.doctor();
    let of = |list: &Value| {
        let list = list.as_array().unwrap().iter();
        list.filter_map(|entry| Some(entry["verdict"]["code"].as_str()?.to_owned())).collect::<Vec<String>>()
    };
    let mut codes = of(&doctor["sessions"]);
    codes.extend(of(&doctor["past"]));
    codes.extend(of(&doctor["streams"]));
    let machine = doctor["machine"]["verdicts"].as_array().unwrap();
    codes.extend(machine.iter().filter_map(|verdict| Some(verdict["code"].as_str()?.to_owned())));
    codes
}

#[test]
fn nothing_is_wrong_with_a_viewer_that_sees_pictures() {
    let mut world = World::new(1, "{cam: 'cam:'}");
    let viewer = world.view("cam", Link::default());
    world.connect(viewer);
    world.run(Duration::from_secs(10));
    assert_eq!(codes(&mut world), [""; 0]);
}

#[test]
fn d01_no_packet_of_the_viewer_arrives() {
    let mut world = World::new(2, "{cam: 'cam:'}");
    world.view("cam", Link { cut: true, ..Link::default() });
    world.run(Duration::from_secs(5));
    assert_eq!(codes(&mut world), ["D01"]);
    world.run(Duration::from_secs(20));
    assert_eq!(codes(&mut world), ["D01"], "and it is remembered");
}

#[test]
fn d07_the_codecs_do_not_match() {
    let mut world = World::new(3, "{cam: 'cam:'}");
    world.plan("cam:", Plan { codec: Codec::H265, ..Plan::default() });
    let viewer = world.view("cam", Link::default());
    world.run(Duration::from_secs(2));
    assert!(world.refusal(viewer).is_some());
    assert_eq!(codes(&mut world), ["D07"]);
}

#[test]
fn d08_the_source_is_down() {
    let mut world = World::new(4, "{cam: 'cam:'}");
    world.plan("cam:", Plan { dies_after: Some(Duration::from_millis(10)), ..Plan::default() });
    world.view("cam", Link::default());
    world.run(Duration::from_secs(2));
    assert_eq!(codes(&mut world), ["D08", "D08"], "the refused viewer's, and the stream's");
}

#[test]
fn d09_no_keyframe_comes() {
    let mut world = World::new(5, "{studio: }");
    let publisher = world.publish("studio", Link::default());
    world.connect(publisher);
    world.clients[publisher].never_sends_keyframes();
    world.run(Duration::from_secs(70));
    let viewer = world.view("studio", Link::default());
    world.connect(viewer);
    world.run(Duration::from_secs(8));
    assert!(codes(&mut world).contains(&"D09".to_owned()), "{:?}", codes(&mut world));
}

#[test]
fn d10_many_packets_are_lost() {
    let mut world = World::new(6, "{studio: }");
    let publisher = world.publish("studio", Link::losing(150));
    world.connect(publisher);
    world.run(Duration::from_secs(20));
    assert_eq!(codes(&mut world), ["D10"]);
}

#[test]
fn d12_somebody_else_has_the_media_port() {
    use crate::gather::candidate::Protocol;
    use crate::gather::port_problem::{PortProblem, WhyNot};
    let mut world = World::new(7, "{cam: 'cam:'}");
    let why = WhyNot::InUse { holder: Some("go2rtc (pid 7)".into()) };
    let problem = PortProblem { protocol: Protocol::Udp, address: "0.0.0.0:8555".parse().unwrap(), why };
    world.input(Input::Network(Network { problems: vec![problem], ..Network::default() }));
    let viewer = world.view("cam", Link::default());
    assert!(world.refusal(viewer).unwrap().message.contains("go2rtc (pid 7)"));
    assert_eq!(codes(&mut world), ["D12", "D12"], "the refused viewer's, and the machine's");
}
