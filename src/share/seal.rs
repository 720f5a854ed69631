//! What keeps a tracker from reading or changing what it passes on: AES-256-GCM, with keys that only the link holds.
//! Two versions: our own, with a key for each direction, and go2rtc's, for links that its pages shall understand.
use crate::config::Share;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

/// An offer's clock may differ from ours by so many seconds. Repeated offers are known by their ids; this bounds for
/// how long the ids must be known.
pub(super) const MAX_AGE: u64 = 3600;
/// go2rtc's bound.
pub(super) const GO2RTC_MAX_AGE: u64 = 12 * 3600;
/// `place` and offer ids have 20 characters, as trackers want: 120 bits as Base64.
const PLACE_BYTES: usize = 15;
/// Longest description that is unpacked; a full offer of a browser has 8 KiB.
pub const MAX_SEALED: usize = 48 << 10;

/// The lock of one share.
pub struct Lock {
    /// What both sides meet by at a tracker: `info_hash`. It tells nothing of the share's name or secret.
    pub place: String,
    version: Version,
}

enum Version {
    Own { offer: Box<LessSafeKey>, answer: Box<LessSafeKey> },
    Go2rtc { name: String, pwd: String },
}

/// Why an offer is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// No Base64 of a sealed message.
    Malformed,
    /// Sealed with another secret, or changed on the way.
    WrongKey,
    /// Its clock and ours differ by so many seconds.
    Clock(u64),
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand (RFC 5869) to a length that the function allows: at most 255 digests.
fn expand<const N: usize>(secret: &Prk, info: &str) -> [u8; N] {
    let mut out = [0; N];
    let info = [info.as_bytes()];
    let filled = secret.expand(&info, Length(N)).and_then(|okm| okm.fill(&mut out));
    debug_assert!(filled.is_ok());
    out
}

#[expect(clippy::expect_used, reason = "a key of AES-256 has 32 bytes, there is nothing to fail")]
fn key(bytes: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("AES-256 takes 32 bytes"))
}

impl Lock {
    pub fn new(share: &Share) -> Self {
        if share.go2rtc {
            let place = BASE64.encode(digest(&SHA256, share.name.as_bytes()).as_ref());
            let version = Version::Go2rtc { name: share.name.clone(), pwd: share.pwd.clone() };
            return Self { place, version };
        }
        let secret = Salt::new(HKDF_SHA256, share.name.as_bytes()).extract(share.pwd.as_bytes());
        Self {
            place: BASE64URL_NOPAD.encode(&expand::<PLACE_BYTES>(&secret, "porthole share 1: place")),
            version: Version::Own {
                offer: Box::new(key(&expand(&secret, "porthole share 1: offer"))),
                answer: Box::new(key(&expand(&secret, "porthole share 1: answer"))),
            },
        }
    }

