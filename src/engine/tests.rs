//! The engine's own promises that no peer outside can provoke, and what it holds inside.
mod checks;
mod client;
mod forged;

use super::api::{Answer, Description, Error, ErrorKind, Intent, Offer, Trickle, Trickled};
use super::io::Network;
use super::*;
use crate::rtc::session::{CryptoCost, Reason};
use crate::world::{Slot, config};
use source::SourceFacts;

const OFFER: &str = include_str!("../../tests/captures/chromium_156_viewer.sdp");
pub(super) const RELAY: &str = "127.0.0.1:8555";

struct Urls;

impl SourceUrls for Urls {
    fn facts(&self, url: &str) -> SourceFacts {
        SourceFacts { public_url: url.into(), format: "test".into(), ..SourceFacts::default() }
    }

    fn check_scope(&self, _: &str, _: crate::gather::scope::Scope) -> Result<(), String> {
        Ok(())
    }
}

pub(super) fn engine(streams: &str) -> Engine {
    let identity = Arc::new(Identity::generate(CryptoCost::AesInstructions).unwrap());
    let now = Instant::now();
    let config = config(&format!("{{webrtc: {{listen: '127.0.0.1:8555'}}, streams: {streams}}}"));
    let mut engine = Engine::new(&config, Environment { identity, urls: Arc::new(Urls), now, ntp: 0 }).unwrap();
    engine.handle(Input::Network(Network::of_one("lo", RELAY.parse().unwrap())), now);
    engine
}

pub(super) fn offer(stream: &str, intent: Intent) -> Offer {
    Offer {
        stream: stream.into(),
        intent,
        sdp: OFFER.into(),
        layer: None,
        format: "webrtc/whep",
        protocol: "http",
        user_agent: String::new(),
        remote: "127.0.0.1:1".parse().unwrap(),
        host: None,
    }
}

/// The answer to an offer, which comes at once.
pub(super) fn ask(engine: &mut Engine, offer: Offer) -> Result<Answer, Error> {
    ask_at(engine, offer, Instant::now())
}

pub(super) fn ask_at(engine: &mut Engine, offer: Offer, now: Instant) -> Result<Answer, Error> {
    let slot = Slot::default();
    engine.on_offer(offer, slot.reply(), now);
    slot.take().expect("answered at once")
}

pub(super) fn view(engine: &mut Engine, stream: &str) -> Answer {
    ask(engine, offer(stream, Intent::View)).expect("accepted")
}

pub(super) fn key(engine: &Engine, answer: &Answer) -> PeerKey {
    engine.sessions.key_of(&answer.id).unwrap()
}

pub(super) fn remove(engine: &mut Engine, key: PeerKey) {
    engine.remove_session(key, Reason::ClosedByPeer, Instant::now());
}

pub(super) fn nothing_left(engine: &Engine) {
    assert!(engine.sessions.is_clean());
    assert!(engine.streams.all().all(|stream| stream.viewers.is_empty()));
}

#[test]
fn a_fault_in_one_session_ends_it_and_no_other() {
    let mut engine = engine("{door: }");
    let (first, second) = (view(&mut engine, "door"), view(&mut engine, "door"));
    let broken = key(&engine, &first);
    let before =
        Datagram { route: client::from(RELAY.parse().unwrap()), bytes: b"what another one has to say".to_vec() };
    engine.work.out.push(before);
    engine.guarded(broken, |engine| {
        engine.sessions.get_mut(broken).expect("there").wake = None;
        engine.work.out.push(Datagram { route: client::from(RELAY.parse().unwrap()), bytes: Vec::new() });
        panic!("a fault that the test provokes");
    });
    assert_eq!(engine.work.out.len(), 1);
    engine.settle(Instant::now());
    assert!(engine.sessions.by_id(&first.id).is_err());
    let second = key(&engine, &second);
    assert_eq!(engine.streams.get("door").unwrap().viewers, [second]);
    remove(&mut engine, second);
    nothing_left(&engine);
}

#[test]
fn sessions_are_bounded_and_the_bound_is_told() {
    let mut engine = engine("{door: }");
    engine.sessions.set_max(3);
    let sessions: Vec<Answer> = (0..3).map(|_| view(&mut engine, "door")).collect();
    let error = ask(&mut engine, offer("door", Intent::View)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Full);
    assert!(error.message.contains("relay.sessions"), "{error}");
    engine.on_close(&sessions[0].id, Instant::now()).unwrap();
    view(&mut engine, "door");
}

#[test]
fn sessions_that_never_connect_are_gone_after_their_deadline() {
    let mut engine = engine("{door: }");
    let now = Instant::now();
    (0..16).for_each(|_| drop(view(&mut engine, "door")));
    let mut at = now;
    while let Some(deadline) = engine.sessions.deadline() {
        at = at.max(deadline) + Duration::from_millis(1);
        assert!(at < now + Duration::from_secs(40), "{} sessions are left", engine.sessions.len());
        engine.tick(at);
    }
    nothing_left(&engine);
}

