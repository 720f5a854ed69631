//! What the operator should know about the sources of `streams`.
use super::scheme::source_scheme;
use super::{SCHEMES, check, warnings};
use crate::config::{Finding, Stream};
use std::collections::BTreeMap;

/// About the sources of one document.
pub fn findings(streams: &BTreeMap<String, Stream>) -> Vec<Finding> {
    let mut found = vec![];
    for (name, stream) in streams {
        for source in &stream.sources {
            let message = match source_scheme(source) {
                Some(scheme) if SCHEMES.contains(&scheme) => match check(source) {
                    Ok(()) => {
                        let warnings = warnings(source).into_iter();
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

    fn found(yaml: &str) -> Vec<Finding> {
        findings(&serde_yaml::from_str(yaml).unwrap())
    }

    #[test]
    fn a_source_that_can_t_be_opened_is_named_without_its_password() {
        let found = self::found("{a: 'rtsp://u:secret@c', b: 'test:'}");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, ["streams", "a"]);
        assert_eq!(found[0].message, "\"rtsp\" is not part of this version, sources that work: echo, test, webrtc");
        let found = self::found("{a: 'webrtc:ws://u:secret@c/#format=tuya'}");
        assert!(found[0].message.contains("tuya") && !found[0].message.contains("secret"), "{}", found[0].message);
    }
}
