//! What becomes of a track's packets on their way into the ring, once for all viewers: parameter sets stand ahead of each
//! keyframe in its own access unit, wherever the source put them, and no payload is longer than the common path carries.
//! Packets that are right already, and codecs that have neither, pass as they are.
use super::codec::Codec;
use super::cut::Cutter;
use super::numbering::{Numbering, Place};
use super::obus::Obus;
use super::packet::Packet;
use super::parameters::Parameters;
use super::reorder::Reorder;
use super::units::{Payload, Role, Set, Syntax, aggregated};
use bytes::BytesMut;

/// Packets of parameter sets that wait for their picture; more belong to none.
const MAX_WAITING: usize = 8;
/// Longest parameter set that is put together from fragments.
const MAX_SET: usize = 1024;

/// Shapes one track.
#[derive(Debug)]
pub struct Shape(Kind);

#[derive(Debug)]
enum Kind {
    Units(Box<Units>),
    Obus(Obus),
    /// Nothing has to be done.
    Plain,
}

/// Of a codec that is made of NAL units.
#[derive(Debug)]
struct Units {
    syntax: Syntax,
    numbering: Numbering,
    parameters: Parameters,
    cutter: Cutter,
    /// Parameter sets alone, which belong to the picture that comes next.
    waiting: Vec<Packet>,
    waiting_sets: Seen,
    /// A parameter set in fragments.
    fragments: BytesMut,
    picture: Picture,
    /// Does the source put its sets ahead of its keyframes?
    brings: bool,
    /// Packets are missing since the last slice.
    doubt: bool,
    /// A keyframe came for which nobody knows the parameter sets.
    undecodable: bool,
    reorder: Reorder,
}

/// Which parameter sets a picture brings.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    sequence: bool,
    picture: bool,
}

/// The newest picture.
#[derive(Clone, Copy, Debug, Default)]
struct Picture {
    timestamp: Option<u32>,
    sets: Seen,
    /// Its first slice came, with everything that has to stand before it.
    begun: bool,
}

/// What stands in a packet.
#[derive(Clone, Copy, Debug, Default)]
struct Content {
    sets: bool,
    /// Slices, or pieces of them.
    slices: bool,
    /// The first byte of a slice from which decoding can start.
    key: bool,
    bidirectional: bool,
}

impl Shape {
    /// `fmtp` are the format parameters by which the track was described; they may hold parameter sets.
    pub fn new(codec: Codec, fmtp: &str) -> Self {
        let Some(syntax) = Syntax::of(codec) else {
            return Self(if codec == Codec::Av1 { Kind::Obus(Obus::default()) } else { Kind::Plain });
        };
        Self(Kind::Units(Box::new(Units {
            syntax,
            numbering: Numbering::default(),
            parameters: Parameters::new(syntax, fmtp),
            cutter: Cutter::default(),
            waiting: Vec::new(),
            waiting_sets: Seen::default(),
            fragments: BytesMut::new(),
            picture: Picture::default(),
            brings: false,
            doubt: false,
            undecodable: false,
            reorder: Reorder::default(),
        })))
    }

    /// Hands on what the packet becomes: itself, several packets, or nothing yet.
    pub fn take(&mut self, packet: Packet, mut each: impl FnMut(Packet)) {
        match &mut self.0 {
            Kind::Units(units) => units.take(packet, &mut each),
            Kind::Obus(obus) => obus.take(packet, &mut each),
            Kind::Plain => each(packet),
        }
    }

    /// The newest sequence parameter set.
    pub fn sequence(&self) -> Option<&[u8]> {
        if let Kind::Units(units) = &self.0 { units.parameters.sequence() } else { None }
    }

    /// Do keyframes come that nobody can decode, since their parameter sets came by no way?
    pub fn is_undecodable(&self) -> bool {
        match &self.0 {
            Kind::Units(units) => units.undecodable,
            Kind::Obus(obus) => obus.undecodable,
            Kind::Plain => false,
        }
    }

    /// Are pictures sent in another order than they are shown in?
    pub fn is_reordered(&self) -> bool {
        matches!(&self.0, Kind::Units(units) if units.reorder.is_found())
    }
}

impl Units {
    fn take(&mut self, packet: Packet, each: &mut impl FnMut(Packet)) {
        let seq = packet.seq;
        let after_gap = self.numbering.is_ahead(seq);
        if self.numbering.is_elsewhere(seq) {
            self.cutter.clear();
            self.waiting.clear();
            self.picture = Picture::default();
        } else if after_gap {
            // Numbers rise with the places of packets: what was before the gap goes before it.
            self.let_go(packet.timestamp, each);
            let numbering = &mut self.numbering;
            self.cutter.flush(&mut |piece| each(Packet { seq: numbering.next(), ..piece }));
        }
        match self.numbering.arrive(seq) {
            Place::Newest => self.newest(packet, after_gap, each),
            Place::Late(seq) => self.late(Packet { seq, ..packet }, each),
            Place::Useless => {}
        }
    }

    /// A late packet has one number: it stays as it is.
    fn late(&mut self, mut packet: Packet, each: &mut impl FnMut(Packet)) {
        let mut sets = Seen::default();
        let content = self.look(&packet, &mut sets);
        if self.picture.timestamp == Some(packet.timestamp) {
            self.picture.sets.add(sets);
        }
        // Nobody can begin with a keyframe whose sets have no place before it.
        let complete = self.picture.timestamp == Some(packet.timestamp) && self.picture.sets.are_complete();
        packet.keyframe &= !content.key || complete || self.brings || sets.are_complete();
        each(packet);
    }

