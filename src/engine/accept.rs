//! Answers to offers that are taken: the session that begins, what it sends and receives, and our description of it.
use super::Engine;
use super::api::{Answer, Error, ErrorKind, Offer};
use super::keys::{PeerKey, TrackKey};
use super::media::sender::Sender;
use super::media::track::Track;
use super::remote_candidates;
use super::sessions::peer::{Budget, Origin, Peer, PeerCandidates};
use super::sessions::short;
use super::streams::stream::Stream;
use super::streams::stream_not_found;
use crate::media::codec::Kind;
use crate::media::track::TrackInfo;
use crate::rtc::answer::{self, Local, Ssrcs};
use crate::rtc::ice::Credentials;
use crate::rtc::negotiate::{self, Accepted, Side};
use crate::rtc::renegotiate::Agreement;
use crate::rtc::sdp::{Extension, Remote, Setup};
use crate::rtc::session::{PeerTransport, Session};
use crate::rtc::twcc;
use crate::stream::choice::Wanted;
use crate::stream::inbound::{Agreed, Inbound};
use crate::stream::intake::{Intake, Receiver};
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
        let key = self.keys.peer();
        let (mut peer, answer) = self.new_session(key, offer, remote, (&accepted, Side::Viewer), &ssrcs, now)?;
        peer.senders = senders;
        peer.intake.receivers = incoming(remote, &accepted).into_iter().map(|media| self.receiver(media)).collect();
        self.insert(key, peer, now);
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
            live.as_ref().map(|keys| self.media.of(keys).map(|track| track.info.clone()).collect());
        let backchannel = self.backchannel(stream);
        negotiate::viewer(remote, infos.as_deref(), backchannel.as_deref()).map_err(Error::from)
    }

    pub(super) fn answer_publisher(&mut self, offer: &Offer, remote: &Remote, now: Instant) -> Result<Answer, Error> {
        self.admit_publisher(&offer.stream)?;
        let accepted = negotiate::publisher(remote, offer.layer.as_deref()).map_err(Error::from)?;
        let ssrcs = vec![Ssrcs { ssrc: self.random_ssrc(), rtx_ssrc: None }; accepted.len()];
        let key = self.keys.peer();
        let (mut peer, answer) = self.new_session(key, offer, remote, (&accepted, Side::Publisher), &ssrcs, now)?;
        peer.intake.receivers = incoming(remote, &accepted).into_iter().map(|media| self.receiver(media)).collect();
        let plays = accepted.iter().zip(&ssrcs).filter(|(media, _)| media.direction.sends());
        peer.senders = plays.map(|(media, pair)| self.new_sender(media, *pair)).collect();
        self.insert(key, peer, now);
        Ok(answer)
    }

    /// What one m-line brings, with a track of its own.
    pub(super) fn receiver(&mut self, incoming: Incoming) -> Receiver<TrackKey> {
        let track = self.keys.track();
        self.media.add(track, Track::new(incoming.info, incoming.asks));
        Receiver::new(Inbound::new(incoming.agreed), track)
    }

    pub(super) fn new_ssrcs(&self, kind: Kind) -> Ssrcs {
        Ssrcs { ssrc: self.random_ssrc(), rtx_ssrc: (kind == Kind::Video).then(|| self.random_ssrc()) }
    }

    pub(super) fn new_sender(&self, media: &Accepted, ssrcs: Ssrcs) -> Sender {
        let mut random = [0; 8];
        let _ = self.identity.fill(&mut random);
        Sender::new(media, ssrcs, random)
    }

    fn random_ssrc(&self) -> u32 {
        let mut bytes = [0; 4];
        let _ = self.identity.fill(&mut bytes);
        u32::from_be_bytes(bytes).max(1)
    }

    pub(super) fn new_credentials(&self) -> Result<Credentials, Error> {
        loop {
            let credentials = self.identity.credentials().map_err(no_random_numbers)?;
            if !self.sessions.knows_ufrag(&credentials.ufrag) {
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
        key: PeerKey,
        offer: &Offer,
        remote: &Remote,
        (accepted, role): (&[Accepted], Side),
        ssrcs: &[Ssrcs],
        now: Instant,
    ) -> Result<(Box<Peer>, Answer), Error> {
        let mut session_id = [0; 8];
        let _ = self.identity.fill(&mut session_id);
        let session_id = u64::from_be_bytes(session_id) >> 2;
        let agreement = Agreement::new(session_id, remote, accepted, self.identity.crypto_cost.setup());
        let credentials = self.new_credentials()?;
        let id = self.new_id()?;
        let transport = PeerTransport {
            credentials: Credentials { ufrag: remote.ufrag.clone(), pwd: remote.pwd.clone() },
            fingerprints: remote.fingerprints.clone(),
        };
        let (active, controlling, tag) = (agreement.setup == Setup::Active, remote.ice_lite, key.number());
        let session = Session::new(&self.identity, now, controlling, active, tag, credentials.clone(), transport);
        let allocation = self.reach.begin_session(key, offer.remote.ip(), now, &mut self.work.out);
        let candidates = self.reach.candidate_lines(allocation, offer.host);
        let advertised = self.journal.advertised(&self.reach, &candidates);
        let sdp = self.write_answer(remote, accepted, (&agreement, role), &credentials, &candidates, ssrcs);
        let mut intake = Intake::new(self.random_ssrc());
        if role == Side::Publisher {
            intake.twcc = twcc_of(remote, accepted).map(|extension| twcc::Feedback::new(extension, now));
        }
        let mut peer = Box::new(Peer {
            id: id.clone(),
            stream: offer.stream.clone(),
            role,
            session,
            agreement,
            senders: Vec::new(),
            intake,
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
            is_to_be_pumped: false,
            wake: None,
            budget: Budget::new(now),
            allocation,
            candidates: PeerCandidates::default(),
            late: None,
            talk_events: None,
            refused: None,
            advertised,
        });
        remote_candidates::add(&mut self.reach, &mut peer, &remote.candidates, now);
        let talks = role == Side::Viewer && accepted.iter().any(|media| media.direction.receives());
        let more = allocation.is_some_and(|number| self.reach.turn.is_allocating(number));
        let answer = Answer { id, sdp, candidates, more, etag: peer.etag(), talks };
        Ok((peer, answer))
    }

    /// Our answer in a session that publishes or views.
    pub(super) fn write_answer(
        &self,
        remote: &Remote,
        accepted: &[Accepted],
        (agreement, role): (&Agreement, Side),
        credentials: &Credentials,
        candidates: &[String],
        ssrcs: &[Ssrcs],
    ) -> String {
        let publishes = role == Side::Publisher;
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

    fn insert(&mut self, key: PeerKey, peer: Box<Peer>, now: Instant) {
        log::debug!(
            target: "webrtc", "{} offered stream={:?} session={} by={} remote={}",
            peer.role, peer.stream, short(&peer.id), peer.origin.format, peer.origin.remote
        );
        self.sessions.insert(key, peer, now);
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
