//! Signalling in the engine: offers become sessions, candidates and restarts reach them.
use super::Engine;
use super::peer::{Budget, Origin, Peer, Receiver, Sender};
use super::sessions::short;
use super::streams::{START_DEADLINE, Waiting};
use super::track::Track;
use super::{new_key, stream_not_found};
use crate::media::codec::Kind;
use crate::rtc::answer::{self, Local, Ssrcs};
use crate::rtc::ice::Credentials;
use crate::rtc::negotiate::{self, Accepted, Side};
use crate::rtc::sdp::{self, Direction, Hash, Remote, Setup};
use crate::rtc::session::{PeerTransport, Reason, Session};
use crate::rtc::twcc;
use crate::source::TrackInfo;
use crate::stream::inbound::{Agreed, Inbound};
use crate::stream::outbound::Outbound;
use crate::stream::relay::{Answer, Error, ErrorKind, Intent, Offer, Trickle, Trickled};
use std::net::SocketAddr;
use std::time::Instant;
use tokio::sync::oneshot;

/// Candidates of one peer that are looked at, over all of its messages.
const MAX_REMOTE_CANDIDATES: usize = 32;
const UFRAG_LEN: usize = 8;
const PWD_LEN: usize = 24;

impl Engine {
    pub(super) fn on_offer(&mut self, offer: Offer, reply: oneshot::Sender<Result<Answer, Error>>, now: Instant) {
        match self.prepare(&offer, now) {
            Ok(Ready::Now(remote, side)) => {
                let answer = match side {
                    Side::Viewer => self.answer_viewer(&offer, &remote, now),
                    Side::Publisher => self.answer_publisher(&offer, &remote, now),
                };
                if let Err(error) = &answer {
                    log::warn!(target: "webrtc", "offer refused stream={:?} error={:?}", offer.stream, error.message);
                }
                drop(reply.send(answer));
            }
            Ok(Ready::WhenLive) => {
                let until = now + START_DEADLINE;
                let waiting = Waiting::Offer { offer: offer.clone(), reply, until };
                self.wait_for(&offer.stream, waiting, now);
            }
            Err(error) => {
                log::warn!(target: "webrtc", "offer refused stream={:?} error={:?}", offer.stream, error.message);
                drop(reply.send(Err(error)));
            }
        }
    }

    /// Looks at an offer before anything is started for it.
    fn prepare(&self, offer: &Offer, _now: Instant) -> Result<Ready, Error> {
        let stream = self.streams.get(&offer.stream).filter(|s| !s.deleted).ok_or_else(stream_not_found)?;
        let remote = sdp::parse(&offer.sdp).map_err(|e| Error::new(ErrorKind::BadRequest, e.to_string()))?;
        if self.peers.len() >= self.max_sessions {
            let message = format!("all {} sessions are in use; close one, or raise relay.sessions", self.max_sessions);
            return Err(Error::new(ErrorKind::Full, message));
        }
        let side = match offer.intent {
            Intent::View => Side::Viewer,
            Intent::Publish => Side::Publisher,
            Intent::FromOffer => negotiate::side(&remote),
        };
        if side == Side::Viewer && !stream.is_live() && !stream.sources.is_empty() {
            return Ok(Ready::WhenLive);
        }
        Ok(Ready::Now(Box::new(remote), side))
    }

    /// Starts the stream if need be; `waiting` is answered when its tracks are known.
    pub(super) fn wait_for(&mut self, name: &str, waiting: Waiting, now: Instant) {
        let Some(stream) = self.streams.get_mut(name) else { return waiting.refuse(stream_not_found()) };
        if let Some(waiting) = stream.wait(waiting) {
            return waiting.refuse(Error::new(ErrorKind::Full, "too many viewers wait for this stream's source"));
        }
        stream.stop_at = None;
        if stream.running.is_none() && stream.retry_at.is_none() {
            self.start_source(name, now);
        } else if let (None, Some(error)) = (&stream.running, stream.last_error.clone()) {
            // The source is known to be down: say so at once; a player asks again.
            let error = Error::new(ErrorKind::SourceFailed, format!("the source is not available: {error}"));
            stream.waiting.drain(..).for_each(|waiting| waiting.refuse(error.clone()));
        }
    }

