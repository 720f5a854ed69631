//! Stream changes made through the API, written into the operator's file.
use super::secrets::restored;
use super::{Error, Stream, edit, text};
use nix::unistd::{AccessFlags, access};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A new config file is for its owner only: sources carry passwords.
const NEW_FILE_MODE: u32 = 0o600;

/// Streams to create or to replace, and (with `None`) to remove.
pub type Changes = BTreeMap<String, Option<Vec<String>>>;

/// Changes streams in the config file, which is created if absent. False: it says so already, nothing is written.
/// The new file replaces the old one in one step; on any error the old one stays. Callers must not run two of
/// these at one time, the second would not know of the first one's change.
pub fn save_streams(path: &Path, changes: &Changes) -> Result<bool, Error> {
    let (path, edited) = edited(path, changes)?;
    match edited {
        Some(new) => replace(&path, &new).map(|()| true).map_err(|e| failed(&path, "can't be written", e)),
        None => Ok(false),
    }
}

/// What would keep [`save_streams`] from its work, as far as it can be seen without writing.
pub fn check_streams(path: &Path, changes: &Changes) -> Result<(), Error> {
    let (path, edited) = edited(path, changes)?;
    let Some(directory) = edited.and_then(|_| path.parent()) else { return Ok(()) };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    access(directory, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|e| failed(&path, "can't be written", e.into()))
}

/// The file that is meant and, if the changes change it, its new text.
fn edited(path: &Path, changes: &Changes) -> Result<(PathBuf, Option<String>), Error> {
    // A symbolic link stays one: the file that it points to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = match text::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(failed(&path, "can't be read", e)),
    };
    let edit = |text: String, (name, sources): (&String, &Option<Vec<String>>)| match sources {
        Some(given) => unmasked(text, name, given),
        None => edit::edit(&text, name, None),
    };
    let new = changes.iter().try_fold(old.clone(), edit);
    let new = new.map_err(|e| Error::new(format!("{}: {e}", path.display())))?;
    Ok((path, (new != old).then_some(new)))
}

fn failed(path: &Path, what: &str, e: io::Error) -> Error {
    Error::new(format!("{}: {what}: {e}", path.display()))
}

/// The text with these sources, where a client sends back the masked ones of a list as the text has them: no mask gets
/// into the file, and a `${NAME}` in it stays one.
fn unmasked(text: String, name: &str, given: &[String]) -> Result<String, Error> {
    #[derive(Default, serde::Deserialize)]
    struct Sources {
        streams: Option<BTreeMap<String, Stream>>,
    }
    // A file that can't be read is an error of the edit.
    let file: Option<Sources> = serde_yaml::from_str(&text).unwrap_or_default();
    let stream = file.and_then(|file| file.streams?.remove(name));
    let known = stream.iter().flat_map(|stream| &stream.sources).map(String::as_str);
    let sources = restored(given, known).map_err(Error::new)?;
    if stream.is_some_and(|stream| stream.sources == sources) {
        return Ok(text);
    }
    edit::edit(&text, name, Some(&sources))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn a_source_that_comes_back_masked_keeps_its_secret_in_the_file() {
        let text = "streams:\n  a:\n    - webrtc:http://u:${PASSWORD}@cam/?token=abcd\n    - \"test:\"\n";
        let put = |name: &str, sources: &[&str]| unmasked(text.to_owned(), name, &strings(sources));
        let masked = "webrtc:http://***@cam/?token=***";
        assert_eq!(put("a", &[masked, "test:"]).unwrap(), text);
        assert!(put("a", &["test:", masked]).unwrap_err().to_string().contains("by hand"), "what ${{PASSWORD}} is");
        for (name, source) in
            [("b", masked), ("a", "webrtc:http://***@other/"), ("a", "webrtc:http://***@cam/?token=e")]
        {
            let error = put(name, &[source]).unwrap_err();
            assert!(error.to_string().contains("write the secret itself"), "{error}");
        }
        let text = text.replace("${PASSWORD}", "p");
        let moved = unmasked(text, "a", &strings(&["test:?fps=5", masked])).unwrap();
        assert!(
            moved.contains("test:?fps=5") && moved.contains("u:p@cam/?token=abcd") && !moved.contains("***"),
            "{moved}"
        );
    }

    #[test]
    fn the_file_is_created_then_replaced_and_keeps_its_mode() {
        let directory = std::env::temp_dir().join(format!("porthole-save-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("porthole.yaml");
        let save = |path: &Path, name: &str, sources: &[&str]| {
            save_streams(path, &[(name.to_owned(), Some(strings(sources)))].into())
        };
        assert!(save(&path, "a", &["test:"]).unwrap());
        assert!(!save(&path, "a", &["test:"]).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, NEW_FILE_MODE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = directory.join("link.yaml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        save(&link, "b", &[]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "streams:\n  a: \"test:\"\n  b:\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
        assert!(save(&directory.join("absent/porthole.yaml"), "a", &[]).is_err());
        fs::remove_dir_all(&directory).unwrap();
    }
}
