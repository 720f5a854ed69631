//! Media of a call: what the camera turns out to send, m-line by m-line, and what it is let play.
use super::{Call, Event};
use crate::engine::source::Sound;
use crate::media::codec::{Codec, Kind};
use crate::media::track::TrackInfo;
use crate::rtc::route::Datagram;
use crate::rtc::rtcp;
use crate::rtc::sdp::{RemoteCodec, parameter};
use crate::rtc::session::Session;
use crate::rtc::srtp::{HEADER, RtpHeader};
use crate::stream::choice::Wanted;
use crate::stream::inbound::{Agreed, Header, Inbound};
use crate::stream::intake::{Arrived, Receiver};
use crate::stream::voice::Voice;
use std::time::{Duration, Instant};

/// Sound alone is announced when no picture came for this long.
const SOUND_ALONE: Duration = Duration::from_secs(1);

/// An m-line in which the camera sends.
pub(super) struct Section {
    pub kind: Kind,
    pub codecs: Vec<RemoteCodec>,
    pub stream: Wanted,
    /// What it turned out to send.
    pub sends: Option<RemoteCodec>,
}

impl Section {
    fn codec(&self) -> Option<&RemoteCodec> {
        self.sends.as_ref().or(self.codecs.first())
    }
}

/// The m-line in which we may speak.
pub(super) struct Backchannel {
    pub codecs: Vec<RemoteCodec>,
    pub voice: Voice,
    /// The codec of the last packet.
    pub rate: u32,
}

impl Call {
    pub(super) fn on_rtp(&mut self, packet: bytes::BytesMut, now: Instant) {
        let Some(header) = Header::read(&packet) else { return };
        self.pin(&header);
        let Some(Arrived { track, packet: Some(packet), first }) = self.intake.rtp(now, &header, packet) else {
            return;
        };
        self.last_media = Some(now);
        let video = self.sections.get(track).is_some_and(|section| section.kind == Kind::Video);
        if first && video && !packet.keyframe {
            // We came in the middle of a group of pictures.
            self.want_keyframe(track, now);
        }
        if !self.announced {
            let waits = self.sections.iter().any(|section| section.kind == Kind::Video);
            let alone = self.connected.is_none_or(|at| now.saturating_duration_since(at) >= SOUND_ALONE);
            if video || !waits || alone {
                self.announce();
            }
        }
        if self.announced {
            // What came together goes on together.
            match self.events.last_mut() {
                Some(Event::Packets { track: last, packets }) if *last == track => packets.push(packet),
                _ => self.events.push(Event::Packets { track, packets: vec![packet] }),
            }
        }
    }

    /// An answer may leave the camera a choice of codecs: its first packet tells which it is.
    fn pin(&mut self, header: &Header) {
        let known = |receiver: &Receiver<usize>| receiver.inbound.takes(header.payload_type);
        if self.intake.receivers.iter().any(known) {
            return;
        }
        let sends = |section: &Section| section.codecs.iter().position(|c| c.payload_type == header.payload_type);
        let found = self.sections.iter().enumerate().find_map(|(track, section)| Some((track, sends(section)?)));
        let Some((track, codec)) = found else { return };
        let section = &mut self.sections[track];
        let guessed = section.codec().map(|codec| codec.codec);
        let codec = section.codecs[codec].clone();
        // A camera that changes its payload type, not its codec, needs no new track.
        let other = self.announced && guessed != Some(codec.codec);
        let agreed = Agreed {
            codec: codec.codec,
            payload_type: codec.payload_type,
            rtx_payload_type: codec.rtx,
            stream: section.stream.clone(),
            nack: codec.nack,
        };
        section.sends = Some(codec);
        self.intake.receivers.retain(|receiver| receiver.track != track);
        self.intake.receivers.push(Receiver::new(Inbound::new(agreed), track));
        if other {
            self.announce();
        }
    }

    fn announce(&mut self) {
        self.announced = true;
        let infos = self.sections.iter().filter_map(|section| {
            let codec = section.codec()?;
            // What a camera writes of itself in fmtp is often wrong; H.264 says it in its parameter sets.
            let sets = || parameter(&codec.fmtp, "sprop-parameter-sets");
            let fmtp = match codec.codec {
                Codec::H264 => sets().map(|sets| format!("sprop-parameter-sets={sets}")).unwrap_or_default(),
                _ => codec.fmtp.clone(),
            };
            Some(TrackInfo { codec: codec.codec, fmtp })
        });
        self.events.push(Event::Tracks(infos.collect()));
    }

    pub(super) fn on_rtcp(&mut self, compound: &[u8], now: Instant) {
        let mut ties = Vec::new();
        rtcp::read(compound, |message| {
            if let rtcp::Message::SenderReport { ssrc, ntp, rtp } = message {
                ties = self.intake.sender_report(ssrc, ntp, rtp, now);
            }
        });
        if self.announced {
            let ties = ties.into_iter();
            self.events.extend(ties.map(|(track, at, timestamp)| Event::Clock { track, at, timestamp }));
        }
    }

    /// Lets the camera play a packet of sound; one that it has no codec for, or that comes before the connection, is
    /// passed over.
    pub fn speak(&mut self, sound: &Sound, now: Instant) {
        let Some(Backchannel { codecs, voice, rate }) = &mut self.backchannel else { return };
        let Some(codec) = codecs.iter().find(|codec| codec.codec == sound.codec) else { return };
        let Some((route, protect)) = self.session.as_mut().and_then(Session::sender) else { return };
        *rate = sound.codec.clock_rate();
        let Some(spoken) = voice.number(sound.talker, sound.timestamp, *rate, sound.payload.len(), now) else { return };
        let mut bytes = Vec::with_capacity(HEADER + sound.payload.len() + protect.tag_len());
        let header = RtpHeader {
            marker: spoken.marker,
            payload_type: codec.payload_type,
            seq: spoken.seq,
            timestamp: spoken.timestamp,
            ssrc: voice.ssrc,
        };
        if protect.write_packet(&mut bytes, &header, (&[], &sound.payload)).is_ok() {
            self.out.push(Datagram { route, bytes });
        }
    }
}
