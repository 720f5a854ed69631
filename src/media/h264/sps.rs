//! What a sequence parameter set says about a stream that passes through: its size. Reads untrusted bytes;
//! whatever doesn't add up gives `None`.

/// Profiles whose SPS carries `chroma_format_idc` and scaling lists (7.3.2.1.1).
const HIGH_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
/// An SPS is read up to here: 16-bit lengths in STAP-A allow far more than any honest one has.
const MAX_SPS: usize = 1024;
/// Largest width or height that we believe, in macroblocks: 16384 samples, beyond level 6.2.
const MAX_SIDE_MBS: u32 = 1024;

/// Visible size in samples of the video that an SPS (a NAL unit, header byte included) describes.
pub fn resolution(sps: &[u8]) -> Option<(u32, u32)> {
    let mut r = BitReader::new(sps.get(1..)?);
    let profile = r.bits(8)?;
    r.bits(16)?; // constraint flags, level_idc
    r.ue()?; // seq_parameter_set_id
    let mut chroma_format = 1;
    if HIGH_PROFILES.contains(&profile) {
        chroma_format = r.ue()?;
        if chroma_format == 3 && r.bits(1)? == 1 {
            chroma_format = 0; // separate_colour_plane_flag: cropping units as in monochrome
        }
        r.ue()?; // bit_depth_luma_minus8
        r.ue()?; // bit_depth_chroma_minus8
        r.bits(1)?; // qpprime_y_zero_transform_bypass_flag
        if r.bits(1)? == 1 {
            for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                if r.bits(1)? == 1 {
                    r.skip_scaling_list(if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    r.ue()?; // log2_max_frame_num_minus4
    match r.ue()? {
        0 => {
            r.ue()?; // log2_max_pic_order_cnt_lsb_minus4
        }
        1 => {
            r.bits(1)?; // delta_pic_order_always_zero_flag
            r.ue()?; // offset_for_non_ref_pic, se(v)
            r.ue()?; // offset_for_top_to_bottom_field, se(v)
            for _ in 0..r.ue()?.min(256) {
                r.ue()?; // offset_for_ref_frame, se(v)
            }
        }
        _ => {}
    }
    r.ue()?; // max_num_ref_frames
    r.bits(1)?; // gaps_in_frame_num_value_allowed_flag
    let width = r.ue()?.checked_add(1).filter(|mbs| *mbs <= MAX_SIDE_MBS)?;
    let map_units = r.ue()?.checked_add(1).filter(|mbs| *mbs <= MAX_SIDE_MBS)?;
    let fields = 2 - r.bits(1)?; // frame_mbs_only_flag
    if fields == 2 {
        r.bits(1)?; // mb_adaptive_frame_field_flag
    }
    r.bits(1)?; // direct_8x8_inference_flag
    let (mut right, mut bottom) = (0, 0);
    if r.bits(1)? == 1 {
        let unit = (if matches!(chroma_format, 1 | 2) { 2 } else { 1 }, if chroma_format == 1 { 2 } else { 1 });
        right = r.ue()?.checked_add(r.ue()?)?.checked_mul(unit.0)?;
        bottom = r.ue()?.checked_add(r.ue()?)?.checked_mul(unit.1 * fields)?;
    }
    let width = (width * 16).checked_sub(right)?;
    let height = (map_units * 16 * fields).checked_sub(bottom)?;
    (width > 0 && height > 0).then_some((width, height))
}

/// Reads bits of a NAL unit and steps over emulation prevention bytes (7.3.1).
pub struct BitReader<'a> {
    bytes: &'a [u8],
    /// Position of the next bit.
    at: usize,
    zeros: u32,
}

impl<'a> BitReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: &bytes[..bytes.len().min(MAX_SPS)], at: 0, zeros: 0 }
    }

    fn bit(&mut self) -> Option<u32> {
        if self.at.is_multiple_of(8) {
            let byte = *self.bytes.get(self.at / 8)?;
            if self.zeros == 2 && byte == 3 {
                self.at += 8;
                self.zeros = 0;
            }
            let byte = *self.bytes.get(self.at / 8)?;
            self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
        }
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    /// `u(n)`, at most 32.
    fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | self.bit()?))
    }

    /// `ue(v)` (9.1); of an `se(v)` the code number.
    pub fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.bits(zeros)?)
    }

    /// `scaling_list` (7.3.2.1.1.1).
    fn skip_scaling_list(&mut self, size: u32) -> Option<()> {
        let (mut last, mut next) = (8i32, 8i32);
        for _ in 0..size {
            if next != 0 {
                let code = i64::from(self.ue()?);
                let delta = if code % 2 == 1 { (code + 1) / 2 } else { -code / 2 };
                next = (i64::from(last) + delta).rem_euclid(256) as i32;
            }
            last = if next == 0 { last } else { next };
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::parameters::Format;
    use super::*;

    #[test]
    fn the_size_of_our_own_streams_is_read_back() {
        for size in [(64, 64), (640, 360), (1920, 1080), (1920, 1088), (130, 98)] {
            assert_eq!(resolution(&Format { size, fps: 30, bitrate: 0 }.sps()), Some(size));
        }
    }

    #[test]
    fn the_size_of_an_encoder_s_high_profile_stream_is_read() {
        // x264, 1280x720, High, level 3.1.
        let sps = [
            0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00,
            0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60,
        ];
        assert_eq!(resolution(&sps), Some((1280, 720)));
    }

    #[test]
    fn a_truncated_or_random_sps_is_never_fatal() {
        let sps = Format { size: (1920, 1080), fps: 30, bitrate: 0 }.sps();
        for length in 0..sps.len() {
            let _ = resolution(&sps[..length]);
        }
        let mut state = 7u32;
        for _ in 0..20_000 {
            let bytes: [u8; 40] = std::array::from_fn(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if i == 1 { 100 } else { (state >> 24) as u8 & (state >> 16) as u8 }
            });
            let _ = resolution(&bytes);
        }
    }
}
