//! Single values as YAML writes them, checked while they are read, so that an error knows its line.
use super::{Docker, Network, PublisherPolicy, Stream, TlsMode};
use crate::config::candidates::Manual;
use crate::config::listen::Listen;
use log::LevelFilter;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

/// Longest time that a setting may ask for; larger ones are typing errors.
const MAX_SPAN: Duration = Duration::from_secs(24 * 3600);

/// A scalar that is parsed from its text.
trait FromText: Sized {
    /// What the operator should have written.
    const EXPECTED: &'static str;
    fn from_text(text: &str) -> Option<Self>;
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromText> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).ok_or_else(|| E::custom(format_args!("expected {}", T::EXPECTED)))
    }
}

macro_rules! from_text {
    ($($name:ty),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                // As a string even where it looks like a number: YAML keeps the text of a plain scalar.
                from.deserialize_str(TextVisitor(PhantomData))
            }
        }
    )*};
}
from_text!(ApiListen, BasePath, WebrtcListen, CompatWord, DockerWord, TlsWord, PolicyWord, Level, Span, Peers, Address);

/// `api.listen`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ApiListen(pub String);

impl FromText for ApiListen {
    const EXPECTED: &'static str = "\":port\", \"address:port\" or an empty string";

    fn from_text(text: &str) -> Option<Self> {
        (text.is_empty() || is_host_port(text)).then(|| Self(text.to_owned()))
    }
}

/// `api.base_path`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BasePath(pub String);

impl FromText for BasePath {
    const EXPECTED: &'static str = "a path such as /webcam, of letters, digits and -._~/";

    fn from_text(text: &str) -> Option<Self> {
        // What is compared with requests must have one spelling only.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/');
        let steps = text.split('/').any(|part| matches!(part, "." | "..")) || text.contains("//");
        (text.bytes().all(plain) && !steps).then(|| Self(text.to_owned()))
    }
}

/// `webrtc.listen`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WebrtcListen(pub String);

impl FromText for WebrtcListen {
    const EXPECTED: &'static str =
        "\":port\" or \"address:port\", with /udp or /tcp behind it if wanted, or an empty string";

    fn from_text(text: &str) -> Option<Self> {
        Listen::parse(text).is_ok().then(|| Self(text.to_owned()))
    }
}

/// `:port`, `name:port`, `1.2.3.4:port`, `[::1]:port`.
fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let port_is_good = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host_is_good = match bracketed {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')),
    };
    port_is_good && host_is_good
}

/// `webrtc.filters.docker`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct DockerWord(pub Docker);

impl FromText for DockerWord {
    const EXPECTED: &'static str = "auto, include or exclude";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(match text {
            "auto" => Docker::Auto,
            "include" => Docker::Include,
            "exclude" => Docker::Exclude,
            _ => return None,
        }))
    }
}

/// `compat` of a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CompatWord;

impl FromText for CompatWord {
    const EXPECTED: &'static str = "go2rtc, or no such key";

    fn from_text(text: &str) -> Option<Self> {
        (text == "go2rtc").then_some(Self)
    }
}

/// `api.tls`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TlsWord(pub TlsMode);

impl FromText for TlsWord {
    const EXPECTED: &'static str = "auto or off";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(match text {
            "auto" => TlsMode::Auto,
            // What YAML makes of the word, in its older versions.
            "off" | "false" => TlsMode::Off,
            _ => return None,
        }))
    }
}

/// One entry of `webrtc.candidates`; its error says which part of it is wrong.
struct CandidateText(String);

impl<'de> Deserialize<'de> for CandidateText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct CandidateVisitor;
        impl Visitor<'_> for CandidateVisitor {
            type Value = CandidateText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"address:port\", \"name:port\", \"stun:port\" or \"auto\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CandidateText, E> {
                let wrong = |why| {
                    E::custom(format_args!(
                        "{why}; expected \"address:port\", \"name:port\", \"stun:port\" or \"auto\", with /udp or /tcp behind it if wanted"
                    ))
                };
                Manual::parse(text).map_err(wrong)?;
                Ok(CandidateText(text.to_owned()))
            }
        }
        from.deserialize_str(CandidateVisitor)
    }
}

/// `webrtc.candidates`: one entry or a list of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Candidates(pub Vec<String>);

