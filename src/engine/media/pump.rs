//! From the rings to the viewers.
use super::Media;
use super::send_buffer::{Full, SendBuffer, Way};
use super::sender::{REPLAY_INTERVAL, Sender};
use super::track::Track;
use crate::engine::keys::TrackKey;
use crate::engine::sessions::peer::{Budget, Peer};
use crate::media::codec::Kind;
use crate::media::packet::Packet;
use crate::rtc::route::{Route, Socket};
use crate::rtc::srtp::{Protect, RtpHeader};
use crate::stream::outbound::Numbered;
use std::time::{Duration, Instant};

/// A viewer that is this far behind goes on at the next keyframe instead of catching up.
const MAX_LAG: Duration = Duration::from_millis(500);

/// Everything that sending needs, borrowed for one round.
pub struct Output<'a> {
    pub media: &'a Media,
    pub way: Way<'a>,
    pub buffer: &'a mut SendBuffer,
}

/// What a round brought.
#[derive(Debug, Default)]
pub struct Pumped {
    /// Packets that were sent for the first time.
    pub packets: u64,
    /// Tracks whose producer should make a keyframe.
    pub wanted: Vec<TrackKey>,
}

/// Sends a viewer what it misses and what is new for it.
pub fn pump(peer: &mut Peer, output: &mut Output<'_>) -> Pumped {
    let mut pumped = Pumped::default();
    peer.wake = None;
    let round_trip = peer.session.ice().rtt();
    let Some((route, protect)) = peer.session.sender() else { return pumped };
    peer.budget.refill(output.way.now);
    for sender in &mut peer.senders {
        let missing = sender.take_missing();
        if !missing.is_empty() && is_clear(output, &route) {
            retransmit(
                sender,
                &missing,
                &mut Line { route: &route, protect, budget: &mut peer.budget },
                round_trip,
                output,
            );
        }
        let media = output.media;
        let Some((key, track)) = sender.track.and_then(|key| Some((key, media.get(key)?))) else { continue };
        if place(sender, key, track, output.way.now) {
            pumped.wanted.push(key);
        }
        if !is_clear(output, &route) {
            // A slow TCP viewer: it is woken when the connection takes more.
            continue;
        }
        let (too_long, packets) = (output.buffer.too_long, sender.packets);
        let mut line = Line { route: &route, protect: &mut *protect, budget: &mut peer.budget };
        let late = send_late(sender, track, &mut line, output);
        let new = send_new(sender, track, &mut line, output);
        sender.too_long += output.buffer.too_long - too_long;
        pumped.packets += sender.packets.saturating_sub(packets);
        match late.and(new) {
            Ok(true) => {}
            Ok(false) | Err(Full) => peer.wake = Some(output.way.now + Budget::REFILL),
        }
    }
    pumped
}

/// The way to one viewer.
struct Line<'l> {
    route: &'l Route,
    protect: &'l mut Protect,
    budget: &'l mut Budget,
}

fn is_clear(output: &Output<'_>, route: &Route) -> bool {
    match route.socket {
        Socket::Udp(_) | Socket::Relay(_) => true,
        Socket::Tcp(number) => output.way.transport.is_clear(number),
    }
}

/// Puts the cursor where it belongs; true if the producer should make a keyframe.
fn place(sender: &mut Sender, key: TrackKey, track: &Track, now: Instant) -> bool {
    let number = key.number();
    let ring = &track.ring;
    let rate = track.info.codec.clock_rate();
    let idle = sender.idle_ticks(now, rate);
    if sender.kind == Kind::Audio {
        if sender.outbound.is_stale(number, ring) && !ring.is_empty() {
            sender.outbound.start(number, ring, ring.head() - 1, idle);
        }
        return false;
    }
    let keyframe = ring.latest_keyframe();
    let lagging = || {
        let next = sender.outbound.next()?;
        let behind = ring.newest_timestamp()?.wrapping_sub(ring.get(next)?.timestamp);
        Some(keyframe? > next && u64::from(behind) * 1000 > u64::from(rate) * MAX_LAG.as_millis() as u64)
    };
    let stale = sender.outbound.is_stale(number, ring);
    let replay = sender.wants_keyframe
        && !track.asks
        && sender.replayed.is_none_or(|at| now.saturating_duration_since(at) >= REPLAY_INTERVAL);
    if stale || replay || lagging() == Some(true) {
        match keyframe {
            Some(keyframe) => {
                sender.outbound.start(number, ring, keyframe, idle);
                sender.replayed = Some(now);
                sender.wants_keyframe &= track.asks;
            }
            // A viewer whose place is still there goes on; a keyframe is wanted all the same.
            None => {
                if stale {
                    sender.outbound.stop();
                }
                return true;
            }
        }
    }
    std::mem::take(&mut sender.wants_keyframe) && track.asks
}

