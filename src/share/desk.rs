//! Where offers come in: which share they are for, whether they are genuine, new and not too many. It knows neither
//! sockets nor clocks; all trackers share one, since a visitor may ask at several.
use super::seal::{self, Closed, Lock};
use super::tracker::{self, Message, Offer};
use crate::base::pace::Pace;
use crate::config::Share;
use crate::engine::api::Intent;
use ring::digest::{SHA256, digest};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// On average one genuine offer in this time is answered …
const OFFER_EACH: Duration = Duration::from_secs(2);
/// … and so many at once.
const OFFER_BURST: u32 = 12;

struct Open {
    share: Share,
    lock: Arc<Lock>,
}

pub struct Desk {
    shares: Vec<Open>,
    /// Genuine offers of our version and of go2rtc's.
    seen: [Seen; 2],
    rate: Pace,
}

/// Genuine offers that were taken, the newest last, so that a tracker can't repeat them: the beginnings of their ids'
/// SHA-256, since visitors choose ids of any length.
struct Seen {
    ids: VecDeque<[u8; 16]>,
    most: usize,
}

impl Seen {
    /// Remembers as many as can be taken while an offer counts, which is from `max_age` seconds before its time to as long
    /// after it. Of ours these are some 60 kB, of go2rtc's 700 kB, where somebody with the link offers all day.
    const fn new(max_age: u64) -> Self {
        let most = 2 * max_age / OFFER_EACH.as_secs() + OFFER_BURST as u64;
        Self { ids: VecDeque::new(), most: most as usize }
    }

    fn contains(&self, id: &[u8; 16]) -> bool {
        self.ids.contains(id)
    }

    fn add(&mut self, id: [u8; 16]) {
        if self.ids.len() >= self.most {
            self.ids.pop_front();
        }
        self.ids.push_back(id);
    }
}

fn short(id: &str) -> [u8; 16] {
    let (digest, mut short) = (digest(&SHA256, id.as_bytes()), [0; 16]);
    short.copy_from_slice(&digest.as_ref()[..16]);
    short
}

impl Default for Desk {
    fn default() -> Self {
        let seen = [Seen::new(seal::MAX_AGE), Seen::new(seal::GO2RTC_MAX_AGE)];
        Self { shares: Vec::new(), seen, rate: Pace::new(OFFER_EACH, OFFER_BURST) }
    }
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
        let (seen, id) = (&mut self.seen[usize::from(arrival.share.go2rtc)], short(&arrival.offer.id));
        if seen.contains(&id) {
            return Heard::Nothing;
        }
        if !self.rate.take(now) {
            return Heard::Refused(format!(
                "share={:?} more offers than one every 2 s are not answered",
                arrival.share.name
            ));
        }
        seen.add(id);
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
        message_at(share, id, CLOCK)
    }

    fn message_at(share: &Share, id: &str, clock: u64) -> String {
        let lock = Lock::new(share);
        let offer = json!({"type": "offer", "sdp": lock.offer(id, "v=0", clock)});
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
    fn an_offer_is_known_again_for_as_long_as_it_counts_however_many_come_between() {
        let mut desk = desk();
        let (mut now, mut clock) = (Instant::now(), CLOCK);
        let sealed = |id: &str, clock| message_at(&share("a"), id, clock);
        // The visitor's clock is as fast as it may be.
        let first = sealed("first", CLOCK + seal::MAX_AGE);
        assert!(matches!(desk.hear(&first, clock, now), Heard::Offer(_)));
        for n in 0..OFFER_BURST - 1 {
            assert!(matches!(desk.hear(&sealed(&format!("burst {n}"), clock), clock, now), Heard::Offer(_)));
        }
        let mut between = 0;
        while clock < CLOCK + 2 * seal::MAX_AGE {
            now += OFFER_EACH;
            clock += OFFER_EACH.as_secs();
            between += u32::from(matches!(desk.hear(&sealed(&clock.to_string(), clock), clock, now), Heard::Offer(_)));
        }
        assert_eq!(between, 3600);
        assert!(matches!(desk.hear(&first, clock, now), Heard::Nothing), "it counts still, and is known");
        assert!(refused(desk.hear(&first, clock + 1, now)).contains("clock"));
        assert_eq!(desk.seen[0].ids.len(), desk.seen[0].most, "and no more are kept");
        assert_eq!(desk.seen[1].most, 43_212);
    }

    #[test]
    fn a_hostile_tracker_makes_neither_faults_nor_many_answers() {
        let (mut desk, start) = (desk(), Instant::now());
        let genuine: Vec<String> = (0..64).map(|n| message(&share("a"), &n.to_string())).collect();
        let shapes = [
            r#"{"failure reason":"#,
            r#"{"action":"announce","interval":120}"#,
            "[[[[[[[[",
            r#"{"offer":{"sdp":"#,
            "\u{202e}\0",
        ];
        let mut number = 7u64;
        let mut random = |below: usize| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (number >> 33) as usize % below
        };
        let mut offers = 0;
        for _ in 0..5_000 {
            let mut text = genuine[random(genuine.len())].clone().into_bytes();
            for _ in 0..random(4) {
                let at = random(text.len());
                match random(5) {
                    0 => text[at] = random(256) as u8,
                    1 => text.truncate(at.max(1)),
                    2 => drop(text.splice(at..at, shapes[random(shapes.len())].repeat(1 + random(200)).into_bytes())),
                    3 => drop(text.drain(at..(at + random(40)).min(text.len() - 1).max(at))),
                    _ => text.extend_from_within(at..),
                }
            }
            match desk.hear(&String::from_utf8_lossy(&text), CLOCK, start + OFFER_EACH) {
                Heard::Offer(_) => offers += 1,
                Heard::Failure(why) | Heard::Refused(why) => assert!(why.chars().count() <= 200, "{why}"),
                Heard::Nothing | Heard::Nonsense => {}
            }
        }
        assert_eq!((offers, desk.seen[0].ids.len()), (OFFER_BURST, OFFER_BURST as usize));
    }
}
