//! The newest parameter sets of a track (VPS, SPS, PPS), from wherever they came: in its packets or in its description.
use super::h264::sps::BitReader;
use super::packet::MAX_PAYLOAD;
use super::units::{Role, Set, Syntax};
use crate::media::track::parameter;
use bytes::Bytes;
use data_encoding::BASE64_NOPAD;

/// Sets that are kept; encoders have one of each kind, few have two.
const MAX_SETS: usize = 16;

#[derive(Debug)]
struct Kept {
    set: Set,
    id: u32,
    unit: Bytes,
}

#[derive(Debug)]
pub struct Parameters {
    syntax: Syntax,
    /// In the order in which a decoder needs them.
    sets: Vec<Kept>,
    /// All of them in one payload.
    payload: Bytes,
}

impl Parameters {
    /// Begins with what a description's format parameters bring (`sprop-parameter-sets`, RFC 6184 section 8.1, or
    /// `sprop-vps`, `sprop-sps`, `sprop-pps`, RFC 7798 section 7.1).
    pub fn new(syntax: Syntax, fmtp: &str) -> Self {
        let mut parameters = Self { syntax, sets: Vec::new(), payload: Bytes::new() };
        let keys: &[&str] = match syntax {
            Syntax::H264 => &["sprop-parameter-sets"],
            Syntax::H265 => &["sprop-vps", "sprop-sps", "sprop-pps"],
        };
        for text in keys.iter().filter_map(|key| parameter(fmtp, key)).flat_map(|list| list.split(',')) {
            let Ok(unit) = BASE64_NOPAD.decode(text.trim().trim_end_matches('=').as_bytes()) else { continue };
            parameters.learn(without_start_code(&unit));
        }
        parameters
    }

    /// Takes a parameter set, header included; anything else is passed over. Answers whether it says something new.
    pub fn learn(&mut self, unit: &[u8]) -> bool {
        let Some((set, id)) = self.identify(unit) else { return false };
        let at = self.sets.partition_point(|kept| (kept.set, kept.id) < (set, id));
        let known = self.sets.get(at).filter(|kept| (kept.set, kept.id) == (set, id));
        if known.is_some_and(|kept| kept.unit == unit) {
            return false;
        }
        let replaced = known.map(|kept| 2 + kept.unit.len());
        // They have to fit one packet.
        let size = 2 + self.sets.iter().map(|kept| 2 + kept.unit.len()).sum::<usize>() + 2 + unit.len();
        let fits = size - replaced.unwrap_or(0) <= MAX_PAYLOAD;
        if !fits || (replaced.is_none() && self.sets.len() >= MAX_SETS) {
            return false;
        }
        let kept = Kept { set, id, unit: Bytes::copy_from_slice(unit) };
        match replaced {
            Some(_) => self.sets[at] = kept,
            None => self.sets.insert(at, kept),
        }
        self.payload = self.syntax.aggregate(self.sets.iter().map(|kept| &kept.unit[..])).into();
        true
    }

    /// All of them in one RTP payload, if a decoder can start with them.
    pub fn payload(&self) -> Option<Bytes> {
        let has = |set| self.sets.iter().any(|kept| kept.set == set);
        (has(Set::Sequence) && has(Set::Picture)).then(|| self.payload.clone())
    }

    /// The sequence parameter set.
    pub fn sequence(&self) -> Option<&[u8]> {
        self.sets.iter().find(|kept| kept.set == Set::Sequence).map(|kept| &kept.unit[..])
    }

    /// Kind and number of a parameter set. Of H.265's sequence parameter sets, whose number stands far inside, one is kept.
    fn identify(&self, unit: &[u8]) -> Option<(Set, u32)> {
        let Role::Parameters(set) = self.syntax.role(*unit.first()?) else { return None };
        let id = match (self.syntax, set) {
            (Syntax::H264, Set::Sequence) => BitReader::new(unit.get(4..)?).ue()?,
            (_, Set::Picture) => BitReader::new(unit.get(self.syntax.header_len()..)?).ue()?,
            (_, Set::Video) => u32::from(unit.get(2)? >> 4),
            (Syntax::H265, Set::Sequence) => unit.get(2).map(|_| 0)?,
        };
        Some((set, id))
    }
}

