//! Where offers come in: which share they are for, whether they are genuine, new and not too many. It knows neither
//! sockets nor clocks; all trackers share one, since a visitor may ask at several.
use super::seal::{Closed, Lock};
use super::tracker::{self, Message, Offer};
use crate::config::Share;
use crate::stream::relay::Intent;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Genuine offers that are remembered, so that a tracker can't repeat them. With the rate below these are the offers of
/// half an hour.
const REMEMBERED: usize = 1024;
/// On average one genuine offer in this time is answered …
const OFFER_EACH: Duration = Duration::from_secs(2);
/// … and so many at once.
const OFFER_BURST: u32 = 12;

struct Open {
    share: Share,
    lock: Arc<Lock>,
}

#[derive(Default)]
pub struct Desk {
    shares: Vec<Open>,
    /// Ids of genuine offers, the newest last.
    seen: VecDeque<String>,
    /// When the rate of offers would be used up to the average again.
    even_at: Option<Instant>,
}

/// What a tracker's message comes to.
pub enum Heard {
    Offer(Arrival),
    /// An offer that is not answered: a sentence for the log.
    Refused(String),
    /// The tracker refuses us something, in these words.
    Failure(String),
    /// Nothing to do.
    Nothing,
    /// No message of a tracker.
    Nonsense,
}

/// A genuine offer and where its answer goes.
pub struct Arrival {
    pub share: Share,
    pub intent: Intent,
    pub sdp: String,
    offer: Offer,
    lock: Arc<Lock>,
}

impl Arrival {
    /// The message to the tracker, for the answer or for the sentence that says why there is none. `None`: the visitor
    /// is told nothing.
    pub fn answer(&self, peer: &str, outcome: Result<&str, &str>) -> Option<String> {
        let sealed = self.lock.answer(&self.offer.id, &self.offer.sealed, outcome)?;
        Some(tracker::answer(&self.offer, peer, &sealed))
    }
}

impl Desk {
    pub fn shares(&self) -> impl Iterator<Item = &Share> {
        self.shares.iter().map(|open| &open.share)
    }

    pub fn add(&mut self, share: Share) {
        let lock = Arc::new(Lock::new(&share));
        self.shares.push(Open { share, lock });
    }

    pub fn remove(&mut self, is: impl Fn(&Share) -> bool) -> bool {
        let before = self.shares.len();
        self.shares.retain(|open| !is(&open.share));
        self.shares.len() < before
    }

    /// Where visitors are awaited.
    pub fn places(&self) -> Vec<String> {
        self.shares.iter().map(|open| open.lock.place.clone()).collect()
    }

    /// Takes a tracker's message; `clock` is in seconds since 1970.
    pub fn hear(&mut self, text: &str, clock: u64, now: Instant) -> Heard {
        let offer = match tracker::parse(text) {
            None => return Heard::Nonsense,
            Some(Message::Other) => return Heard::Nothing,
            Some(Message::Failure(reason)) => return Heard::Failure(reason),
            Some(Message::Offer(offer)) => offer,
        };
        let Some(Open { share, lock }) = self.shares.iter().find(|open| open.lock.place == offer.place) else {
            return Heard::Nothing;
        };
        let sdp = match lock.open(&offer.id, &offer.sealed, clock) {
            Ok(sdp) => sdp,
            Err(why) => return Heard::Refused(format!("share={:?} {}", share.name, sentence(why))),
        };
        let intent = match (share.publishes, share.go2rtc) {
            (true, _) => Intent::Publish,
            (false, false) => Intent::View,
            // there the same link is for watching and for publishing
            (false, true) => Intent::FromOffer,
        };
        let arrival = Arrival { share: share.clone(), intent, sdp, lock: lock.clone(), offer };
        if self.seen.contains(&arrival.offer.id) {
            return Heard::Nothing;
        }
        let even_at = self.even_at.map_or(now, |at| at.max(now));
        if even_at - now > OFFER_EACH * (OFFER_BURST - 1) {
            return Heard::Refused(format!(
                "share={:?} more offers than one every 2 s are not answered",
                arrival.share.name
            ));
        }
        self.even_at = Some(even_at + OFFER_EACH);
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(arrival.offer.id.clone());
        Heard::Offer(arrival)
    }
}

