//! What the operator should know about the settings of `api`: origins that are refused, certificates that can't be read,
//! addresses that clash.
use crate::config::listen::Listen;
use crate::config::{Config, Finding, Severity, TlsMode};
use crate::http::server::certificate;
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// About `api.origin` of one document.
pub fn origins(origins: &[String]) -> Option<Finding> {
    origins.iter().any(|origin| origin == "*").then(|| {
        Finding::new(
            &["api", "origin"],
            "\"*\" is refused, because it lets every web site reach the cameras; name the pages that embed them, such \
             as \"https://home.example\"; pages on this relay's own host name may call without it",
        )
    })
}

/// What can't work. `read` gives the text of a file.
pub fn findings(config: &Config, read: &dyn Fn(&Path) -> io::Result<String>) -> Vec<(Severity, Finding)> {
    let api = &config.api;
    let mut found = vec![];
    let mut say = |severity, key: &str, message: String| found.push((severity, Finding::new(&["api", key], message)));
    let given = !api.tls_cert.is_empty() || !api.tls_key.is_empty();
    if given && let Err(wrong) = certificate::read(&api.tls_cert, &api.tls_key, read) {
        // The key that is not there has no place of its own.
        let set = if api.tls_cert.is_empty() { "tls_key" } else { "tls_cert" };
        let (key, message) = match wrong.part.key() {
            "tls_cert" if api.tls_cert.is_empty() => (set, "has no effect without api.tls_cert".to_owned()),
            "tls_key" if api.tls_key.is_empty() => (set, "has no effect without api.tls_key".to_owned()),
            key => (key, wrong.message),
        };
        say(Severity::Error, key, message);
    }
    if given && api.tls == TlsMode::Auto {
        let message = "has no effect beside a certificate of your own; remove it, or api.tls_cert";
        say(Severity::Warning, "tls", message.into());
    }
    #[cfg(not(feature = "tls"))]
    if api.tls == TlsMode::Auto {
        say(Severity::Error, "tls", certificate::WITHOUT_TLS.into());
    }
    if !api.tls_listen.is_empty() && !given && api.tls == TlsMode::Off {
        let message = "there is no certificate for it: set api.tls_cert and api.tls_key, or api.tls: auto";
        say(Severity::Error, "tls_listen", message.into());
    }
    if api.tls_listen != api.listen && overlap(&api.tls_listen, &api.listen) {
        let message = format!(
            "clashes with api.listen {:?}; api.listen speaks HTTPS too, so remove the one or choose another port",
            api.listen
        );
        say(Severity::Error, "tls_listen", message);
    }
    let media = Listen::parse(&config.webrtc.listen).ok();
    let media =
        media.and_then(|listen| Some(listen.host.map_or(String::new(), bracketed) + &format!(":{}", listen.tcp?)));
    for (key, listen) in [("listen", &api.listen), ("tls_listen", &api.tls_listen)] {
        if media.as_ref().is_some_and(|media| overlap(media, listen)) {
            let message = format!("clashes with the TCP port of webrtc.listen {:?}", config.webrtc.listen);
            say(Severity::Error, key, message);
        }
    }
    found
}

fn bracketed(ip: IpAddr) -> String {
    if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }
}

/// Would the second of these fail to listen beside the first? Port 0 is always another one.
fn overlap(a: &str, b: &str) -> bool {
    let (Some((a, a_port)), Some((b, b_port))) = (a.rsplit_once(':'), b.rsplit_once(':')) else { return false };
    let (Ok(a_port), Ok(b_port)) = (a_port.parse::<u16>(), b_port.parse::<u16>()) else { return false };
    if a_port != b_port || a_port == 0 {
        return false;
    }
    let covers = |wide: &str, narrow: &str| match wide {
        "" | "[::]" => true,
        "0.0.0.0" => !narrow.starts_with('['),
        _ => wide == narrow,
    };
    covers(a, b) || covers(b, a)
}

#[cfg(test)]
mod origin_tests {
    use crate::check::load;
    use crate::config::Edge;
    use std::io;

