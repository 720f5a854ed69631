//! Lists of ICE servers as bridges, clouds and people write them: what browsers call `RTCIceServer`, in JSON or YAML. What
//! can be read of a list is used, and the rest is named.
use crate::base::link;
use crate::base::link::quoted;
use crate::config::IceServer;
use crate::config::ice_uri::{Kind, Uri};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Keys of an entry, with their other names; letters may be small or capital.
const URLS: [&str; 4] = ["urls", "url", "uris", "uri"];
const USERNAME: [&str; 2] = ["username", "user"];
const CREDENTIAL: [&str; 2] = ["credential", "password"];
/// What others keep a list under.
const LISTS: [&str; 4] = ["iceservers", "ice_servers", "icelist", "iceserverlist"];
/// Keys of an entry that mean nothing here.
const IDLE: [&str; 3] = ["credentialtype", "ttl", "hostname"];
/// Entries of one list that are looked at, and URIs of one entry: real ones have a handful.
const MAX_ENTRIES: usize = 64;
/// Longest text that is read.
const MAX_TEXT: usize = 4 << 10;

/// What somebody's list comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    pub servers: Vec<IceServer>,
    /// What could not be read, or will not work. It repeats no value: people write passwords into the wrong place.
    pub problems: Vec<Problem>,
}

/// A part of a list that is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Numbers of entries and names of keys down to the part.
    pub path: Vec<String>,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path.join("."), self.message)
        }
    }
}

impl Reading {
    fn of(list: &Raw) -> Self {
        let mut reading = Self::default();
        reading.list(list, &[]);
        reading
    }

    /// What WHIP and WHEP tell in `Link` fields.
    pub fn of_links<'f>(fields: impl Iterator<Item = &'f str>) -> Self {
        let links = fields.flat_map(link::links).filter(|link| link.is_of("ice-server")).take(MAX_ENTRIES);
        let entry = |link: link::Link| {
            let word =
                |name: &str| (name.to_owned(), link.param(name).map_or(Raw::Null, |word| Raw::Text(word.into())));
            Raw::Map(vec![word("username"), word("credential"), (URLS[0].to_owned(), Raw::Text(link.target.clone()))])
        };
        Self::of(&Raw::List(links.map(entry).collect()))
    }

    fn problem(&mut self, path: &[&str], message: impl Into<String>) {
        if self.problems.len() < MAX_ENTRIES {
            let path = path.iter().map(|step| (*step).to_owned()).collect();
            self.problems.push(Problem { path, message: message.into() });
        }
    }

    /// A list, or one entry in place of it.
    fn list(&mut self, raw: &Raw, path: &[&str]) {
        match raw {
            Raw::List(entries) => {
                for (number, entry) in entries.iter().enumerate() {
                    let number = number.to_string();
                    self.entry(entry, &[path, &[&number]].concat());
                }
            }
            Raw::Null => {}
            Raw::Map(map) if path.is_empty() => {
                let list = map.iter().find(|(key, _)| LISTS.contains(&key.to_ascii_lowercase().as_str()));
                match list {
                    Some((key, list)) => self.list(list, &[key]),
                    None => self.entry(raw, path),
                }
            }
            _ => self.entry(raw, path),
        }
    }

    fn entry(&mut self, raw: &Raw, path: &[&str]) {
        let mut server = IceServer::default();
        match raw {
            Raw::Text(_) => self.urls(raw, path, &mut server.urls),
            Raw::Map(map) => {
                for (key, value) in map {
                    let lower = key.to_ascii_lowercase();
                    let at = [path, &[key.as_str()]].concat();
                    match lower.as_str() {
                        name if URLS.contains(&name) => self.urls(value, &at, &mut server.urls),
                        name if USERNAME.contains(&name) => self.word(value, &at, &mut server.username),
                        name if CREDENTIAL.contains(&name) => self.word(value, &at, &mut server.credential),
                        name if IDLE.contains(&name) => {}
                        _ => self.problem(&at, "left out, an ICE server has urls, username and credential"),
                    }
                }
                if !map.iter().any(|(key, _)| URLS.contains(&key.to_ascii_lowercase().as_str())) {
                    self.problem(path, "left out, it names no urls");
                }
            }
            _ => self.problem(path, "left out, expected {urls: …, username: …, credential: …}"),
        }
        let login = quoted(&server.username).is_some() && quoted(&server.credential).is_some();
        let relay = server.urls.iter().filter_map(|url| Uri::parse(url).ok()).find(|uri| uri.kind != Kind::Stun);
        if let Some(uri) = relay.filter(|_| !login) {
            self.problem(path, format!("{uri}: needs username and credential, of printable ASCII characters"));
        }
        if !server.urls.is_empty() {
            self.servers.push(server);
        }
    }

    /// One URI or several. `url` beside `urls` mostly says the same.
    fn urls(&mut self, raw: &Raw, path: &[&str], urls: &mut Vec<String>) {
        match raw {
            Raw::Null => {}
            Raw::Text(text) => match Uri::parse(text.trim()) {
                Ok(_) if urls.iter().any(|known| known == text.trim()) => {}
                Ok(_) => urls.push(text.trim().to_owned()),
                Err(error) => self.problem(path, format!("left out, {error}")),
            },
            Raw::List(list) if !list.iter().any(|raw| matches!(raw, Raw::List(_))) => {
                list.iter().for_each(|raw| self.urls(raw, path, urls));
            }
            _ => self.problem(path, "left out, expected a text or a list of texts"),
        }
    }

    fn word(&mut self, raw: &Raw, path: &[&str], word: &mut String) {
        match raw {
            Raw::Text(text) | Raw::Whole(text) => text.clone_into(word),
            Raw::Null => {}
            Raw::Other => {
                self.problem(path, "left out, expected a text; what looks like a number needs quotes around it")
            }
            Raw::List(_) | Raw::Map(_) => self.problem(path, "left out, expected a text"),
        }
    }
}

