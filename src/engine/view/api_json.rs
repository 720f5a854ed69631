//! What the engine tells about itself: the JSON of `/api/streams`, `/api/session` and `/api/status`,
//! in the shapes that existing clients read.
use crate::engine::Engine;
use crate::engine::api::Error;
use crate::engine::keys::{PeerKey, TrackKey};
use crate::engine::media::Media;
use crate::engine::media::sender::Sender;
use crate::engine::sessions::Sessions;
use crate::engine::sessions::peer::Peer;
use crate::engine::streams::producer::Producer;
use crate::engine::streams::stream::Stream;
use crate::gather::policy::Verdict;
use crate::media::codec::{self, Codec, Kind};
use crate::rtc::route::{Route, Socket};
use serde_json::{Map, Value, json};
use std::time::Instant;

impl Engine {
    /// A stream for `/api/streams`.
    pub(in crate::engine) fn stream_json(&self, stream: &Stream, now: Instant) -> Value {
        let mut value = shown(stream, &self.sessions, &self.media);
        let available = self.backchannel(stream).is_some_and(|codecs| !codecs.is_empty());
        value["talk"] = json!({"available": available, "busy": available && stream.floor.talker(now).is_some()});
        value
    }

    /// Live figures of one session, for the player page.
    pub(in crate::engine) fn session_json(&self, id: &str, now: Instant) -> Result<Value, Error> {
        let key = self.sessions.key_of(id)?;
        let peer = self.sessions.by_key(key)?;
        let stream = self.streams.get(&peer.stream);
        let waits = stream.is_some_and(|stream| stream.has_waiting(key));
        Ok(session(peer, stream, waits, &self.media, |route| self.reach.local_port(route), now))
    }

    /// The machine's own state: `/api/status`.
    pub(in crate::engine) fn status_json(&mut self, now: Instant) -> Value {
        let candidates = self.reach.candidate_lines(None, None);
        let (public, stun_servers) = self.reach.report(now);
        let problems: Vec<String> = self.reach.problems().iter().map(ToString::to_string).collect();
        json!({
            "listen": self.reach.listening(),
            "problems": problems,
            "candidates": candidates,
            "public": public,
            "stun_servers": stun_servers,
            "turn_servers": self.reach.turn.report(),
            "addresses": addresses(&self.reach.explain()),
            "sessions": self.sessions.len(),
            "max_sessions": self.sessions.max(),
            "streams": self.streams.len(),
            "tcp_connections": self.reach.connections(),
            "ring_bytes": self.media.ring_bytes(),
            "packets_forwarded": self.media.packets_forwarded,
            "sends": self.work.buffer.sends,
            "uptime_s": now.saturating_duration_since(self.began.0).as_secs(),
        })
    }
}

/// One stream: `{"producers":[…],"consumers":[…]}` and our own keys beside them.
fn shown(stream: &Stream, sessions: &Sessions, media: &Media) -> Value {
    let mut producers: Vec<Value> = Vec::new();
    if let Some((key, peer)) = stream.publisher.as_ref().and_then(|(key, _)| Some((*key, sessions.get(*key)?))) {
        producers.push(connection(key, peer, media));
    }
    producers.extend(stream.queue.iter().filter_map(|queued| {
        let mut value = connection(queued.key, sessions.get(queued.key)?, media);
        value["state"] = json!("waiting");
        Some(value)
    }));
    producers.extend(stream.producers.iter().map(|producer| source(producer, media)));
    let consumers: Vec<Value> =
        stream.viewers.iter().filter_map(|key| Some(connection(*key, sessions.get(*key)?, media))).collect();
    json!({
        "producers": if producers.is_empty() { Value::Null } else { Value::Array(producers) },
        "consumers": if consumers.is_empty() { Value::Null } else { Value::Array(consumers) },
        "state": stream.state(),
        "last_error": stream.last_error(),
        "attempts": stream.failures(),
    })
}