    fn newest(&mut self, packet: Packet, after_gap: bool, each: &mut impl FnMut(Packet)) {
        self.doubt |= after_gap;
        let mut sets = Seen::default();
        let content = self.look(&packet, &mut sets);
        let trails = self.picture.begun && self.picture.timestamp == Some(packet.timestamp);
        if !content.slices && !trails && (content.sets || !self.waiting.is_empty()) {
            // Parameter sets, and what stands between them and their picture.
            self.waiting_sets.add(sets);
            self.waiting.push(packet);
            if self.waiting.len() > MAX_WAITING {
                let timestamp = self.waiting[0].timestamp;
                self.let_go(timestamp, each);
            }
            return;
        }
        if self.picture.timestamp != Some(packet.timestamp) {
            self.picture = Picture { timestamp: Some(packet.timestamp), ..Picture::default() };
        }
        self.let_go(packet.timestamp, each);
        self.picture.sets.add(sets);
        if content.slices && !self.picture.begun {
            self.reorder.picture(packet.timestamp, content.bidirectional);
            if content.key {
                self.lead(packet.timestamp, each);
            }
        }
        if content.slices {
            (self.picture.begun, self.doubt) = (true, false);
        }
        let numbering = &mut self.numbering;
        self.cutter.take(self.syntax, packet, |piece| each(Packet { seq: numbering.next(), ..piece }));
    }

    /// What waits joins the picture with this timestamp.
    fn let_go(&mut self, timestamp: u32, each: &mut impl FnMut(Packet)) {
        if self.waiting.is_empty() {
            return;
        }
        let numbering = &mut self.numbering;
        self.cutter.flush(&mut |piece| each(Packet { seq: numbering.next(), ..piece }));
        for packet in self.waiting.drain(..) {
            let packet = Packet { timestamp, marker: false, ..packet };
            self.cutter.take(self.syntax, packet, |piece| each(Packet { seq: numbering.next(), ..piece }));
        }
        if self.picture.timestamp != Some(timestamp) {
            self.picture = Picture { timestamp: Some(timestamp), ..Picture::default() };
        }
        self.picture.sets.add(std::mem::take(&mut self.waiting_sets));
    }

    /// Puts the parameter sets ahead of a keyframe that comes without them.
    fn lead(&mut self, timestamp: u32, each: &mut impl FnMut(Packet)) {
        let known = self.parameters.payload();
        self.undecodable = known.is_none();
        if self.picture.sets.are_complete() {
            self.brings = true;
            return;
        }
        // Where packets are missing its own may be among them, and newer than what is known.
        if self.doubt && self.brings {
            return;
        }
        self.brings = false;
        if let Some(payload) = known {
            let numbering = &mut self.numbering;
            self.cutter.flush(&mut |piece| each(Packet { seq: numbering.next(), ..piece }));
            let seq = self.numbering.next();
            each(Packet { seq, timestamp, marker: false, keyframe: true, payload });
        }
    }

    /// What stands in a packet; learns the parameter sets among it.
    fn look(&mut self, packet: &Packet, sets: &mut Seen) -> Content {
        let mut content = Content::default();
        let syntax = self.syntax;
        match syntax.read(&packet.payload) {
            Some(Payload::Unit(unit)) => self.look_at(unit, &mut content, sets),
            Some(Payload::Aggregate(units)) => {
                for unit in aggregated(units).filter(|unit| !unit.is_empty()) {
                    self.look_at(unit, &mut content, sets);
                }
            }
            Some(Payload::Fragment(fragment)) => match syntax.role(fragment.header[0]) {
                Role::Parameters(set) => {
                    content.sets = true;
                    if fragment.start {
                        self.fragments.clear();
                        self.fragments.extend_from_slice(&fragment.header[..syntax.header_len()]);
                    }
                    if self.fragments.len() + fragment.body.len() <= MAX_SET {
                        self.fragments.extend_from_slice(fragment.body);
                    }
                    if fragment.end {
                        self.parameters.learn(&std::mem::take(&mut self.fragments));
                        sets.note(set);
                    }
                }
                role @ (Role::Key | Role::Slice) => {
                    content.slices = true;
                    content.key = role == Role::Key && fragment.start;
                    content.bidirectional = fragment.start && syntax.is_bidirectional(fragment.body);
                }
                Role::Other => {}
            },
            None => {}
        }
        content
    }

    fn look_at(&mut self, unit: &[u8], content: &mut Content, sets: &mut Seen) {
        match self.syntax.role(unit[0]) {
            Role::Parameters(set) => {
                content.sets = true;
                sets.note(set);
                self.parameters.learn(unit);
            }
            role @ (Role::Key | Role::Slice) => {
                content.slices = true;
                content.key |= role == Role::Key;
                content.bidirectional |=
                    self.syntax.is_bidirectional(&unit[self.syntax.header_len().min(unit.len())..]);
            }
            Role::Other => {}
        }
    }
}

impl Seen {
    fn note(&mut self, set: Set) {
        self.sequence |= set == Set::Sequence;
        self.picture |= set == Set::Picture;
    }

    fn add(&mut self, other: Seen) {
        self.sequence |= other.sequence;
        self.picture |= other.picture;
    }

    fn are_complete(self) -> bool {
        self.sequence && self.picture
    }
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
