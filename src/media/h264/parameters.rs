//! Sequence and picture parameter sets of a constrained baseline stream, and the level that it needs.
use super::bitwriter::BitWriter;
use super::nal;

/// `log2_max_frame_num`: 256 frame numbers, enough for one reference frame.
pub const FRAME_NUM_BITS: u32 = 8;
/// Luma QP of all slices; see [`super::pictures`] for why 10.
pub const QP: i32 = 10;

/// Profile and constraint bytes of `profile-level-id` (RFC 6184, 8.1): Baseline that also keeps to the
/// limits of Main and Extended, which makes it constrained baseline; browsers write it `42e0`.
const PROFILE: [u8; 2] = [66, 0xe0];

/// NAL header bytes with `nal_ref_idc` 3.
const SPS_HEADER: u8 = 3 << 5 | nal::SPS;
const PPS_HEADER: u8 = 3 << 5 | nal::PPS;

/// Table A-1: `level_idc`, macroblocks per second, macroblocks per frame, kbit/s (times 1000: VCL).
const LEVELS: [(u8, u32, u32, u32); 16] = [
    (10, 1_485, 99, 64),
    (11, 3_000, 396, 192),
    (12, 6_000, 396, 384),
    (13, 11_880, 396, 768),
    (20, 11_880, 396, 2_000),
    (21, 19_800, 792, 4_000),
    (22, 20_250, 1_620, 4_000),
    (30, 40_500, 1_620, 10_000),
    (31, 108_000, 3_600, 14_000),
    (32, 216_000, 5_120, 20_000),
    (40, 245_760, 8_192, 20_000),
    (41, 245_760, 8_192, 50_000),
    (42, 522_240, 8_704, 50_000),
    (50, 589_824, 22_080, 135_000),
    (51, 983_040, 36_864, 240_000),
    (52, 2_073_600, 36_864, 240_000),
];

/// What the parameter sets say about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Visible size in samples, both even.
    pub size: (u32, u32),
    /// Frames per second.
    pub fps: u32,
    /// Upper bound of the stream's rate in bits per second.
    pub bitrate: u32,
}

impl Format {
    /// Size in whole macroblocks; the SPS crops what is too much.
    pub fn mbs(&self) -> (usize, usize) {
        (self.size.0.div_ceil(16) as usize, self.size.1.div_ceil(16) as usize)
    }

    /// Smallest `level_idc` for size, rate and bitrate (A.3.1); the highest one if none is enough.
    pub fn level(&self) -> u8 {
        let (width, height) = (self.size.0.div_ceil(16), self.size.1.div_ceil(16));
        let count = width * height;
        let enough = |&&(_, mbs_per_second, mbs, kbits): &&(u8, u32, u32, u32)| {
            let longest = width.max(height);
            count <= mbs
                && longest * longest <= 8 * mbs
                && count * self.fps <= mbs_per_second
                && u64::from(self.bitrate) <= u64::from(kbits) * 1000
        };
        LEVELS.iter().find(enough).unwrap_or(&LEVELS[LEVELS.len() - 1]).0
    }

    /// Parameters as SDP's fmtp line writes them (RFC 6184, 8.1).
    pub fn fmtp(&self) -> String {
        let [profile, constraints] = PROFILE;
        let level = self.level();
        format!(
            "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile:02x}{constraints:02x}{level:02x}"
        )
    }

    /// `seq_parameter_set_rbsp` (7.3.2.1.1) as a NAL unit: one reference frame, output order is decoding
    /// order (`pic_order_cnt_type` 2), and a decoder is told that it need not hold frames back.
    pub fn sps(&self) -> Vec<u8> {
        let mut w = BitWriter::nal(SPS_HEADER, 48);
        w.bits(u32::from(PROFILE[0]), 8);
        w.bits(u32::from(PROFILE[1]), 8);
        w.bits(u32::from(self.level()), 8);
        w.ue(0); // seq_parameter_set_id
        w.ue(FRAME_NUM_BITS - 4); // log2_max_frame_num_minus4
        w.ue(2); // pic_order_cnt_type
        w.ue(1); // max_num_ref_frames
        w.flag(false); // gaps_in_frame_num_value_allowed_flag
        let (width, height) = self.mbs();
        w.ue(width as u32 - 1); // pic_width_in_mbs_minus1
        w.ue(height as u32 - 1); // pic_height_in_map_units_minus1
        w.flag(true); // frame_mbs_only_flag
        w.flag(true); // direct_8x8_inference_flag
        // Cropping counts in units of two samples (7.4.2.1.1).
        let crop = [(width as u32 * 16 - self.size.0) / 2, (height as u32 * 16 - self.size.1) / 2];
        let cropped = crop != [0, 0];
        w.flag(cropped); // frame_cropping_flag
        if cropped {
            for offset in [0, crop[0], 0, crop[1]] {
                w.ue(offset); // left, right, top, bottom
            }
        }
        w.flag(true); // vui_parameters_present_flag
        self.vui(&mut w);
        w.finish()
    }