/// One source of a stream: its URL alone while it does not run and has not failed.
fn source(producer: &Producer, media: &Media) -> Value {
    let mut value = Map::new();
    value.insert("url".into(), json!(producer.facts.public_url));
    if let Some(error) = &producer.last_error {
        value.insert("last_error".into(), json!(error.message));
    }
    if producer.failures > 0 {
        value.insert("attempts".into(), json!(producer.failures));
    }
    let Some(running) = &producer.running else {
        if producer.retry_at.is_some() {
            value.insert("state".into(), json!("failing"));
        }
        return Value::Object(value);
    };
    value.insert("id".into(), json!(running.id.0));
    value.insert("format_name".into(), json!(producer.facts.format));
    let state = match (running.progress.state, running.live) {
        ("", Some(_)) => "live",
        ("", None) => "starting",
        (state, _) => state,
    };
    value.insert("state".into(), json!(state));
    let signalling = producer.facts.protocol;
    if let Some(route) = running.progress.route {
        value.insert("protocol".into(), json!(format!("{signalling}+{}", route.socket.protocol())));
        value.insert("remote_addr".into(), json!(route.remote.to_string()));
        value.insert("path".into(), json!(route.to_string()));
    } else if !signalling.is_empty() {
        value.insert("protocol".into(), json!(signalling));
    }
    value.insert("receivers".into(), receivers(&running.tracks, media));
    let bytes: u64 = media.of(&running.tracks).map(|track| track.bytes).sum();
    value.insert("bytes_recv".into(), json!(bytes));
    let mut medias = medias(&running.tracks, media, "recvonly");
    medias.extend(backchannel(&running.backchannel));
    value.insert("medias".into(), Value::Array(medias));
    Value::Object(value)
}

/// What the network policy makes of each address of the machine, and why.
fn addresses(verdicts: &[Verdict]) -> Value {
    let list = verdicts.iter().map(|verdict| {
        json!({
            "ip": verdict.address.to_string(),
            "interface": verdict.interface,
            "advertised": verdict.advertised,
            // Its name before; it goes with the next release.
            "told": verdict.advertised,
            "bound": verdict.bound,
            "reason": verdict.rule.map(|rule| rule.to_string()),
        })
    });
    Value::Array(list.collect())
}

fn codec(codec: Codec, id: u32) -> Value {
    let name = match codec {
        Codec::H264 => "h264",
        Codec::H265 => "hevc",
        Codec::Vp8 => "vp8",
        Codec::Vp9 => "vp9",
        Codec::Av1 => "av1",
        Codec::Opus => "opus",
        Codec::Pcmu => "pcm_mulaw",
        Codec::Pcma => "pcm_alaw",
    };
    let mut value = json!({"codec_name": name, "codec_type": codec.kind().name()});
    if codec.kind() == Kind::Audio {
        value["sample_rate"] = json!(codec.clock_rate());
        if codec == Codec::Opus {
            value["channels"] = json!(2);
        }
    }
    json!({"id": id, "codec": value})
}

fn receivers(keys: &[TrackKey], media: &Media) -> Value {
    let list = keys.iter().filter_map(|key| {
        let track = media.get(*key)?;
        let mut value = codec(track.info.codec, key.number());
        value["childs"] = json!(track.viewers.iter().map(|viewer| viewer.number()).collect::<Vec<u32>>());
        value["bytes"] = json!(track.bytes);
        value["packets"] = json!(track.packets);
        if let Some(([idc, _, level], (width, height))) = track.picture {
            value["codec"]["profile"] = json!(match idc {
                66 => "Baseline",
                77 => "Main",
                100 => "High",
                _ => "other",
            });
            value["codec"]["level"] = json!(level);
            value["width"] = json!(width);
            value["height"] = json!(height);
        }
        Some(value)
    });
    Value::Array(list.collect())
}

fn medias(keys: &[TrackKey], media: &Media, direction: &str) -> Vec<Value> {
    media
        .of(keys)
        .map(|track| json!(format!("{}, {direction}, {}", track.info.codec.kind(), track.info.codec)))
        .collect()
}

