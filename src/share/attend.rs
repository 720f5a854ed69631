//! The task of the shares: a WebSocket to each tracker, kept open, on which visitors' offers come and answers go.
use super::book::{Book, State, Tracker};
use super::desk::{Arrival, Heard};
use super::tracker;
use crate::base::sparing::Sparing;
use crate::driver::handle::EngineHandle;
use crate::engine::api::{BY_SHARE_LINK, Offer};
use crate::gather::candidate;
use crate::gather::scope::Scope;
use crate::net::connect::{Connection, Place};
use crate::net::tls::Trust;
use crate::net::websocket;
use data_encoding::BASE64URL_NOPAD;
use futures_util::{SinkExt, StreamExt};
use ring::rand::{SecureRandom, SystemRandom};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tungstenite::Message;

/// How often we say that we are here, as go2rtc does; trackers forget peers after minutes.
const ANNOUNCE: Duration = Duration::from_secs(60);
/// A tracker from which nothing came for so long, not even the reply to a ping of ours, is gone.
const SILENCE: Duration = Duration::from_secs(150);
/// A tracker is tried again after this time, then after twice the time before, …
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// … up to this one. A connection that lasted as long counts as good.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Time to write to a tracker.
const WRITE: Duration = Duration::from_secs(10);
/// Time for an answer: a camera may have to be called first. Visitors wait 30 s.
const ANSWER: Duration = Duration::from_secs(28);
/// Offers of one tracker that are being answered at one time.
const MAX_ANSWERING: usize = 8;
/// Messages on one connection that mean nothing, before it counts as no tracker.
const MAX_NONSENSE: u32 = 16;
/// Pings of a tracker between two announcements of ours; real ones send one or two.
const MAX_PINGS: u32 = 600;
/// One offer in its envelope.
const MAX_MESSAGE: usize = 64 << 10;

type Socket = WebSocketStream<Connection>;

/// Never completes; ends its sockets when it is dropped.
pub async fn attend(book: Arc<Book>) {
    let mut trackers = JoinSet::new();
    for index in 0..book.trackers.len() {
        trackers.spawn(keep(book.clone(), index));
    }
    while trackers.join_next().await.is_some() {}
}

