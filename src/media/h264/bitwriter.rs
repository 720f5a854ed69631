//! Bits into bytes as H.264 writes them: fixed-length, Exp-Golomb (9.1) and the emulation prevention
//! that keeps start codes out of a NAL unit (7.4.1).

/// Builds one NAL unit, most significant bit first.
#[derive(Debug, Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    /// The last `pending` bits, right-aligned, not yet in `bytes`; fewer than 32 between calls.
    tail: u64,
    pending: u32,
}

impl BitWriter {
    /// Starts a NAL unit with its header byte. `capacity` in bytes saves growing.
    pub fn nal(header: u8, capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.push(header);
        Self { bytes, tail: 0, pending: 0 }
    }

    /// `u(n)`: the low `count` bits of `value`, at most 32.
    pub fn bits(&mut self, value: u32, count: u32) {
        debug_assert!(count <= 32 && u64::from(value) < 1 << count);
        self.tail = self.tail << count | u64::from(value);
        self.pending += count;
        if self.pending >= 32 {
            self.pending -= 32;
            self.bytes.extend_from_slice(&((self.tail >> self.pending) as u32).to_be_bytes());
        }
    }

    pub fn flag(&mut self, value: bool) {
        self.bits(u32::from(value), 1);
    }

    /// `ue(v)`: unsigned Exp-Golomb, up to `u32::MAX - 1`.
    pub fn ue(&mut self, value: u32) {
        let code = value + 1;
        let length = 32 - code.leading_zeros();
        self.bits(0, length - 1);
        self.bits(code, length);
    }

    /// `se(v)`: signed Exp-Golomb.
    pub fn se(&mut self, value: i32) {
        let magnitude = value.unsigned_abs() * 2;
        self.ue(if value > 0 { magnitude - 1 } else { magnitude });
    }

    /// `pcm_alignment_zero_bit`s up to the next byte, then whole bytes.
    pub fn aligned_bytes(&mut self, bytes: &[u8]) {
        self.align_zero();
        self.bytes.extend_from_slice(bytes);
    }

    fn align_zero(&mut self) {
        self.bits(0, self.pending.next_multiple_of(8) - self.pending);
        while self.pending > 0 {
            self.pending -= 8;
            self.bytes.push((self.tail >> self.pending) as u8);
        }
    }

    /// Ends the NAL unit with `rbsp_trailing_bits` and inserts `emulation_prevention_three_byte`s.
    pub fn finish(mut self) -> Vec<u8> {
        self.bits(1, 1);
        self.align_zero();
        prevent_emulation(self.bytes)
    }
}

/// Puts 3 before each byte of 0 to 3 that follows two zero bytes. Returns the input itself where there is none.
fn prevent_emulation(raw: Vec<u8>) -> Vec<u8> {
    let emulates = |window: &[u8]| window[0] == 0 && window[1] == 0 && window[2] <= 3;
    if !raw.windows(3).any(emulates) {
        return raw;
    }
    let mut escaped = Vec::with_capacity(raw.len() + raw.len() / 32 + 16);
    let mut zeros = 0;
    for byte in raw {
        if zeros == 2 && byte <= 3 {
            escaped.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        escaped.push(byte);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_are_those_of_table_9_2() {
        let mut writer = BitWriter::nal(0, 8);
        for value in [0, 1, 2, 3, 7] {
            writer.ue(value);
        }
        for value in [0, 1, -1, 2] {
            writer.se(value);
        }
        // 1 010 011 00100 0001000 | 1 010 011 00100, then the stop bit
        assert_eq!(writer.finish(), [0, 0b1010_0110, 0b0100_0001, 0b0001_0100, 0b1100_1001]);
    }

    #[test]
    fn start_codes_cannot_appear_inside_a_nal_unit() {
        assert_eq!(prevent_emulation(vec![1, 0, 0, 0, 0, 0, 1]), [1, 0, 0, 3, 0, 0, 3, 0, 1]);
        assert_eq!(prevent_emulation(vec![0, 0, 3]), [0, 0, 3, 3]);
        assert_eq!(prevent_emulation(vec![0, 0, 4]), [0, 0, 4]);
    }

    #[test]
    fn thirty_two_bits_at_an_odd_position_stay_whole() {
        let mut writer = BitWriter::nal(0x55, 8);
        writer.bits(0b101, 3);
        writer.bits(0xffff_fffe, 32);
        assert_eq!(writer.finish(), [0x55, 0xbf, 0xff, 0xff, 0xff, 0b1101_0000]);
    }
}