    /// `vui_parameters` (E.1.1).
    fn vui(&self, w: &mut BitWriter) {
        w.flag(true); // aspect_ratio_info_present_flag
        w.bits(1, 8); // aspect_ratio_idc: square
        w.flag(false); // overscan_info_present_flag
        w.flag(true); // video_signal_type_present_flag
        w.bits(5, 3); // video_format: unspecified
        w.flag(false); // video_full_range_flag
        w.flag(true); // colour_description_present_flag
        for bt709 in [1, 1, 1] {
            w.bits(bt709, 8); // colour_primaries, transfer_characteristics, matrix_coefficients
        }
        w.flag(false); // chroma_loc_info_present_flag
        w.flag(true); // timing_info_present_flag
        w.bits(1, 32); // num_units_in_tick, in fields: two for each frame
        w.bits(2 * self.fps, 32); // time_scale
        w.flag(false); // fixed_frame_rate_flag: frames may be skipped
        w.flag(false); // nal_hrd_parameters_present_flag
        w.flag(false); // vcl_hrd_parameters_present_flag
        w.flag(false); // pic_struct_present_flag
        w.flag(true); // bitstream_restriction_flag
        w.flag(true); // motion_vectors_over_pic_boundaries_flag
        w.ue(0); // max_bytes_per_pic_denom: no limit
        w.ue(0); // max_bits_per_mb_denom: no limit
        w.ue(0); // log2_max_mv_length_horizontal: nothing ever moves by a vector
        w.ue(0); // log2_max_mv_length_vertical
        w.ue(0); // max_num_reorder_frames
        w.ue(1); // max_dec_frame_buffering
    }

    /// `pic_parameter_set_rbsp` (7.3.2.2) as a NAL unit.
    pub fn pps(&self) -> Vec<u8> {
        let mut w = BitWriter::nal(PPS_HEADER, 16);
        w.ue(0); // pic_parameter_set_id
        w.ue(0); // seq_parameter_set_id
        w.flag(false); // entropy_coding_mode_flag: CAVLC
        w.flag(false); // bottom_field_pic_order_in_frame_present_flag
        w.ue(0); // num_slice_groups_minus1
        w.ue(0); // num_ref_idx_l0_default_active_minus1
        w.ue(0); // num_ref_idx_l1_default_active_minus1
        w.flag(false); // weighted_pred_flag
        w.bits(0, 2); // weighted_bipred_idc
        w.se(QP - 26); // pic_init_qp_minus26
        w.se(0); // pic_init_qs_minus26
        w.se(0); // chroma_qp_index_offset
        w.flag(true); // deblocking_filter_control_present_flag
        w.flag(false); // constrained_intra_pred_flag
        w.flag(false); // redundant_pic_cnt_present_flag
        w.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_the_smallest_that_carries_the_stream() {
        let level = |size, fps, bitrate| Format { size, fps, bitrate }.level();
        assert_eq!(level((64, 64), 1, 10_000), 10);
        assert_eq!(level((640, 360), 10, 500_000), 22);
        assert_eq!(level((640, 360), 30, 3_000_000), 30);
        assert_eq!(level((1280, 720), 30, 8_000_000), 31);
        assert_eq!(level((1280, 720), 30, 15_000_000), 32);
        assert_eq!(level((1920, 1080), 30, 1_000_000), 40);
        assert_eq!(level((1920, 1088), 60, 50_000_000), 42);
        assert_eq!(level((1920, 64), 1, 10_000), 31, "a long picture needs a level that allows its width");
    }

    #[test]
    fn fmtp_carries_the_level_as_browsers_write_it() {
        let format = Format { size: (640, 360), fps: 30, bitrate: 1_000_000 };
        assert!(format.fmtp().ends_with("profile-level-id=42e01e"), "{}", format.fmtp());
    }
}
