//! The test camera's sound: G.711, a short beep at the beginning of each second.
use crate::media::codec::Codec;
use std::time::Duration;

/// Duration of one packet.
pub const PACKET: Duration = Duration::from_millis(PACKET_MS);
/// Samples in a packet, at 8 kHz: one byte each.
pub const SAMPLES: usize = 8 * PACKET_MS as usize;
const PACKET_MS: u64 = 20;
/// The beep's length in milliseconds, whole packets.
const BEEP_MS: u32 = 100;
/// One period of 1 kHz at 8 kHz, a quarter of full scale (14-bit samples as G.711 takes them).
const PERIOD: [i16; 8] = [0, 1448, 2048, 1448, 0, -1448, -2048, -1448];

/// The two sorts of packets that there are.
#[derive(Debug)]
pub struct Tone {
    beep: bytes::Bytes,
    silence: bytes::Bytes,
}

impl Tone {
    /// For [`Codec::Pcma`]; anything else is taken for [`Codec::Pcmu`].
    pub fn new(codec: Codec) -> Self {
        let encode = if codec == Codec::Pcma { a_law } else { mu_law };
        let beep: Vec<u8> = PERIOD.iter().cycle().take(SAMPLES).map(|sample| encode(*sample)).collect();
        Self { beep: beep.into(), silence: vec![encode(0); SAMPLES].into() }
    }

    /// The packet that begins at `wall_clock` (since 1970).
    pub fn packet(&self, wall_clock: Duration) -> bytes::Bytes {
        if wall_clock.subsec_millis() < BEEP_MS { self.beep.clone() } else { self.silence.clone() }
    }
}

/// ITU-T G.711 mu-law of a 14-bit sample.
fn mu_law(sample: i16) -> u8 {
    let magnitude = sample.unsigned_abs().min(8158) + 33;
    let segment = 10 - magnitude.leading_zeros().min(10);
    let mantissa = (magnitude >> (segment + 1)) as u8 & 0x0f;
    !((u8::from(sample < 0) << 7) | (segment as u8) << 4 | mantissa)
}

/// ITU-T G.711 A-law of a 14-bit sample, of which it uses 13.
fn a_law(sample: i16) -> u8 {
    let magnitude = (if sample < 0 { !sample } else { sample }).min(8191) >> 1;
    let segment = (11 - (magnitude as u16).leading_zeros().min(11)) as u8;
    let mantissa = (magnitude >> segment.max(1)) as u8 & 0x0f;
    (u8::from(sample >= 0) << 7 | segment << 4 | mantissa) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g711_has_its_known_points() {
        assert_eq!([mu_law(0), mu_law(8158), mu_law(-8158)], [0xff, 0x80, 0x00]);
        assert_eq!([a_law(0), a_law(8191), a_law(-8191)], [0xd5, 0xaa, 0x2a]);
    }

    #[test]
    fn it_beeps_at_the_beginning_of_a_second_only() {
        let tone = Tone::new(Codec::Pcma);
        assert_eq!(tone.packet(Duration::from_millis(5_080)), tone.beep);
        assert_eq!(tone.packet(Duration::from_millis(5_100)), tone.silence);
        assert_eq!(tone.beep.len(), 160);
    }
}
