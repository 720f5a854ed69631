//! Checks to addresses that a peer only named: a few, slowly, however it names them.
use super::*;

/// Checks that one session sends to addresses that never answer, at most, until it is given up.
const MOST: u32 = 100;

fn candidates(first: u8) -> Vec<String> {
    let line = |n| format!("candidate:1 1 udp 2122260223 127.{first}.0.{n} 9 typ host");
    (1..=32).map(line).collect()
}

fn offer_with(engine: &mut Engine, candidates: &[String], now: Instant) -> Answer {
    let lines: String = candidates.iter().map(|line| format!("a={line}\r\n")).collect();
    let sdp = OFFER.replacen("a=ice-ufrag:", &format!("{lines}a=ice-ufrag:"), 1);
    ask_at(engine, Offer { sdp: sdp.as_str().into(), ..offer("door", Intent::View) }, now).expect("accepted")
}

fn sent(engine: &Engine) -> u32 {
    engine.sessions.iter().map(|(_, peer)| peer.session.ice().checks().0).sum()
}

/// Lets the engine do what is due until then; answers the longest row of checks within 50 ms.
fn run(engine: &mut Engine, now: &mut Instant, time: Duration) -> u32 {
    let end = *now + time;
    let mut most = 0;
    while *now < end {
        let before = sent(engine);
        for _ in 0..10 {
            engine.tick(*now);
            *now += Duration::from_millis(5);
        }
        most = most.max(sent(engine).saturating_sub(before));
    }
    most
}

#[test]
fn an_offer_with_many_addresses_that_never_speak_costs_a_hundred_checks_and_one_goes_out_at_once() {
    let mut engine = engine("{door: }");
    let mut now = Instant::now();
    offer_with(&mut engine, &candidates(1), now);
    engine.tick(now);
    assert_eq!(sent(&engine), 1, "the first waits for nothing");
    assert!(run(&mut engine, &mut now, Duration::from_secs(14)) <= 2, "one in 50 ms");
    let (key, peer) = engine.sessions.iter().next().unwrap();
    let counts: Vec<u32> = peer.session.ice().pairs().map(|pair| pair.tally.checks).collect();
    assert_eq!(counts.len(), 32);
    assert!(counts.iter().all(|count| (2..=7).contains(count)), "each has its turn {counts:?}");
    let mut bytes = Vec::new();
    engine.sessions.get_mut(key).unwrap().session.ice_mut().check_again(now, &mut bytes);
    assert!(sent(&engine) <= MOST && bytes[0].bytes.len() <= 128, "{} of {}", sent(&engine), bytes[0].bytes.len());
}

#[test]
fn a_session_that_restarts_all_the_time_checks_no_more_addresses_than_another() {
    let mut engine = engine("{door: }");
    let mut now = Instant::now();
    let answer = offer_with(&mut engine, &candidates(1), now);
    for second in 0..14 {
        let restart = |name: String| Trickle {
            candidates: candidates(second + 2),
            credentials: Some((name, "a-new-password-of-22-chars".into())),
            if_match: None,
        };
        let first = engine.on_trickle(&answer.id, restart(format!("first{second}")), now);
        assert!(matches!(first, Ok(Trickled::Restarted { .. })), "{second}");
        run(&mut engine, &mut now, Duration::from_millis(500));
        let generation = engine.sessions.by_id(&answer.id).unwrap().generation;
        let error = engine.on_trickle(&answer.id, restart(format!("second{second}")), now).unwrap_err();
        assert_eq!((error.kind, error.message.contains("a second")), (ErrorKind::Full, true));
        assert_eq!(
            engine.sessions.by_id(&answer.id).unwrap().generation,
            generation,
            "what is refused changes nothing"
        );
        run(&mut engine, &mut now, Duration::from_millis(500));
    }
    assert!(sent(&engine) <= MOST, "{}", sent(&engine));
}

#[test]
fn many_sessions_share_one_budget_of_checks_to_strangers() {
    let mut engine = engine("{door: }");
    let mut now = Instant::now();
    engine.sessions.set_max(24);
    for first in 1..=24 {
        offer_with(&mut engine, &candidates(first), now);
    }
    run(&mut engine, &mut now, Duration::from_secs(3));
    assert!((200..=64 + 300).contains(&sent(&engine)), "{}", sent(&engine));
    let ices = engine.sessions.iter().map(|(_, peer)| peer.session.ice());
    assert!(ices.into_iter().all(|ice| ice.checks().0 > 2), "each session has its turn");
}

#[test]
fn a_check_that_claims_an_address_brings_it_one_check_at_once_and_few_later() {
    let mut engine = engine("{door: }");
    let mut client = client::Client::offer(&mut engine, Intent::View, None);
    let mut now = Instant::now();
    for port in 1..=60 {
        client.check_from(&mut engine, ([127, 9, 9, 9], port).into());
    }
    assert_eq!(sent(&engine), 60, "as many as came");
    run(&mut engine, &mut now, Duration::from_secs(14));
    assert!(sent(&engine) <= 60 + MOST, "{}", sent(&engine));
}