impl<'de> Deserialize<'de> for Candidates {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct CandidatesVisitor;
        impl<'de> Visitor<'de> for CandidatesVisitor {
            type Value = Candidates;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address with its port, or a list of them")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Candidates, E> {
                Ok(Candidates::default())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Candidates, E> {
                let one = CandidateText::deserialize(de::value::StrDeserializer::new(text))?;
                Ok(Candidates(vec![one.0]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Candidates, A::Error> {
                let mut entries = vec![];
                while let Some(CandidateText(entry)) = list.next_element()? {
                    entries.push(entry);
                }
                Ok(Candidates(entries))
            }
        }
        from.deserialize_any(CandidatesVisitor)
    }
}

/// A log level by go2rtc's names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level(pub LevelFilter);

impl FromText for Level {
    const EXPECTED: &'static str = "trace, debug, info, warn, error or disabled";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(match text {
            "trace" => LevelFilter::Trace,
            "debug" => LevelFilter::Debug,
            "info" => LevelFilter::Info,
            "warn" => LevelFilter::Warn,
            // Porthole has nothing beyond errors, so the higher levels mean the same.
            "error" | "fatal" | "panic" => LevelFilter::Error,
            "disabled" => LevelFilter::Off,
            _ => return None,
        }))
    }
}

/// A time: `500ms`, `10s`, `2m`, `1h`, or a number of seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span(pub Duration);

impl FromText for Span {
    const EXPECTED: &'static str = "a time such as 500ms, 10s or 2m, a day at most";

    fn from_text(text: &str) -> Option<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" | "" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        let span = Duration::from_millis(number.checked_mul(milliseconds)?);
        (span <= MAX_SPAN).then_some(Self(span))
    }
}

/// An address or a network in CIDR notation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Peers(pub String);

impl FromText for Peers {
    const EXPECTED: &'static str = "an address or a network such as 203.0.113.7 or 10.8.0.0/16";

    fn from_text(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address = IpAddr::from_str(address).ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let fits = |p: &str| p.bytes().all(|b| b.is_ascii_digit()) && p.parse::<u8>().is_ok_and(|p| p <= longest);
        prefix.is_none_or(fits).then(|| Self(text.to_owned()))
    }
}

/// One IP address.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Address(pub IpAddr);

impl FromText for Address {
    const EXPECTED: &'static str = "an IP address";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// `[first, last]` of a port range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ports(pub u16, pub u16);

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "[first, last], two port numbers in that order";
        struct PortsVisitor;
        impl<'de> Visitor<'de> for PortsVisitor {
            type Value = Ports;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Ports, A::Error> {
                match (list.next_element()?, list.next_element()?, list.next_element::<de::IgnoredAny>()?) {
                    (Some(first), Some(last), None) if 0 < first && first <= last => Ok(Ports(first, last)),
                    _ => Err(de::Error::custom(format_args!("expected {EXPECTED}"))),
                }
            }
        }
        from.deserialize_any(PortsVisitor)
    }
}

/// One string or a list of strings; nothing at all is an empty list.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Words(pub Vec<String>);

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(vec![])
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(if text.is_empty() { vec![] } else { vec![text.to_owned()] })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut words = vec![];
        while let Some(word) = list.next_element()? {
            words.push(word);
        }
        Ok(words)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WordsVisitor).map(Self)
    }
}

/// `policy` of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
struct PolicyWord(PublisherPolicy);

impl FromText for PolicyWord {
    const EXPECTED: &'static str = "replace, reject or append";

    fn from_text(text: &str) -> Option<Self> {
        use PublisherPolicy::{Append, Reject, Replace};
        [Replace, Reject, Append].into_iter().find(|policy| policy.name() == text).map(Self)
    }
}

/// The keys of a stream that is written as a map.
pub(super) const STREAM_KEYS: &[&str] = &["url", "policy", "publish"];

/// Sources like [`Words`], or a map of [`STREAM_KEYS`].
impl<'de> Deserialize<'de> for Stream {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct StreamVisitor;
        impl<'de> Visitor<'de> for StreamVisitor {
            type Value = Stream;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a source, a list of sources or {url: source}")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Stream, E> {
                Ok(Stream::default())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Stream, E> {
                WordsVisitor.visit_str(text).map(|sources| Stream { sources, ..Stream::default() })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Stream, A::Error> {
                WordsVisitor.visit_seq(list).map(|sources| Stream { sources, ..Stream::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Stream, A::Error> {
                let mut stream = Stream::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "url" => stream.sources = map.next_value::<Words>()?.0,
                        "policy" => {
                            stream.publishers.policy =
                                map.next_value::<Option<PolicyWord>>()?.map(|word| word.0).unwrap_or_default();
                        }
                        "publish" => stream.publishers.allowed = map.next_value()?,
                        // It was warned about.
                        _ => drop(map.next_value::<de::IgnoredAny>()?),
                    }
                }
                Ok(stream)
            }
        }
        from.deserialize_any(StreamVisitor)
    }
}

/// `webrtc.filters.networks`.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Networks(pub Vec<Network>);

#[cfg(test)]
mod tests {
    use super::super::Publishers;
    use super::*;

