//! The engine's answers to the doctor: facts of the machine, of streams and of sessions, live and past.
use crate::doctor::facts::{
    self, Arrivals, Dtls, Ice, MAX_LINES, Machine, Pair, Phase, Refusal, Session, clip, clip_sentence,
};
use crate::doctor::history::RECENT;
use crate::doctor::verdict;
use crate::engine::Engine;
use crate::engine::api::{Error, ErrorKind, Intent, Offer};
use crate::engine::keys::PeerKey;
use crate::engine::keys::TrackKey;
use crate::engine::media::Media;
use crate::engine::media::sender::Sender;
use crate::engine::media::track::Track;
use crate::engine::sessions::peer::Peer;
use crate::engine::sessions::short;
use crate::engine::streams::stream::Stream;
use crate::media::codec::Kind;
use crate::rtc::route::Route;
use crate::rtc::session::Reason;
use crate::stream::intake::Receiver;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

impl Engine {
    /// Everything that the doctor shows of this side. `asker_clock` is the asker's time, seconds since 1970.
    pub(in crate::engine) fn diagnose(&mut self, clock_s: u64, asker_clock_s: Option<u64>, now: Instant) -> Value {
        let machine = self.machine(clock_s, asker_clock_s, now);
        let of_machine = verdict::machine(&machine);
        let mut findings = of_machine.len();
        let mut judged = |mut value: Value, verdict: Option<verdict::Verdict>, counts: bool| {
            findings += usize::from(counts && verdict.is_some());
            value["verdict"] = json!(verdict);
            value
        };
        let streams: Vec<Value> = self
            .streams
            .iter()
            .map(|stream| {
                let facts = self.stream_facts(stream, now);
                let mut value = json!(facts);
                value["sources"] =
                    json!(stream.producers.iter().map(|producer| &producer.facts.public_url).collect::<Vec<_>>());
                judged(value, verdict::stream(&facts), true)
            })
            .collect();
        let mut peers: Vec<&Peer> = self.sessions.iter().map(|(_, peer)| peer).collect();
        peers.sort_by_key(|peer| std::cmp::Reverse(peer.created));
        let sessions: Vec<Value> = peers
            .into_iter()
            .map(|peer| {
                let facts = self.session_facts(peer, now);
                judged(json!(facts), verdict::session(&facts), true)
            })
            .collect();
        let past: Vec<Value> = self
            .journal
            .past()
            .map(|past| {
                let ago = now.saturating_duration_since(past.at);
                let mut value = json!(past.facts);
                value["ago_ms"] = json!(milliseconds(ago));
                value["times"] = json!(past.times);
                judged(value, past.verdict.clone(), ago < RECENT)
            })
            .collect();
        let mut shown = json!(machine);
        shown["verdicts"] = json!(of_machine);
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "machine": shown,
            "streams": streams,
            "sessions": sessions,
            "past": past,
            "findings": findings,
        })
    }

    fn machine(&mut self, clock_s: u64, asker_clock_s: Option<u64>, now: Instant) -> Machine {
        let lines = self.reach.candidate_lines(None, None);
        Machine {
            listen: self.reach.listening(),
            problems: self.reach.problems().to_vec(),
            advertised: self.journal.advertised(&self.reach, &lines),
            sessions: self.sessions.len(),
            max_sessions: self.sessions.max(),
            uptime_s: now.saturating_duration_since(self.began.0).as_secs(),
            clock_s,
            asker_clock_s,
            turn_expires_s: self.journal.turn_expires_s,
        }
    }

    /// Remembers a session that ends.
    pub(in crate::engine) fn remember_session(&mut self, key: PeerKey, reason: Reason, now: Instant) {
        let Some(peer) = self.sessions.get(key) else { return };
        let mut facts = self.session_facts(peer, now);
        facts.reason = Some(reason.sentence().to_owned());
        facts.failed = !reason.is_orderly();
        facts.replaced = reason == Reason::Replaced;
        self.journal.remember(facts, now);
    }

    /// Remembers an offer that was refused for a reason that its writer or the operator can change.
    pub(in crate::engine) fn remember_refusal(&mut self, offer: &Offer, error: &Error, now: Instant) {
        let refusal = match error.kind {
            ErrorKind::CodecMismatch => Refusal::Codecs,
            ErrorKind::SourceFailed => Refusal::Source,
            ErrorKind::Full => Refusal::Full,
            ErrorKind::Internal if self.reach.no_media_port().is_some() => Refusal::NoPort,
            _ => return,
        };
        let stream = self.streams.get(&offer.stream).map(|stream| self.stream_facts(stream, now));
        let lines = self.reach.candidate_lines(None, None);
        let facts = Session {
            publishes: offer.intent == Intent::Publish,
            door: offer.format,
            client: clip(&offer.user_agent),
            from: offer.remote.to_string(),
            phase: Phase::Refused,
            refusal: Some(refusal),
            mismatch: error.mismatch.clone(),
            port: self.reach.no_media_port().and_then(|missing| missing.0),
            reason: Some(clip_sentence(&error.message)),
            failed: true,
            advertised: self.journal.advertised(&self.reach, &lines),
            stream: stream.unwrap_or_default(),
            ..Session::default()
        };
        self.journal.remember(facts, now);
    }

    fn stream_facts(&self, stream: &Stream, now: Instant) -> facts::Stream {
        let tracks = stream.tracks();
        let mut codecs = self.media.of(&tracks).map(|track| track.info.codec);
        let video = codecs.find(|codec| codec.kind() == Kind::Video);
        facts::Stream {
            name: stream.name.clone(),
            state: stream.state(),
            has_source: !stream.producers.is_empty(),
            video: video.map(|codec| codec.to_string()),
            error_kind: stream.last_error_kind(),
            last_error: stream.last_error().as_deref().map(clip_sentence),
            failures: stream.failures(),
            down_ms: stream.down_since().map(|at| age(now, at)),
            viewers: stream.viewers.len(),
        }
    }

    fn session_facts(&self, peer: &Peer, now: Instant) -> Session {
        let stream = self.streams.get(&peer.stream);
        let named = || facts::Stream { name: peer.stream.clone(), ..facts::Stream::default() };
        let handshake = peer.session.handshake();
        let media = match peer.publishes() {
            true => peer.intake.receivers.iter().map(|receiver| received(receiver, &self.media, now)).collect(),
            false => peer.senders.iter().map(|sender| sent(sender, &self.media, now)).collect(),
        };
        Session {
            id: short(&peer.id).to_owned(),
            publishes: peer.publishes(),
            door: peer.origin.format,
            client: clip(&peer.origin.user_agent),
            from: peer.origin.remote.to_string(),
            age_ms: age(now, peer.created),
            phase: match (handshake.done, handshake.began) {
                (Some(_), _) => Phase::Connected,
                (None, Some(_)) => Phase::Handshaking,
                (None, None) => Phase::Checking,
            },
            connected_ms: peer.connected.map(|at| age(now, at)),
            refusal: None,
            port: None,
            mismatch: None,
            reason: None,
            failed: false,
            replaced: false,
            waits: stream.zip(self.sessions.key_of(&peer.id).ok()).is_some_and(|(stream, key)| stream.has_waiting(key)),
            advertised: peer.advertised.clone(),
            ice: ice(peer, now),
            dtls: Dtls {
                began_ms: handshake.began.map(|at| age(now, at)),
                took_ms: handshake.began.zip(handshake.done).map(|(began, done)| age(done, began)),
                sent: handshake.sent,
                received: handshake.received,
            },
            media,
            stream: stream.map_or_else(named, |stream| self.stream_facts(stream, now)),
        }
    }
}

