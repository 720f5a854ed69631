//! What the operator should know about `webrtc.ice_servers`.
use super::document::Finding;
use super::parts::WebrtcPart;
use crate::gather::ice_servers::{Kind, Uri};

pub(super) fn findings(webrtc: &WebrtcPart, found: &mut Vec<Finding>) {
    let Some(list) = &webrtc.ice_servers else { return };
    for problem in &list.problems {
        let mut path = vec!["webrtc", "ice_servers"];
        path.extend(problem.path.iter().map(String::as_str));
        found.push(Finding::new(&path, problem.message.as_str()));
    }
    if cfg!(feature = "turn") {
        return;
    }
    for uri in list.servers.iter().flat_map(|server| &server.urls).filter_map(|url| Uri::parse(url).ok()) {
        if uri.kind != Kind::Stun {
            let message =
                format!("{uri}: only players are told of it, this build was made without the cargo feature turn");
            found.push(Finding::new(&["webrtc", "ice_servers"], message));
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

    #[test]
    fn one_server_and_texts_are_a_list_too() {
        for list in ["{url: 'stun:a', credential: }", "['stun:a']", "'stun:a'"] {
            let yaml = format!("{{ice_servers: {list}}}");
            assert_eq!(messages(&yaml), Vec::<String>::new(), "{list}");
            let part: WebrtcPart = serde_yaml::from_str(&yaml).unwrap();
            assert_eq!(part.ice_servers.unwrap().servers[0].urls, ["stun:a"]);
        }
        assert_eq!(messages("{ice_servers: {urls: 'stun:a', name: b}}").len(), 1);
    }
}
