//! What the operator should know about share links. A share that is wrong is left out, the others work.
use super::link::{MAX_SHARES, MAX_TRACKERS, check_share, check_tracker};
use crate::config::{Config, Finding, Severity, nearest};

/// A password of go2rtc's that is shorter can be found out by whoever sees the exchange.
const GUESSED: usize = 12;

/// What can't work.
pub fn findings(config: &Config) -> Vec<(Severity, Finding)> {
    let Some(settings) = &config.webtorrent else { return vec![] };
    let mut found = Vec::new();
    let mut say = |severity: Severity, path: &[&str], message: String| {
        found.push((severity, Finding::new(&[&["webtorrent"], path].concat(), message)));
    };
    if settings.trackers.is_empty() {
        say(Severity::Error, &["trackers"], "an empty list leaves nobody to pass on offers; remove the key".into());
    }
    for (index, url) in settings.trackers.iter().enumerate() {
        let index_text = index.to_string();
        match check_tracker(url) {
            Err(message) => say(Severity::Error, &["trackers", &index_text], message),
            Ok(_) if index == MAX_TRACKERS => {
                say(
                    Severity::Warning,
                    &["trackers", &index_text],
                    format!("the first {MAX_TRACKERS} trackers are used"),
                );
            }
            Ok(place) if place.secure && !cfg!(feature = "tls") => {
                say(Severity::Error, &["trackers", &index_text], "this is the minimal build, which has no TLS".into());
            }
            Ok(_) => {}
        }
    }
    if settings.shares.len() > MAX_SHARES {
        say(Severity::Error, &["shares"], format!("there can be {MAX_SHARES} shares, the rest is left out"));
    }
    let streams: Vec<&str> = config.streams.keys().map(String::as_str).collect();
    for share in &settings.shares {
        match check_share(share) {
            Err((key, message)) => {
                let path = ["shares", share.name.as_str(), key];
                say(Severity::Error, if key.is_empty() { &path[..2] } else { &path }, message);
            }
            Ok(()) if !streams.contains(&share.stream.as_str()) => {
                let hint = match nearest(&share.stream, &streams) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("streams has {}", streams.join(", ")),
                };
                let key = if share.publishes { "dst" } else { "src" };
                let message = format!("there is no stream {:?}, {hint}", share.stream);
                say(Severity::Error, &["shares", &share.name, key], message);
            }
            Ok(()) if share.go2rtc && share.pwd.chars().count() < GUESSED => {
                let message = "so short a password is found out by who runs the tracker, by trying; 22 random \
                               characters are not";
                say(Severity::Warning, &["shares", &share.name, "pwd"], message.into());
            }
            Ok(()) => {}
        }
    }
    if !settings.shares.is_empty() && config.webrtc.ice_servers.as_ref().is_none_or(Vec::is_empty) {
        let forwarded = !config.webrtc.candidates.is_empty();
        if !forwarded {
            let message = "visitors from outside find no way to the relay: name a STUN or TURN server in \
                           webrtc.ice_servers";
            say(Severity::Warning, &["shares"], message.into());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::check::{Checked, load};
    use crate::config::{DEFAULT_TRACKER, Edge, Share};
    use std::path::Path;

    const PWD: &str = "0123456789abcdef0123456789abcdef";

    fn loaded(section: &str) -> Checked {
        let yaml = format!(
            "streams: {{yard: 'test:', studio: }}\nwebrtc: {{ice_servers: [{{urls: 'stun:a'}}]}}\nwebtorrent:\n{section}"
        );
        let read = |_: &Path| Ok(yaml.clone());
        load(&["p.yaml".into()], &Edge { read: &read, variable: &|_| None, memory: None, interfaces: None }).unwrap()
    }

    fn one_error(section: &str) -> String {
        let loaded = loaded(section);
        assert_eq!((loaded.errors.len(), loaded.warnings.len()), (1, 0), "{section}: {loaded:?}");
        loaded.errors[0].clone()
    }

    #[test]
    fn shares_in_go2rtc_s_form_are_understood() {
        let loaded = loaded(&format!(
            "  shares:\n    a: {{pwd: {PWD}, src: yard}}\n    b: {{pwd: {PWD}, dst: studio}}\n    garden-gate: {{pwd: 123456789012, src: yard, compat: go2rtc}}\n"
        ));
        assert!(loaded.errors.is_empty() && loaded.warnings.is_empty(), "{loaded:?}");
        let settings = loaded.config.webtorrent.unwrap();
        assert_eq!(settings.trackers, [DEFAULT_TRACKER]);
        let shown = |share: &Share| (share.name.clone(), share.publishes, share.go2rtc, share.stream.clone());
        let shares: Vec<_> = settings.shares.iter().map(shown).collect();
        assert_eq!(shares[0], ("a".into(), false, false, "yard".into()));
        assert_eq!(shares[1], ("b".into(), true, false, "studio".into()));
        assert_eq!(shares[2], ("garden-gate".into(), false, true, "yard".into()));
    }

    #[test]
    fn without_the_section_there_are_no_share_links_and_an_empty_one_lets_the_api_make_them() {
        assert!(loaded("").config.webtorrent.is_none());
        assert!(loaded("  {}\n").config.webtorrent.is_some());
    }

    #[test]
    fn a_wrong_share_is_named_with_its_place_and_without_its_secret() {
        let error = one_error("  shares:\n    a:\n      src: yard\n      pwd: hunter2\n");
        assert!(error.starts_with("p.yaml:7:7: webtorrent.shares.a.pwd: needs 22 random"), "{error}");
        assert!(!error.contains("hunter2"));
        let error = one_error(&format!("  shares:\n    a: {{pwd: {PWD}, src: yrad}}\n"));
        assert!(
            error.ends_with("webtorrent.shares.a.src: there is no stream \"yrad\", did you mean \"yard\"?"),
            "{error}"
        );
        let error = one_error(&format!("  shares:\n    a: {{pwd: {PWD}}}\n"));
        assert!(error.contains("webtorrent.shares.a: needs either src"), "{error}");
        let both = one_error(&format!("  shares:\n    a: {{pwd: {PWD}, src: yard, dst: studio}}\n"));
        assert_eq!(both, error);
        let error = one_error(&format!("  shares:\n    short: {{pwd: {PWD}, src: yard, compat: go2rtc}}\n"));
        assert!(error.contains("webtorrent.shares.short: with compat: go2rtc"), "{error}");
        let weak = loaded("  shares:\n    garden-gate: {pwd: '1234', src: yard, compat: go2rtc}\n");
        assert!(weak.errors.is_empty() && weak.warnings[0].contains("by trying"), "{weak:?}");
    }

    #[test]
    fn a_wrong_tracker_is_an_error_at_its_entry() {
        let error = one_error("  trackers:\n    - ws://a\n    - https://b\n");
        assert!(error.starts_with("p.yaml:6:7: webtorrent.trackers.1: expected a tracker such as"), "{error}");
        assert!(one_error("  trackers: []\n").contains("webtorrent.trackers: an empty list"));
        let many = loaded("  trackers: [ws://a, ws://b, ws://c, ws://d, ws://e, ws://f]\n");
        assert!(many.errors.is_empty() && many.warnings.len() == 1, "{many:?}");
    }

    #[test]
    fn an_unknown_key_or_version_is_named() {
        let typo = loaded("  share: {}\n");
        assert!(typo.warnings[0].contains("did you mean \"shares\"?"), "{typo:?}");
        let read = |_: &Path| Ok("webtorrent: {shares: {a: {compat: webrtc}}}".to_owned());
        let edge = Edge { read: &read, variable: &|_| None, memory: None, interfaces: None };
        let error = load(&["p.yaml".into()], &edge).unwrap_err().to_string();
        assert!(error.contains("webtorrent.shares.a.compat: expected go2rtc"), "{error}");
    }

    #[test]
    fn shares_without_a_way_from_outside_are_warned_about() {
        let read = |_: &Path| {
            Ok(format!("streams: {{yard: 'test:'}}\nwebtorrent: {{shares: {{a: {{pwd: {PWD}, src: yard}}}}}}"))
        };
        let edge = Edge { read: &read, variable: &|_| None, memory: None, interfaces: None };
        let loaded = load(&["p.yaml".into()], &edge).unwrap();
        assert!(loaded.errors.is_empty() && loaded.warnings[0].contains("webrtc.ice_servers"), "{loaded:?}");
    }
}
