//! The messages of `/api/ws`: JSON objects with `type` and `value`, in both dialects of go2rtc's clients.
use super::trickle::MAX_LINE;
use serde_json::{Value, json};

/// What a client's message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    Offer {
        dialect: Dialect,
        sdp: String,
        /// The session whose offer it is, where it is not the first of one.
        session: Option<String>,
    },
    Candidate(String),
    /// Understood and refused: the text of the `error` message.
    Refused(String),
    /// A type that nobody here knows; go2rtc is silent about those.
    Ignored,
}

/// How a client writes offers, and how it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `webrtc/offer` with a bare SDP, answered by `webrtc/answer`.
    Bare,
    /// `webrtc` with `{type, sdp, ice_servers?}`, answered by `webrtc`. The ICE servers are for the peer's sake only:
    /// the relay answers with host candidates.
    Object,
}

impl Dialect {
    /// The type of the request, which clients look for in error texts.
    pub fn request(self) -> &'static str {
        match self {
            Self::Bare => "webrtc/offer",
            Self::Object => "webrtc",
        }
    }

    /// `session`: the session's id, so that a page can end it and ask about it. Only browsers read the bare dialect;
    /// they pass over keys that they do not know.
    pub fn answer(self, sdp: &str, session: &str) -> String {
        match self {
            Self::Bare => json!({"type": "webrtc/answer", "value": sdp, "session": session}),
            Self::Object => json!({"type": "webrtc", "value": {"type": "answer", "sdp": sdp}}),
        }
        .to_string()
    }
}

/// Reads one message; `None` if it is not a JSON object, which ends the socket.
pub fn parse(message: &[u8]) -> Option<Ask> {
    let message: Value = serde_json::from_slice(message).ok()?;
    let value = &message.as_object()?.get("value").cloned().unwrap_or_default();
    let session = message["session"].as_str();
    Some(match message["type"].as_str().unwrap_or_default() {
        "webrtc/offer" => offer(Dialect::Bare, value.as_str(), session),
        "webrtc" => offer(Dialect::Object, value["sdp"].as_str(), session),
        "webrtc/candidate" => match value.as_str() {
            // An empty text is the end of candidates; one in a foreign shape or size is no use to anybody.
            Some(line) if !line.is_empty() && line.len() <= MAX_LINE => {
                Ask::Candidate(line.strip_prefix("a=").unwrap_or(line).to_owned())
            }
            _ => Ask::Ignored,
        },
        mode @ ("mse" | "mp4" | "hls" | "mjpeg") => Ask::Refused(format!("{mode}: not supported, use webrtc")),
        _ => Ask::Ignored,
    })
}

fn offer(dialect: Dialect, sdp: Option<&str>, session: Option<&str>) -> Ask {
    match sdp {
        Some(sdp) if !sdp.is_empty() => {
            Ask::Offer { dialect, sdp: sdp.to_owned(), session: session.map(str::to_owned) }
        }
        _ => Ask::Refused(format!("{}: the message carries no SDP", dialect.request())),
    }
}

/// A candidate of ours.
pub fn candidate(line: &str) -> String {
    json!({"type": "webrtc/candidate", "value": line}).to_string()
}

/// How a talker fares: `busy` when somebody else talks, `free` when what it says is heard after all.
pub fn turn(heard: bool) -> String {
    json!({"type": "webrtc/talk", "value": if heard { "free" } else { "busy" }}).to_string()
}

/// A failure that the client shall show.
pub fn error(text: &str) -> String {
    json!({"type": "error", "value": text}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_dialects_carry_an_offer() {
        let bare = parse(br#"{"type":"webrtc/offer","value":"v=0"}"#).unwrap();
        assert_eq!(bare, Ask::Offer { dialect: Dialect::Bare, sdp: "v=0".into(), session: None });
        let again = parse(br#"{"type":"webrtc/offer","value":"v=0","session":"0a1b"}"#).unwrap();
        assert_eq!(again, Ask::Offer { dialect: Dialect::Bare, sdp: "v=0".into(), session: Some("0a1b".into()) });
        for servers in ["", r#","ice_servers":[{"urls":"stun:x"}]"#, r#","ice_servers":[{"urls":["stun:x"]}]"#] {
            let message = format!(r#"{{"type":"webrtc","value":{{"type":"offer","sdp":"v=0"{servers}}}}}"#);
            let object = parse(message.as_bytes()).unwrap();
            assert_eq!(object, Ask::Offer { dialect: Dialect::Object, sdp: "v=0".into(), session: None });
        }
    }

    #[test]
    fn answers_speak_the_dialect_of_the_offer() {
        let bare: Value = serde_json::from_str(&Dialect::Bare.answer("v=0", "0a1b")).unwrap();
        assert_eq!(bare, json!({"type": "webrtc/answer", "value": "v=0", "session": "0a1b"}));
        let object: Value = serde_json::from_str(&Dialect::Object.answer("v=0", "0a1b")).unwrap();
        assert_eq!(object, json!({"type": "webrtc", "value": {"type": "answer", "sdp": "v=0"}}));
    }

    #[test]
    fn candidates_are_taken_and_their_end_is_ignored() {
        let candidate = parse(br#"{"type":"webrtc/candidate","value":"candidate:1 1 udp 1 10.0.0.1 9 typ host"}"#);
        assert_eq!(candidate, Some(Ask::Candidate("candidate:1 1 udp 1 10.0.0.1 9 typ host".into())));
        for end in [r#"{"type":"webrtc/candidate","value":""}"#, r#"{"type":"webrtc/candidate"}"#] {
            assert_eq!(parse(end.as_bytes()), Some(Ask::Ignored));
        }
    }

    #[test]
    fn other_modes_are_refused_by_name_and_unknown_types_ignored() {
        assert_eq!(parse(br#"{"type":"mse","value":""}"#), Some(Ask::Refused("mse: not supported, use webrtc".into())));
        assert_eq!(
            parse(br#"{"type":"webrtc/offer"}"#),
            Some(Ask::Refused("webrtc/offer: the message carries no SDP".into()))
        );
        assert_eq!(parse(br#"{"type":"ping"}"#), Some(Ask::Ignored));
        assert_eq!(parse(b"{}"), Some(Ask::Ignored));
    }

    #[test]
    fn what_is_not_a_json_object_ends_the_socket() {
        for wrong in ["", "hello", "[]", "1", "{"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
