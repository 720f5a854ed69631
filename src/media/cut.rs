//! Payloads that are longer than the common path carries become shorter ones: units are cut into fragments, fragments into
//! fragments of the same size, aggregates into their units. What fits stays as it is.
use super::packet::{self, MAX_FORWARDED, Packet};
use super::units::{END, Payload, START, Syntax, aggregated};
use bytes::BytesMut;

/// Cuts one track's packets, which come in their order. A fragment that is not full waits for the next of its unit.
#[derive(Debug, Default)]
pub struct Cutter(Option<Piece>);

/// A fragment that is being filled.
#[derive(Debug)]
struct Piece {
    /// Of its unit.
    header: [u8; 2],
    timestamp: u32,
    keyframe: bool,
    /// Where the byte is that says whether the unit begins or ends here.
    flags: usize,
    bytes: BytesMut,
}

impl Cutter {
    /// Hands on what the packet becomes; their sequence numbers are for the caller to give.
    pub fn take(&mut self, syntax: Syntax, packet: Packet, mut each: impl FnMut(Packet)) {
        if self.0.is_none() && packet.payload.len() <= MAX_FORWARDED {
            return each(packet);
        }
        match syntax.read(&packet.payload) {
            Some(Payload::Fragment(fragment)) => {
                let goes_on = |piece: &Piece| {
                    !fragment.start && piece.header == fragment.header && piece.timestamp == packet.timestamp
                };
                if !self.0.as_ref().is_some_and(goes_on) {
                    self.flush(&mut each);
                    if packet.payload.len() <= MAX_FORWARDED {
                        return each(packet);
                    }
                    let Packet { timestamp, keyframe, .. } = packet;
                    self.0 = Some(Piece::new(syntax, fragment.header, fragment.start, timestamp, keyframe));
                }
                self.fill(syntax, fragment.body, &mut each);
                if fragment.end || packet.marker {
                    self.finish(fragment.end, packet.marker, &mut each);
                }
            }
            Some(Payload::Unit(unit)) if unit.len() > MAX_FORWARDED => {
                self.flush(&mut each);
                self.cut(syntax, unit, &packet, &mut each);
            }
            Some(Payload::Aggregate(units)) if packet.payload.len() > MAX_FORWARDED => {
                self.flush(&mut each);
                let mut keyframe = packet.keyframe;
                let mut units = aggregated(units).filter(|unit| unit.len() > syntax.header_len()).peekable();
                let (mut together, mut size) = (Vec::new(), syntax.header_len());
                while let Some(unit) = units.next() {
                    together.push(unit);
                    size += 2 + unit.len();
                    // Hundreds of tiny ones shall not become as many packets for each viewer.
                    if units.peek().is_some_and(|next| size + 2 + next.len() <= MAX_FORWARDED) {
                        continue;
                    }
                    let marker = packet.marker && units.peek().is_none();
                    let payload = match together[..] {
                        [unit] => packet.payload.slice_ref(unit),
                        _ => syntax.aggregate(together.iter().copied()).into(),
                    };
                    let part = Packet { marker, keyframe, payload, ..packet };
                    if part.payload.len() > MAX_FORWARDED {
                        self.cut(syntax, unit, &part, &mut each)
                    } else {
                        each(part)
                    }
                    keyframe = false;
                    together.clear();
                    size = syntax.header_len();
                }
            }
            _ => {
                self.flush(&mut each);
                each(packet);
            }
        }
    }

    /// What waits goes on as it is: its unit's next fragment is missing.
    pub fn flush(&mut self, each: &mut impl FnMut(Packet)) {
        self.finish(false, false, each);
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        self.0 = None;
    }

    fn cut(&mut self, syntax: Syntax, unit: &[u8], packet: &Packet, each: &mut impl FnMut(Packet)) {
        let (header, body) = unit.split_at(syntax.header_len());
        let header = [header[0], header.get(1).copied().unwrap_or(0)];
        self.0 = Some(Piece::new(syntax, header, true, packet.timestamp, packet.keyframe));
        self.fill(syntax, body, each);
        self.finish(true, packet.marker, each);
    }

