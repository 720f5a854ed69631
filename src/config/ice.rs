//! What the operator should know about `webrtc.ice_servers`.
use super::document::Finding;
use super::parts::WebrtcPart;
use crate::net::servers::{Kind, Uri, quoted};

pub(super) fn findings(webrtc: &WebrtcPart, found: &mut Vec<Finding>) {
    for (number, server) in webrtc.ice_servers.iter().flatten().enumerate() {
        let number = number.to_string();
        let mut say = |key: &str, message: String| {
            found.push(Finding::new(&["webrtc", "ice_servers", &number, key], message));
        };
        let word = |word: &Option<String>| word.as_deref().and_then(quoted).is_some();
        for url in server.urls.iter().flat_map(|words| &words.0) {
            match Uri::parse(url) {
                // The text stays out: people write passwords into it.
                Err(error) => say("urls", format!("left out, {error}")),
                Ok(uri) if uri.kind == Kind::Stun => {}
                Ok(uri) => {
                    if !word(&server.username) || !word(&server.credential) {
                        say("urls", format!("{uri}: needs username and credential, of printable ASCII characters"));
                    }
                    if cfg!(not(feature = "turn")) {
                        say(
                            "urls",
                            format!(
                                "{uri}: only players are told of it, this build was made without the cargo feature turn"
                            ),
                        );
                    }
                }
            }
        }
    }
}

#[cfg(all(test, feature = "turn"))]
mod tests {
    use super::*;

    fn messages(yaml: &str) -> Vec<String> {
        let mut found = Vec::new();
        findings(&serde_yaml::from_str(yaml).unwrap(), &mut found);
        found.into_iter().map(|finding| format!("{}: {}", finding.path.join("."), finding.message)).collect()
    }

    #[test]
    fn servers_that_work_are_not_warned_about() {
        let yaml = "{candidates: ['stun:8555'], ice_servers: [{urls: 'stun:a:1'}, {urls: ['turn:b', 'turn:b?transport=tcp', 'turns:b'], username: u, credential: p}]}";
        assert_eq!(messages(yaml), Vec::<String>::new());
        assert_eq!(messages("{candidates: ['stun:8555']}"), Vec::<String>::new());
    }

    #[test]
    fn what_does_not_work_is_said_without_secrets() {
        let yaml = "{ice_servers: [{urls: ['turn:u:s3cret@b', 'turn:c']}, {urls: ['turns:d'], username: u}]}";
        let messages = messages(yaml);
        assert_eq!(messages.len(), 3, "{messages:?}");
        assert!(messages[0].starts_with("webrtc.ice_servers.0.urls: left out, expected stun:host:port"));
        assert!(messages[1].contains("turn:c:3478?transport=udp: needs username and credential"));
        assert!(messages[2].contains("turns:d:5349?transport=tcp: needs username and credential"));
        assert!(!messages.concat().contains("s3cret"));
    }
}
