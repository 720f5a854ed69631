//! What trackers say about share links, visitors' offers included.
use super::{Target, texts};
use crate::config::Share;
use crate::share::desk::{Desk, Heard};
use std::time::Instant;

pub const TARGETS: &[Target] = &[Target { name: "tracker", max: 16 << 10, run: message, seeds: || texts(MESSAGES) }];

const MESSAGES: &[&str] = &[
    r#"{"action":"announce","info_hash":"PLACE0","peer_id":"p","offer_id":"o","offer":{"type":"offer","sdp":"c2VhbGVk"}}"#,
    r#"{"action":"announce","info_hash":"PLACE1","peer_id":"p","offer_id":"1k2j3h4g5f6d7s","offer":{"type":"offer","sdp":"c2VhbGVkc2VhbGVkc2VhbGVkc2VhbGVk"}}"#,
    r#"{"failure reason":"no"}"#,
    r#"{"action":"announce","interval":120,"complete":1}"#,
];

/// Nobody without the link is heard; what the log is told has a bound. `PLACE0` and `PLACE1` stand for two shares.
fn message(bytes: &[u8]) {
    let mut desk = Desk::default();
    for go2rtc in [false, true] {
        let (name, pwd, stream) = ("abcdefghijkl".to_owned(), "0123456789abcdef".to_owned(), "cam".to_owned());
        desk.add(Share { name, pwd, stream, publishes: false, go2rtc });
    }
    let places = desk.places();
    let text = String::from_utf8_lossy(bytes).replace("PLACE0", &places[0]).replace("PLACE1", &places[1]);
    match desk.hear(&text, 1_700_000_000, Instant::now()) {
        Heard::Offer(_) => panic!("somebody without the link is heard"),
        Heard::Refused(sentence) => assert!(sentence.len() <= 512),
        Heard::Failure(reason) => assert!(reason.chars().count() <= 160),
        Heard::Nothing | Heard::Nonsense => {}
    }
}