fn sentence(why: Closed) -> String {
    match why {
        Closed::Malformed => "an offer is none of this version's".into(),
        Closed::WrongKey => "an offer was made with another password, or changed on its way".into(),
        Closed::Clock(seconds) => {
            format!("an offer's clock and ours differ by {seconds} s: it is old, or one of the two clocks is wrong")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const CLOCK: u64 = 1_764_000_000;

    fn share(name: &str) -> Share {
        Share { name: name.into(), pwd: "k".repeat(32), stream: "yard".into(), publishes: false, go2rtc: false }
    }

    fn desk() -> Desk {
        let mut desk = Desk::default();
        desk.add(share("a"));
        desk.add(Share { publishes: true, ..share("b") });
        desk
    }

    fn message(share: &Share, id: &str) -> String {
        let lock = Lock::new(share);
        let offer = json!({"type": "offer", "sdp": lock.offer(id, "v=0", CLOCK)});
        json!({"action": "announce", "info_hash": lock.place, "peer_id": "P", "offer_id": id, "offer": offer})
            .to_string()
    }

    fn refused(heard: Heard) -> String {
        match heard {
            Heard::Refused(sentence) => sentence,
            _ => panic!("not refused"),
        }
    }

    #[test]
    fn an_offer_reaches_its_share_and_the_answer_its_sender() {
        let mut desk = desk();
        let Heard::Offer(arrival) = desk.hear(&message(&share("a"), "1"), CLOCK, Instant::now()) else { panic!() };
        assert_eq!((&*arrival.share.stream, arrival.intent, &*arrival.sdp), ("yard", Intent::View, "v=0"));
        let answer: Value = serde_json::from_str(&arrival.answer("me", Ok("v=0 answer")).unwrap()).unwrap();
        assert_eq!((&answer["to_peer_id"], &answer["offer_id"]), (&json!("P"), &json!("1")));
        let Heard::Offer(arrival) = desk.hear(&message(&share("b"), "2"), CLOCK, Instant::now()) else { panic!() };
        assert_eq!(arrival.intent, Intent::Publish, "a link to send to a stream shows nothing of it");
    }

    #[test]
    fn a_link_to_watch_does_not_publish_unless_go2rtc_s_version_is_wished() {
        let mut desk = Desk::default();
        let go2rtc = Share { go2rtc: true, ..share("front-door") };
        desk.add(go2rtc.clone());
        let id = "d9k0xq6ws8g0";
        let clock = u64::from_str_radix(id, 36).unwrap() / 1_000_000_000;
        let Heard::Offer(arrival) = desk.hear(&message(&go2rtc, id), clock, Instant::now()) else { panic!() };
        assert_eq!(arrival.intent, Intent::FromOffer);
        assert!(arrival.answer("me", Err("full")).is_none(), "its clients know no refusals");
    }

    #[test]
    fn an_offer_counts_once_whichever_tracker_repeats_it() {
        let mut desk = desk();
        let text = message(&share("a"), "1");
        assert!(matches!(desk.hear(&text, CLOCK, Instant::now()), Heard::Offer(_)));
        assert!(matches!(desk.hear(&text, CLOCK, Instant::now()), Heard::Nothing));
    }

    #[test]
    fn offers_for_nobody_with_a_wrong_password_or_an_old_clock_are_not_answered() {
        let mut desk = desk();
        let now = Instant::now();
        assert!(matches!(desk.hear(&message(&share("gone"), "1"), CLOCK, now), Heard::Nothing));
        let mut forged: Value =
            serde_json::from_str(&message(&Share { pwd: "x".repeat(32), ..share("a") }, "1")).unwrap();
        forged["info_hash"] = json!(Lock::new(&share("a")).place);
        assert!(refused(desk.hear(&forged.to_string(), CLOCK, now)).contains("another password"));
        assert!(refused(desk.hear(&message(&share("a"), "1"), CLOCK * 2, now)).contains("clock"));
        assert!(matches!(desk.hear(r#"{"failure reason":"full"}"#, CLOCK, now), Heard::Failure(why) if why == "full"));
        assert!(matches!(desk.hear("garbage", CLOCK, now), Heard::Nonsense));
        assert!(matches!(desk.hear(&message(&share("a"), "1"), CLOCK, now), Heard::Offer(_)), "none of them counted");
    }

    #[test]
    fn more_offers_than_a_household_makes_are_refused_until_later() {
        let mut desk = desk();
        let now = Instant::now();
        let mut hear = |n: u32, at| desk.hear(&message(&share("a"), &n.to_string()), CLOCK, at);
        for n in 0..OFFER_BURST {
            assert!(matches!(hear(n, now), Heard::Offer(_)), "{n}");
        }
        assert!(refused(hear(100, now)).contains("more offers"));
        assert!(matches!(hear(100, now + OFFER_EACH), Heard::Offer(_)));
        assert!(matches!(hear(101, now + OFFER_EACH), Heard::Refused(_)));
    }

    #[test]
    fn memory_stays_bounded() {
        let mut desk = desk();
        let mut now = Instant::now();
        for n in 0..REMEMBERED + 50 {
            now += OFFER_EACH;
            assert!(matches!(desk.hear(&message(&share("a"), &n.to_string()), CLOCK, now), Heard::Offer(_)));
        }
        assert_eq!(desk.seen.len(), REMEMBERED);
    }
}