    /// A full piece goes out when there is more of its unit: the last one says that it is the last.
    fn fill(&mut self, syntax: Syntax, mut body: &[u8], each: &mut impl FnMut(Packet)) {
        let Some(piece) = &mut self.0 else { return };
        while !body.is_empty() {
            if piece.bytes.len() >= MAX_FORWARDED {
                let next = Piece::new(syntax, piece.header, false, piece.timestamp, false);
                each(std::mem::replace(piece, next).packet(false, false));
            }
            let (now, later) = body.split_at(body.len().min(MAX_FORWARDED - piece.bytes.len()));
            piece.bytes.extend_from_slice(now);
            body = later;
        }
    }

    fn finish(&mut self, end: bool, marker: bool, each: &mut impl FnMut(Packet)) {
        if let Some(piece) = self.0.take() {
            each(piece.packet(end, marker));
        }
    }
}

impl Piece {
    fn new(syntax: Syntax, header: [u8; 2], start: bool, timestamp: u32, keyframe: bool) -> Self {
        let (mut front, len) = syntax.fragment_header(header);
        front[len - 1] |= if start { START } else { 0 };
        let mut bytes = BytesMut::with_capacity(MAX_FORWARDED);
        bytes.extend_from_slice(&front[..len]);
        Self { header, timestamp, keyframe, flags: len - 1, bytes }
    }

