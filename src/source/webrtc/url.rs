//! `webrtc:<url>[#key=value]…`: where a camera's signalling is, and in which dialect it speaks. Values stand as they
//! are, so JSON needs no escapes; a `#` cannot be part of one.
use super::dialect::Cloud;
use crate::config;
use crate::config::ice_list::{Problem, Reading};
use crate::gather::ice_servers::{Login, MAX_SERVERS, Uri};
use crate::net::connect::Place;
use crate::net::tls::Trust;
use crate::rtc::sdp::is_rid;

/// Warnings about one list: a hostile one is wrong everywhere.
const MAX_WARNINGS: usize = 4;

/// How signalling goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Go2rtc,
    Whep,
    Creality,
    OpenIpc,
    Cloud(Cloud),
}

impl Format {
    /// As `/api/streams` and the log name it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Go2rtc | Format::Whep => "webrtc",
            Format::Creality => "webrtc/creality",
            Format::OpenIpc => "webrtc/openipc",
            Format::Cloud(cloud) => cloud.name(),
        }
    }

    /// How the exchange goes, for lists.
    pub fn protocol(self) -> &'static str {
        let websocket = match self {
            Format::Whep | Format::Creality => false,
            Format::Go2rtc | Format::OpenIpc => true,
            Format::Cloud(cloud) => cloud.is_websocket(),
        };
        if websocket { "ws" } else { "http" }
    }

    /// `webrtc:ws://…` and `webrtc:http://…` speak different dialects under one name.
    fn of(name: &str, websocket: bool) -> Result<Self, String> {
        let (format, wants_websocket) = match name {
            "" if websocket => (Format::Go2rtc, true),
            "" | "whep" => (Format::Whep, false),
            "creality" => (Format::Creality, false),
            "openipc" => (Format::OpenIpc, true),
            _ => match Cloud::of(name)? {
                Some(cloud) => (Format::Cloud(cloud), cloud.has_websocket_url()),
                None => {
                    return Err(format!(
                        "#format={name:?} is not known; there are whep, creality, kinesis, switchbot, wyze, openipc and milestone"
                    ));
                }
            },
        };
        match (wants_websocket, websocket) {
            (true, false) => {
                Err(format!("#format={name} is spoken over ws:// or wss://, the URL has http:// or https://"))
            }
            (false, true) => {
                Err(format!("#format={name} is spoken over http:// or https://, the URL has ws:// or wss://"))
            }
            _ => Ok(format),
        }
    }
}

/// A STUN or TURN server to find a way to the camera with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceServer {
    pub uri: Uri,
    pub login: Login,
}

/// A source URL, understood.
#[derive(Clone, Debug)]
pub struct Target {
    pub format: Format,
    pub place: Place,
    pub trust: Trust,
    pub ice_servers: Vec<IceServer>,
    /// What of `#ice_servers` is of no use.
    pub problems: Vec<Problem>,
    params: Vec<(String, String)>,
}

impl Target {
    /// Reads what stands behind `webrtc:`.
    ///
    /// # Errors
    /// A sentence that names the part to change and repeats no password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split('#');
        let url = parts.next().unwrap_or_default();
        let params: Vec<(String, String)> = parts
            .filter(|part| !part.is_empty())
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let param = |key: &str| params.iter().find(|(known, _)| known == key).map_or("", |(_, value)| value.as_str());
        let place = Place::parse(url)?;
        let websocket = url.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("ws"));
        let format = Format::of(param("format"), websocket)?;
        let Reading { servers: list, problems } = match param("ice_servers") {
            "" => Reading::default(),
            json => serde_json::from_str(json).map_err(|error| {
                format!("#ice_servers: not the JSON list [{{\"urls\": \"…\"}}] that is expected ({error})")
            })?,
        };
        if !param("rid").is_empty() && !is_rid(param("rid")) {
            return Err(format!(
                "#rid={:?} can't be the name of a layer: letters, digits, - and _, 16 at most",
                param("rid")
            ));
        }
        let mut target = Self { format, place, trust: Trust::Roots, ice_servers: servers(list), problems, params };
        if target.has("insecure") {
            target.trust = Trust::Anybody;
        }
        Ok(target)
    }

    /// A parameter that is a switch: `#talk`, `#talk=1`.
    pub fn has(&self, key: &str) -> bool {
        self.params.iter().any(|(known, value)| known == key && matches!(value.as_str(), "" | "1" | "true"))
    }

    /// The value of a parameter, empty where it is not there.
    pub fn param(&self, key: &str) -> &str {
        self.params.iter().find(|(known, _)| known == key).map_or("", |(_, value)| value.as_str())
    }
}

