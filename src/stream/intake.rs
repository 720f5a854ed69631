//! Everything that one peer sends us: its tracks as they arrive, and what it is told of them. A publisher that came to
//! us and a camera that we called are the same here. Pure: packets and time come in, packets and feedback go out.
use super::inbound::{Header, Inbound};
use crate::media::packet::Packet;
use crate::rtc::rtcp::{self, ReportBlock};
use crate::rtc::twcc;
use bytes::BytesMut;
use std::time::{Duration, Instant};

/// What we are ready to take from one peer, in bits per second, when it does not lose packets.
const BITRATE: u64 = 20_000_000;
/// Loss of which a peer shall send less, in 256ths: a tenth.
const MUCH_LOSS: u64 = 25;

/// What one m-line of a peer brings. `T` is how the owner names its tracks.
#[derive(Debug)]
pub struct Receiver<T> {
    pub inbound: Inbound,
    /// The track that its packets belong to.
    pub track: T,
    pub wants_keyframe: bool,
    /// The peer's wall clock at the first sender report, and ours.
    epoch: Option<(u64, Instant)>,
}

impl<T> Receiver<T> {
    pub fn new(inbound: Inbound, track: T) -> Self {
        Self { inbound, track, wants_keyframe: false, epoch: None }
    }
}

/// What the packets of a peer were.
#[derive(Debug)]
pub struct Arrived<T> {
    pub track: T,
    pub packet: Option<Packet>,
    /// Nothing came on this track before.
    pub first: bool,
}

#[derive(Debug)]
pub struct Intake<T> {
    pub receivers: Vec<Receiver<T>>,
    /// Arrival times, for a peer that wants them.
    pub twcc: Option<twcc::Feedback>,
    /// Our SSRC in reports.
    pub ssrc: u32,
}

impl<T: Copy + PartialEq> Intake<T> {
    /// Nothing is expected yet. `ssrc`: ours in reports.
    pub fn new(ssrc: u32) -> Self {
        Self { receivers: Vec::new(), twcc: None, ssrc }
    }

    /// Takes a decrypted RTP packet; `None` if no m-line expects its payload type.
    pub fn rtp(&mut self, now: Instant, header: &Header, packet: BytesMut) -> Option<Arrived<T>> {
        if let Some(twcc) = &mut self.twcc
            && let Some(value) = header.extension(&packet, twcc.extension)
        {
            twcc.arrived(now, value);
        }
        let receiver = self.receivers.iter_mut().find(|receiver| receiver.inbound.takes(header.payload_type))?;
        let first = receiver.inbound.packets() == 0;
        Some(Arrived { track: receiver.track, packet: receiver.inbound.rtp(now, header, packet), first })
    }

    /// Takes a sender report. Answers for each track the moment at which its clock showed a timestamp: all tracks are
    /// tied to the peer's wall clock, whose distance to ours is taken once.
    pub fn sender_report(&mut self, ssrc: u32, ntp: u64, rtp: u32, now: Instant) -> Vec<(T, Instant, u32)> {
        for receiver in &mut self.receivers {
            receiver.inbound.sender_report(ssrc, ntp, rtp, now);
        }
        let known = self.receivers.iter().find_map(|receiver| receiver.epoch);
        let mut ties = Vec::new();
        for receiver in &mut self.receivers {
            let Some((ntp, rtp)) = receiver.inbound.clock() else { continue };
            let (epoch, at) = *receiver.epoch.get_or_insert(known.unwrap_or((ntp, now)));
            let distance = ntp.wrapping_sub(epoch) as i64;
            let duration = Duration::from_secs_f64(distance.unsigned_abs() as f64 / 4_294_967_296.0);
            let moment = if distance >= 0 { at.checked_add(duration) } else { at.checked_sub(duration) };
            ties.extend(moment.map(|moment| (receiver.track, moment, rtp)));
        }
        ties
    }

    /// Marks a track whose viewers need a keyframe; [`Self::feedback`] asks for it.
    pub fn want_keyframe(&mut self, track: T) {
        self.receivers.iter_mut().filter(|r| r.track == track).for_each(|r| r.wants_keyframe = true);
    }

    /// When [`Self::feedback`] has something to say.
    pub fn deadline(&self) -> Option<Instant> {
        let nack = self.receivers.iter().filter_map(|receiver| receiver.inbound.deadline()).min();
        let twcc = self.twcc.as_ref().and_then(twcc::Feedback::deadline);
        nack.into_iter().chain(twcc).min()
    }

    /// Appends the report on what arrived (RFC 3550 section 6.4.2) and how much may be sent.
    pub fn report(&mut self, now: Instant, compound: &mut Vec<u8>) {
        let blocks: Vec<ReportBlock> = self.receivers.iter_mut().filter_map(|r| r.inbound.report(now)).collect();
        rtcp::write_receiver_report(compound, self.ssrc, &blocks);
        rtcp::write_cname(compound, self.ssrc, "porthole");
        let worst = blocks.iter().map(|block| u64::from(block.fraction_lost)).max().unwrap_or(0);
        let bitrate = if worst > MUCH_LOSS { BITRATE * (256 - worst) / 512 } else { BITRATE };
        let ssrcs: Vec<u32> = blocks.iter().map(|block| block.ssrc).collect();
        if !ssrcs.is_empty() {
            rtcp::write_remb(compound, self.ssrc, bitrate, &ssrcs);
        }
    }

    /// Asks for missing packets and wanted keyframes, and tells what arrived when; empty if there is nothing to say.
    pub fn feedback(&mut self, now: Instant) -> Vec<u8> {
        let mut compound = Vec::new();
        for receiver in &mut self.receivers {
            let mut body = Vec::new();
            let mut due = receiver.inbound.deadline().is_some_and(|at| at <= now)
                && receiver.inbound.write_nack(now, self.ssrc, &mut body);
            if let (true, Some(ssrc)) = (receiver.wants_keyframe, receiver.inbound.ssrc()) {
                receiver.wants_keyframe = false;
                rtcp::write_pli(&mut body, self.ssrc, ssrc);
                due = true;
            }
            if due {
                rtcp::write_receiver_report(&mut compound, self.ssrc, &[]);
                compound.extend_from_slice(&body);
            }
        }
        let media = self.receivers.iter().find_map(|receiver| receiver.inbound.ssrc()).unwrap_or_default();
        if let Some(twcc) = &mut self.twcc {
            let mut body = Vec::new();
            if twcc.write(now, self.ssrc, media, &mut body) {
                rtcp::write_receiver_report(&mut compound, self.ssrc, &[]);
                compound.extend_from_slice(&body);
            }
        }
        compound
    }
}