async fn keep(book: Arc<Book>, index: usize) {
    let tracker = &book.trackers[index];
    let at = tracker.place.authority();
    let mut wait = FIRST_WAIT;
    loop {
        let since = Instant::now();
        let error = match open(&tracker.place).await {
            Ok((socket, remote)) => {
                log::info!(target: "webtorrent", "connected tracker={at}");
                tracker.note(State::Connected);
                serve(socket, remote, &book, tracker).await
            }
            Err(error) => error,
        };
        if since.elapsed() > LONGEST_WAIT {
            wait = FIRST_WAIT;
        }
        let pause = jittered(wait);
        let level = if tracker.note(State::Failed(error.clone())) { log::Level::Warn } else { log::Level::Debug };
        log::log!(target: "webtorrent", level, "no tracker={at} error={error:?} next_try_ms={}", pause.as_millis());
        sleep(pause).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// A quarter more at most, so that not all relays come back at once when a tracker does.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [0];
    let _ = SystemRandom::new().fill(&mut byte);
    wait + wait * u32::from(byte[0]) / 1024
}

async fn open(place: &Place) -> Result<(Socket, SocketAddr), String> {
    let socket =
        websocket::open(place, Trust::Roots, Scope::Any, MAX_MESSAGE).await.map_err(|error| error.to_string())?;
    let remote = socket.get_ref().remote().ok_or_else(|| format!("{}: the connection broke", place.authority()))?;
    Ok((socket, remote))
}

/// A name for one connection: a tracker may still hold the one of the connection before.
fn peer_id() -> String {
    let mut bytes = [0; 15];
    let _ = SystemRandom::new().fill(&mut bytes);
    BASE64URL_NOPAD.encode(&bytes)
}

/// Serves one connection to its end, and answers why it ended.
async fn serve(mut socket: Socket, remote: SocketAddr, book: &Arc<Book>, tracker: &Tracker) -> String {
    let at = tracker.place.authority();
    let peer = peer_id();
    let mut changes = book.changes.subscribe();
    let mut announced: Vec<String> = Vec::new();
    let mut announcing = interval(ANNOUNCE);
    let mut answering = JoinSet::new();
    let mut heard = Instant::now();
    let (mut nonsense, mut pings) = (0, 0);
    let mut sparing = Sparing::default();
    loop {
        let mut out: Vec<Message> = Vec::new();
        tokio::select! {
            _ = announcing.tick() => {
                if heard.elapsed() > SILENCE {
                    return format!("{at}: nothing came for {} s", SILENCE.as_secs());
                }
                pings = 0;
                announced = book.with_desk(|desk| desk.places());
                out.extend(announced.iter().map(|place| Message::text(tracker::announce(place, &peer))));
                out.push(Message::Ping(Default::default()));
            }
            changed = changes.changed() => {
                if changed.is_err() {
                    return "the shares are gone".into();
                }
                let places = book.with_desk(|desk| desk.places());
                let left = announced.iter().filter(|place| !places.contains(place));
                out.extend(left.map(|place| Message::text(tracker::leave(place, &peer))));
                let came = places.iter().filter(|place| !announced.contains(place));
                out.extend(came.map(|place| Message::text(tracker::announce(place, &peer))));
                announced = places;
            }
            Some(answer) = answering.join_next(), if !answering.is_empty() => {
                // a panic there was logged, and the visitor asks again
                out.extend(answer.ok().flatten().map(|text: String| Message::text(text)));
            }
            message = socket.next() => {
                let text = match message {
                    Some(Ok(Message::Text(text))) => text,
                    Some(Ok(Message::Close(_))) | None => return format!("{at}: it closed the connection"),
                    Some(Ok(Message::Pong(_))) => {
                        heard = Instant::now();
                        continue;
                    }
                    // Whoever only asks whether we are there does not say that it is.
                    Some(Ok(_)) => {
                        pings += 1;
                        if pings > MAX_PINGS {
                            return format!("{at}: it sends nothing but pings; look at webtorrent.trackers");
                        }
                        continue;
                    }
                    Some(Err(error)) => return format!("{at}: the connection broke: {error}"),
                };
                heard = Instant::now();
                match book.with_desk(|desk| desk.hear(text.as_str(), clock(), Instant::now())) {
                    Heard::Offer(arrival) if answering.len() < MAX_ANSWERING => {
                        answering.spawn(answered(book.relay.clone(), arrival, remote, peer.clone()));
                    }
                    Heard::Offer(arrival) => {
                        let busy = arrival.answer(&peer, Err("the relay answers many offers now, try again"));
                        out.extend(busy.map(Message::text));
                    }
                    Heard::Refused(sentence) => log::debug!(target: "webtorrent", "tracker={at} {sentence}"),
                    Heard::Failure(why) => {
                        let news = tracker.note(State::Refusing(format!("{at}: it refuses: {why}")));
                        if news && let Some(left_out) = sparing.admit(remote.ip(), Instant::now()) {
                            log::warn!(target: "webtorrent", "refused tracker={at} error={why:?}{left_out}");
                        }
                    }
                    Heard::Nothing => {}
                    Heard::Nonsense => {
                        nonsense += 1;
                        if nonsense > MAX_NONSENSE {
                            return format!("{at}: what it says is not what trackers say; look at webtorrent.trackers");
                        }
                    }
                }
            }
        }
        for message in out {
            match timeout(WRITE, socket.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return format!("{at}: the connection broke: {error}"),
                Err(_) => return format!("{at}: it took nothing for {} s", WRITE.as_secs()),
            }
        }
    }
}

/// Asks the engine, as WHEP and WHIP do, and answers the message to the tracker.
async fn answered(relay: EngineHandle, arrival: Arrival, tracker: SocketAddr, peer: String) -> Option<String> {
    let share = &arrival.share;
    let offer = Offer {
        stream: share.stream.clone(),
        intent: arrival.intent,
        sdp: arrival.sdp.as_str().into(),
        layer: None,
        format: BY_SHARE_LINK,
        // complete descriptions both ways, as there
        protocol: "http",
        user_agent: format!("share link {}", share.name),
        remote: visitor(&arrival.sdp).unwrap_or(tracker),
        host: None,
    };
    log::info!(target: "webtorrent", "offer share={:?} stream={:?} from={}", share.name, share.stream, offer.remote);
    match timeout(ANSWER, relay.offer(offer)).await {
        Ok(Ok(answer)) => arrival.answer(&peer, Ok(&answer.sdp)),
        Ok(Err(error)) => arrival.answer(&peer, Err(&error.message)),
        Err(_) => arrival.answer(&peer, Err("the camera did not answer in time")),
    }
}

/// Where the visitor is, as its offer says: the address that a STUN server saw, else its own. It may say what it likes,
/// but is not this machine.
fn visitor(sdp: &str) -> Option<SocketAddr> {
    let candidates = sdp.lines().filter_map(|line| {
        let (address, _) = candidate::read(line).filter(|(address, _)| !address.ip().is_loopback())?;
        Some((!line.contains(" typ srflx"), address))
    });
    candidates.min_by_key(|(is_own, _)| *is_own).map(|(_, address)| address)
}

fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_is_where_a_stun_server_saw_it() {
        let host = "a=candidate:1 1 udp 2122260223 192.168.7.3 40000 typ host\r\n";
        let seen = "a=candidate:2 1 udp 1686052607 203.0.113.9 40001 typ srflx raddr 0.0.0.0 rport 0\r\n";
        let hidden = "a=candidate:3 1 udp 1 0a1b2c3d-1111-4222-8333-444455556666.local 40002 typ host\r\n";
        let at = |sdp: &str| visitor(sdp).map(|address| address.to_string());
        assert_eq!(at(&format!("v=0\r\n{hidden}{host}{seen}")).as_deref(), Some("203.0.113.9:40001"));
        assert_eq!(at(&format!("v=0\r\n{hidden}{host}")).as_deref(), Some("192.168.7.3:40000"));
        for here in ["127.0.0.1", "::ffff:127.0.0.1", "::1", "0.0.0.0", "::ffff:224.0.0.1"] {
            assert_eq!(at(&host.replace("192.168.7.3", here)), None, "{here} is no visitor");
        }
        assert_eq!(at(&format!("{hidden}a=candidate:\r\na=candidate:1 1 udp\r\n")), None);
    }

    #[test]
    fn a_name_at_a_tracker_has_twenty_characters_and_is_used_once() {
        assert_eq!(peer_id().len(), 20);
        assert_ne!(peer_id(), peer_id());
    }

    #[test]
    fn waiting_takes_up_to_a_quarter_longer() {
        for _ in 0..100 {
            let wait = jittered(Duration::from_secs(60));
            assert!(wait >= Duration::from_secs(60) && wait <= Duration::from_secs(75), "{wait:?}");
        }
    }
}
