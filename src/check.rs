//! The configuration with what the operator should know about it: it is loaded, and then each part of the program looks
//! at its own settings.
#[cfg(test)]
mod documented;

use crate::config::{self, Config, Documents, Edge, Error, Loaded, Severity};
use crate::net::interfaces;
use crate::{gather, http, share, source};

/// A configuration and what there is to say about it, one line each.
#[derive(Debug)]
pub struct Checked {
    pub config: Config,
    pub warnings: Vec<String>,
    /// Settings that contradict each other. The relay starts all the same, because a part of it works; a check fails.
    pub errors: Vec<String>,
}

/// [`load`] on this machine.
pub fn system(arguments: &[String]) -> Result<Checked, Error> {
    load(arguments, &Edge::system(Some(interfaces::names())))
}

/// Loads what the `-c` arguments name, see [`config::load`], and checks it.
pub fn load(arguments: &[String], edge: &Edge) -> Result<Checked, Error> {
    let Loaded { config, documents } = config::load(arguments, edge)?;
    let mut checked = Checked { warnings: each(&documents), errors: Vec::new(), config };
    let mut found = gather::checks::findings(&checked.config.webrtc, edge.interfaces.as_deref());
    found.extend(http::checks::findings(&checked.config, edge.read));
    found.extend(share::findings(&checked.config));
    // What is wrong comes before what is only odd, where not everything is told.
    found.sort_by_key(|(severity, _)| matches!(severity, Severity::Warning));
    checked.warnings.extend(config::left_out(&mut found));
    for (severity, finding) in found {
        let line = documents.line(&finding);
        match severity {
            Severity::Warning => checked.warnings.push(line),
            Severity::Error => checked.errors.push(line),
        }
    }
    Ok(checked)
}

/// Lines about single documents, whatever those over them say.
fn each(documents: &Documents) -> Vec<String> {
    let mut lines = Vec::new();
    for laid in documents.iter() {
        let mut found: Vec<_> = http::checks::origins(laid.origins()).into_iter().collect();
        found.extend(laid.ice_servers().into_iter().flat_map(gather::checks::ice_servers));
        found.extend(laid.streams().into_iter().flat_map(source::checks::findings));
        let further = config::left_out(&mut found);
        lines.extend(laid.warnings.iter().cloned().chain(further));
        lines.extend(found.iter().map(|finding| laid.line(finding)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::Path;

    fn warnings(arguments: &[&str], text: &str) -> Vec<String> {
        let read = |path: &Path| match path.to_str() {
            Some("sample") => Ok(text.to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let edge = Edge { read: &read, variable: &|_| None, memory: Some(64 << 20), interfaces: None };
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let checked = load(&arguments, &edge).unwrap();
        // The sample's certificate is a file that there is not.
        let wrong = checked.errors.iter().find(|error| !error.contains("fullchain.pem can't be read"));
        assert_eq!(wrong, None);
        checked.warnings
    }

    /// The sample is the manual: it must be right.
    #[test]
    fn the_sample_config_has_no_warnings() {
        let sample = include_str!("../board/porthole.sample.yaml");
        assert_eq!(warnings(&["sample"], sample), Vec::<String>::new());
        // Settings that differ from the defaults are commented out; with the marks gone they must hold too, save that
        // some are alternatives to one another.
        let active: String = sample.lines().map(|line| line.replacen("#- ", "", 1) + "\n").collect();
        let mut warnings = warnings(&["sample"], &active);
        warnings.retain(|warning| !warning.contains(": has no effect"));
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn settings_that_do_what_they_say_are_not_warned_about() {
        let webrtc = "{webrtc: {listen: ':1/tcp', candidates: ['1.2.3.4:5', 'home.example:5', auto], ice_servers: [], \
                      filters: {loopback: true, interfaces: [eth0], ips: [10.0.0.1], candidates: [10.0.0.1], \
                      networks: [udp4, tcp4], udp_ports: [1, 2], exclude_interfaces: 'tun*', docker: include}}}";
        assert_eq!(warnings(&[webrtc], ""), Vec::<String>::new());
    }

    #[test]
    fn lines_come_in_the_order_of_the_documents_and_those_about_the_whole_come_last() {
        let text = "sream: x\napi: {origin: '*'}\nwebrtc: {ice_servers: [{urls: 'x'}]}\nstreams: {a: 'rtsp://c'}\n";
        let lines = warnings(&["first", "sample", "webrtc.filters.candidates=[]", "streams.b=rtsp://c"], text);
        let expected = [
            "first: no such file",
            "sample:1:1: sream: unknown key",
            "sample:2:7: api.origin: \"*\" is refused",
            "sample:3:",
            "sample:4:11: streams.a: \"rtsp\" is not part",
            "-c: streams.b: \"rtsp\" is not part",
            "-c: webrtc.filters.candidates: no address",
        ];
        assert_eq!(lines.len(), expected.len(), "{lines:?}");
        assert!(lines.iter().zip(expected).all(|(line, start)| line.starts_with(start)), "{lines:?}");
    }
}
