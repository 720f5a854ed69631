//! Transport-wide congestion feedback to a publisher: when each of its packets arrived
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01). Browsers estimate from it how much they may
//! send; without it they stay at a few hundred kilobits. Pure: arrivals in, RTCP out.
use std::time::{Duration, Instant};

/// Feedback goes out this often while packets come.
pub const INTERVAL: Duration = Duration::from_millis(50);
/// Arrivals that wait for the next feedback; older ones are left out.
const MAX_ARRIVALS: usize = 512;
/// Packets that one feedback speaks of; a larger jump of the numbers begins anew.
const MAX_SPAN: u64 = 1024;
/// Unit of arrival deltas, and of the reference time, in microseconds.
const DELTA: i64 = 250;
const REFERENCE: i64 = 64_000;

const NOT_RECEIVED: u16 = 0;
const SMALL: u16 = 1;
const LARGE: u16 = 2;

#[derive(Debug)]
pub struct Feedback {
    /// Number of the extension in this session.
    pub extension: u8,
    epoch: Instant,
    /// Extended sequence number and microseconds since `epoch`, in order of numbers.
    arrivals: Vec<(u64, i64)>,
    highest: Option<u64>,
    /// First number that the next feedback speaks of.
    next: u64,
    count: u8,
    due: Option<Instant>,
}

impl Feedback {
    pub fn new(extension: u8, now: Instant) -> Self {
        Self { extension, epoch: now, arrivals: Vec::new(), highest: None, next: 0, count: 0, due: None }
    }

    /// Takes the value of the header extension of a packet that arrived now.
    pub fn arrived(&mut self, now: Instant, value: &[u8]) {
        let Some(number) = value.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes)) else { return };
        let seq = match self.highest {
            None => 1 << 32 | u64::from(number),
            Some(highest) => highest.wrapping_add_signed(i64::from(number.wrapping_sub(highest as u16) as i16)),
        };
        if self.highest.is_none() || seq.saturating_sub(self.next) > MAX_SPAN {
            self.arrivals.clear();
            self.next = seq;
        }
        self.highest = self.highest.max(Some(seq));
        if seq < self.next || self.arrivals.len() >= MAX_ARRIVALS {
            return;
        }
        let at = now.saturating_duration_since(self.epoch).as_micros() as i64;
        let place = self.arrivals.partition_point(|(known, _)| *known < seq);
        if self.arrivals.get(place).is_none_or(|(known, _)| *known != seq) {
            self.arrivals.insert(place, (seq, at));
        }
        self.due.get_or_insert(now + INTERVAL);
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Appends the feedback that is due; false if none is.
    pub fn write(&mut self, now: Instant, sender: u32, media: u32, out: &mut Vec<u8>) -> bool {
        if self.due.is_none_or(|at| at > now) {
            return false;
        }
        self.due = None;
        let (Some(first), Some(last)) = (self.arrivals.first(), self.arrivals.last()) else { return false };
        let reference = first.1.div_euclid(REFERENCE);
        let end = last.0 + 1;
        let mut symbols = Vec::new();
        let mut deltas = Vec::new();
        let mut clock = reference * REFERENCE;
        let mut arrivals = self.arrivals.iter().peekable();
        for seq in self.next..end {
            let Some((_, at)) = arrivals.next_if(|(known, _)| *known == seq) else {
                symbols.push(NOT_RECEIVED);
                continue;
            };
            let delta = (at - clock) / DELTA;
            clock += delta * DELTA;
            match (u8::try_from(delta), i16::try_from(delta)) {
                (Ok(small), _) => {
                    symbols.push(SMALL);
                    deltas.push(small);
                }
                (_, Ok(large)) => {
                    symbols.push(LARGE);
                    deltas.extend_from_slice(&large.to_be_bytes());
                }
                // More than eight seconds: told as lost, the sender begins anew anyway.
                _ => symbols.push(NOT_RECEIVED),
            }
        }
        let at = out.len();
        out.extend_from_slice(&[0x80 | 15, 205, 0, 0]);
        out.extend_from_slice(&sender.to_be_bytes());
        out.extend_from_slice(&media.to_be_bytes());
        out.extend_from_slice(&(self.next as u16).to_be_bytes());
        out.extend_from_slice(&(symbols.len() as u16).to_be_bytes());
        out.extend_from_slice(&(reference as u32).to_be_bytes()[1..]);
        out.push(self.count);
        write_chunks(&symbols, out);
        out.extend_from_slice(&deltas);
        while !(out.len() - at).is_multiple_of(4) {
            out.push(0);
        }
        let words = ((out.len() - at) / 4 - 1) as u16;
        out[at + 2..at + 4].copy_from_slice(&words.to_be_bytes());
        self.count = self.count.wrapping_add(1);
        self.next = end;
        self.arrivals.clear();
        true
    }
}

