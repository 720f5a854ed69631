//! H.264 profiles as `profile-level-id` names them (RFC 6184 section 8.1, table 5).

/// The profile that profile_idc and profile-iop name together; the level plays no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    Extended,
    ConstrainedHigh,
    High,
    /// A profile outside WebRTC's usual ones, by its profile_idc (`0x6e` High 10, `0xf4` High 4:4:4).
    Other(u8),
}

impl Profile {
    /// Reads the six hexadecimal digits of `profile-level-id`; `None` if they are not that.
    pub fn parse(profile_level_id: &str) -> Option<Profile> {
        if profile_level_id.len() != 6 || !profile_level_id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let value = u32::from_str_radix(profile_level_id, 16).ok()?;
        Some(Profile::of((value >> 16) as u8, (value >> 8) as u8))
    }

    /// The profile of a sequence parameter set's first two bytes after the NAL unit header.
    pub fn of(profile_idc: u8, profile_iop: u8) -> Profile {
        let set0 = profile_iop & 0x80 != 0;
        let set1 = profile_iop & 0x40 != 0;
        let set4_and_5 = profile_iop & 0x0c == 0x0c;
        match profile_idc {
            0x42 if set1 => Profile::ConstrainedBaseline,
            0x42 => Profile::Baseline,
            0x4d if set0 => Profile::ConstrainedBaseline,
            0x4d => Profile::Main,
            0x58 if set0 && set1 => Profile::ConstrainedBaseline,
            0x58 if set0 => Profile::Baseline,
            0x58 => Profile::Extended,
            0x64 if set4_and_5 => Profile::ConstrainedHigh,
            0x64 => Profile::High,
            other => Profile::Other(other),
        }
    }

    /// Whether every decoder of `decoder` plays a stream of `self` (H.264 annex A.2).
    pub fn plays_on(self, decoder: Profile) -> bool {
        use Profile::*;
        self == decoder
            || match self {
                ConstrainedBaseline => !matches!(decoder, Other(_)),
                Baseline => decoder == Extended,
                Main | ConstrainedHigh => decoder == High,
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_of_constrained_baseline_are_one_profile() {
        for id in ["42e01f", "42c01f", "42E034", "4de01f", "4d801f", "58c01f", "42401f"] {
            assert_eq!(Profile::parse(id), Some(Profile::ConstrainedBaseline), "{id}");
        }
    }

    #[test]
    fn table_5_of_rfc_6184_is_followed() {
        for (id, profile) in [
            ("42001f", Profile::Baseline),
            ("58801f", Profile::Baseline),
            ("4d001f", Profile::Main),
            ("4d4029", Profile::Main),
            ("58001f", Profile::Extended),
            ("640c1f", Profile::ConstrainedHigh),
            ("640032", Profile::High),
            ("f4001f", Profile::Other(0xf4)),
        ] {
            assert_eq!(Profile::parse(id), Some(profile), "{id}");
        }
    }

    #[test]
    fn what_is_not_six_hexadecimal_digits_names_no_profile() {
        for id in ["", "42e01", "42e01f0", "+2e01f", "4é01f"] {
            assert_eq!(Profile::parse(id), None, "{id}");
        }
    }

    #[test]
    fn simple_streams_play_on_richer_decoders_and_not_the_reverse() {
        for decoder in [Profile::Baseline, Profile::Main, Profile::ConstrainedHigh, Profile::High] {
            assert!(Profile::ConstrainedBaseline.plays_on(decoder));
            assert!(!decoder.plays_on(Profile::ConstrainedBaseline));
        }
        assert!(Profile::Main.plays_on(Profile::High));
        assert!(!Profile::High.plays_on(Profile::ConstrainedHigh));
    }
}
