//! Answers to offers that are taken: the session that begins, what it sends and receives, and our description of it.
use super::peer::{Budget, Loss, Origin, Peer, Sender};
use super::sessions::short;
use super::streams::Stream;
use super::track::Track;
use super::trickle::add_candidates;
use super::{Engine, new_key, stream_not_found};
use crate::doctor::facts::RemoteCandidates;
use crate::media::codec::Kind;
use crate::media::track::TrackInfo;
use crate::rtc::answer::{self, Local, Ssrcs};
use crate::rtc::ice::Credentials;
use crate::rtc::negotiate::{self, Accepted, Side};
use crate::rtc::renegotiate::Agreement;
use crate::rtc::sdp::{Extension, Remote, Setup};
use crate::rtc::session::{PeerTransport, Processor, Session};
use crate::rtc::twcc;
use crate::stream::choice::Wanted;
use crate::stream::inbound::{Agreed, Inbound};
use crate::stream::intake::{Intake, Receiver};
use crate::stream::outbound::Outbound;
use crate::stream::relay::{Answer, Error, ErrorKind, Offer};
use crate::stream::repeats::Repeats;
use rtc_crypto::CryptoError;
use std::time::Instant;

impl Engine {
    pub(super) fn answer_viewer(&mut self, offer: &Offer, remote: &Remote, now: Instant) -> Result<Answer, Error> {
        let stream = self.streams.get(&offer.stream).ok_or_else(stream_not_found)?;
        let accepted = self.accept_viewer(stream, remote)?;
        let mut senders = Vec::new();
        let mut ssrcs = Vec::new();
        for media in &accepted {
            let pair = self.new_ssrcs(media.kind);
            ssrcs.push(pair);
            if media.direction.sends() {
                senders.push(self.new_sender(media, pair));
            }
        }
        let key = new_key(&mut self.next_key);
        let (mut peer, answer) = self.new_session(key, offer, remote, (&accepted, Side::Viewer), &ssrcs, now)?;
        peer.senders = senders;
        peer.intake.receivers = incoming(remote, &accepted).into_iter().map(|media| self.receiver(media)).collect();
        self.insert_peer(key, peer);
        if let Some(stream) = self.streams.get_mut(&offer.stream) {
            stream.viewers.push(key);
        }
        self.bind(key);
        self.rest(&offer.stream, now);
        Ok(answer)
    }

    /// What is accepted of a viewer's offer, by the tracks and the loudspeaker that the stream has now.
    pub(super) fn accept_viewer(&self, stream: &Stream, remote: &Remote) -> Result<Vec<Accepted>, Error> {
        let live = stream.is_live().then(|| stream.tracks());
        let infos: Option<Vec<TrackInfo>> =
            live.as_ref().map(|keys| keys.iter().filter_map(|key| Some(self.tracks.get(key)?.info.clone())).collect());
        let backchannel = self.backchannel(stream);
        negotiate::viewer(remote, infos.as_deref(), backchannel.as_deref())
            .map_err(|mismatch| Error::new(ErrorKind::CodecMismatch, mismatch.to_string()))
    }

    pub(super) fn answer_publisher(&mut self, offer: &Offer, remote: &Remote, now: Instant) -> Result<Answer, Error> {
        self.admit_publisher(&offer.stream)?;
        let accepted = negotiate::publisher(remote, offer.layer.as_deref())
            .map_err(|mismatch| Error::new(ErrorKind::CodecMismatch, mismatch.to_string()))?;
        let ssrcs = vec![Ssrcs { ssrc: self.random_ssrc(), rtx_ssrc: None }; accepted.len()];
        let key = new_key(&mut self.next_key);
        let (mut peer, answer) = self.new_session(key, offer, remote, (&accepted, Side::Publisher), &ssrcs, now)?;
        peer.intake.receivers = incoming(remote, &accepted).into_iter().map(|media| self.receiver(media)).collect();
        let plays = accepted.iter().zip(&ssrcs).filter(|(media, _)| media.direction.sends());
        peer.senders = plays.map(|(media, pair)| self.new_sender(media, *pair)).collect();
        self.insert_peer(key, peer);
        Ok(answer)
    }