fn ice(peer: &Peer, now: Instant) -> Ice {
    let ice = peer.session.ice();
    let arrivals = ice.seen().iter().take(MAX_LINES).map(|seen| Arrivals {
        local: format!("{} {}", seen.protocol, seen.local.map_or_else(|| "any".into(), |ip| ip.to_string())),
        requests: seen.requests,
        last_ms: age(now, seen.last),
    });
    let mut pairs: Vec<_> = ice.pairs().collect();
    // The ones that say most: in use, heard of, checked.
    pairs.sort_by_key(|pair| {
        std::cmp::Reverse((pair.selected, pair.tally.requests + pair.tally.answers, pair.tally.checks))
    });
    let pairs = pairs.into_iter().take(MAX_LINES).map(|pair| Pair {
        local: local(&pair.route),
        remote: pair.route.remote.to_string(),
        requests: pair.tally.requests,
        checks: pair.tally.checks,
        answers: pair.tally.answers,
        rtt_ms: pair.rtt.map(milliseconds),
        selected: pair.selected,
    });
    let (checks, answers) = ice.checks();
    Ice {
        remote: peer.candidates.facts.clone(),
        arrivals: arrivals.collect(),
        pairs: pairs.collect(),
        requests: ice.requests_seen(),
        checks,
        answers,
        selected: ice.selected().map(|route| route.socket.protocol()),
    }
}

