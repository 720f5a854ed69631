//! Many viewers, and for long.
use super::super::*;

/// Minutes of many viewers in an ordinary run; an hour is asked for by PORTHOLE_FUZZ_ROUNDS=60.
const MINUTES: u64 = 4;

#[test]
fn hours_of_two_hundred_viewers_leave_nothing_behind() {
    let mut world = World::with(1, "{relay: {sessions: 256}, streams: {cam: 'cam:'}}");
    world.plan("cam:", Plan { every: Duration::from_secs(5), gop: 2, parts: 1, ..Plan::default() });
    // So many may not wait for a source that starts.
    let first = world.view("cam", Link::default());
    world.connect(first);
    let mut viewers: Vec<usize> = (1..200).map(|_| world.view("cam", Link::default())).collect();
    viewers.push(first);
    world.run(Duration::from_secs(20));
    assert!(viewers.iter().all(|viewer| world.clients[*viewer].is_connected()));
    let early = world.status()["ring_bytes"].as_u64().unwrap();
    let minutes = crate::fuzz::rounds(MINUTES).count() as u64;
    world.run(Duration::from_secs(60 * minutes));
    for viewer in &viewers {
        let client = &world.clients[*viewer];
        assert!(
            client.is_connected() && client.missing() == 0 && client.complete > 11 * minutes,
            "{}",
            client.complete
        );
    }
    assert!(world.status()["ring_bytes"].as_u64().unwrap() <= early * 2);
    viewers.iter().for_each(|viewer| world.close(*viewer));
    world.run(Duration::from_secs(60));
    let status = world.status();
    assert_eq!((&status["sessions"], &status["ring_bytes"]), (&0.into(), &0.into()), "{status}");
}

#[test]
fn thousands_of_comings_and_goings_leave_nothing_behind() {
    let mut world = World::with(2, "{relay: {sessions: 64}, streams: {cam: 'cam:', studio: }}");
    world.plan("cam:", Plan { every: Duration::from_millis(500), gop: 1, parts: 1, ..Plan::default() });
    let stays = world.view("cam", Link::default());
    world.connect(stays);
    for round in crate::fuzz::rounds(2_000) {
        let index = world.view(if round % 3 == 0 { "studio" } else { "cam" }, Link::default());
        match round % 100 {
            // A few connect, see a picture, and leave in each way there is.
            0 => {
                world.connect(index);
                world.run(Duration::from_millis(600));
                let now = world.now;
                world.clients[index].leave(now);
                world.run(Duration::from_millis(20));
            }
            1 => world.vanish(index),
            _ => world.close(index),
        }
        if round % 50 == 1 {
            // Those that vanished are given up after 15 s.
            world.run(Duration::from_secs(16));
        }
        // Those that are gone are not looked at for ever.
        world.clients.truncate(1);
    }
    world.close(stays);
    world.run(Duration::from_secs(60));
    let status = world.status();
    assert_eq!((&status["sessions"], &status["ring_bytes"]), (&0.into(), &0.into()), "{status}");
    assert_eq!(world.running(), 0);
}
