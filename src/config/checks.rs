//! Values that are understood but refused, or that this version does not act on yet.
use super::document::Finding;
use super::parts::Root;
use super::values::Words;
use crate::source::scheme::source_scheme;
use crate::source::{self, SCHEMES};

/// What the operator should know about the values of one document.
pub(super) fn findings(part: &Root) -> Vec<Finding> {
    let mut found = vec![];
    if let Some(Words(origins)) = part.api.as_ref().and_then(|api| api.origin.as_ref())
        && origins.iter().any(|origin| origin == "*")
    {
        found.push(Finding::new(
            &["api", "origin"],
            "\"*\" is refused, because it lets every web site reach the cameras; name the pages that embed them, such \
             as \"https://home.example\"; pages on this relay's own host name may call without it",
        ));
    }
    if let Some(webrtc) = &part.webrtc {
        super::ice::findings(webrtc, &mut found);
    }
    for (name, stream) in part.streams.iter().flatten() {
        for source in &stream.sources {
            let message = match source_scheme(source) {
                Some(scheme) if SCHEMES.contains(&scheme) => match source::check(source) {
                    Ok(()) => {
                        let warnings = source::warnings(source).into_iter();
                        found.extend(warnings.map(|message| Finding::new(&["streams", name], message)));
                        continue;
                    }
                    Err(error) => error,
                },
                named => {
                    let scheme = named.map_or("a source without a scheme".to_owned(), |scheme| format!("{scheme:?}"));
                    format!("{scheme} is not part of this version, sources that work: {}", SCHEMES.join(", "))
                }
            };
            found.push(Finding::new(&["streams", name], message));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(yaml: &str) -> Vec<String> {
        findings(&serde_yaml::from_str(yaml).unwrap()).into_iter().map(|f| f.path.join(".")).collect()
    }

    #[test]
    fn an_origin_of_everybody_is_refused_with_what_to_write_instead() {
        let found = findings(&serde_yaml::from_str("api: {origin: '*'}").unwrap());
        assert!(found[0].message.contains("https://home.example"));
        assert!(paths("api: {origin: 'https://a.lan'}").is_empty());
    }

    #[test]
    fn what_the_engine_does_is_not_warned_about() {
        let yaml = "webrtc: {listen: ':1/tcp', candidates: ['1.2.3.4:5', 'home.example:5', auto], ice_servers: [], \
                    filters: {loopback: true, interfaces: [eth0], ips: [10.0.0.1], candidates: [], networks: [udp4], \
                    udp_ports: [1, 2], exclude_interfaces: 'tun*', docker: include}}";
        assert_eq!(paths(yaml), Vec::<String>::new());
    }

    #[test]
    fn a_source_that_can_t_be_opened_is_named_without_its_password() {
        let found = findings(&serde_yaml::from_str("streams: {a: 'rtsp://u:secret@c', b: 'test:'}").unwrap());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, ["streams", "a"]);
        assert_eq!(found[0].message, "\"rtsp\" is not part of this version, sources that work: echo, test, webrtc");
        let found = findings(&serde_yaml::from_str("streams: {a: 'webrtc:ws://u:secret@c/#format=tuya'}").unwrap());
        assert!(found[0].message.contains("tuya") && !found[0].message.contains("secret"), "{}", found[0].message);
    }
}