    /// What one m-line brings, with a track of its own.
    pub(super) fn receiver(&mut self, incoming: Incoming) -> Receiver {
        let track = new_key(&mut self.next_key);
        self.add_track(track, Track::new(incoming.info, incoming.asks));
        Receiver::new(Inbound::new(incoming.agreed), track)
    }

    pub(super) fn new_ssrcs(&self, kind: Kind) -> Ssrcs {
        Ssrcs { ssrc: self.random_ssrc(), rtx_ssrc: (kind == Kind::Video).then(|| self.random_ssrc()) }
    }

    pub(super) fn new_sender(&self, media: &Accepted, ssrcs: Ssrcs) -> Sender {
        let mut random = [0; 8];
        let _ = self.identity.fill(&mut random);
        let seq = u16::from_be_bytes([random[0], random[1]]);
        let timestamp = u32::from_be_bytes([random[2], random[3], random[4], random[5]]);
        let rate = media.codecs.first().map_or(90_000, |codec| codec.codec.clock_rate());
        Sender {
            media: media.media,
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
            too_long: 0,
            repeats: Repeats::default(),
            nacked: 0,
            keyframe_requests: 0,
            wants_keyframe: false,
            replayed: None,
            last_sent: None,
            report: None,
            loss: Loss::default(),
        }
    }

    fn random_ssrc(&self) -> u32 {
        let mut bytes = [0; 4];
        let _ = self.identity.fill(&mut bytes);
        u32::from_be_bytes(bytes).max(1)
    }

    pub(super) fn new_credentials(&self) -> Result<Credentials, Error> {
        loop {
            let credentials = self.identity.credentials().map_err(no_random_numbers)?;
            if !self.by_ufrag.contains_key(&credentials.ufrag) {
                return Ok(credentials);
            }
        }
    }