/// What somebody's loudspeaker takes, as a media of its own.
fn backchannel(codecs: &[Codec]) -> Option<Value> {
    (!codecs.is_empty()).then(|| json!(format!("audio, sendonly, {}", codec::list(codecs.iter().copied()))))
}

/// A live session as a producer or consumer.
fn connection(key: PeerKey, peer: &Peer, media: &Media) -> Value {
    let transport = match peer.session.ice().selected().map(|route| route.socket) {
        Some(Socket::Udp(_)) => "+udp",
        Some(Socket::Tcp(_)) => "+tcp",
        Some(Socket::Relay(_)) => "+relay",
        None => "",
    };
    let mut value = json!({
        "id": key.number(),
        "format_name": peer.origin.format,
        "protocol": format!("{}{transport}", peer.origin.protocol),
        "remote_addr": peer.session.ice().selected().map_or_else(|| peer.origin.remote.to_string(), |r| r.remote.to_string()),
        "user_agent": peer.origin.user_agent,
        "state": peer.session.state().name(),
    });
    if peer.publishes() {
        let keys: Vec<TrackKey> = peer.intake.receivers.iter().map(|receiver| receiver.track).collect();
        let heard: Vec<Codec> =
            peer.senders.iter().flat_map(|sender| &sender.codecs).map(|codec| codec.codec).collect();
        let mut medias = medias(&keys, media, "recvonly");
        medias.extend(backchannel(&heard));
        value["medias"] = Value::Array(medias);
        value["receivers"] = receivers(&keys, media);
        value["bytes_recv"] = json!(peer.intake.receivers.iter().map(|r| r.inbound.bytes).sum::<u64>());
    } else {
        let list = peer.senders.iter().map(|sender| {
            let names = codec::list(sender.codecs.iter().map(|codec| codec.codec));
            json!(format!("{}, sendonly, {names}", sender.kind))
        });
        let keys: Vec<TrackKey> = peer.intake.receivers.iter().map(|receiver| receiver.track).collect();
        value["medias"] = Value::Array(list.chain(medias(&keys, media, "recvonly")).collect());
        value["senders"] = Value::Array(
            peer.senders
                .iter()
                .filter_map(|sender| {
                    let parent = sender.track?;
                    let mut value = codec(media.get(parent)?.info.codec, sender.ssrc);
                    value["parent"] = json!(parent.number());
                    value["bytes"] = json!(sender.bytes);
                    value["packets"] = json!(sender.packets);
                    Some(value)
                })
                .collect(),
        );
        value["bytes_send"] = json!(peer.senders.iter().map(|sender| sender.bytes).sum::<u64>());
    }
    value
}

/// What a publisher is told whose turn has not come.
const WAITS: &str = "somebody else publishes to this stream; this publisher's turn comes when they have stopped";