    /// Opens an offer; `clock` is ours, in seconds since 1970.
    ///
    /// # Errors
    /// If it was not sealed by somebody who has the link, or too long ago.
    pub fn open(&self, id: &str, sealed: &str, clock: u64) -> Result<String, Closed> {
        let bytes = BASE64.decode(sealed.as_bytes()).map_err(|_| Closed::Malformed)?;
        let (sdp, time, max_age) = match &self.version {
            Version::Own { offer, .. } => {
                let plain = open(offer, bytes, &offer_bound_to(id))?;
                let Ok(Value::Object(message)) = serde_json::from_slice(&plain) else { return Err(Closed::Malformed) };
                let sdp = message.get("sdp").and_then(Value::as_str).ok_or(Closed::Malformed)?;
                let time = message.get("time").and_then(Value::as_u64).ok_or(Closed::Malformed)?;
                (sdp.to_owned(), time, MAX_AGE)
            }
            Version::Go2rtc { name, pwd } => {
                let (key, nonce) = go2rtc_key(name, pwd, id);
                let mut bytes = bytes;
                let plain = key
                    .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(id.as_bytes()), &mut bytes)
                    .map_err(|_| Closed::WrongKey)?;
                let sdp = String::from_utf8(plain.to_vec()).map_err(|_| Closed::Malformed)?;
                let nanoseconds = u128::from_str_radix(id, 36).map_err(|_| Closed::Malformed)?;
                let seconds = u64::try_from(nanoseconds / 1_000_000_000).map_err(|_| Closed::Malformed)?;
                (sdp, seconds, GO2RTC_MAX_AGE)
            }
        };
        match time.abs_diff(clock) {
            age if age > max_age => Err(Closed::Clock(age)),
            _ => Ok(sdp),
        }
    }

    /// Seals what came of an offer: an answer, or the sentence that says why there is none; go2rtc's version has no
    /// way to say that. `None` where the system gives no random numbers, too.
    pub fn answer(&self, id: &str, sealed_offer: &str, outcome: Result<&str, &str>) -> Option<String> {
        match &self.version {
            Version::Own { answer, .. } => {
                let message = match outcome {
                    Ok(sdp) => json!({"sdp": sdp}),
                    Err(error) => json!({"error": error}),
                };
                seal(answer, message.to_string().into_bytes(), &answer_bound_to(id, sealed_offer))
            }
            Version::Go2rtc { name, pwd } => {
                let (key, nonce) = go2rtc_key(name, pwd, id);
                let mut bytes = outcome.ok()?.as_bytes().to_vec();
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.seal_in_place_append_tag(nonce, Aad::from(id.as_bytes()), &mut bytes).ok()?;
                Some(BASE64.encode(&bytes))
            }
        }
    }

    /// What a visitor's page does.
    #[cfg(test)]
    pub fn offer(&self, id: &str, sdp: &str, time: u64) -> String {
        match &self.version {
            Version::Own { offer, .. } => {
                let message = json!({"sdp": sdp, "time": time});
                seal(offer, message.to_string().into_bytes(), &offer_bound_to(id)).unwrap()
            }
            Version::Go2rtc { .. } => self.answer(id, "", Ok(sdp)).unwrap(),
        }
    }

    #[cfg(test)]
    pub fn open_answer(&self, id: &str, sealed_offer: &str, sealed: &str) -> Result<String, Closed> {
        match &self.version {
            Version::Own { answer, .. } => {
                let bytes = BASE64.decode(sealed.as_bytes()).map_err(|_| Closed::Malformed)?;
                open(answer, bytes, &answer_bound_to(id, sealed_offer)).map(|plain| String::from_utf8(plain).unwrap())
            }
            Version::Go2rtc { .. } => self.open(id, sealed, u64::from_str_radix(id, 36).unwrap() / 1_000_000_000),
        }
    }
}

fn offer_bound_to(id: &str) -> Vec<u8> {
    format!("offer {id}").into_bytes()
}

/// An answer counts for its one offer only.
fn answer_bound_to(id: &str, sealed_offer: &str) -> Vec<u8> {
    format!("answer {id} {sealed_offer}").into_bytes()
}

/// The nonce in front, the tag behind, in Base64. Nonces are random: one key seals far less than the 2^32 messages
/// that this allows (NIST SP 800-38D section 8.3).
fn seal(key: &LessSafeKey, mut bytes: Vec<u8>, bound_to: &[u8]) -> Option<String> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).ok()?;
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound_to), &mut bytes).ok()?;
    Some(BASE64.encode(&[&nonce[..], &bytes].concat()))
}

fn open(key: &LessSafeKey, mut bytes: Vec<u8>, bound_to: &[u8]) -> Result<Vec<u8>, Closed> {
    let (nonce, sealed) = bytes.split_first_chunk_mut::<NONCE_LEN>().ok_or(Closed::Malformed)?;
    let nonce = Nonce::assume_unique_for_key(*nonce);
    key.open_in_place(nonce, Aad::from(bound_to), sealed).map(|plain| plain.to_vec()).map_err(|_| Closed::WrongKey)
}