    fn new_id(&self) -> Result<String, Error> {
        let mut bytes = [0; 16];
        self.identity.fill(&mut bytes).map_err(no_random_numbers)?;
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Builds the session and the answer that describes it.
    fn new_session(
        &mut self,
        key: u32,
        offer: &Offer,
        remote: &Remote,
        (accepted, side): (&[Accepted], Side),
        ssrcs: &[Ssrcs],
        now: Instant,
    ) -> Result<(Box<Peer>, Answer), Error> {
        let mut session_id = [0; 8];
        let _ = self.identity.fill(&mut session_id);
        let agreement =
            Agreement::new(u64::from_be_bytes(session_id) >> 2, remote, accepted, Processor::this().setup());
        let credentials = self.new_credentials()?;
        let transport = PeerTransport {
            credentials: Credentials { ufrag: remote.ufrag.clone(), pwd: remote.pwd.clone() },
            fingerprints: remote.fingerprints.clone(),
        };
        let active = agreement.setup == Setup::Active;
        let session = Session::new(&self.identity, now, remote.ice_lite, active, key, credentials.clone(), transport);
        let id = self.new_id()?;
        self.confirm_public(now);
        let relay = self.wire.relays.take(key, now);
        if let Some(number) = relay {
            // Browsers hide their addresses or tell them late; media mostly comes from where the offer came from.
            self.wire.relays.permit(number, offer.remote.ip(), now);
        }
        let candidates = self.candidate_lines(relay, offer.host);
        let advertised = self.advertised(&candidates);
        let publishes = side == Side::Publisher;
        let sdp = self.write_answer(remote, accepted, (&agreement, publishes), &credentials, &candidates, ssrcs);
        let mut peer = Box::new(Peer {
            id: id.clone(),
            stream: offer.stream.clone(),
            publishes,
            session,
            agreement,
            senders: Vec::new(),
            intake: Intake {
                receivers: Vec::new(),
                twcc: twcc_of(remote, accepted)
                    .filter(|_| publishes)
                    .map(|extension| twcc::Feedback::new(extension, now)),
                ssrc: self.random_ssrc(),
            },
            origin: Origin {
                format: offer.format,
                protocol: offer.protocol,
                user_agent: offer.user_agent.clone(),
                remote: offer.remote,
                host: offer.host,
            },
            created: now,
            connected: None,
            routes: Vec::new(),
            generation: 1,
            restarted: None,
            report_due: now,
            wake: None,
            due: Some(now),
            budget: Budget::new(now),
            offered_candidates: 0,
            relay,
            remotes: Vec::new(),
            hidden: Vec::new(),
            late: None,
            turns: None,
            refused: None,
            advertised,
            remote: RemoteCandidates::default(),
        });
        self.by_ufrag.insert(credentials.ufrag, key);
        self.by_id.insert(id.clone(), key);
        add_candidates(&mut self.wire, &mut peer, &remote.candidates, now);
        let talks = !publishes && accepted.iter().any(|media| media.direction.receives());
        let more = relay.is_some_and(|number| self.wire.relays.is_allocating(number));
        let answer = Answer { id, sdp, candidates, more, etag: peer.etag(), talks };
        Ok((peer, answer))
    }

    /// Our answer in a session that publishes or views.
    pub(super) fn write_answer(
        &self,
        remote: &Remote,
        accepted: &[Accepted],
        (agreement, publishes): (&Agreement, bool),
        credentials: &Credentials,
        candidates: &[String],
        ssrcs: &[Ssrcs],
    ) -> String {
        let local = Local {
            session_id: agreement.session_id,
            version: agreement.version,
            ufrag: &credentials.ufrag,
            pwd: &credentials.pwd,
            fingerprint: &self.identity.fingerprint.to_string(),
            setup: agreement.setup,
            candidates,
            ssrcs,
            cname: "porthole",
            stream_id: "porthole",
            extensions: if publishes { Extension::ALL } else { &[] },
            transport_cc: publishes,
        };
        answer::write(remote, accepted, &local)
    }

    fn insert_peer(&mut self, key: u32, peer: Box<Peer>) {
        let role = if peer.publishes { "publisher" } else { "viewer" };
        log::debug!(
            target: "webrtc", "{role} offered stream={:?} session={} by={} remote={}",
            peer.stream, short(&peer.id), peer.origin.format, peer.origin.remote
        );
        self.peers.insert(key, peer);
    }
}

fn no_random_numbers(_: CryptoError) -> Error {
    Error::new(ErrorKind::Internal, "the system gives no random numbers")
}

/// An m-line in which the peer sends.
pub(super) struct Incoming {
    pub agreed: Agreed,
    info: TrackInfo,
    /// It can be asked for keyframes.
    asks: bool,
}

/// What the peer sends, m-line by m-line.
pub(super) fn incoming(remote: &Remote, accepted: &[Accepted]) -> Vec<Incoming> {
    let sent = accepted.iter().filter(|media| media.direction.receives());
    sent.filter_map(|media| {
        let codec = media.codecs.first()?;
        let agreed = Agreed {
            codec: codec.codec,
            payload_type: codec.payload_type,
            rtx_payload_type: codec.rtx,
            stream: Wanted::of(remote.medias.get(media.media)?, media.layer.as_deref()),
            nack: codec.nack,
        };
        let info = TrackInfo { codec: codec.codec, fmtp: codec.fmtp.clone() };
        Some(Incoming { agreed, info, asks: codec.pli })
    })
    .collect()
}

/// Number of the transport-wide sequence number extension, where a publisher's m-line offers it.
fn twcc_of(remote: &Remote, accepted: &[Accepted]) -> Option<u8> {
    let media = accepted.iter().filter(|media| media.direction.receives());
    let mut offered = media.filter_map(|media| remote.medias.get(media.media));
    offered.find_map(|section| section.extension(Extension::TransportCc))
}