#[test]
fn an_ice_restart_changes_the_entity_tag_and_keeps_the_session() {
    let mut engine = engine("{door: }");
    let answer = view(&mut engine, "door");
    let restart = |if_match: Option<&str>| Trickle {
        candidates: vec!["candidate:1 1 udp 1 127.0.0.1 5 typ host".into()],
        credentials: Some(("newufrag".into(), "a-new-password-of-22-chars".into())),
        if_match: if_match.map(str::to_owned),
    };
    let old = engine.sessions.by_id(&answer.id).unwrap().session.ice().local().ufrag.clone();
    let stale = engine.on_trickle(&answer.id, restart(Some("\"other\"")), Instant::now()).unwrap_err();
    assert_eq!(stale.kind, ErrorKind::PreconditionFailed);
    let Ok(Trickled::Restarted { fragment, etag }) = engine.on_trickle(&answer.id, restart(Some("*")), Instant::now())
    else {
        panic!("no restart");
    };
    assert!(fragment.contains("a=ice-ufrag:") && fragment.contains("a=ice-pwd:") && etag != answer.etag);
    assert!(!engine.sessions.knows_ufrag(&old), "the old user name is gone");
    let again = engine.on_trickle(&answer.id, restart(Some(&etag)), Instant::now());
    assert!(matches!(again, Ok(Trickled::Taken)), "the same credentials are not a restart");
    let half =
        Trickle { credentials: Some(("newufrag".into(), "another-password-of-some-len".into())), ..Default::default() };
    assert_eq!(engine.on_trickle(&answer.id, half, Instant::now()).unwrap_err().kind, ErrorKind::Unprocessable);
    engine.on_close(&answer.id, Instant::now()).unwrap();
    nothing_left(&engine);
}

#[test]
fn a_stream_that_is_deleted_keeps_its_viewers_and_goes_with_the_last() {
    let mut engine = engine("{door: }");
    let answer = view(&mut engine, "door");
    engine.delete_stream("door", Instant::now());
    assert!(engine.streams.listed("door").is_err(), "it is off the list");
    assert!(engine.sessions.by_id(&answer.id).is_ok());
    engine.on_close(&answer.id, Instant::now()).unwrap();
    assert_eq!(engine.streams.len(), 0);
}

#[test]
fn a_further_offer_adds_or_removes_a_microphone_and_leaves_the_rest_as_it_is() {
    let mut engine = engine("{door: }");
    let answer = view(&mut engine, "door");
    let key = key(&engine, &answer);
    let peer = |engine: &Engine| -> (Vec<_>, Vec<_>) {
        let peer = engine.sessions.get(key).unwrap();
        let senders = peer.senders.iter().map(|s| (s.media, s.ssrc)).collect();
        (senders, peer.intake.receivers.iter().map(|receiver| receiver.track).collect())
    };
    let before = peer(&engine).0;
    let (picture, sound) = OFFER.split_once("m=audio").unwrap();
    let talks = format!("{picture}m=audio{}", sound.replace("recvonly", "sendrecv"));
    let mut microphone = None;
    for (offer, microphones) in [(talks.as_str(), 1), (&talks, 1), (OFFER, 0), (&talks, 1)] {
        let again = engine
            .on_reoffer(&answer.id, &Description::from(offer), Instant::now())
            .unwrap()
            .expect("the same session");
        assert_eq!((&again.id, again.talks, again.candidates.len()), (&answer.id, microphones == 1, 0));
        let (senders, receivers) = peer(&engine);
        assert_eq!((receivers.len(), engine.media.len()), (microphones, microphones));
        assert_eq!(senders, before);
        let track = receivers.first().copied();
        assert_eq!(microphone.is_some() && track.is_some(), microphone == track && track.is_some(), "it is kept");
        microphone = track;
    }
    let other = OFFER.replace("a=ice-ufrag:", "a=ice-ufrag:x");
    assert!(engine.on_reoffer(&answer.id, &Description::from(other.as_str()), Instant::now()).unwrap().is_none());
    engine.on_close(&answer.id, Instant::now()).unwrap();
    assert!(engine.on_reoffer(&answer.id, &Description::from(talks.as_str()), Instant::now()).unwrap().is_none());
    assert_eq!(engine.media.len(), 0);
    nothing_left(&engine);
}

#[test]
fn a_publisher_may_begin_to_hear_but_not_change_what_it_sends() {
    let hears = include_str!("../../tests/captures/chromium_publisher.sdp");
    let mut engine = engine("{door: }");
    let sends = hears.replace("sendrecv", "sendonly");
    let answer = ask(&mut engine, Offer { sdp: sends.as_str().into(), ..offer("door", Intent::Publish) }).unwrap();
    let key = key(&engine, &answer);
    let tracks = |engine: &Engine| {
        let peer = engine.sessions.get(key).unwrap();
        (peer.intake.receivers.iter().map(|r| r.track).collect::<Vec<_>>(), peer.senders.len())
    };
    let (before, senders) = tracks(&engine);
    assert_eq!((before.len(), senders), (2, 0));
    let again =
        engine.on_reoffer(&answer.id, &Description::from(hears), Instant::now()).unwrap().expect("the same session");
    assert!(again.sdp.contains("a=sendrecv") && !again.talks);
    assert_eq!(tracks(&engine), (before.clone(), 1));
    let blind = hears.replacen("a=bundle-only\r\n", "", 1).replacen("a=bundle-only\n", "", 1);
    let error = engine.on_reoffer(&answer.id, &Description::from(blind.as_str()), Instant::now()).unwrap_err();
    assert!(error.message.contains("publish anew"), "{error}");
    assert_eq!(tracks(&engine), (before, 1));
}