/// Some cameras write Annex B's start codes around the sets in their descriptions.
fn without_start_code(unit: &[u8]) -> &[u8] {
    let zeros = unit.iter().take_while(|byte| **byte == 0).count();
    if zeros >= 2 && unit.get(zeros) == Some(&1) { &unit[zeros + 1..] } else { unit }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: [u8; 10] = [0x67, 0x42, 0xc0, 0x1e, 0x95, 0xa0, 0x14, 0x01, 0x6e, 0x40];
    const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];
    /// Both in a STAP-A.
    const BOTH: [u8; 19] =
        [0x78, 0, 10, 0x67, 0x42, 0xc0, 0x1e, 0x95, 0xa0, 0x14, 0x01, 0x6e, 0x40, 0, 4, 0x68, 0xce, 0x3c, 0x80];

    #[test]
    fn the_sets_of_a_description_are_one_payload() {
        for list in [
            "Z0LAHpWgFAFuQA==,aM48gA==",
            "aM48gA,Z0LAHpWgFAFuQA",
            "AAAAAWdCwB6VoBQBbkA=,AAABaM48gA==",
            "!!,Z0LAHpWgFAFuQA==,aM48gA==",
        ] {
            let fmtp = format!("packetization-mode=1;sprop-parameter-sets={list};profile-level-id=42c01e");
            let parameters = Parameters::new(Syntax::H264, &fmtp);
            assert_eq!(parameters.payload().as_deref(), Some(&BOTH[..]), "{list}");
            assert_eq!(parameters.sequence(), Some(&SPS[..]));
        }
        let fmtp = "sprop-pps=RAHAcvBTJA==;sprop-sps=QgEBAWAAAAMAAAMAAAMAAAMAeKADwIARB8s=;sprop-vps=QAEMAf//AWA=";
        let payload = Parameters::new(Syntax::H265, fmtp).payload().unwrap();
        assert_eq!(payload[..6], [0x60, 1, 0, 8, 0x40, 0x01], "the video parameter set comes first");
        assert!(Parameters::new(Syntax::H265, "sprop-sps=QgEBAWAAAAMAAAMAAAMAAAMAeKADwIARB8s=").payload().is_none());
    }

    #[test]
    fn the_newest_set_of_each_number_is_kept() {
        let mut parameters = Parameters::new(Syntax::H264, "");
        assert!(parameters.learn(&PPS) && parameters.payload().is_none());
        assert!(parameters.learn(&SPS) && !parameters.learn(&SPS));
        assert_eq!(parameters.payload().as_deref(), Some(&BOTH[..]));
        let newer = [0x67, 0x64, 0x00, 0x1f, 0x95, 0xa0];
        assert!(parameters.learn(&newer));
        assert_eq!(parameters.sequence(), Some(&newer[..]));
        assert!(parameters.learn(&[0x68, 0x5e, 0x3c]), "another number");
        assert_eq!(parameters.sets.len(), 3);
    }

    #[test]
    fn no_sets_without_end_and_none_that_does_not_fit_one_packet() {
        let mut parameters = Parameters::new(Syntax::H264, "");
        parameters.learn(&SPS);
        assert!(!parameters.learn(&[&PPS[..], &[1; MAX_PAYLOAD]].concat()));
        for number in 0..255u8 {
            // ue(v) of 1 to 255
            parameters.learn(&[0x68, 0x01, number, 0x80]);
            parameters.learn(&[&[0x68, 0x00, 0x80 | number >> 1, number << 7][..], &[1; 100]].concat());
        }
        assert!(parameters.sets.len() <= MAX_SETS && parameters.payload().unwrap().len() <= MAX_PAYLOAD);
        for unit in [&[][..], &[0x67], &[0x68], &[0x65, 0x88]] {
            assert!(!parameters.learn(unit));
        }
    }
}
