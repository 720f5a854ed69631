//! Pictures arrive, whatever the network does to them.
use super::super::*;

#[test]
fn every_picture_arrives_at_five_percent_loss() {
    for seed in 1..=6 {
        let mut world = World::new(seed, "{cam: 'cam:'}");
        let viewer = world.view("cam", Link::losing(50));
        world.connect(viewer);
        world.run(Duration::from_secs(60));
        let client = &world.clients[viewer];
        assert!(client.complete > 1_400, "seed {seed}: {} pictures", client.complete);
        // A stream's very first packet is missed by nobody when it is lost; what was sent last may still be on its way.
        assert!(
            client.missing() <= 2,
            "seed {seed}: {} of {} pictures miss something",
            client.missing(),
            client.complete
        );
        assert!(client.longest_pause < Duration::from_millis(450), "seed {seed}: {:?}", client.longest_pause);
    }
}

#[test]
fn a_picture_comes_at_least_every_two_seconds_at_twenty_percent_loss() {
    for seed in 1..=3 {
        let mut world = World::new(seed, "{cam: 'cam:'}");
        let viewer = world.view("cam", Link::losing(200));
        world.connect(viewer);
        world.run(Duration::from_secs(60));
        let client = &world.clients[viewer];
        assert!(client.longest_pause < Duration::from_secs(2), "seed {seed}: {:?}", client.longest_pause);
        assert!(client.complete > 1_300, "seed {seed}: {}", client.complete);
    }
}

#[test]
fn jitter_and_packets_that_overtake_each_other_or_come_twice_cost_no_picture() {
    let link = Link {
        jitter: Duration::from_millis(30),
        overtaken: 50,
        doubled: 100,
        delay: Duration::from_millis(20),
        ..Link::default()
    };
    let mut world = World::new(4, "{cam: 'cam:'}");
    let viewer = world.view("cam", link);
    world.connect(viewer);
    world.run(Duration::from_secs(30));
    assert!(world.clients[viewer].missing() <= 3, "{}", world.clients[viewer].missing());
    assert!(world.clients[viewer].complete > 700);
}

#[test]
fn a_late_viewer_sees_a_picture_at_once_however_long_the_gop_is() {
    let mut world = World::new(5, "{cam: 'cam:'}");
    world.plan("cam:", Plan { gop: 500, listens: false, ..Plan::default() });
    let first = world.view("cam", Link::default());
    world.connect(first);
    world.run(Duration::from_secs(15));
    let late = world.view("cam", Link::default());
    world.run_until(Duration::from_secs(1), |world| world.clients[late].first_picture.is_some());
    let took = world.clients[late].first_picture_after().unwrap();
    assert!(took < Duration::from_millis(40), "{took:?} with 2 ms each way");
    world.run(Duration::from_secs(2));
    assert_eq!(world.clients[late].missing(), 0, "and all pictures since the keyframe");
}

#[test]
fn an_address_translator_that_gives_another_port_interrupts_nothing_for_long() {
    let mut world = World::new(6, "{cam: 'cam:'}");
    let viewer = world.view("cam", Link::default());
    world.connect(viewer);
    world.run(Duration::from_secs(5));
    world.clients[viewer].rebind();
    world.clients[viewer].longest_pause = Duration::ZERO;
    world.run(Duration::from_secs(20));
    let client = &world.clients[viewer];
    assert!(client.is_connected() && client.longest_pause < Duration::from_secs(8), "{:?}", client.longest_pause);
    assert!(client.shown.unwrap().1 > world.now - Duration::from_millis(100), "it goes on");
}

#[test]
fn what_a_publisher_sends_arrives_though_both_ways_lose_packets() {
    let mut world = World::new(7, "{studio: }");
    let publisher = world.publish("studio", Link::losing(30));
    world.connect(publisher);
    let viewer = world.view("studio", Link::losing(30));
    world.connect(viewer);
    world.run(Duration::from_secs(30));
    assert!(world.clients[viewer].missing() <= 4, "{}", world.clients[viewer].missing());
    assert!(world.clients[viewer].complete > 700, "{}", world.clients[viewer].complete);
}