    fn reads<T: de::DeserializeOwned>(yaml: &str) -> Option<T> {
        serde_yaml::from_str(yaml).ok()
    }

    #[test]
    fn listen_takes_the_forms_that_go2rtc_takes_and_no_others() {
        for good in [":8555", "0.0.0.0:8555", "'[::1]:8555'", ":8555/tcp", "192.168.1.2:8555/udp", "''"] {
            assert!(reads::<WebrtcListen>(good).is_some(), "{good}");
        }
        for bad in ["8555", ":99999", ":", ":8555/sctp", "::1:8555", "[1, 2]", "':+80'", "'a b:80'"] {
            assert!(reads::<WebrtcListen>(bad).is_none(), "{bad}");
        }
        assert!(reads::<ApiListen>(":1984/tcp").is_none());
    }

    #[test]
    fn a_base_path_has_one_spelling() {
        for good in ["/webcam", "webcam/", "/a/b-c", "/", "''"] {
            assert!(reads::<BasePath>(good).is_some(), "{good}");
        }
        for bad in ["/a b", "/k\u{fc}che", "/a%20b", "/a?b", "http://x/", "/a/../b", "/a//b", "[1]"] {
            assert!(reads::<BasePath>(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!(reads("10s"), Some(Span(Duration::from_secs(10))));
        assert_eq!(reads("7"), Some(Span(Duration::from_secs(7))));
        assert_eq!(reads("250ms"), Some(Span(Duration::from_millis(250))));
        for bad in ["s", "-1s", "1.5s", "25h", "99999999999999999999h", "10 s"] {
            assert_eq!(reads::<Span>(bad), None, "{bad}");
        }
    }

    #[test]
    fn networks_have_a_prefix_that_fits() {
        for good in ["10.0.0.0/8", "2001:db8::/32", "203.0.113.7", "0.0.0.0/0"] {
            assert!(reads::<Peers>(good).is_some(), "{good}");
        }
        for bad in ["10.0.0.0/33", "10.0.0/8", "example.com", "::/129", "10.0.0.0/", "10.0.0.0/+8", "'*'"] {
            assert!(reads::<Peers>(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_stream_is_a_string_a_list_nothing_or_a_map() {
        let stream = |words: &[&str], policy| {
            Some(Stream {
                sources: words.iter().map(|w| (*w).to_owned()).collect(),
                publishers: Publishers { policy, allowed: None },
            })
        };
        let list = |words| stream(words, PublisherPolicy::Replace);
        assert_eq!(reads("'test:'"), list(&["test:"]));
        assert_eq!(reads("['test:', rtsp://a]"), list(&["test:", "rtsp://a"]));
        assert_eq!(reads("~"), list(&[]));
        assert_eq!(reads("{url: rtsp://a}"), list(&["rtsp://a"]));
        assert_eq!(reads("{url: [rtsp://a, rtsp://b], policy: }"), list(&["rtsp://a", "rtsp://b"]));
        assert_eq!(reads("{policy: append}"), stream(&[], PublisherPolicy::Append));
        assert_eq!(reads("{policy: reject, url: 'test:'}"), stream(&["test:"], PublisherPolicy::Reject));
        let allowed = |yaml: &str| reads::<Stream>(yaml).map(|stream| stream.publishers.allowed);
        assert_eq!(allowed("{publish: true, url: 'test:'}"), Some(Some(true)));
        assert_eq!((allowed("{publish: false}"), allowed("{publish: }")), (Some(Some(false)), Some(None)));
        for bad in ["[[1]]", "{policy: queue}", "{publish: sometimes}", "{policy: [append]}", "{url: {a: b}}"] {
            assert_eq!(reads::<Stream>(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_port_range_has_two_ends_in_order() {
        assert_eq!(reads("[50000, 50100]"), Some(Ports(50_000, 50_100)));
        for bad in ["[1]", "[1, 2, 3]", "[5, 4]", "[0, 9]", "[1, 70000]", "5"] {
            assert_eq!(reads::<Ports>(bad), None, "{bad}");
        }
    }
}
