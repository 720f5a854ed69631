//! From the rings to the viewers: the packet path.
use crate::engine::Engine;
use crate::engine::peer::{Budget, Peer, REPLAY_INTERVAL, Sender};
use crate::engine::send::{Full, SendBuffer};
use crate::engine::track::Track;
use crate::engine::wire::Wire;
use crate::media::codec::Kind;
use crate::media::packet::Packet;
use crate::rtc::route::{Route, Socket};
use crate::rtc::srtp::{HEADER, Protect, write_header};
use crate::stream::outbound::Numbered;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A viewer that is this far behind goes on at the next keyframe instead of catching up.
const MAX_LAG: Duration = Duration::from_millis(500);

/// Everything that sending needs, borrowed for one round.
pub struct Output<'a> {
    pub tracks: &'a HashMap<u32, Track>,
    pub wire: &'a mut Wire,
    pub buffer: &'a mut SendBuffer,
    pub now: Instant,
}

impl Engine {
    /// Brings what producers sent to their viewers.
    pub(super) fn fan_out(&mut self, now: Instant) {
        let dirty: Vec<u32> = self.tracks.iter().filter(|(_, track)| track.dirty).map(|(key, _)| *key).collect();
        for key in dirty {
            let viewers = self.tracks.get_mut(&key).map(|track| std::mem::take(&mut track.viewers)).unwrap_or_default();
            for viewer in &viewers {
                self.pump(*viewer, now);
            }
            if let Some(track) = self.tracks.get_mut(&key) {
                track.dirty = false;
                track.late.clear();
                // Whoever joined or left meanwhile counts.
                let joined = std::mem::take(&mut track.viewers);
                track.viewers = viewers;
                track.viewers.extend(joined);
                track.viewers.retain(|viewer| self.peers.contains_key(viewer));
            }
        }
    }

    pub(super) fn pump(&mut self, key: u32, now: Instant) {
        self.guarded(key, |engine| {
            let Some(peer) = engine.peers.get_mut(&key) else { return };
            let before: u64 = peer.senders.iter().map(|sender| sender.packets).sum();
            let mut output = Output { tracks: &engine.tracks, wire: &mut engine.wire, buffer: &mut engine.buffer, now };
            let wanted = pump(peer, &mut output);
            let after: u64 = peer.senders.iter().map(|sender| sender.packets).sum();
            engine.packets_forwarded += after - before;
            for track in wanted {
                engine.ask_keyframe(track, now);
            }
        });
    }
}

/// Sends a viewer what is new for it. Answers the tracks whose producer should make a keyframe.
pub fn pump(peer: &mut Peer, output: &mut Output<'_>) -> Vec<u32> {
    let mut wanted = Vec::new();
    peer.wake = None;
    let Some((route, protect)) = peer.session.sender() else { return wanted };
    peer.budget.refill(output.now);
    for sender in &mut peer.senders {
        let Some((key, track)) = sender.track.and_then(|key| Some((key, output.tracks.get(&key)?))) else { continue };
        if place(sender, key, track, output.now) {
            wanted.push(key);
        }
        if !is_clear(output.wire, &route) {
            // A slow TCP viewer: it is woken when the connection takes more.
            continue;
        }
        let too_long = output.buffer.too_long;
        let late = send_late(sender, track, &route, protect, output);
        let new = send_new(sender, track, &route, protect, &mut peer.budget, output);
        sender.too_long += output.buffer.too_long - too_long;
        match late.and(new) {
            Ok(true) => {}
            Ok(false) | Err(Full) => peer.wake = Some(output.now + Budget::REFILL),
        }
    }
    wanted
}

fn is_clear(wire: &mut Wire, route: &Route) -> bool {
    match route.socket {
        Socket::Udp(_) | Socket::Relay(_) => true,
        Socket::Tcp(number) => wire.connection(number).is_some_and(|connection| connection.is_clear()),
    }
}

