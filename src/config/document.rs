//! One YAML text: read, checked, and able to say where each of its keys stands.
use super::finding::{Finding, left_out};
use super::parts::Root;
use super::{Error, keys, place, yaml};

/// A text with a name.
#[derive(Debug)]
pub(super) struct Document {
    /// What messages begin with: the file as the operator named it, or `-c key`.
    name: String,
    text: String,
    /// Whether lines and columns mean something to the operator.
    has_lines: bool,
}

impl Document {
    pub(super) fn file(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned(), has_lines: true }
    }

    /// A text that was put together from `key=value`.
    pub(super) fn made(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned(), has_lines: false }
    }

    /// Reads the text. Wrong syntax and wrong types are errors; a key that is only not understood is a warning, so that a file written for another version still starts.
    pub(super) fn read(&self) -> Result<(Root, Vec<String>), Error> {
        let root = yaml::value(&self.text).map_err(|(at, e)| self.error(at, &explain(&e)))?;
        if root.is_null() {
            return Ok((Root::default(), vec![]));
        }
        if !root.is_mapping() {
            return Err(self.error(Some((1, 1)), "expected sections such as \"streams:\" with keys below them"));
        }
        let part: Root = yaml::read(&self.text).map_err(|(at, e)| self.error(at, &explain(&e)))?;
        let mut findings = keys::findings(&root);
        let further = left_out(&mut findings).map(|further| self.at(None, &further));
        findings.retain(|finding| !self.is_kept_for_aliases(finding));
        Ok((part, findings.iter().map(|finding| self.line(finding)).chain(further).collect()))
    }

    /// A section of the operator's own, `common: &name`, that others refer to.
    fn is_kept_for_aliases(&self, finding: &Finding) -> bool {
        let [key] = &finding.path[..] else { return false };
        let line = place::of_key(&self.text, &[key]).and_then(|(line, _)| self.text.lines().nth(line - 1));
        let anchored =
            line.and_then(|line| line.split_once(':')).is_some_and(|(_, value)| value.trim().starts_with('&'));
        anchored && keys::unknown_step(&[key]).is_some()
    }

    /// Does this text speak of the key?
    pub(super) fn has(&self, path: &[&str]) -> bool {
        place::of_key(&self.text, path).is_some()
    }

    fn error(&self, at: Option<place::Place>, message: &str) -> Error {
        let line = at.and_then(|(line, _)| self.text.lines().nth(line.checked_sub(1)?)).unwrap_or_default();
        let indent = &line[..line.len() - line.trim_start().len()];
        let hint = if indent.contains('\t') { "; the line begins with a tab, indent it with spaces" } else { "" };
        Error::new(self.at(at, &format!("{message}{hint}")))
    }

    /// What was found, with its place. A list that is written as a single value has no elements to point at.
    pub(super) fn line(&self, finding: &Finding) -> String {
        let path: Vec<&str> = finding.path.iter().map(String::as_str).collect();
        let message = format!("{}: {}", finding.path.join("."), finding.message);
        let above = path.split_last().map_or(&path[..], |(_, above)| above);
        self.at(place::of_key(&self.text, &path).or_else(|| place::of_key(&self.text, above)), &message)
    }

    fn at(&self, at: Option<place::Place>, message: &str) -> String {
        match at {
            Some((line, column)) if self.has_lines => format!("{}:{line}:{column}: {message}", self.name),
            _ => format!("{}: {message}", self.name),
        }
    }
}

