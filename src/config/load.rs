//! From `-c` arguments to one [`Config`]: find the documents, substitute variables, lay them over one another.
use super::document::Document;
use super::documents::{Documents, Laid};
use super::parts::{Merge, Root};
use super::{Config, Error, keys, place, substitute, text, yaml};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf, absolute};

/// A config file larger than this is something else.
pub(super) const MAX_FILE: u64 = 1024 * 1024;
/// Where the config is looked for without `-c`, in this order.
const DEFAULT_FILES: [&str; 2] = ["porthole.yaml", "/etc/porthole.yaml"];
/// What runs when there is no config at all, so that the first start shows a picture.
const BUILT_IN: &str = "streams: {test: 'test:'}";

/// The world outside, as far as loading and checks look at it.
pub struct Edge<'e> {
    pub read: &'e dyn Fn(&Path) -> io::Result<String>,
    /// An environment variable.
    pub variable: &'e dyn Fn(&str) -> Option<String>,
    /// The machine's RAM in bytes, if known.
    pub memory: Option<u64>,
    /// Names of the machine's network interfaces; `None` where nothing shall be said about them.
    pub interfaces: Option<Vec<String>>,
}

impl Edge<'static> {
    /// The real one, on a machine with these network interfaces.
    pub fn system(interfaces: Option<Vec<String>>) -> Self {
        Self {
            read: &text::read,
            variable: &|name| std::env::var(name).ok(),
            memory: std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text)),
            interfaces,
        }
    }
}

/// A configuration and what it was read from.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub documents: Documents,
}

/// Loads what the `-c` arguments name, in order, each laid over the ones before: a file, inline YAML that
/// begins with `{`, or `key.path=value`. Without any: `porthole.yaml`, else `/etc/porthole.yaml`. Where
/// neither a file nor an argument speaks of streams there is a built-in test picture. The first file may be
/// missing, because the API will write it.
pub fn load(arguments: &[String], edge: &Edge) -> Result<Loaded, Error> {
    let mut loading = Loading { edge, root: Root::default(), documents: Documents::default(), path: None };
    for argument in arguments {
        if argument.trim_start().starts_with('{') {
            loading.lay(Document::file("-c", argument))?;
        } else if let Some((key, value)) = key_value(argument) {
            loading.lay(Document::made("-c", &nested(key, value)))?;
        } else {
            loading.file(argument)?;
        }
    }
    if arguments.is_empty() {
        loading.default_file()?;
    }
    if loading.path.is_none() && loading.root.streams.is_none() {
        loading.lay(Document::file("built-in config", BUILT_IN))?;
    }
    let mut config = loading.root.into_config(edge.memory);
    config.path = loading.path;
    Ok(Loaded { config, documents: loading.documents })
}

/// The line on which a key of a file stands, for messages about settings that are in force.
pub fn line_of_key(path: &Path, key: &[&str]) -> Option<usize> {
    place::of_key(&text::read(path).ok()?, key).map(|(line, _)| line)
}

struct Loading<'e> {
    edge: &'e Edge<'e>,
    root: Root,
    documents: Documents,
    path: Option<PathBuf>,
}