/// Live figures of one session, for the player page. `waits`: it publishes and its turn has not come.
fn session(
    peer: &Peer,
    stream: Option<&Stream>,
    waits: bool,
    media: &Media,
    port: impl Fn(&Route) -> u16,
    now: Instant,
) -> Value {
    let path = peer.session.ice().selected().map(|route| {
        let local = route.local.map_or_else(|| "any".to_owned(), |ip| ip.to_string());
        json!({
            "protocol": route.socket.protocol(),
            "local": format!("{local} port {}", port(&route)),
            "remote": route.remote.to_string(),
        })
    });
    let senders: Vec<Value> = peer.senders.iter().map(|sender| {
        let track = sender.track.and_then(|key| media.get(key));
        let keyframe = track.and_then(|t| t.ring.latest_keyframe());
        json!({
            "kind": sender.kind.name(),
            "codec": track.map(|track| track.info.codec.to_string()),
            "packets": sender.packets,
            "bytes": sender.bytes,
            "retransmitted": sender.retransmitted,
            "nacked": sender.nacked,
            "keyframe_requests": sender.keyframe_requests,
            "behind_packets": track.map(|track| sender.outbound.behind(&track.ring)),
            "has_keyframe": keyframe.is_some(),
            "loss_percent": sender.report.map(|r| f64::from(r.fraction_lost) * 100.0 / 256.0),
            "jitter_ms": sender.report.zip(track).map(|(r, t)| f64::from(r.jitter) * 1000.0 / f64::from(t.info.codec.clock_rate())),
        })
    }).collect();
    let receivers: Vec<Value> = peer
        .intake
        .receivers
        .iter()
        .map(|receiver| {
            json!({
                "kind": receiver.inbound.kind().name(),
                "codec": receiver.inbound.agreed.codec.to_string(),
                "packets": receiver.inbound.packets(),
                "bytes": receiver.inbound.bytes,
                "lost": receiver.inbound.lost(),
                "nacked": receiver.inbound.nacked,
                "recovered": receiver.inbound.recovered,
            })
        })
        .collect();
    let sum = |field: fn(&Sender) -> u64| peer.senders.iter().map(field).sum::<u64>();
    json!({
        "id": peer.id,
        "stream": peer.stream,
        "state": peer.session.state().name(),
        "publishes": peer.publishes(),
        "waits": waits,
        "age_s": now.saturating_duration_since(peer.created).as_secs(),
        "path": path,
        "cipher": peer.session.cipher(),
        "rtt_ms": peer.session.ice().rtt().map(|rtt| rtt.as_micros() as f64 / 1000.0),
        "stun_requests_seen": peer.session.ice().requests_seen(),
        "codecs": senders.iter().chain(&receivers).filter_map(|s| s["codec"].as_str()).collect::<Vec<_>>(),
        "sent": {"packets": sum(|s| s.packets), "bytes": sum(|s| s.bytes), "retransmitted": sum(|s| s.retransmitted)},
        "senders": senders,
        "receivers": receivers,
        "reason": if waits { Some(WAITS.to_owned()) } else { reason(peer, stream, media) },
    })
}

/// Why there is no picture, in one sentence; null when there is one.
fn reason(peer: &Peer, stream: Option<&Stream>, media: &Media) -> Option<String> {
    use crate::rtc::session::State;
    match peer.session.state() {
        State::Checking if peer.session.ice().requests_seen() == 0 => {
            return Some(
                "no packet of this browser has arrived at the media port yet; a firewall, or another network?".into(),
            );
        }
        State::Checking => return Some("packets of this browser arrive, the way back is being checked".into()),
        State::Handshaking => return Some("the way is found, keys are being agreed on".into()),
        State::Connected | State::Closed => {}
    }
    let stream = stream?;
    if peer.publishes() {
        return None;
    }
    if !stream.is_live() {
        return Some(match (stream.last_error(), stream.producers.is_empty()) {
            (Some(error), _) => format!("the source is not available: {error}"),
            (None, true) => "waiting for somebody to publish to this stream".into(),
            (None, false) => connecting(stream),
        });
    }
    let video = peer.senders.iter().find(|sender| sender.kind == Kind::Video)?;
    let track = match video.track {
        Some(key) => media.get(key)?,
        None if media.of(&stream.tracks()).any(|track| track.info.codec.kind() == Kind::Video) => {
            return Some("the source's video codec is none that this browser plays".into());
        }
        None => return None,
    };
    (video.outbound.next().is_none()).then(|| match track.packets {
        0 => "connected, but the source has not sent any picture yet".into(),
        _ => "waiting for the source's next keyframe".into(),
    })
}

/// How far the sources of a stream without pictures are.
fn connecting(stream: &Stream) -> String {
    let running = stream.producers.iter().filter_map(|producer| producer.running.as_ref());
    match running.map(|running| running.progress.state).find(|state| !state.is_empty()) {
        Some(state) => format!("the source is connecting ({state})"),
        None => "the source is starting".into(),
    }
}