/// Key and nonce are those of offer and answer alike, hence not our own version.
fn go2rtc_key(name: &str, pwd: &str, id: &str) -> (LessSafeKey, [u8; NONCE_LEN]) {
    let (mut secret, mut nonce) = ([0; 32], [0; NONCE_LEN]);
    secret.copy_from_slice(digest(&SHA256, format!("{id}:{pwd}").as_bytes()).as_ref());
    nonce.copy_from_slice(&digest(&SHA256, format!("{name}:{id}").as_bytes()).as_ref()[..NONCE_LEN]);
    (key(&secret), nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: u64 = 1_764_000_000;

    fn share(go2rtc: bool) -> Share {
        Share { name: "front-door".into(), pwd: "k".repeat(32), stream: "yard".into(), publishes: false, go2rtc }
    }

    #[test]
    fn an_offer_and_its_answer_are_opened_by_who_has_the_link_and_nobody_else() {
        for go2rtc in [false, true] {
            let (lock, id) = (Lock::new(&share(go2rtc)), "d9k0xq6ws8g0");
            let sealed = lock.offer(id, "v=0 offer", CLOCK);
            assert!(!sealed.contains("offer"));
            let clock = if go2rtc { u64::from_str_radix(id, 36).unwrap() / 1_000_000_000 } else { CLOCK };
            assert_eq!(lock.open(id, &sealed, clock).as_deref(), Ok("v=0 offer"));
            let answer = lock.answer(id, &sealed, Ok("v=0 answer")).unwrap();
            assert!(lock.open_answer(id, &sealed, &answer).unwrap().contains("v=0 answer"));
            let other = Lock::new(&Share { pwd: "x".repeat(32), ..share(go2rtc) });
            assert_eq!(other.open(id, &sealed, clock), Err(Closed::WrongKey));
            assert_eq!(lock.open("d9k0xq6ws8g1", &sealed, clock), Err(Closed::WrongKey), "another id");
        }
    }

    #[test]
    fn in_our_own_version_no_message_stands_for_another() {
        let lock = Lock::new(&share(false));
        let (first, second) = (lock.offer("a", "v=0", CLOCK), lock.offer("a", "v=0", CLOCK));
        assert_ne!(first, second, "the same words are sealed differently each time");
        let answer = lock.answer("a", &first, Ok("v=0")).unwrap();
        assert!(lock.open_answer("a", &second, &answer).is_err(), "an answer belongs to its offer");
        assert_eq!(lock.open("a", &answer, CLOCK), Err(Closed::WrongKey), "an answer is no offer");
        assert!(lock.open_answer("a", &first, &first).is_err(), "an offer is no answer");
        assert!(
            lock.open_answer("a", &first, &lock.answer("a", &first, Err("full")).unwrap()).unwrap().contains("full")
        );
    }

    #[test]
    fn what_is_no_sealed_offer_is_refused() {
        for go2rtc in [false, true] {
            let lock = Lock::new(&share(go2rtc));
            for sealed in ["", "x", "%%%%", "AAAA", &BASE64.encode(&[0; 12]), &BASE64.encode(&[7; 4096])] {
                assert!(lock.open("abc", sealed, CLOCK).is_err(), "{sealed}");
            }
        }
        let lock = Lock::new(&share(false));
        let Version::Own { offer, .. } = &lock.version else { panic!() };
        for plain in ["[]", "{}", "{\"sdp\":1,\"time\":1}", "{\"sdp\":\"v=0\"}", "v=0"] {
            let sealed = seal(offer, plain.into(), &offer_bound_to("a")).unwrap();
            assert_eq!(lock.open("a", &sealed, CLOCK), Err(Closed::Malformed), "{plain}");
        }
    }

    #[test]
    fn an_old_offer_is_refused_with_its_age() {
        let lock = Lock::new(&share(false));
        let sealed = lock.offer("a", "v=0", CLOCK);
        assert!(lock.open("a", &sealed, CLOCK + MAX_AGE).is_ok() && lock.open("a", &sealed, CLOCK - MAX_AGE).is_ok());
        assert_eq!(lock.open("a", &sealed, CLOCK + MAX_AGE + 1), Err(Closed::Clock(MAX_AGE + 1)));
        assert_eq!(lock.open("a", &sealed, 0), Err(Closed::Clock(CLOCK)));
    }

    #[test]
    fn the_place_of_go2rtc_is_the_hash_of_the_name() {
        let place = BASE64.encode(digest(&SHA256, b"front-door").as_ref());
        assert_eq!(Lock::new(&share(true)).place, place);
        let own = Lock::new(&share(false)).place;
        assert!(own.len() == 20 && own.is_ascii(), "trackers want 20 bytes: {own}");
        assert_ne!(own, Lock::new(&Share { pwd: "x".repeat(32), ..share(false) }).place);
    }
}