/// Puts the cursor where it belongs; true if the producer should make a keyframe.
fn place(sender: &mut Sender, key: u32, track: &Track, now: Instant) -> bool {
    let ring = &track.ring;
    let rate = track.info.codec.clock_rate();
    let idle = sender.idle_ticks(now, rate);
    if sender.kind == Kind::Audio {
        if sender.outbound.is_stale(key, ring) && !ring.is_empty() {
            sender.outbound.start(key, ring, ring.head() - 1, idle);
        }
        return false;
    }
    let keyframe = ring.latest_keyframe();
    let lagging = || {
        let next = sender.outbound.next()?;
        let behind = ring.newest_timestamp()?.wrapping_sub(ring.get(next)?.timestamp);
        Some(keyframe? > next && u64::from(behind) * 1000 > u64::from(rate) * MAX_LAG.as_millis() as u64)
    };
    let stale = sender.outbound.is_stale(key, ring);
    let replay = sender.wants_keyframe
        && !track.asks
        && sender.replayed.is_none_or(|at| now.saturating_duration_since(at) >= REPLAY_INTERVAL);
    if stale || replay || lagging() == Some(true) {
        match keyframe {
            Some(keyframe) => {
                sender.outbound.start(key, ring, keyframe, idle);
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
fn send_late(
    sender: &mut Sender,
    track: &Track,
    route: &Route,
    protect: &mut Protect,
    output: &mut Output<'_>,
) -> Result<bool, Full> {
    for packet in track.late.iter().filter_map(|seq| track.ring.get(*seq)) {
        if let Some(numbered) = sender.outbound.late(packet) {
            put(sender, packet, numbered, route, protect, output)?;
        }
    }
    output.buffer.flush(output.wire, route)?;
    Ok(true)
}

/// Everything from the cursor on; false if the budget ended before.
fn send_new(
    sender: &mut Sender,
    track: &Track,
    route: &Route,
    protect: &mut Protect,
    budget: &mut Budget,
    output: &mut Output<'_>,
) -> Result<bool, Full> {
    let mut place = (sender.outbound.place(), sender.packets, sender.bytes);
    let mut complete = true;
    while let Some((packet, numbered)) = sender.outbound.peek(&track.ring) {
        if !budget.take(packet.payload.len()) {
            complete = false;
            break;
        }
        let sends = output.buffer.sends;
        if let Err(full) = put(sender, packet, numbered, route, protect, output) {
            sender.back_to(place);
            return Err(full);
        }
        if output.buffer.sends != sends {
            // What was before this packet is on its way; this packet may still wait in the buffer.
            place = (sender.outbound.place(), sender.packets - 1, sender.bytes - packet.payload.len() as u64);
        }
        sender.outbound.advance(numbered);
        sender.last_sent = Some(output.now);
        if output.buffer.is_empty() {
            // This packet ended its run and is on its way, too: its number is used up.
            place = (sender.outbound.place(), sender.packets, sender.bytes);
        }
    }
    if let Err(full) = output.buffer.flush(output.wire, route) {
        sender.back_to(place);
        return Err(full);
    }
    Ok(complete)
}

fn put(
    sender: &mut Sender,
    packet: &Packet,
    numbered: Numbered,
    route: &Route,
    protect: &mut Protect,
    output: &mut Output<'_>,
) -> Result<(), Full> {
    let len = HEADER + packet.payload.len() + protect.tag_len();
    output.buffer.reserve(output.wire, route, len)?;
    let bytes = output.buffer.bytes();
    let at = bytes.len();
    write_header(bytes, packet.marker, sender.payload_type, numbered.seq as u16, numbered.timestamp, sender.ssrc);
    bytes.extend_from_slice(&packet.payload);
    if protect.protect(bytes, at, sender.ssrc, numbered.seq).is_err() {
        output.buffer.abandon(route, at);
        return Ok(());
    }
    sender.packets += 1;
    sender.bytes += packet.payload.len() as u64;
    output.buffer.commit(output.wire, route, len)
}

/// Answers a NACK: the same packets again, each a few times at most, as retransmissions where the viewer knows those (RFC 4588),
/// else byte for byte as they were.
pub fn retransmit(peer: &mut Peer, ssrc: u32, lost: &[u16], output: &mut Output<'_>) {
    let round_trip = peer.session.ice().rtt();
    let Some((route, protect)) = peer.session.sender() else { return };
    let Some(sender) = peer.senders.iter_mut().find(|sender| sender.ssrc == ssrc) else { return };
    sender.nacked += lost.len() as u64;
    peer.budget.refill(output.now);
    if !is_clear(output.wire, &route) {
        return;
    }
    for number in lost {
        // Packets of a track before the present one had another payload type: as they were, or not at all.
        let ring =
            |key| sender.track.filter(|track| *track == key).and_then(|key| Some(&output.tracks.get(&key)?.ring));
        let Some((packet, numbered)) = sender.outbound.lost(*number, ring) else { continue };
        if !sender.repeats.take(numbered.seq, output.now, round_trip) {
            continue;
        }
        if !peer.budget.take(packet.payload.len()) {
            break;
        }
        let rtx = sender.rtx_payload_type.zip(sender.rtx_ssrc);
        let extra = if rtx.is_some() { 2 } else { 0 };
        let len = HEADER + extra + packet.payload.len() + protect.tag_len();
        if output.buffer.reserve(output.wire, &route, len).is_err() {
            break;
        }
        let bytes = output.buffer.bytes();
        let at = bytes.len();
        let (ssrc, index) = match rtx {
            Some((payload_type, ssrc)) => {
                sender.rtx_seq += 1;
                write_header(bytes, packet.marker, payload_type, sender.rtx_seq as u16, numbered.timestamp, ssrc);
                bytes.extend_from_slice(&(numbered.seq as u16).to_be_bytes());
                (ssrc, sender.rtx_seq)
            }
            None => {
                let seq = numbered.seq as u16;
                write_header(bytes, packet.marker, sender.payload_type, seq, numbered.timestamp, sender.ssrc);
                (sender.ssrc, numbered.seq)
            }
        };
        bytes.extend_from_slice(&packet.payload);
        if protect.protect(bytes, at, ssrc, index).is_err() {
            output.buffer.abandon(&route, at);
            continue;
        }
        sender.retransmitted += 1;
        if output.buffer.commit(output.wire, &route, len).is_err() {
            break;
        }
    }
    let _ = output.buffer.flush(output.wire, &route);
}