impl Loading<'_> {
    fn lay(&mut self, document: Document) -> Result<(), Error> {
        let laid = Laid::read(document)?;
        self.root.merge(laid.part());
        self.documents.push(laid);
        Ok(())
    }

    fn file(&mut self, name: &str) -> Result<(), Error> {
        let is_first = self.path.is_none();
        match (self.edge.read)(Path::new(name)) {
            Ok(text) => self.text(name, &text),
            Err(e) if e.kind() == io::ErrorKind::NotFound && is_first => {
                self.documents.push(Laid::missing(name));
                self.path = absolute(name).ok();
                Ok(())
            }
            Err(e) => Err(Error::new(format!("{name}: can't be read: {e}"))),
        }
    }

    fn default_file(&mut self) -> Result<(), Error> {
        for name in DEFAULT_FILES {
            match (self.edge.read)(Path::new(name)) {
                Ok(text) => return self.text(name, &text),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::new(format!("{name}: can't be read: {e}"))),
            }
        }
        Ok(())
    }

    fn text(&mut self, name: &str, text: &str) -> Result<(), Error> {
        let text = text.strip_prefix(text::BYTE_ORDER_MARK).unwrap_or(text);
        let own = env_section(text);
        let filled = substitute::variables(text, |variable| {
            own.get(variable).cloned().or_else(|| self.credential(variable)).or_else(|| (self.edge.variable)(variable))
        });
        self.lay(Document::file(name, &filled))?;
        if self.path.is_none() {
            self.path = absolute(name).ok();
        }
        Ok(())
    }

    /// A secret that systemd handed over (`LoadCredential=`); the line end that editors add is not part of it.
    fn credential(&self, name: &str) -> Option<String> {
        let directory = (self.edge.variable)("CREDENTIALS_DIRECTORY")?;
        let secret = (self.edge.read)(&Path::new(&directory).join(name)).ok()?;
        Some(secret.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// The file's own variables. A file that can't be read without its variables has none.
fn env_section(text: &str) -> BTreeMap<String, String> {
    #[derive(serde::Deserialize)]
    struct Env {
        #[serde(default)]
        env: BTreeMap<String, String>,
    }
    yaml::read::<Env>(text).map(|found| found.env).unwrap_or_default()
}

/// Why the argument of a `-c` can't mean anything, if so. In a file a key that is not known may be another version's;
/// on the command line it is a mistake, and a relay that runs on defaults instead would hide it.
pub fn refusal(argument: &str) -> Option<String> {
    if argument.trim().is_empty() {
        return Some("expected a file, inline YAML in braces, or key.path=value".to_owned());
    }
    if argument.trim_start().starts_with('{') {
        return None;
    }
    let (key, _) = key_value(argument)?;
    let unknown = keys::unknown_step(&key.split('.').collect::<Vec<_>>())?;
    Some(format!("{unknown} (a file of this name is written ./{argument})"))
}

/// `key.path=value`, unless it can only be a file name.
fn key_value(argument: &str) -> Option<(&str, &str)> {
    let (key, value) = argument.split_once('=')?;
    let is_key = !key.is_empty() && !key.starts_with(['/', '.']) && key.split('.').all(|step| !step.is_empty());
    is_key.then_some((key, value))
}

/// The YAML that `key.path=value` stands for. A value that is no YAML (`*`) or would only by accident be a map
/// (`test:`) is meant as text.
fn nested(key: &str, value: &str) -> String {
    let is_text = match serde_yaml::from_str(value) {
        Ok(serde_yaml::Value::Mapping(_)) => !value.starts_with('{'),
        Ok(_) => value.contains('\n'),
        Err(_) => true,
    };
    let value = if is_text { quoted(value) } else { value.to_owned() };
    let mut text = String::new();
    let depth = key.split('.').count();
    for (level, step) in key.split('.').enumerate() {
        let end = if level + 1 == depth { format!(" {value}\n") } else { "\n".to_owned() };
        text.push_str(&format!("{}{}:{end}", " ".repeat(level), quoted(step)));
    }
    text
}

/// A double-quoted scalar: JSON's strings are YAML's, except for some characters that YAML wants escaped too.
pub(super) fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// `MemTotal` of /proc/meminfo in bytes.
fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_from(arguments: &[&str], files: &[(&str, &str)]) -> Result<Loaded, Error> {
        let read = |path: &Path| match files.iter().find(|(name, _)| Path::new(name) == path) {
            Some((_, text)) => Ok((*text).to_owned()),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let variable = |name: &str| match name {
            "CREDENTIALS_DIRECTORY" => Some("/run/credentials".to_owned()),
            "HOST" => Some("from-environment".to_owned()),
            _ => None,
        };
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        load(&arguments, &Edge { read: &read, variable: &variable, memory: Some(64 << 20), interfaces: None })
    }

    fn warnings(loaded: &Loaded) -> Vec<&String> {
        loaded.documents.iter().flat_map(|laid| &laid.warnings).collect()
    }

    #[test]
    fn without_any_config_there_is_a_test_picture() {
        let loaded = load_from(&[], &[]).unwrap();
        assert_eq!(loaded.config.streams["test"].sources, ["test:"]);
        let tuned = load_from(&["log.level=debug"], &[]).unwrap();
        assert_eq!(
            tuned.config.streams["test"].sources,
            ["test:"],
            "a setting given on the command line takes no stream away"
        );
        assert_eq!(loaded.config.path, None);
        assert_eq!(loaded.config.relay.sessions, 128);
        assert!(warnings(&loaded).is_empty());
    }

    #[test]
    fn the_working_directory_comes_before_etc() {
        let files = [("porthole.yaml", "streams: {here: 'test:'}"), ("/etc/porthole.yaml", "streams: {etc: 'test:'}")];
        assert!(load_from(&[], &files).unwrap().config.streams.contains_key("here"));
        let loaded = load_from(&[], &files[1..]).unwrap();
        assert!(loaded.config.streams.contains_key("etc") && !loaded.config.streams.contains_key("test"));
        assert_eq!(loaded.config.path, Some("/etc/porthole.yaml".into()));
    }

    #[test]
    fn arguments_are_laid_over_one_another_in_order() {
        let files = [("/a.yaml", "api: {listen: ':1'}\nstreams: {a: 'test:'}"), ("/b.yaml", "api: {listen: ':2'}")];
        let arguments = ["/a.yaml", "/b.yaml", "{streams: {b: 'test:'}}", "api.listen=:3", "streams.c=test:"];
        let config = load_from(&arguments, &files).unwrap().config;
        assert_eq!(config.api.listen, ":3");
        assert_eq!(config.streams.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(config.streams["c"].sources, ["test:"]);
        assert_eq!(config.path, Some("/a.yaml".into()));
    }

    #[test]
    fn values_on_the_command_line_are_yaml_where_they_can_be() {
        let config = load_from(
            &[
                "webrtc.filters.ips=[10.0.0.1, '::1']",
                "webrtc.filters.loopback=true",
                "api.hosts=a: b",
                "relay.linger=3s",
            ],
            &[],
        );
        let config = config.unwrap().config;
        assert_eq!(config.webrtc.filters.ips.unwrap().len(), 2);
        assert!(config.webrtc.filters.loopback);
        assert_eq!(config.api.hosts, ["a: b"]);
        let none = load_from(&["{streams: {}}"], &[]).unwrap().config;
        assert!(none.streams.is_empty(), "whoever says that there are no streams gets none");
    }

    #[test]
    fn a_star_on_the_command_line_is_the_text_and_is_left_out_of_the_origins() {
        let loaded = load_from(&["api.origin=*"], &[]).unwrap();
        assert!(loaded.config.api.origin.is_empty());
        assert_eq!(loaded.documents.iter().flat_map(Laid::origins).collect::<Vec<_>>(), ["*"]);
    }

    #[test]
    fn the_first_file_may_be_missing_and_others_may_not() {
        let loaded = load_from(&["/new.yaml"], &[]).unwrap();
        assert_eq!(loaded.config.path, Some("/new.yaml".into()));
        assert_eq!(warnings(&loaded).len(), 1);
        let error = load_from(&["/new.yaml", "/second.yaml"], &[]).unwrap_err().to_string();
        assert!(error.starts_with("/second.yaml: can't be read"), "{error}");
    }

    #[test]
    fn a_file_saved_on_windows_is_read_and_its_places_are_right() {
        let loaded = load_from(&["/a.yaml"], &[("/a.yaml", "\u{feff}streams:\r\n  a: \"test:\"\r\n")]).unwrap();
        assert_eq!((loaded.config.streams["a"].sources.len(), warnings(&loaded).len()), (1, 0));
        let error = load_from(&["/a.yaml"], &[("/a.yaml", "\u{feff}api: 5\r\n")]).unwrap_err().to_string();
        assert!(error.starts_with("/a.yaml:1:6: "), "{error}");
    }

    #[test]
    fn variables_of_a_file_with_a_merge_key_are_found() {
        let text = "secrets: &s {A: x}\nenv: {<<: *s, B: y}\nstreams: {s: ['${A}', '${B}']}\n";
        assert_eq!(load_from(&["/a.yaml"], &[("/a.yaml", text)]).unwrap().config.streams["s"].sources, ["x", "y"]);
    }

    #[test]
    fn variables_come_from_the_file_then_credentials_then_the_environment() {
        let text =
            "env: {A: from-file}\nstreams:\n  s: [\"${A}\", \"${B}\", \"${HOST}\", \"${C:default}\", \"${D}\"]\n";
        let files = [("/a.yaml", text), ("/run/credentials/B", "from-credential\n"), ("/run/credentials/A", "no")];
        let config = load_from(&["/a.yaml"], &files).unwrap().config;
        assert_eq!(
            config.streams["s"].sources,
            ["from-file", "from-credential", "from-environment", "default", "${D}"]
        );
    }

    #[test]
    fn errors_name_the_file_as_it_was_given() {
        let error = load_from(&["/a.yaml"], &[("/a.yaml", "api:\n  listen: [1]\n")]).unwrap_err().to_string();
        assert!(error.starts_with("/a.yaml:2:11: api.listen: expected \":port\""), "{error}");
        let error = load_from(&["relay.sessions=0"], &[]).unwrap_err().to_string();
        assert!(error.starts_with("-c: relay.sessions: expected"), "{error}");
    }

    #[test]
    fn the_memory_of_the_machine_is_read_from_meminfo() {
        assert_eq!(total_memory("MemTotal:         512000 kB\nMemFree: 1 kB\n"), Some(512_000 * 1024));
        assert_eq!(total_memory("nothing"), None);
    }

    /// The sample is the manual: it must be complete.
    #[test]
    fn the_sample_config_names_every_key() {
        let sample = include_str!("../../board/porthole.sample.yaml");
        // Settings that differ from the defaults are commented out.
        let active: String = sample.lines().map(|line| line.replacen("#- ", "", 1) + "\n").collect();
        let sections: [&[&str]; 6] = [&[], &["api"], &["webrtc"], &["webrtc", "filters"], &["relay"], &["webtorrent"]];
        for section in sections {
            for key in keys::known(section).unwrap() {
                let path = [section, &[*key]].concat();
                assert!(place::of_key(&active, &path).is_some(), "{} is missing", path.join("."));
            }
        }
        for module in keys::LOG_MODULES {
            assert!(sample.contains(module), "log module {module} is missing");
        }
    }
}
