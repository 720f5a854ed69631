//! Stream changes made through the API, written into the operator's file: one entry changes, every other
//! line stays as it was written.
use super::load::{MAX_FILE, quoted};
use super::{Error, PublisherPolicy, Stream, place};
use serde_yaml::Value;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A new config file is for its owner only: sources carry passwords.
const NEW_FILE_MODE: u32 = 0o600;
/// Indentation of an entry when the file shows no other.
const INDENT: &str = "  ";

/// Creates, replaces or (with `None`) removes one stream in the config file, which is created if absent.
/// The new file replaces the old one in one step; on any error the old one stays. Callers must not run two of
/// these at one time, the second would not know of the first one's change.
pub fn save_stream(path: &Path, name: &str, sources: Option<&[String]>) -> Result<(), Error> {
    // A symbolic link stays one: the file that it points to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let fail = |what: &str, e: io::Error| Error::new(format!("{}: {what}: {e}", path.display()));
    let old = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(fail("can't be read", e)),
    };
    let new = edit(&old, name, sources).map_err(|e| Error::new(format!("{}: {e}", path.display())))?;
    if new == old {
        return Ok(());
    }
    replace(&path, &new).map_err(|e| fail("can't be written", e))
}

/// Writes beside the file and renames, so that there is a whole file at every moment, power cuts included.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = beside(path);
    let written = write_new(path, &temporary, text).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell; a left-over is removed by the next attempt.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

fn write_new(path: &Path, temporary: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(NEW_FILE_MODE).open(temporary)?;
    if let Ok(old) = fs::metadata(path) {
        // Only root may give files away; where that fails the mode must not open it to others.
        let same_owner = std::os::unix::fs::chown(temporary, Some(old.uid()), Some(old.gid())).is_ok();
        if same_owner {
            file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))?;
        }
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The text with one stream changed. Whatever the editing of lines does, the result is read again and must
/// say exactly what was meant, else nothing is changed.
fn edit(text: &str, name: &str, sources: Option<&[String]>) -> Result<String, Error> {
    if name.contains("${") || sources.unwrap_or_default().iter().any(|source| source.contains("${")) {
        // It would be replaced by a secret of this machine at the next start.
        return Err(Error::new("a stream with \"${\" in it can't be saved, write it into the file by hand"));
    }
    let before = Meaning::of(text)?;
    let mut wanted = before.clone();
    match sources {
        // What else the entry says stays.
        Some(sources) => wanted.streams.entry(name.to_owned()).or_default().sources = sources.to_vec(),
        None => drop(wanted.streams.remove(name)),
    }
    if wanted == before {
        return Ok(text.to_owned());
    }
    let after = Lines::of(text).edit(name, &wanted.streams);
    if after.len() as u64 > MAX_FILE {
        return Err(Error::new(format!("would grow beyond {MAX_FILE} bytes")));
    }
    match Meaning::of(&after) {
        Ok(meaning) if meaning == wanted => Ok(after),
        _ => Err(Error::new("laid out in a way that can't be edited line by line, change the stream by hand")),
    }
}

/// What a file says, apart from its layout.
#[derive(Clone, PartialEq)]
struct Meaning {
    streams: BTreeMap<String, Stream>,
    others: Vec<(Value, Value)>,
}

impl Meaning {
    fn of(text: &str) -> Result<Self, Error> {
        #[derive(Default, serde::Deserialize)]
        struct Streams {
            streams: Option<BTreeMap<String, Stream>>,
        }
        let broken = |e: serde_yaml::Error| Error::new(format!("can't be edited: {e}"));
        let others = match serde_yaml::from_str(text).map_err(broken)? {
            Value::Null => vec![],
            Value::Mapping(map) => map.into_iter().filter(|(key, _)| key.as_str() != Some("streams")).collect(),
            _ => return Err(Error::new("can't be edited: not a map of sections")),
        };
        let streams: Option<Streams> = serde_yaml::from_str(text).map_err(broken)?;
        Ok(Self { streams: streams.unwrap_or_default().streams.unwrap_or_default(), others })
    }
}