    fn answer_viewer(&mut self, offer: &Offer, remote: &Remote, now: Instant) -> Result<Answer, Error> {
        let stream = self.streams.get(&offer.stream).ok_or_else(stream_not_found)?;
        let live = stream.is_live().then(|| stream.tracks().to_vec());
        let infos: Option<Vec<TrackInfo>> =
            live.as_ref().map(|keys| keys.iter().filter_map(|key| Some(self.tracks.get(key)?.info.clone())).collect());
        let accepted = negotiate::viewer(remote, infos.as_deref())
            .map_err(|mismatch| Error::new(ErrorKind::CodecMismatch, mismatch.to_string()))?;
        let mut senders = Vec::new();
        let mut ssrcs = Vec::new();
        for media in &accepted {
            let pair =
                Ssrcs { ssrc: self.random_ssrc(), rtx_ssrc: (media.kind == Kind::Video).then(|| self.random_ssrc()) };
            ssrcs.push(pair);
            if media.direction == Direction::SendOnly {
                senders.push(self.new_sender(media, pair));
            }
        }
        let key = new_key(&mut self.next_key);
        let (mut peer, answer) = self.new_session(key, offer, remote, &accepted, &ssrcs, now)?;
        peer.senders = senders;
        self.insert_peer(key, peer);
        if let Some(stream) = self.streams.get_mut(&offer.stream) {
            stream.viewers.push(key);
            stream.stop_at = None;
        }
        self.bind(key);
        Ok(answer)
    }

    fn answer_publisher(&mut self, offer: &Offer, remote: &Remote, now: Instant) -> Result<Answer, Error> {
        let accepted = negotiate::publisher(remote)
            .map_err(|mismatch| Error::new(ErrorKind::CodecMismatch, mismatch.to_string()))?;
        let ssrcs = vec![Ssrcs { ssrc: self.random_ssrc(), rtx_ssrc: None }; accepted.len()];
        let key = new_key(&mut self.next_key);
        let (mut peer, answer) = self.new_session(key, offer, remote, &accepted, &ssrcs, now)?;
        peer.receivers = accepted
            .iter()
            .filter(|media| media.direction == Direction::RecvOnly)
            .filter_map(|media| {
                let codec = media.codecs.first()?;
                let section = remote.medias.get(media.media)?;
                let track = new_key(&mut self.next_key);
                self.tracks
                    .insert(track, Track::new(TrackInfo { codec: codec.codec, fmtp: codec.fmtp.clone() }, codec.pli));
                let agreed = Agreed {
                    codec: codec.codec,
                    payload_type: codec.payload_type,
                    rtx_payload_type: codec.rtx,
                    ssrc: section.ssrcs.first().copied(),
                    nack: codec.nack,
                };
                Some(Receiver { inbound: Inbound::new(agreed), track, wants_keyframe: false, epoch: None })
            })
            .collect();
        let tracks: Vec<u32> = peer.receivers.iter().map(|receiver| receiver.track).collect();
        self.insert_peer(key, peer);
        let stream = self.streams.get_mut(&offer.stream).ok_or_else(stream_not_found)?;
        // The newest publisher wins: one that crashed and came back must not wait for its own ghost.
        let replaced = stream.publisher.replace((key, tracks));
        let stopped = stream.running.take().map(|running| running.tracks.clone()).unwrap_or_default();
        stream.retry_at = None;
        stream.last_error = None;
        self.drop_tracks(&stopped);
        if let Some((old, _)) = replaced {
            log::info!(target: "streams", "publisher replaced stream={:?}", offer.stream);
            self.remove_peer(old, Reason::ClosedByUs);
        }
        self.on_live(&offer.stream);
        Ok(answer)
    }