/// Packets that came late and that this viewer's cursor has passed.
fn send_late(sender: &mut Sender, track: &Track, line: &mut Line<'_>, output: &mut Output<'_>) -> Result<bool, Full> {
    for packet in track.late.iter().filter_map(|seq| track.ring.get(*seq)) {
        if let Some(numbered) = sender.outbound.late(packet) {
            send(sender, packet, numbered, line, output)?;
        }
    }
    output.buffer.flush(&mut output.way, line.route)?;
    Ok(true)
}

/// Everything from the cursor on; false if the budget ended before.
fn send_new(sender: &mut Sender, track: &Track, line: &mut Line<'_>, output: &mut Output<'_>) -> Result<bool, Full> {
    let mut place = (sender.outbound.place(), sender.packets, sender.bytes);
    let mut complete = true;
    while let Some((packet, numbered)) = sender.outbound.peek(&track.ring) {
        if !line.budget.take(packet.payload.len()) {
            complete = false;
            break;
        }
        let sends = output.buffer.sends;
        if let Err(full) = send(sender, packet, numbered, line, output) {
            sender.back_to(place);
            return Err(full);
        }
        if output.buffer.sends != sends {
            // What was before this packet is on its way; this packet may still wait in the buffer.
            place = (sender.outbound.place(), sender.packets - 1, sender.bytes - packet.payload.len() as u64);
        }
        sender.outbound.advance(numbered);
        sender.last_sent = Some(output.way.now);
        if output.buffer.is_empty() {
            // This packet ended its run and is on its way, too: its number is used up.
            place = (sender.outbound.place(), sender.packets, sender.bytes);
        }
    }
    if let Err(full) = output.buffer.flush(&mut output.way, line.route) {
        sender.back_to(place);
        return Err(full);
    }
    Ok(complete)
}

fn send(
    sender: &mut Sender,
    packet: &Packet,
    numbered: Numbered,
    line: &mut Line<'_>,
    output: &mut Output<'_>,
) -> Result<(), Full> {
    let header = as_it_was(sender, packet, numbered);
    let written = output.buffer.write(&mut output.way, line.route, &header, (&[], &packet.payload), line.protect)?;
    if written {
        sender.packets += 1;
        sender.bytes += packet.payload.len() as u64;
    }
    Ok(())
}

fn as_it_was(sender: &Sender, packet: &Packet, numbered: Numbered) -> RtpHeader {
    RtpHeader {
        marker: packet.marker,
        payload_type: sender.payload_type,
        seq: numbered.seq,
        timestamp: numbered.timestamp,
        ssrc: sender.ssrc,
    }
}

/// Answers a NACK: the same packets again, each a few times at most, as retransmissions where the viewer knows those
/// (RFC 4588), else byte for byte as they were.
fn retransmit(
    sender: &mut Sender,
    missing: &[u16],
    line: &mut Line<'_>,
    round_trip: Option<Duration>,
    output: &mut Output<'_>,
) {
    let media = output.media;
    for number in missing {
        // Packets of a track before the present one had another payload type: as they were, or not at all.
        let present = sender.track.map(TrackKey::number);
        let ring = |track| sender.track.filter(|_| present == Some(track)).and_then(|key| Some(&media.get(key)?.ring));
        let Some((packet, numbered)) = sender.outbound.lost(*number, ring) else { continue };
        if !sender.repeats.take(numbered.seq, output.way.now, round_trip) {
            continue;
        }
        if !line.budget.take(packet.payload.len()) {
            break;
        }
        let original = (numbered.seq as u16).to_be_bytes();
        let mut header = as_it_was(sender, packet, numbered);
        let mut head = &[][..];
        if let Some((payload_type, ssrc)) = sender.rtx_payload_type.zip(sender.rtx_ssrc) {
            sender.rtx_seq += 1;
            header = RtpHeader { payload_type, ssrc, seq: sender.rtx_seq, ..header };
            head = &original;
        }
        match output.buffer.write(&mut output.way, line.route, &header, (head, &packet.payload), line.protect) {
            Ok(true) => sender.retransmitted += 1,
            Ok(false) => {}
            Err(Full) => break,
        }
    }
    let _ = output.buffer.flush(&mut output.way, line.route);
}
