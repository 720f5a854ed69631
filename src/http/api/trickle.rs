//! Trickle ICE fragments (`application/trickle-ice-sdpfrag`, RFC 8840 section 9) as WHIP and WHEP clients PATCH them.
use crate::engine::api::{Error, ErrorKind, Trickle};
use crate::rtc::sdp::IceText;
use std::fmt;

/// Candidates that one fragment, or one WebSocket before its answer, may bring.
pub const MAX_CANDIDATES: usize = 32;
/// Longest line taken; real candidate lines are under 200 bytes.
pub const MAX_LINE: usize = 1024;

/// What is wrong with a fragment. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FragmentError {
    /// A line beyond [`MAX_LINE`].
    LongLine(usize),
    /// A credential that ICE does not allow, with what is wrong with it.
    Credential(usize, String),
    /// A second credential of this name, and another one: all media share one transport.
    Differs(usize, &'static str),
    /// More candidates than [`MAX_CANDIDATES`].
    ManyCandidates,
    /// One credential without the other.
    HalfCredentials,
}

impl fmt::Display for FragmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongLine(line) => write!(f, "line {line} of the fragment is longer than {MAX_LINE} bytes"),
            Self::Credential(line, wrong) => write!(f, "line {line} of the fragment: {wrong}"),
            Self::Differs(line, name) => write!(f, "line {line} of the fragment: a second {name} that differs"),
            Self::ManyCandidates => write!(f, "the fragment has more than {MAX_CANDIDATES} candidates"),
            Self::HalfCredentials => f.write_str("the fragment must carry both a=ice-ufrag and a=ice-pwd, or neither"),
        }
    }
}

impl std::error::Error for FragmentError {}

impl From<FragmentError> for Error {
    fn from(error: FragmentError) -> Self {
        Self::new(ErrorKind::BadRequest, error.to_string())
    }
}

/// Reads a fragment. The credentials may stand at session level or in a media section; all sections are bundled, so
/// `a=mid` and `m=` lines say nothing more. Unknown lines are skipped as the RFC asks.
pub fn parse_fragment(text: &str, if_match: Option<String>) -> Result<Trickle, FragmentError> {
    let (mut ufrag, mut pwd) = (None, None);
    let mut trickle = Trickle { if_match, ..Trickle::default() };
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        if line.len() > MAX_LINE {
            return Err(FragmentError::LongLine(number));
        }
        let Some(attribute) = line.trim_end().strip_prefix("a=") else { continue };
        if let Some(value) = attribute.strip_prefix("ice-ufrag:") {
            credential(&mut ufrag, value, IceText::Ufrag, number)?;
        } else if let Some(value) = attribute.strip_prefix("ice-pwd:") {
            credential(&mut pwd, value, IceText::Pwd, number)?;
        } else if attribute.starts_with("candidate:") {
            if trickle.candidates.len() == MAX_CANDIDATES {
                return Err(FragmentError::ManyCandidates);
            }
            trickle.candidates.push(attribute.to_owned());
        }
    }
    trickle.credentials = match (ufrag, pwd) {
        (Some(ufrag), Some(pwd)) => Some((ufrag, pwd)),
        (None, None) => None,
        _ => return Err(FragmentError::HalfCredentials),
    };
    Ok(trickle)
}

/// Takes a credential; a second one must be the same.
fn credential(slot: &mut Option<String>, value: &str, kind: IceText, number: usize) -> Result<(), FragmentError> {
    let value = kind.check_in_fragment(value).map_err(|wrong| FragmentError::Credential(number, wrong))?;
    match slot {
        Some(known) if known != value => Err(FragmentError::Differs(number, kind.name())),
        _ => {
            *slot = Some(value.to_owned());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::{Random, rounds};

    const FRAGMENT: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
        a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
        a=candidate:3471623853 1 udp 2122194687 198.51.100.2 61765 typ host\r\na=end-of-candidates\r\n";

    #[test]
    fn a_fragment_gives_its_credentials_and_candidates() {
        let trickle = parse_fragment(FRAGMENT, Some("*".into())).unwrap();
        assert_eq!(trickle.credentials, Some(("EsAw".into(), "P2uYro0UCOQ4zxjKXaWCBui1".into())));
        assert_eq!(trickle.candidates.len(), 2);
        assert!(trickle.candidates[0].starts_with("candidate:1387637174 1 udp"));
        assert_eq!(trickle.if_match.as_deref(), Some("*"));
    }

    #[test]
    fn end_of_candidates_alone_is_fine() {
        let trickle = parse_fragment("a=mid:0\r\na=end-of-candidates\r\n", None).unwrap();
        assert!(trickle.candidates.is_empty() && trickle.credentials.is_none());
    }

    #[test]
    fn repeated_credentials_must_agree() {
        let (ufrag, pwd) = ("a=ice-ufrag:wKj_=#-A\n", "a=ice-pwd:0123456789=_-#abcdefghij\n");
        let same = format!("{ufrag}{pwd}m=video 9 X 0\n{ufrag}{pwd}");
        assert_eq!(parse_fragment(&same, None).unwrap().credentials.unwrap().0, "wKj_=#-A");
        assert!(parse_fragment(&format!("{ufrag}{pwd}a=ice-ufrag:other\n"), None).is_err());
        assert!(parse_fragment(ufrag, None).is_err());
        assert!(parse_fragment(&format!("a=ice-ufrag:a bcd\n{pwd}"), None).is_err());
    }

    #[test]
    fn candidates_and_lines_are_bounded() {
        let many = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n".repeat(MAX_CANDIDATES);
        assert_eq!(parse_fragment(&many, None).unwrap().candidates.len(), MAX_CANDIDATES);
        assert!(parse_fragment(&(many + "a=candidate:x\r\n"), None).is_err());
        assert!(parse_fragment(&format!("a=candidate:{}", "x".repeat(MAX_LINE)), None).is_err());
    }

    #[test]
    fn no_damage_to_a_fragment_causes_a_panic_or_goes_beyond_the_bounds() {
        for seed in rounds(2_000) {
            let mut bytes = FRAGMENT.as_bytes().to_vec();
            Random::new(seed).spoil(&mut bytes);
            if let Ok(trickle) = parse_fragment(&String::from_utf8_lossy(&bytes), None) {
                assert!(trickle.candidates.len() <= MAX_CANDIDATES, "seed {seed}");
                assert!(trickle.candidates.iter().all(|line| line.len() <= MAX_LINE), "seed {seed}");
            }
        }
    }
}