/// A text as lines with their ends.
struct Lines<'t> {
    text: &'t str,
    lines: Vec<&'t str>,
    end: &'static str,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Self { text, lines: text.split_inclusive('\n').collect(), end }
    }

    /// The text with the entry of one stream as it is among all of them.
    fn edit(&self, name: &str, all: &BTreeMap<String, Stream>) -> String {
        let Some((line, _)) = place::of_key(self.text, &["streams"]) else {
            return self.with(self.lines.len(), self.lines.len(), &self.section(all));
        };
        let section = line - 1;
        let section_end = self.end_of_block(section, 0);
        let Some(indent) = self.indent_of_entries(section, section_end) else {
            // Empty, or on one line with its entries: written anew.
            return self.with(section, section_end, &self.section(all));
        };
        let entry = all.get(name).map(|stream| self.entry(indent, name, stream)).unwrap_or_default();
        match place::of_key(self.text, &["streams", name]) {
            Some((line, _)) => self.with(line - 1, self.end_of_block(line - 1, indent.len()), &entry),
            None => self.with(section_end, section_end, &entry),
        }
    }

    /// The text with the lines `from..to` replaced.
    fn with(&self, from: usize, to: usize, new: &str) -> String {
        let mut before = self.lines[..from].concat();
        if !before.is_empty() && !before.ends_with('\n') && !new.is_empty() {
            before.push_str(self.end);
        }
        before + new + &self.lines[to..].concat()
    }

    /// The line behind the block that begins at line `start` with that indentation. Comments and empty lines
    /// behind the block's last line belong to what follows.
    fn end_of_block(&self, start: usize, indent: usize) -> usize {
        let mut end = start + 1;
        for (number, line) in self.lines.iter().enumerate().skip(start + 1) {
            let content = line.trim_start_matches(' ');
            let depth = line.len() - content.len();
            let is_filler = content.trim().is_empty() || content.starts_with('#');
            // A list may stand at the indentation of its key.
            let belongs = depth > indent || depth == indent && (content.starts_with("- ") || content.trim_end() == "-");
            match (is_filler, belongs) {
                (true, _) => {}
                (false, true) => end = number + 1,
                (false, false) => break,
            }
        }
        end
    }

    /// Indentation of the section's first entry, if entries stand on lines of their own.
    fn indent_of_entries(&self, section: usize, end: usize) -> Option<&'t str> {
        let head = self.lines.get(section)?.split_once(':')?.1.trim();
        let is_block = head.is_empty() || head.starts_with('#');
        let entries = self.lines.get(section + 1..end).filter(|_| is_block)?;
        let first = entries.iter().find(|line| {
            let content = line.trim();
            !content.is_empty() && !content.starts_with('#')
        })?;
        Some(&first[..first.len() - first.trim_start_matches(' ').len()])
    }

    fn section(&self, all: &BTreeMap<String, Stream>) -> String {
        let entries: String = all.iter().map(|(name, stream)| self.entry(INDENT, name, stream)).collect();
        format!("streams:{}{entries}", self.end)
    }

    fn entry(&self, indent: &str, name: &str, stream: &Stream) -> String {
        if stream.policy == PublisherPolicy::default() {
            return self.sources(indent, name, &stream.sources);
        }
        let (end, inner) = (self.end, format!("{indent}{INDENT}"));
        let sources = match stream.sources.is_empty() {
            true => String::new(),
            false => self.sources(&inner, "url", &stream.sources),
        };
        format!("{indent}{}:{end}{sources}{inner}policy: {}{end}", scalar(name), stream.policy.name())
    }

    fn sources(&self, indent: &str, name: &str, sources: &[String]) -> String {
        let end = self.end;
        let name = scalar(name);
        match sources {
            [] => format!("{indent}{name}:{end}"),
            [one] => format!("{indent}{name}: {}{end}", scalar(one)),
            many => {
                let list: String = many.iter().map(|one| format!("{indent}{INDENT}- {}{end}", scalar(one))).collect();
                format!("{indent}{name}:{end}{list}")
            }
        }
    }
}

