//! A little H.264 of our own: enough constrained baseline to draw a test picture, and to read what an
//! SPS says of a stream that passes through. Clauses are those of Rec. ITU-T H.264.
pub mod bitwriter;
mod cavlc;
pub mod mosaic;
pub mod parameters;
pub mod pictures;
pub mod sps;

/// `nal_unit_type` of table 7-1, as far as the relay looks at them.
pub mod nal {
    /// Coded slice of a picture that isn't an IDR picture.
    pub const SLICE: u8 = 1;
    /// Coded slice of an IDR picture: a decoder can start here.
    pub const IDR: u8 = 5;
    pub const SPS: u8 = 7;
    pub const PPS: u8 = 8;
    /// Access unit delimiter: RTP has the marker bit for that.
    pub const DELIMITER: u8 = 9;
    pub const FILLER: u8 = 12;

    /// `nal_unit_type` from the first byte of a NAL unit.
    pub fn kind(header: u8) -> u8 {
        header & 0x1f
    }
}
