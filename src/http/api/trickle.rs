//! Trickle ICE fragments (`application/trickle-ice-sdpfrag`, RFC 8840 section 9) as WHIP and WHEP clients PATCH them.
use crate::rtc::sdp::IceText;
use crate::stream::relay::Trickle;

/// Candidates that one fragment, or one WebSocket before its answer, may bring.
pub const MAX_CANDIDATES: usize = 32;
/// Longest line taken; real candidate lines are under 200 bytes.
pub const MAX_LINE: usize = 1024;

/// Reads a fragment. The credentials may stand at session level or in a media section; all sections are bundled, so
/// `a=mid` and `m=` lines say nothing more. Unknown lines are skipped as the RFC asks.
pub fn parse_fragment(text: &str, if_match: Option<String>) -> Result<Trickle, String> {
    let (mut ufrag, mut pwd) = (None, None);
    let mut trickle = Trickle { if_match, ..Trickle::default() };
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        if line.len() > MAX_LINE {
            return Err(format!("line {number} of the fragment is longer than {MAX_LINE} bytes"));
        }
        let Some(attribute) = line.trim_end().strip_prefix("a=") else { continue };
        if let Some(value) = attribute.strip_prefix("ice-ufrag:") {
            credential(&mut ufrag, value, IceText::Ufrag, number)?;
        } else if let Some(value) = attribute.strip_prefix("ice-pwd:") {
            credential(&mut pwd, value, IceText::Pwd, number)?;
        } else if attribute.starts_with("candidate:") {
            if trickle.candidates.len() == MAX_CANDIDATES {
                return Err(format!("the fragment has more than {MAX_CANDIDATES} candidates"));
            }
            trickle.candidates.push(attribute.to_owned());
        }
    }
    trickle.credentials = match (ufrag, pwd) {
        (Some(ufrag), Some(pwd)) => Some((ufrag, pwd)),
        (None, None) => None,
        _ => return Err("the fragment must carry both a=ice-ufrag and a=ice-pwd, or neither".into()),
    };
    Ok(trickle)
}

/// Takes a credential; a second one must be the same, since all media share one transport.
fn credential(slot: &mut Option<String>, value: &str, kind: IceText, number: usize) -> Result<(), String> {
    let value = kind.check_in_fragment(value).map_err(|what| format!("line {number} of the fragment: {what}"))?;
    match slot {
        Some(known) if known != value => {
            Err(format!("line {number} of the fragment: a second {} that differs", kind.name()))
        }
        _ => {
            *slot = Some(value.to_owned());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
