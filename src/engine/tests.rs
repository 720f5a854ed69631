//! The engine's own promises that no peer outside can provoke: faults stay with the session they happen in.
mod checks;
mod client;
mod forged;

use super::*;
use crate::config;
use crate::rtc::session::Reason;
use crate::stream::relay::{Answer, Description, Intent, Offer, Trickle, Trickled};
use tokio::sync::oneshot;

const OFFER: &str = include_str!("../../tests/captures/chromium_156_viewer.sdp");

pub(super) fn engine(streams: &str) -> Engine {
    let edge = config::Edge {
        read: &|_| Err(std::io::ErrorKind::NotFound.into()),
        variable: &|_| None,
        memory: None,
        interfaces: None,
    };
    let arguments = [format!("{{webrtc: {{listen: '127.0.0.1:0'}}, streams: {streams}}}")];
    Engine::new(&config::load(&arguments, &edge).unwrap().config).unwrap()
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

pub(super) fn view(engine: &mut Engine, stream: &str) -> Answer {
    let (reply, mut answer) = oneshot::channel();
    engine.on_offer(offer(stream, Intent::View), reply, Instant::now());
    answer.try_recv().expect("answered at once").expect("accepted")
}

pub(super) fn nothing_left(engine: &Engine) {
    assert!(
        engine.peers.is_empty() && engine.by_id.is_empty() && engine.by_ufrag.is_empty() && engine.claims.is_empty()
    );
    assert!(engine.streams.values().all(|stream| stream.viewers.is_empty()));
}

#[tokio::test]
async fn a_fault_in_one_session_ends_it_and_no_other() {
    let mut engine = engine("{door: }");
    let (first, second) = (view(&mut engine, "door"), view(&mut engine, "door"));
    let key = engine.by_id[&first.id];
    engine.guarded(key, |engine| {
        engine.peers.get_mut(&key).expect("there").wake = None;
        panic!("a fault that the test provokes");
    });
    assert!(engine.peer_by_id(&first.id).is_err());
    assert!(engine.peer_by_id(&second.id).is_ok());
    assert_eq!(engine.streams["door"].viewers, [engine.by_id[&second.id]]);
    engine.remove_peer(engine.by_id[&second.id], Reason::ClosedByUs);
    nothing_left(&engine);
}

#[tokio::test]
async fn sessions_are_bounded_and_the_bound_is_told() {
    let mut engine = engine("{door: }");
    engine.max_sessions = 3;
    let sessions: Vec<Answer> = (0..3).map(|_| view(&mut engine, "door")).collect();
    let (reply, mut answer) = oneshot::channel();
    engine.on_offer(offer("door", Intent::View), reply, Instant::now());
    let error = answer.try_recv().unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Full);
    assert!(error.message.contains("relay.sessions"), "{error}");
    engine.on_close(&sessions[0].id).unwrap();
    view(&mut engine, "door");
}

#[tokio::test]
async fn sessions_that_never_connect_are_gone_after_their_deadline() {
    let mut engine = engine("{door: }");
    let now = Instant::now();
    (0..16).for_each(|_| drop(view(&mut engine, "door")));
    let mut at = now;
    while let Some(deadline) = engine.peers.values().filter_map(|peer| peer.due).min() {
        at = at.max(deadline) + Duration::from_millis(1);
        assert!(at < now + Duration::from_secs(40), "{} sessions are left", engine.peers.len());
        engine.tick(at);
    }
    nothing_left(&engine);
}

#[tokio::test]
async fn an_ice_restart_changes_the_entity_tag_and_keeps_the_session() {
    let mut engine = engine("{door: }");
    let answer = view(&mut engine, "door");
    let restart = |if_match: Option<&str>| Trickle {
        candidates: vec!["candidate:1 1 udp 1 127.0.0.1 5 typ host".into()],
        credentials: Some(("newufrag".into(), "a-new-password-of-22-chars".into())),
        if_match: if_match.map(str::to_owned),
    };
    let stale = engine.on_trickle(&answer.id, restart(Some("\"other\"")), Instant::now()).unwrap_err();
    assert_eq!(stale.kind, ErrorKind::PreconditionFailed);
    let Ok(Trickled::Restarted { fragment, etag }) = engine.on_trickle(&answer.id, restart(Some("*")), Instant::now())
    else {
        panic!("no restart");
    };
    assert!(fragment.contains("a=ice-ufrag:") && fragment.contains("a=ice-pwd:") && etag != answer.etag);
    assert_eq!(engine.by_ufrag.len(), 1, "the old user name is gone");
    let again = engine.on_trickle(&answer.id, restart(Some(&etag)), Instant::now());
    assert!(matches!(again, Ok(Trickled::Taken)), "the same credentials are not a restart");
    let half =
        Trickle { credentials: Some(("newufrag".into(), "another-password-of-some-len".into())), ..Default::default() };
    assert_eq!(engine.on_trickle(&answer.id, half, Instant::now()).unwrap_err().kind, ErrorKind::Unprocessable);
    engine.on_close(&answer.id).unwrap();
    nothing_left(&engine);
}