/// Plain where nobody could misread it, else in quotes.
fn scalar(text: &str) -> String {
    let plain = |b: u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'_' | b'-' | b'.' | b'/' | b':' | b'@' | b'?' | b'&' | b'=' | b'%' | b'+')
    };
    let is_plain = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && text.bytes().all(plain)
        && !text.ends_with(':')
        && matches!(serde_yaml::from_str(text), Ok(Value::String(read)) if read == text)
        // Booleans of older YAML.
        && !["y", "n", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    fn put(text: &str, name: &str, sources: &[&str]) -> String {
        edit(text, name, Some(&strings(sources))).unwrap()
    }

    const FILE: &str = "\
# my cameras
api:
  listen: :1984   # as ever

streams:
  # the garden
  garden: rtsp://g   # south
  door:
  - rtsp://d
  - rtsp://e

  # last one
  hall:
    - rtsp://h

# trailing words
log: {level: info}
";

    #[test]
    fn only_the_entry_changes() {
        assert_eq!(
            put(FILE, "garden", &["rtsp://new"]),
            FILE.replace("garden: rtsp://g   # south", "garden: rtsp://new")
        );
        assert_eq!(
            put(FILE, "door", &["rtsp://a", "test:"]),
            FILE.replace("  - rtsp://d\n  - rtsp://e\n", "    - rtsp://a\n    - \"test:\"\n")
        );
        assert_eq!(put(FILE, "hall", &[]), FILE.replace("  hall:\n    - rtsp://h\n", "  hall:\n"));
    }

    #[test]
    fn a_new_stream_comes_behind_the_last_one() {
        assert_eq!(
            put(FILE, "new", &["test:"]),
            FILE.replace("    - rtsp://h\n", "    - rtsp://h\n  new: \"test:\"\n")
        );
    }

    #[test]
    fn a_removed_stream_takes_its_lines_along_and_no_comment() {
        assert_eq!(edit(FILE, "door", None).unwrap(), FILE.replace("  door:\n  - rtsp://d\n  - rtsp://e\n", ""));
        assert_eq!(edit(FILE, "nobody", None).unwrap(), FILE);
        assert_eq!(edit("streams:\n  a: x", "a", None).unwrap(), "streams:\n");
    }

    #[test]
    fn an_unchanged_stream_leaves_the_file_alone() {
        assert_eq!(put(FILE, "garden", &["rtsp://g"]), FILE);
    }

    #[test]
    fn files_without_streams_get_the_section() {
        assert_eq!(put("", "a", &["test:"]), "streams:\n  a: \"test:\"\n");
        assert_eq!(put("# hello", "a", &["v"]), "# hello\nstreams:\n  a: v\n");
        assert_eq!(put("api:\n  listen: :1\n", "a", &["v"]), "api:\n  listen: :1\nstreams:\n  a: v\n");
        assert_eq!(put("streams:\nlog: {}\n", "a", &["v"]), "streams:\n  a: v\nlog: {}\n");
    }

    #[test]
    fn the_policy_of_a_stream_stays_when_its_sources_change() {
        let text = |body: &str| format!("streams:\n  door:\n{body}  hall: x\n");
        let old = text("    policy: append   # one after the other\n    url: \"test:\"\n");
        assert_eq!(put(&old, "door", &["v"]), text("    url: v\n    policy: append\n"));
        assert_eq!(put(&old, "door", &["v", "w"]), text("    url:\n      - v\n      - w\n    policy: append\n"));
        assert_eq!(put(&old, "door", &[]), text("    policy: append\n"));
        assert_eq!(put(&old, "hall", &["z"]), old.replace("hall: x", "hall: z"));
        assert_eq!(put(&old, "door", &["test:"]), old);
        assert_eq!(edit(&old, "door", None).unwrap(), "streams:\n  hall: x\n");
        assert_eq!(
            put("streams: {door: {policy: reject, url: x}}\n", "hall", &["z"]),
            "streams:\n  door:\n    url: x\n    policy: reject\n  hall: z\n"
        );
        assert_eq!(put(&text("    url: x\n    policy: replace\n"), "door", &["v"]), "streams:\n  door: v\n  hall: x\n");
    }

    #[test]
    fn streams_on_one_line_are_spread_out() {
        assert_eq!(put("streams: {a: x}\nlog: {}\n", "b", &["w"]), "streams:\n  a: x\n  b: w\nlog: {}\n");
        assert_eq!(put("streams: {}\n", "b", &["w"]), "streams:\n  b: w\n");
    }

    #[test]
    fn windows_line_ends_stay() {
        assert_eq!(
            put("streams:\r\n    a: x\r\n", "b", &["v", "w"]),
            "streams:\r\n    a: x\r\n    b:\r\n      - v\r\n      - w\r\n"
        );
    }

    #[test]
    fn strange_names_and_sources_come_back_as_they_were() {
        for name in [
            "a b",
            "true",
            "no",
            "7",
            "x: y",
            "# x",
            "\"q\"",
            "ä\n",
            "-",
            "a#b",
            "{x}",
            "[",
            "*a",
            "&b",
            "!c",
            "\u{7f}\u{85}\u{2028}\u{feff}\u{1f600}",
        ] {
            let Ok(text) = edit(FILE, name, Some(&strings(&[name]))) else { panic!("{name:?}") };
            assert_eq!(Meaning::of(&text).unwrap().streams[name].sources, [name], "{name:?}");
        }
    }

    #[test]
    fn what_can_t_be_edited_safely_is_left_alone() {
        for text in ["{api: {}, streams: {a: x}}", "--- \nstreams: {a: x}\n...\n", "- 1\n", "a: [\n"] {
            assert!(
                edit(text, "b", Some(&strings(&["y"]))).is_err() || put(text, "b", &["w"]).contains("b: w"),
                "{text}"
            );
        }
        assert!(edit("{api: {}}", "b", Some(&strings(&["y"]))).is_err());
    }

    #[test]
    fn nobody_can_plant_a_variable_that_the_next_start_fills_in() {
        assert!(edit("", "a", Some(&strings(&["whep:http://x/${HOME}"]))).is_err());
        assert!(edit("", "${HOME}", Some(&[])).is_err());
    }

    #[test]
    fn the_file_is_created_then_replaced_and_keeps_its_mode() {
        let directory = std::env::temp_dir().join(format!("porthole-save-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("porthole.yaml");
        save_stream(&path, "a", Some(&strings(&["test:"]))).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, NEW_FILE_MODE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = directory.join("link.yaml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        save_stream(&link, "b", Some(&[])).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "streams:\n  a: \"test:\"\n  b:\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
        assert!(save_stream(&directory.join("absent/porthole.yaml"), "a", Some(&[])).is_err());
        fs::remove_dir_all(&directory).unwrap();
    }
}