    fn new_sender(&self, media: &Accepted, ssrcs: Ssrcs) -> Sender {
        let mut random = [0; 8];
        let _ = self.identity.fill(&mut random);
        let seq = u16::from_be_bytes([random[0], random[1]]);
        let timestamp = u32::from_be_bytes([random[2], random[3], random[4], random[5]]);
        let rate = media.codecs.first().map_or(90_000, |codec| codec.codec.clock_rate());
        Sender {
            kind: media.kind,
            codecs: media.codecs.clone(),
            ssrc: ssrcs.ssrc,
            rtx_ssrc: ssrcs.rtx_ssrc,
            rtx_seq: u64::from(u16::from_be_bytes([random[6], random[7]]) & 0x7fff),
            outbound: Outbound::new(seq, timestamp, rate),
            track: None,
            payload_type: 0,
            rtx_payload_type: None,
            packets: 0,
            bytes: 0,
            retransmitted: 0,
            nacked: 0,
            keyframe_requests: 0,
            wants_keyframe: false,
            replayed: None,
            last_sent: None,
            report: None,
        }
    }

    fn random_ssrc(&self) -> u32 {
        let mut bytes = [0; 4];
        let _ = self.identity.fill(&mut bytes);
        u32::from_be_bytes(bytes).max(1)
    }

    fn random_text(&self, len: usize, alphabet: &[u8; 64]) -> Result<String, Error> {
        let mut bytes = vec![0; len];
        self.identity
            .fill(&mut bytes)
            .map_err(|_| Error::new(ErrorKind::Internal, "the system gives no random numbers"))?;
        Ok(bytes.iter().map(|byte| char::from(alphabet[usize::from(byte & 63)])).collect())
    }

    /// ICE characters (RFC 8839 section 5.4): 48 bits of name, 144 bits of password.
    fn new_credentials(&self) -> Result<Credentials, Error> {
        const ICE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        loop {
            let ufrag = self.random_text(UFRAG_LEN, ICE)?;
            if !self.by_ufrag.contains_key(&ufrag) {
                return Ok(Credentials { ufrag, pwd: self.random_text(PWD_LEN, ICE)? });
            }
        }
    }