/// The parser's words in ours: what was expected first, and never the value itself, which may be a password.
fn explain(error: &serde_yaml::Error) -> String {
    let full = error.to_string();
    let text = full.split(" at line ").next().unwrap_or(&full);
    for wrong in ["invalid type: ", "invalid value: "] {
        if let Some((path, rest)) = text.split_once(wrong) {
            let Some((found, expected)) = rest.rsplit_once(", expected ") else { break };
            let path = path.trim_start_matches(".: ");
            return match found.split([' ', '"', '`']).next() {
                Some("sequence") => format!("{path}expected {expected}, found a list"),
                Some("map") => format!("{path}expected {expected}, found a map"),
                Some(kind @ ("string" | "integer" | "boolean")) if wrong == "invalid type: " => {
                    format!("{path}expected {expected}, found {} {kind}", if kind == "integer" { "an" } else { "a" })
                }
                _ => format!("{path}expected {expected}"),
            };
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Document::file("porthole.yaml", text).read().unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_type_names_the_place_the_key_and_what_is_expected() {
        assert_eq!(
            error("webrtc:\n  filters:\n    loopback: perhaps\n"),
            "porthole.yaml:3:15: webrtc.filters.loopback: expected a boolean, found a string"
        );
        assert_eq!(error("api: 5"), "porthole.yaml:1:6: api: expected a map of settings, found an integer");
        assert_eq!(error("streams:\n  a: [[x]]\n"), "porthole.yaml:2:7: streams.a[0]: expected a string, found a list");
        assert_eq!(
            error("relay:\n  linger: soon\n"),
            "porthole.yaml:2:11: relay.linger: expected a time such as 500ms, 10s or 2m, a day at most"
        );
        assert_eq!(
            error("log:\n  level: loud\n"),
            "porthole.yaml:2:10: log.level: expected trace, debug, info, warn, error or disabled"
        );
        assert_eq!(
            error("streams:\n  door:\n    policy: queue\n"),
            "porthole.yaml:3:13: streams.door.policy: expected replace, reject or append"
        );
    }

    #[test]
    fn a_wrong_value_is_not_repeated_because_it_may_be_a_secret() {
        assert!(!error("relay: {sessions: hunter2}").contains("hunter2"));
    }

    #[test]
    fn broken_syntax_names_its_line() {
        let text = error("api:\n  listen: ':1'\n streams: x\n");
        assert!(text.starts_with("porthole.yaml:3:"), "{text}");
        let text = error("api:\n\tlisten: 1\n");
        assert!(text.starts_with("porthole.yaml:2:1: ") && text.ends_with("indent it with spaces"), "{text}");
    }

    #[test]
    fn streams_behind_a_merge_key_are_read_and_the_section_that_they_stand_in_is_no_mistake() {
        let read = |text: &str| Document::file("porthole.yaml", text).read().unwrap();
        let (root, warnings) = read("common: &c\n  x: \"test:\"\nstreams:\n  <<: *c\n  a: \"test:\"\n");
        assert_eq!(root.streams.unwrap().into_keys().collect::<Vec<_>>(), ["a", "x"]);
        assert_eq!(warnings, Vec::<String>::new());
        let (_, warnings) = read("base: &b {lisen: ':1'}\napi:\n  <<: *b\n");
        assert_eq!(warnings, ["porthole.yaml:2:1: api.lisen: unknown key, did you mean \"listen\"?"]);
        let (_, warnings) = read("commons: {x: 1}\n");
        assert_eq!(warnings.len(), 1, "nothing refers to it");
        assert_eq!(
            error("base: &b {listen: [1]}\napi: {<<: *b}\n"),
            "porthole.yaml: api.listen: expected \":port\", \"address:port\" or an empty string, found a list"
        );
    }

    #[test]
    fn a_file_of_something_else_is_warned_about_in_a_few_lines_and_at_once() {
        let text: String = (0..4_000).map(|number| format!("key{number}: x\n")).collect();
        let begun = std::time::Instant::now();
        let (_, warnings) = Document::file("porthole.yaml", &text).read().unwrap();
        assert_eq!(warnings.len(), 65);
        assert_eq!(warnings[64], "porthole.yaml: 3936 more of the kind are left out here");
        // It was a minute and more.
        assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_key_that_stands_twice_is_an_error() {
        let text = error("streams:\n  a: x\n  a: y\n");
        assert!(text.starts_with("porthole.yaml:") && text.contains("\"a\""), "{text}");
    }

    #[test]
    fn a_text_that_is_no_map_is_an_error_and_an_empty_one_is_fine() {
        assert!(error("- a\n").starts_with("porthole.yaml:1:1: expected sections"));
        assert!(Document::file("x", "").read().is_ok());
        assert!(Document::file("x", "# nothing yet\n").read().is_ok());
    }

    #[test]
    fn an_unknown_key_is_a_warning_with_its_place_and_the_nearest_name() {
        let (_, warnings) =
            Document::file("porthole.yaml", "webrtc:\n  filters:\n    network: [udp4]\n").read().unwrap();
        assert_eq!(warnings, ["porthole.yaml:3:5: webrtc.filters.network: unknown key, did you mean \"networks\"?"]);
    }
}