fn sent(sender: &Sender, media: &Media, now: Instant) -> facts::Media {
    let track = sender.track.and_then(|key| media.get(key));
    let mut offered: Vec<String> = sender.codecs.iter().map(|codec| codec.codec.to_string()).collect();
    offered.dedup();
    offered.truncate(MAX_LINES);
    facts::Media {
        kind: sender.kind.name(),
        codec: track.map(|track| track.info.codec.to_string()),
        offered,
        packets: sender.packets,
        retransmitted: sender.retransmitted,
        nacked: sender.nacked,
        keyframe_requests: sender.keyframe_requests,
        too_long: sender.too_long,
        loss_percent: sender.loss.percent,
        reports: sender.loss.reports,
        begun: sender.outbound.next().is_some(),
        track: track.map(|track| produced(track, now)).unwrap_or_default(),
    }
}

fn received(receiver: &Receiver<TrackKey>, media: &Media, now: Instant) -> facts::Media {
    let inbound = &receiver.inbound;
    let track = media.get(receiver.track);
    let codec = inbound.agreed.codec.to_string();
    // What was sent again was lost on the way all the same.
    let missed = inbound.lost() + inbound.recovered;
    let expected = (inbound.packets() + inbound.lost()).max(1);
    facts::Media {
        kind: inbound.kind().name(),
        codec: Some(codec.clone()),
        offered: vec![codec],
        packets: inbound.packets(),
        nacked: inbound.nacked,
        loss_percent: missed as f32 * 100.0 / expected as f32,
        begun: track.is_some_and(|track| track.keyframe.is_some()),
        track: track.map(|track| produced(track, now)).unwrap_or_default(),
        ..facts::Media::default()
    }
}

fn produced(track: &Track, now: Instant) -> facts::Track {
    facts::Track {
        packets: track.packets,
        last_packet_ms: track.last_packet.map(|at| age(now, at)),
        last_keyframe_ms: track.keyframe.map(|keyframe| age(now, keyframe.at)),
        keyframes_apart_ms: track.keyframe.and_then(|keyframe| keyframe.apart).map(milliseconds),
        keyframes_asked: track.asked,
        undecodable: track.shape.is_undecodable(),
        reordered: track.shape.is_reordered(),
    }
}

fn local(route: &Route) -> String {
    let ip = route.local.map_or_else(|| "any".into(), |ip| ip.to_string());
    format!("{} {ip}", route.socket.protocol())
}

fn age(now: Instant, at: Instant) -> u64 {
    milliseconds(now.saturating_duration_since(at))
}

fn milliseconds(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}