/// The servers of a list that the signalling of `who` handed out. What is of no use is warned about.
pub fn named(list: Reading, who: &str) -> Vec<IceServer> {
    for problem in list.problems.iter().take(MAX_WARNINGS) {
        log::warn!(target: "webrtc", "ICE servers of {who}: {problem}");
    }
    servers(list.servers)
}

/// One for each URI.
pub fn servers(list: impl IntoIterator<Item = config::IceServer>) -> Vec<IceServer> {
    let mut servers = Vec::new();
    for config::IceServer { urls, username, credential } in list {
        let login = Login { username, credential };
        servers.extend(
            urls.iter().filter_map(|url| Uri::parse(url).ok()).map(|uri| IceServer { uri, login: login.clone() }),
        );
    }
    servers.truncate(MAX_SERVERS);
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "clouds")]
    #[test]
    fn the_scheme_and_the_format_choose_the_dialect() {
        let cases = [
            ("ws://192.168.1.123:1984/api/ws?src=camera1", Format::Go2rtc),
            ("http://192.168.1.123:1984/api/webrtc?src=camera1", Format::Whep),
            ("http://192.168.1.123:8000/call/webrtc_local#format=creality", Format::Creality),
            ("wss://x.amazonaws.com/?X-Amz=1#format=kinesis#client_id=a#ice_servers=[]", Format::Cloud(Cloud::Kinesis)),
            ("wss://x.amazonaws.com/?X#format=switchbot#resolution=hd", Format::Cloud(Cloud::SwitchBot)),
            ("http://192.168.1.123:5000/signaling/camera1?kvs#format=wyze", Format::Cloud(Cloud::Wyze)),
            ("ws://192.168.1.123/webrtc_ws#format=openipc", Format::OpenIpc),
            ("https://milestone/api#format=milestone#username=a", Format::Cloud(Cloud::Milestone)),
        ];
        for (url, format) in cases {
            assert_eq!(Target::parse(url).unwrap().format, format, "{url}");
        }
        for (url, words) in [
            ("rtsp://cam/", "unsupported url"),
            ("http://cam/#rid=a;b", "#rid="),
            ("ws://cam/#format=creality", "over http://"),
            ("http://cam/#format=kinesis", "over ws://"),
            ("http://cam/#format=tuya", "not known"),
            ("ws://cam/#format=openipc#ice_servers={", "#ice_servers"),
        ] {
            let error = Target::parse(url).unwrap_err();
            assert!(error.contains(words), "{url}: {error}");
        }
    }

    #[cfg(not(feature = "clouds"))]
    #[test]
    fn a_build_without_clouds_says_so() {
        let error = Target::parse("wss://x.amazonaws.com/#format=kinesis").unwrap_err();
        assert!(error.contains("without the cargo feature clouds"), "{error}");
    }

    #[test]
    fn servers_and_parameters_are_read_as_they_stand() {
        let target = Target::parse(
            "ws://cam/?a=b&c#format=openipc#client_id=x=y#insecure#ice_servers=[{\"urls\":\"stun:stun.kinesisvideo.eu-north-1.amazonaws.com:443\"},\
             {\"urls\":[\"turn:a:443?transport=udp\",\"nonsense\"],\"username\":\"u\",\"credential\":\"p\"}]",
        )
        .unwrap();
        assert_eq!(
            (target.param("client_id"), target.trust, target.place.path.as_str()),
            ("x=y", Trust::Anybody, "/?a=b&c")
        );
        let uris: Vec<String> = target.ice_servers.iter().map(|server| server.uri.to_string()).collect();
        assert_eq!(uris, ["stun:stun.kinesisvideo.eu-north-1.amazonaws.com:443", "turn:a:443?transport=udp"]);
        assert_eq!(target.ice_servers[1].login.username, "u");
        assert!(target.problems[0].to_string().starts_with("1.urls: left out"), "{:?}", target.problems);
        for (list, count) in
            [("null", 0), ("{\"urls\":\"stun:a\",\"credential\":null}", 1), ("[\"stun:a\",\"stun:b\"]", 2)]
        {
            let target = Target::parse(&format!("ws://cam/#ice_servers={list}")).unwrap();
            assert_eq!((target.ice_servers.len(), target.problems.len()), (count, 0), "{list}");
        }
    }
}
