//! The messages of a WebTorrent tracker: JSON, one object each. To a tracker a share is a torrent, the relay and its
//! visitors are peers who look for one another.
use super::seal::MAX_SEALED;
use serde_json::{Value, json};

/// Ids have 20 or 44 characters; whatever is longer is none.
const MAX_ID: usize = 64;
/// What is kept of a tracker's refusal.
const MAX_REASON: usize = 160;

/// What a tracker's message means to us.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    Offer(Offer),
    /// It refuses something, in these words.
    Failure(String),
    /// Counts of peers, answers to others, what newer trackers may say.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The share, as `Lock::place` names it.
    pub place: String,
    /// Who made it: where the answer goes.
    pub peer: String,
    pub id: String,
    /// The sealed description.
    pub sealed: String,
}

/// Reads a message; `None` if it is not a JSON object.
pub fn parse(text: &str) -> Option<Message> {
    let Ok(Value::Object(message)) = serde_json::from_str(text) else { return None };
    let word = |name: &str| message.get(name).and_then(Value::as_str);
    if let Some(reason) = word("failure reason") {
        return Some(Message::Failure(reason.chars().take(MAX_REASON).collect()));
    }
    let id = |name: &str| word(name).filter(|id| !id.is_empty() && id.len() <= MAX_ID).map(str::to_owned);
    let sealed = message.get("offer").and_then(|offer| offer.get("sdp")).and_then(Value::as_str);
    let sealed = sealed.filter(|sealed| sealed.len() <= MAX_SEALED).map(str::to_owned);
    Some(match (id("info_hash"), id("peer_id"), id("offer_id"), sealed) {
        (Some(place), Some(peer), Some(id), Some(sealed)) => Message::Offer(Offer { place, peer, id, sealed }),
        _ => Message::Other,
    })
}

/// "I am here": to be repeated while the connection lasts.
pub fn announce(place: &str, peer: &str) -> String {
    let all = json!({"action": "announce", "info_hash": place, "peer_id": peer, "offers": [], "numwant": 10});
    all.to_string()
}

/// "I am here no more", on a connection that other shares need still.
pub fn leave(place: &str, peer: &str) -> String {
    json!({"action": "announce", "info_hash": place, "peer_id": peer, "event": "stopped"}).to_string()
}

pub fn answer(offer: &Offer, peer: &str, sealed: &str) -> String {
    json!({
        "action": "announce",
        "info_hash": offer.place,
        "peer_id": peer,
        "to_peer_id": offer.peer,
        "offer_id": offer.id,
        "answer": {"type": "answer", "sdp": sealed},
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_taken_apart_and_answered_to_its_sender() {
        let text =
            r#"{"action":"announce","offer":{"type":"offer","sdp":"E"},"offer_id":"N","peer_id":"P","info_hash":"H"}"#;
        let Some(Message::Offer(offer)) = parse(text) else { panic!() };
        assert_eq!((&*offer.place, &*offer.peer, &*offer.id, &*offer.sealed), ("H", "P", "N", "E"));
        let answer: Value = serde_json::from_str(&answer(&offer, "me", "E2")).unwrap();
        assert_eq!((&answer["to_peer_id"], &answer["peer_id"]), (&json!("P"), &json!("me")));
        assert_eq!(answer["answer"], json!({"type": "answer", "sdp": "E2"}));
    }

    #[test]
    fn binary_ids_of_other_clients_come_back_as_they_were() {
        let text = r#"{"offer":{"sdp":"E"},"offer_id":"\u00ff\u0000N","peer_id":"\u00e9","info_hash":"H"}"#;
        let Some(Message::Offer(offer)) = parse(text) else { panic!() };
        let answer: Value = serde_json::from_str(&answer(&offer, "me", "E2")).unwrap();
        assert_eq!((answer["offer_id"].as_str(), answer["to_peer_id"].as_str()), (Some("\u{ff}\0N"), Some("\u{e9}")));
    }

    #[test]
    fn refusals_are_kept_short_and_counts_are_passed_over() {
        let text = json!({"failure reason": "n".repeat(9999), "action": "announce"}).to_string();
        assert_eq!(parse(&text), Some(Message::Failure("n".repeat(MAX_REASON))));
        assert_eq!(parse(r#"{"action":"announce","interval":120,"complete":0}"#), Some(Message::Other));
    }

    #[test]
    fn what_is_no_object_is_none_and_what_is_incomplete_or_too_long_is_no_offer() {
        for text in ["", "hello", "[]", "1", "{", "null", "\"{}\""] {
            assert_eq!(parse(text), None, "{text}");
        }
        let whole = json!({"offer": {"sdp": "E"}, "offer_id": "N", "peer_id": "P", "info_hash": "H"});
        for (name, value) in [
            ("offer", json!("E")),
            ("offer", json!({"sdp": 5})),
            ("offer", json!({"sdp": "E".repeat(MAX_SEALED + 1)})),
            ("offer_id", json!("")),
            ("offer_id", json!(7)),
            ("peer_id", json!("P".repeat(MAX_ID + 1))),
            ("info_hash", Value::Null),
        ] {
            let mut message = whole.clone();
            message[name] = value;
            assert_eq!(parse(&message.to_string()), Some(Message::Other), "{name}");
        }
    }
}