    fn new_id(&self) -> Result<String, Error> {
        let mut bytes = [0; 16];
        self.identity
            .fill(&mut bytes)
            .map_err(|_| Error::new(ErrorKind::Internal, "the system gives no random numbers"))?;
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Builds the session and the answer that describes it.
    fn new_session(
        &mut self,
        key: u32,
        offer: &Offer,
        remote: &Remote,
        accepted: &[Accepted],
        ssrcs: &[Ssrcs],
        now: Instant,
    ) -> Result<(Box<Peer>, Answer), Error> {
        let internal = |error: String| Error::new(ErrorKind::Internal, error);
        if remote.fingerprint.hash != Hash::Sha256 {
            return Err(Error::new(ErrorKind::BadRequest, "a=fingerprint: only sha-256 is supported"));
        }
        let setup = remote.setup.reply();
        let credentials = self.new_credentials()?;
        let transport = PeerTransport {
            credentials: Credentials { ufrag: remote.ufrag.clone(), pwd: remote.pwd.clone() },
            fingerprint: remote.fingerprint.bytes.clone(),
        };
        let active = setup == Setup::Active;
        let session = Session::new(&self.identity, now, remote.ice_lite, active, key, credentials.clone(), transport)
            .map_err(internal)?;
        let id = self.new_id()?;
        let candidates: Vec<String> = self.wire.candidates(now).iter().map(ToString::to_string).collect();
        let mut session_id = [0; 8];
        let _ = self.identity.fill(&mut session_id);
        let publishes = accepted.iter().any(|media| media.direction == Direction::RecvOnly);
        let local = Local {
            session_id: u64::from_be_bytes(session_id) >> 2,
            version: 1,
            ufrag: &credentials.ufrag,
            pwd: &credentials.pwd,
            fingerprint: &format!("sha-256 {}", self.identity.fingerprint),
            setup,
            candidates: &candidates,
            ssrcs,
            cname: "porthole",
            stream_id: "porthole",
            extensions: if publishes { &[twcc::EXTENSION] } else { &[] },
            transport_cc: publishes,
        };
        let sdp = answer::write(remote, accepted, &local);
        let mut peer = Box::new(Peer {
            id: id.clone(),
            stream: offer.stream.clone(),
            publishes,
            session,
            senders: Vec::new(),
            receivers: Vec::new(),
            origin: Origin {
                format: offer.format,
                protocol: offer.protocol,
                user_agent: offer.user_agent.clone(),
                remote: offer.remote,
            },
            created: now,
            connected: None,
            routes: Vec::new(),
            twcc: twcc_of(remote, accepted).map(|extension| twcc::Feedback::new(extension, now)),
            generation: 1,
            ssrc: self.random_ssrc(),
            report_due: now,
            wake: None,
            budget: Budget::new(now),
            offered_candidates: 0,
        });
        self.by_ufrag.insert(credentials.ufrag, key);
        self.by_id.insert(id.clone(), key);
        self.add_candidates(&mut peer, &remote.candidates, now);
        let answer = Answer { id, sdp, candidates, etag: peer.etag() };
        Ok((peer, answer))
    }

    fn insert_peer(&mut self, key: u32, peer: Box<Peer>) {
        let role = if peer.publishes { "publisher" } else { "viewer" };
        log::debug!(
            target: "webrtc", "{role} offered stream={:?} session={} by={} remote={}",
            peer.stream, short(&peer.id), peer.origin.format, peer.origin.remote
        );
        self.peers.insert(key, peer);
    }

    fn add_candidates(&self, peer: &mut Peer, lines: &[String], now: Instant) {
        for line in lines {
            if peer.offered_candidates >= MAX_REMOTE_CANDIDATES {
                return;
            }
            peer.offered_candidates += 1;
            // mDNS names and TCP candidates of peers that connect to us need no check of ours.
            let Some((address, priority)) = parse_candidate(line) else { continue };
            if let Some(socket) = self.wire.socket_for(address) {
                peer.session.ice_mut().add_remote(now, socket, address, priority);
            }
        }
    }

    pub(super) fn peer_by_id(&self, id: &str) -> Result<&Peer, Error> {
        let key = self.by_id.get(id).ok_or_else(session_not_found)?;
        self.peers.get(key).map(|peer| &**peer).ok_or_else(session_not_found)
    }

    pub(super) fn on_close(&mut self, id: &str, _now: Instant) -> Result<(), Error> {
        let key = *self.by_id.get(id).ok_or_else(session_not_found)?;
        self.remove_peer(key, Reason::ClosedByUs);
        Ok(())
    }

    /// Candidates, or new credentials: an ICE restart (RFC 9725 section 4.3).
    pub(super) fn on_trickle(&mut self, id: &str, trickle: Trickle, now: Instant) -> Result<Trickled, Error> {
        let key = *self.by_id.get(id).ok_or_else(session_not_found)?;
        let Some(mut peer) = self.peers.remove(&key) else { return Err(session_not_found()) };
        let result = self.trickle(key, &mut peer, trickle, now);
        self.peers.insert(key, peer);
        result
    }

    fn trickle(&mut self, key: u32, peer: &mut Peer, trickle: Trickle, now: Instant) -> Result<Trickled, Error> {
        // Players that could not read the entity tag send the text "null".
        let named = trickle.if_match.as_deref().map(str::trim).filter(|tag| !matches!(*tag, "*" | "null" | "\"null\""));
        if named.is_some_and(|tag| tag != peer.etag()) {
            return Err(Error::new(
                ErrorKind::PreconditionFailed,
                "If-Match names an older ICE session than the present one",
            ));
        }
        let known = peer.session.ice().remote();
        let restart = trickle.credentials.filter(|(ufrag, pwd)| *ufrag != known.ufrag || *pwd != known.pwd);
        if restart.as_ref().is_some_and(|(ufrag, _)| *ufrag == known.ufrag) {
            let message = "the ice-ufrag is this session's but the ice-pwd is not; an ICE restart changes both";
            return Err(Error::new(ErrorKind::Unprocessable, message));
        }
        let Some((ufrag, pwd)) = restart else {
            self.add_candidates(peer, &trickle.candidates, now);
            return Ok(Trickled::Taken);
        };
        let local = self.new_credentials()?;
        self.by_ufrag.insert(local.ufrag.clone(), key);
        self.by_ufrag.remove(&peer.session.ice().local().ufrag);
        peer.session.ice_mut().restart(local.clone(), Credentials { ufrag, pwd });
        peer.generation += 1;
        peer.offered_candidates = 0;
        self.add_candidates(peer, &trickle.candidates, now);
        log::info!(target: "webrtc", "ICE restarted stream={:?} session={}", peer.stream, short(&peer.id));
        let mut fragment = format!("a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", local.ufrag, local.pwd);
        for candidate in self.wire.candidates(now) {
            fragment.push_str(&format!("a={candidate}\r\n"));
        }
        fragment.push_str("a=end-of-candidates\r\n");
        Ok(Trickled::Restarted { fragment, etag: peer.etag() })
    }
}

/// What an offer needs before it can be answered.
enum Ready {
    Now(Box<Remote>, Side),
    WhenLive,
}

fn session_not_found() -> Error {
    Error::new(ErrorKind::NotFound, "session not found; it may have ended")
}

/// Number of the transport-wide sequence number extension, where a publisher's m-line offers it.
fn twcc_of(remote: &Remote, accepted: &[Accepted]) -> Option<u8> {
    let media = accepted.iter().filter(|media| media.direction == Direction::RecvOnly);
    let offered = media.filter_map(|media| remote.medias.get(media.media)).flat_map(|section| &section.extensions);
    offered.into_iter().find(|(_, uri)| uri == twcc::EXTENSION).map(|(number, _)| *number)
}

/// Address and priority of a UDP candidate with a literal address (RFC 8839 section 5.1).
fn parse_candidate(line: &str) -> Option<(SocketAddr, u32)> {
    let line = line.strip_prefix("a=").unwrap_or(line);
    let mut fields = line.strip_prefix("candidate:")?.split_ascii_whitespace();
    let (_foundation, component, protocol) = (fields.next()?, fields.next()?, fields.next()?);
    if component != "1" || !protocol.eq_ignore_ascii_case("udp") {
        return None;
    }
    let priority = fields.next()?.parse().ok()?;
    let ip: std::net::IpAddr = fields.next()?.parse().ok()?;
    let port: u16 = fields.next()?.parse().ok()?;
    (port != 0 && !ip.is_unspecified() && !ip.is_multicast())
        .then_some((SocketAddr::new(ip.to_canonical(), port), priority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_udp_candidates_with_literal_addresses_are_checked() {
        let parse = |line| parse_candidate(line).map(|(address, _)| address.to_string());
        assert_eq!(parse("candidate:1 1 udp 2122 192.168.1.5 5000 typ host").as_deref(), Some("192.168.1.5:5000"));
        assert_eq!(parse("a=candidate:1 1 UDP 2122 fd00::5 5000 typ host").as_deref(), Some("[fd00::5]:5000"));
        for line in [
            "candidate:1 1 udp 2122 0d8a.local 5000 typ host",
            "candidate:1 2 udp 2122 192.168.1.5 5000 typ host",
            "candidate:1 1 tcp 2122 192.168.1.5 9 typ host tcptype active",
            "candidate:1 1 udp 2122 0.0.0.0 5000 typ host",
            "candidate:1 1 udp 2122 192.168.1.5 0 typ host",
            "candidate:1 1 udp",
            "",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