/// Runs of one symbol as run-length chunks, anything else as vectors of seven (section 3.1.3 and 3.1.4).
fn write_chunks(mut symbols: &[u16], out: &mut Vec<u8>) {
    while let Some(&first) = symbols.first() {
        let run = symbols.iter().take_while(|symbol| **symbol == first).take(0x1fff).count();
        let (chunk, taken) = if run >= 7 || run == symbols.len() {
            (first << 13 | run as u16, run)
        } else {
            let taken = symbols.len().min(7);
            let vector = symbols[..taken].iter().enumerate().fold(0xc000, |v, (i, symbol)| v | symbol << (12 - 2 * i));
            (vector, taken)
        };
        out.extend_from_slice(&chunk.to_be_bytes());
        symbols = &symbols[taken..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc_rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
    use rtc_shared::marshal::Unmarshal;

    /// Numbers with their arrival in milliseconds as the library reads them from our feedback.
    fn read(bytes: &[u8]) -> Vec<(u16, Option<i64>)> {
        let packet = TransportLayerCc::unmarshal(&mut &bytes[..]).unwrap();
        let mut clock = i64::from(packet.reference_time) * 64_000;
        let mut deltas = packet.recv_deltas.iter();
        let mut symbols = Vec::new();
        crate::rtc::rtcp::read(bytes, |message| {
            let crate::rtc::rtcp::Message::TransportFeedback { received, .. } = message else { panic!() };
            assert_eq!(received as usize, packet.recv_deltas.len());
        });
        for chunk in &packet.packet_chunks {
            use rtc_rtcp::transport_feedbacks::transport_layer_cc::PacketStatusChunk::*;
            match chunk {
                RunLengthChunk(run) => {
                    symbols.extend(std::iter::repeat_n(run.packet_status_symbol as u16, usize::from(run.run_length)));
                }
                StatusVectorChunk(vector) => symbols.extend(vector.symbol_list.iter().map(|symbol| *symbol as u16)),
            }
        }
        (0..packet.packet_status_count)
            .map(|i| {
                let at = (symbols[usize::from(i)] != 0).then(|| {
                    clock += deltas.next().unwrap().delta;
                    clock / 1000
                });
                (packet.base_sequence_number.wrapping_add(i), at)
            })
            .collect()
    }

    #[test]
    fn arrivals_losses_and_reordering_are_told_as_they_were() {
        let start = Instant::now();
        let mut feedback = Feedback::new(3, start);
        let mut arrive = |number: u16, ms: u64| {
            feedback.arrived(start + Duration::from_millis(ms), &number.to_be_bytes());
        };
        arrive(65_534, 100);
        arrive(65_535, 101);
        arrive(1, 102);
        arrive(0, 103);
        arrive(5, 350);
        for number in 6..40 {
            arrive(number, 351);
        }
        let mut out = Vec::new();
        assert!(!feedback.write(start + Duration::from_millis(120), 1, 2, &mut out), "not yet due");
        assert!(feedback.write(start + Duration::from_millis(400), 1, 2, &mut out));
        let told = read(&out);
        assert_eq!(told[..5], [(65_534, Some(100)), (65_535, Some(101)), (0, Some(103)), (1, Some(102)), (2, None)]);
        assert_eq!(told[7], (5, Some(350)));
        assert_eq!(told.len(), 42);
        assert!(feedback.deadline().is_none());
        feedback.arrived(start + Duration::from_millis(410), &44u16.to_be_bytes());
        out.clear();
        assert!(feedback.write(start + Duration::from_secs(1), 1, 2, &mut out));
        let told = read(&out);
        assert_eq!((told[0], told[4]), ((40, None), (44, Some(410))), "what was lost in between is told too");
    }

    #[test]
    fn a_jump_of_the_numbers_begins_anew() {
        let start = Instant::now();
        let mut feedback = Feedback::new(3, start);
        feedback.arrived(start, &[0, 1]);
        feedback.arrived(start, &[40, 1]);
        let mut out = Vec::new();
        assert!(feedback.write(start + INTERVAL, 1, 2, &mut out));
        assert_eq!(read(&out), [(40 * 256 + 1, Some(0))]);
    }
}
