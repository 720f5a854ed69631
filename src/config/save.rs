//! Stream changes made through the API, written into the operator's file.
use super::{Error, edit, text};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A new config file is for its owner only: sources carry passwords.
const NEW_FILE_MODE: u32 = 0o600;

/// Creates, replaces or (with `None`) removes one stream in the config file, which is created if absent.
/// The new file replaces the old one in one step; on any error the old one stays. Callers must not run two of
/// these at one time, the second would not know of the first one's change.
pub fn save_stream(path: &Path, name: &str, sources: Option<&[String]>) -> Result<(), Error> {
    // A symbolic link stays one: the file that it points to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let fail = |what: &str, e: io::Error| Error::new(format!("{}: {what}: {e}", path.display()));
    let old = match text::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(fail("can't be read", e)),
    };
    let new = edit::edit(&old, name, sources).map_err(|e| Error::new(format!("{}: {e}", path.display())))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
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