impl<'de> Deserialize<'de> for Reading {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Raw::deserialize(from).map(|raw| Self::of(&raw))
    }
}

/// What stands there, before it is looked at.
enum Raw {
    Null,
    Text(String),
    /// A whole number, in the digits that it was written in.
    Whole(String),
    /// A truth, or a number whose digits are lost.
    Other,
    List(Vec<Raw>),
    Map(Vec<(String, Raw)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of servers")
    }

    fn visit_unit<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Other)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Raw, E> {
        Ok(Raw::Whole(number.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Raw, E> {
        Ok(Raw::Whole(number.to_string()))
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<Raw, E> {
        Ok(Raw::Whole(number.to_string()))
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<Raw, E> {
        Ok(Raw::Whole(number.to_string()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Raw, E> {
        Ok(if text.len() > MAX_TEXT { Raw::Other } else { Raw::Text(text.to_owned()) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while list.len() < MAX_ENTRIES
            && let Some(raw) = from.next_element()?
        {
            list.push(raw);
        }
        while from.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = from.next_entry::<Raw, Raw>()? {
            if let Raw::Text(key) = key
                && map.len() < MAX_ENTRIES
            {
                map.push((key, value));
            }
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `urls username credential` for each server, then what is wrong.
    fn read(json: &str) -> (Vec<String>, Vec<String>) {
        let reading: Reading = serde_json::from_str(json).unwrap();
        let yaml: Reading = serde_yaml::from_str(json).unwrap();
        assert_eq!((&reading.servers, &reading.problems), (&yaml.servers, &yaml.problems), "JSON is YAML: {json}");
        let shown = |server: IceServer| format!("{} {} {}", server.urls.join(","), server.username, server.credential);
        (reading.servers.into_iter().map(shown).collect(), reading.problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn lists_are_read_in_every_shape_that_services_hand_out() {
        let turn = "turn:a.example:443 u p";
        for (json, servers) in [
            (
                r#"[{"url": "turn:a.example:443", "urls": "turn:a.example:443", "username": "u", "credential": "p"}]"#,
                vec![turn],
            ),
            (
                r#"[{"urls": ["turn:a.example:443"], "url": "stun:b", "username": "u", "credential": "p"}]"#,
                vec!["turn:a.example:443,stun:b u p"],
            ),
            (
                r#"[{"urls": "stun:a.example:3478", "username": null, "credential": null}]"#,
                vec!["stun:a.example:3478  "],
            ),
            (r#"{"urls": "stun:a.example:3478"}"#, vec!["stun:a.example:3478  "]),
            (r#"{"iceServers": [{"urls": "stun:a"}], "iceTransportPolicy": "all"}"#, vec!["stun:a  "]),
            (
                r#"{"IceServerList": [{"Uris": ["turn:a.example:443"], "Username": "u", "Password": "p", "Ttl": 300}]}"#,
                vec![turn],
            ),
            (r#"["stun:a", {"urls": "stun:b"}]"#, vec!["stun:a  ", "stun:b  "]),
            (r#""stun:a""#, vec!["stun:a  "]),
            (
                r#"[{"urls": "turn:a", "username": 1893456000, "credential": 123456789012345678901}]"#,
                vec!["turn:a 1893456000 123456789012345678901"],
            ),
            ("null", vec![]),
            ("[]", vec![]),
            (r#"[{"urls": null, "url": "stun:a"}]"#, vec!["stun:a  "]),
            (r#"[{"urls": " stun:a ", "credentialType": "password"}]"#, vec!["stun:a  "]),
        ] {
            let big = json.contains("123456789012345678901");
            if big {
                // Beyond 64 bits JSON's numbers are floating ones here, YAML's are not.
                let yaml: Reading = serde_yaml::from_str(json).unwrap();
                assert_eq!(yaml.servers[0].credential, "123456789012345678901");
                continue;
            }
            assert_eq!(read(json), (servers.into_iter().map(str::to_owned).collect(), vec![]), "{json}");
        }
    }

    #[test]
    fn what_can_t_be_read_of_a_list_is_named_and_costs_nothing_else() {
        for (json, problems) in [
            (
                r#"[null, {"urls": "stun:a"}, 7, true, [], {}]"#,
                vec![
                    "0: left out, expected {",
                    "2: left out",
                    "3: left out",
                    "4: left out",
                    "5: left out, it names no urls",
                ],
            ),
            (
                r#"[{"urls": ["stun:a", "turn:u:s3cret@b", 5, {}]}]"#,
                vec![
                    "0.urls: left out, expected stun:host:port",
                    "0.urls: left out, expected a text",
                    "0.urls: left out, expected a text",
                ],
            ),
            (
                r#"[{"urls": ["stun:a", "turn:b"], "username": "s3cret", "credential": {"accessToken": "s3cret"}}]"#,
                vec!["0.credential: left out", "0: turn:b:3478?transport=udp: needs username and credential"],
            ),
            (
                r#"[{"urls": "stun:a", "credential": 1.5, "pass": "s3cret"}]"#,
                vec![
                    "0.credential: left out, expected a text; what looks like a number needs quotes",
                    "0.pass: left out, an ICE server has",
                ],
            ),
        ] {
            let (servers, told) = read(json);
            assert_eq!(servers.len(), 1, "{json}");
            assert_eq!(told.len(), problems.len(), "{told:?}");
            assert!(told.iter().zip(&problems).all(|(told, problem)| told.starts_with(problem)), "{told:?}");
            assert!(!told.concat().contains("s3cret"), "{told:?}");
        }
    }

    #[test]
    fn a_hostile_list_is_bounded() {
        let many = format!("[{}\"stun:a\"]", "{\"x\":1},".repeat(5000));
        let reading: Reading = serde_json::from_str(&many).unwrap();
        assert!(reading.problems.len() <= MAX_ENTRIES && reading.servers.is_empty());
        assert!(serde_json::from_str::<Reading>(&"[".repeat(100_000)).is_err());
        let long = format!("[\"stun:{}\"]", "a".repeat(MAX_TEXT));
        assert!(serde_json::from_str::<Reading>(&long).unwrap().servers.is_empty());
    }
}