    fn packet(mut self, end: bool, marker: bool) -> Packet {
        self.bytes[self.flags] |= if end { END } else { 0 };
        let len = self.bytes.len();
        let (timestamp, keyframe) = (self.timestamp, self.keyframe);
        Packet { seq: 0, timestamp, marker, keyframe, payload: packet::payload(self.bytes, 0..len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn packet(payload: Vec<u8>, marker: bool) -> Packet {
        Packet { seq: 0, timestamp: 9, marker, keyframe: true, payload: Bytes::from(payload) }
    }

    fn cut(syntax: Syntax, packets: impl IntoIterator<Item = Packet>) -> Vec<Packet> {
        let (mut cutter, mut out) = (Cutter::default(), Vec::new());
        for packet in packets {
            cutter.take(syntax, packet, |packet| out.push(packet));
        }
        assert!(cutter.0.is_none(), "nothing waits behind the last packet of a picture");
        assert!(out.iter().all(|packet| packet.payload.len() <= MAX_FORWARDED));
        out
    }

    /// Units put together again as a receiver does, and how many payloads carried them.
    fn units(syntax: Syntax, packets: &[Packet]) -> Vec<Vec<u8>> {
        let mut units: Vec<Vec<u8>> = Vec::new();
        let mut open = false;
        for packet in packets {
            match syntax.read(&packet.payload).unwrap() {
                Payload::Unit(unit) => units.push(unit.to_vec()),
                Payload::Aggregate(body) => units.extend(aggregated(body).map(<[u8]>::to_vec)),
                Payload::Fragment(fragment) => {
                    assert_eq!(open, !fragment.start);
                    if fragment.start {
                        units.push(fragment.header[..syntax.header_len()].to_vec());
                    }
                    units.last_mut().unwrap().extend_from_slice(fragment.body);
                    open = !fragment.end;
                }
            }
        }
        assert!(!open);
        units
    }

    fn unit(syntax: Syntax, len: usize) -> Vec<u8> {
        let header = if syntax == Syntax::H264 { vec![0x65] } else { vec![0x26, 0x01] };
        header.into_iter().chain((0..len).map(|i| (i % 251) as u8)).collect()
    }

    /// As a publisher cuts a unit, into fragments of `size` bytes.
    fn fragments(syntax: Syntax, unit: &[u8], size: usize) -> Vec<Packet> {
        let (header, body) = unit.split_at(syntax.header_len());
        let chunks: Vec<&[u8]> = body.chunks(size).collect();
        let packets = chunks.iter().enumerate().map(|(i, chunk)| {
            let last = i + 1 == chunks.len();
            let (mut front, len) = syntax.fragment_header([header[0], header.get(1).copied().unwrap_or(0)]);
            front[len - 1] |= if i == 0 { START } else { 0 } | if last { END } else { 0 };
            Packet { keyframe: i == 0, ..packet([&front[..len], chunk].concat(), last) }
        });
        packets.collect()
    }

    #[test]
    fn fragments_that_are_too_long_become_hardly_more_of_the_right_size() {
        for syntax in [Syntax::H264, Syntax::H265] {
            let unit = unit(syntax, 30_000);
            for size in [1_205, 1_320, 1_388, 2_000] {
                let out = cut(syntax, fragments(syntax, &unit, size));
                assert_eq!(units(syntax, &out), std::slice::from_ref(&unit));
                assert_eq!(out.len(), 26, "{size}");
                assert!(out[..25].iter().all(|packet| packet.payload.len() == MAX_FORWARDED && !packet.marker));
                assert!(out[25].marker);
                assert!(out.iter().enumerate().all(|(i, packet)| packet.keyframe == (i == 0)));
            }
        }
    }

    #[test]
    fn what_fits_is_handed_on_as_it_is() {
        for size in [100, MAX_FORWARDED - 2] {
            let unit = unit(Syntax::H264, 10_000);
            let packets = fragments(Syntax::H264, &unit, size);
            let out = cut(Syntax::H264, packets.clone());
            let places = |packets: &[Packet]| packets.iter().map(|p| p.payload.as_ptr() as usize).collect::<Vec<_>>();
            assert_eq!(places(&out), places(&packets));
        }
    }

    #[test]
    fn a_unit_alone_and_an_aggregate_are_cut_where_they_are_too_long() {
        for syntax in [Syntax::H264, Syntax::H265] {
            for len in [MAX_FORWARDED, 1_400, 2_000] {
                let unit = unit(syntax, len);
                let out = cut(syntax, [packet(unit.clone(), true)]);
                assert_eq!(units(syntax, &out), [unit]);
                assert!(out.last().unwrap().marker && out[0].keyframe && !out[1].keyframe);
            }
            let all = [unit(syntax, 30), unit(syntax, 4), unit(syntax, 1_300), unit(syntax, 200)];
            let aggregate = packet(syntax.aggregate(all.iter().map(Vec::as_slice)), true);
            let out = cut(syntax, [aggregate]);
            assert_eq!(units(syntax, &out), all);
            assert_eq!(out.iter().map(|packet| packet.marker).collect::<Vec<_>>(), [false, false, false, true]);
        }
    }

    #[test]
    fn an_aggregate_of_many_tiny_units_becomes_a_few_packets() {
        for syntax in [Syntax::H264, Syntax::H265] {
            let tiny = unit(syntax, 1);
            let aggregate = packet(syntax.aggregate(std::iter::repeat_n(tiny.as_slice(), 320)), true);
            let len = aggregate.payload.len();
            let out = cut(syntax, [aggregate]);
            assert_eq!(out.len(), len.div_ceil(MAX_FORWARDED));
            assert_eq!(units(syntax, &out), vec![tiny; 320]);
        }
    }

    #[test]
    fn a_unit_with_a_hole_goes_on_after_it() {
        let unit = unit(Syntax::H264, 5_000);
        let packets = fragments(Syntax::H264, &unit, 1_300);
        let (mut cutter, mut out) = (Cutter::default(), Vec::new());
        for (i, packet) in packets.iter().enumerate() {
            if i == 1 {
                cutter.flush(&mut |packet| out.push(packet));
                out.push(packet.clone());
            } else {
                cutter.take(Syntax::H264, packet.clone(), |packet| out.push(packet));
            }
        }
        assert_eq!(units(Syntax::H264, &out), [unit]);
    }

    #[test]
    fn a_unit_whose_end_was_lost_does_not_run_into_the_next_picture() {
        let first = fragments(Syntax::H264, &unit(Syntax::H264, 4_000), 1_300);
        let next = Packet { timestamp: 10, ..packet(vec![0x41, 1, 2, 3], true) };
        let (mut cutter, mut out) = (Cutter::default(), Vec::new());
        for packet in first[..2].iter().cloned().chain([next.clone()]) {
            cutter.take(Syntax::H264, packet, |packet| out.push(packet));
        }
        assert_eq!(out.last().unwrap().payload, next.payload);
        assert!(out.iter().all(|packet| packet.marker == (packet.timestamp == 10)));
    }
}