#[tokio::test]
async fn a_stream_that_is_deleted_keeps_its_viewers_and_goes_with_the_last() {
    let mut engine = engine("{door: }");
    let answer = view(&mut engine, "door");
    engine.delete_stream("door", Instant::now());
    assert!(engine.describe("door").is_err(), "it is off the list");
    assert!(engine.peer_by_id(&answer.id).is_ok());
    engine.on_close(&answer.id).unwrap();
    assert!(engine.streams.is_empty());
}

#[tokio::test]
async fn a_further_offer_adds_or_removes_a_microphone_and_leaves_the_rest_as_it_is() {
    let mut engine = engine("{door: }");
    let answer = view(&mut engine, "door");
    let key = engine.by_id[&answer.id];
    let ssrcs = |engine: &Engine| engine.peers[&key].senders.iter().map(|s| (s.media, s.ssrc)).collect::<Vec<_>>();
    let before = ssrcs(&engine);
    let (picture, sound) = OFFER.split_once("m=audio").unwrap();
    let talks = format!("{picture}m=audio{}", sound.replace("recvonly", "sendrecv"));
    let mut microphone = None;
    for (offer, microphones) in [(talks.as_str(), 1), (&talks, 1), (OFFER, 0), (&talks, 1)] {
        let again = engine
            .on_reoffer(&answer.id, &Description::from(offer), Instant::now())
            .unwrap()
            .expect("the same session");
        assert_eq!((&again.id, again.talks, again.candidates.len()), (&answer.id, microphones == 1, 0));
        assert_eq!((engine.peers[&key].intake.receivers.len(), engine.tracks.len()), (microphones, microphones));
        assert_eq!(ssrcs(&engine), before);
        let track = engine.peers[&key].intake.receivers.first().map(|receiver| receiver.track);
        assert_eq!(microphone.is_some() && track.is_some(), microphone == track && track.is_some(), "it is kept");
        microphone = track;
    }
    let other = OFFER.replace("a=ice-ufrag:", "a=ice-ufrag:x");
    assert!(engine.on_reoffer(&answer.id, &Description::from(other.as_str()), Instant::now()).unwrap().is_none());
    engine.on_close(&answer.id).unwrap();
    assert!(engine.on_reoffer(&answer.id, &Description::from(talks.as_str()), Instant::now()).unwrap().is_none());
    assert!(engine.tracks.is_empty());
    nothing_left(&engine);
}

#[tokio::test]
async fn a_publisher_may_begin_to_hear_but_not_change_what_it_sends() {
    let hears = include_str!("../../tests/captures/chromium_publisher.sdp");
    let mut engine = engine("{door: }");
    let (reply, mut answer) = oneshot::channel();
    let offer = Offer { sdp: hears.replace("sendrecv", "sendonly").as_str().into(), ..offer("door", Intent::Publish) };
    engine.on_offer(offer, reply, Instant::now());
    let answer = answer.try_recv().unwrap().unwrap();
    let key = engine.by_id[&answer.id];
    let tracks = |engine: &Engine| engine.peers[&key].intake.receivers.iter().map(|r| r.track).collect::<Vec<_>>();
    let (before, senders) = (tracks(&engine), engine.peers[&key].senders.len());
    assert_eq!((before.len(), senders), (2, 0));
    let again =
        engine.on_reoffer(&answer.id, &Description::from(hears), Instant::now()).unwrap().expect("the same session");
    assert!(again.sdp.contains("a=sendrecv") && !again.talks);
    assert_eq!((tracks(&engine), engine.peers[&key].senders.len()), (before.clone(), 1));
    let blind = hears.replacen("a=bundle-only\r\n", "", 1).replacen("a=bundle-only\n", "", 1);
    let error = engine.on_reoffer(&answer.id, &Description::from(blind.as_str()), Instant::now()).unwrap_err();
    assert!(error.message.contains("publish anew"), "{error}");
    assert_eq!((tracks(&engine), engine.peers[&key].senders.len()), (before, 1));
}