    #[test]
    fn an_origin_of_everybody_is_refused_with_what_to_write_instead() {
        let read = |_: &std::path::Path| Err(io::ErrorKind::NotFound.into());
        let edge = Edge { read: &read, variable: &|_| None, memory: None, interfaces: None };
        let loaded = load(&["api.origin=*".into()], &edge).unwrap();
        assert!(loaded.config.api.origin.is_empty());
        assert!(loaded.warnings[0].starts_with("-c: api.origin: \"*\" is refused"), "{:?}", loaded.warnings);
        assert!(loaded.warnings[0].contains("https://home.example"), "{:?}", loaded.warnings);
        assert!(load(&["api.origin=https://a.lan".into()], &edge).unwrap().warnings.is_empty());
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;
    use crate::check::load;
    use crate::config::Edge;

    fn checked(yaml: &str) -> (Vec<String>, Vec<String>) {
        let made = rcgen::generate_simple_self_signed(["a.lan".to_owned()]).unwrap();
        let read = |path: &Path| match path.to_str() {
            Some("p.yaml") => Ok(yaml.to_owned()),
            Some("a.crt") => Ok(made.cert.pem()),
            Some("a.key") => Ok(made.signing_key.serialize_pem()),
            Some("text") => Ok("hello".into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let edge = Edge { read: &read, variable: &|_| None, memory: None, interfaces: None };
        let loaded = load(&["p.yaml".into()], &edge).unwrap();
        (loaded.errors, loaded.warnings)
    }

    #[test]
    fn a_certificate_that_can_t_be_used_is_an_error_with_its_place() {
        for (yaml, start) in [
            ("api:\n  tls_cert: a.crt\n", "p.yaml:2:3: api.tls_cert: has no effect without api.tls_key"),
            ("api:\n  tls_key: a.key\n", "p.yaml:2:3: api.tls_key: has no effect without api.tls_cert"),
            ("api:\n  tls_cert: a.crt\n  tls_key: b.key\n", "p.yaml:3:3: api.tls_key: b.key can't be read"),
            ("api:\n  tls_cert: b.crt\n  tls_key: a.key\n", "p.yaml:2:3: api.tls_cert: b.crt can't be read"),
            ("api:\n  tls_cert: text\n  tls_key: a.key\n", "p.yaml:2:3: api.tls_cert: holds no certificate"),
            ("api:\n  tls_cert: a.crt\n  tls_key: text\n", "p.yaml:3:3: api.tls_key: holds no private key"),
            ("api:\n  tls_listen: ':443'\n", "p.yaml:2:3: api.tls_listen: there is no certificate for it"),
        ] {
            let (errors, warnings) = checked(yaml);
            assert_eq!((errors.len(), warnings.len()), (1, 0), "{yaml}: {errors:?} {warnings:?}");
            assert!(errors[0].starts_with(start), "{}", errors[0]);
        }
        let (errors, warnings) = checked("api:\n  tls_cert: a.crt\n  tls_key: a.key\n  tls: auto\n");
        assert!(
            errors.is_empty() && warnings[0].starts_with("p.yaml:4:3: api.tls: has no effect beside"),
            "{warnings:?}"
        );
    }

    #[test]
    fn what_works_is_not_spoken_of() {
        for yaml in [
            "api: {tls: auto}",
            "api: {tls: off}",
            "api: {tls: auto, tls_listen: ':8443'}",
            "api: {tls: auto, tls_listen: ':1984'}",
            "api: {tls: auto, listen: '', tls_listen: ':8443'}",
            "api: {tls_cert: a.crt, tls_key: a.key, listen: '127.0.0.1:8443', tls_listen: '10.0.0.1:8443'}",
            "api: {listen: ':8555'}\nwebrtc: {listen: ':8555/udp'}",
            "api: {listen: '0.0.0.0:8555'}\nwebrtc: {listen: '[::1]:8555'}",
        ] {
            assert_eq!(checked(yaml), (vec![], vec![]), "{yaml}");
        }
    }

    #[test]
    fn addresses_that_clash_are_errors() {
        for (yaml, key) in [
            ("api: {tls: auto, tls_listen: '127.0.0.1:1984'}", "api.tls_listen: clashes with api.listen \":1984\""),
            ("api: {tls: auto, tls_listen: ':8555'}", "api.tls_listen: clashes with the TCP port of webrtc.listen"),
            ("api: {listen: '0.0.0.0:8555'}", "api.listen: clashes with the TCP port of webrtc.listen"),
        ] {
            let (errors, _) = checked(yaml);
            assert!(errors.len() == 1 && errors[0].contains(key), "{yaml}: {errors:?}");
        }
    }
}
