//! The files of an authority and its certificate: a directory of their own, for its owner only.
use super::authority::Pair;
use super::error::Error;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// A certificate with many names has some KiB.
const MAX_FILE: u64 = 64 * 1024;

/// Which certificate and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Authority,
    Server,
}

impl Kind {
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Authority => ["ca.crt", "ca.key"],
            Self::Server => ["server.crt", "server.key"],
        }
    }
}

/// The directory.
pub struct Store {
    pub directory: PathBuf,
}

impl Store {
    /// `None` where there is none yet, or half of one from a start that was cut off. The error names the file: one that
    /// can't be read is not replaced.
    pub fn read(&self, kind: Kind) -> Result<Option<Pair>, Error> {
        let [certificate, key] = kind.names().map(|name| self.text(name));
        match (certificate?, key?) {
            (Some(certificate), Some(key)) => Ok(Some(Pair { certificate, key })),
            _ => Ok(None),
        }
    }

    /// The key first: without its certificate it is nothing, and made anew.
    pub fn write(&self, kind: Kind, pair: &Pair) -> Result<(), Error> {
        let [certificate, key] = kind.names();
        self.create().map_err(|error| Error::Directory(self.directory.clone(), error))?;
        for (name, text) in [(key, &pair.key), (certificate, &pair.certificate)] {
            let path = self.directory.join(name);
            replace(&path, text).map_err(|error| Error::Write(path, error))?;
        }
        Ok(())
    }

    fn create(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&self.directory)
    }

    fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let path = self.directory.join(name);
        match read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Read(path, error)),
        }
    }
}

/// Reads, and takes the file away from others who may have been let in.
fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & !FILE_MODE != 0 {
        file.set_permissions(fs::Permissions::from_mode(mode & FILE_MODE))?;
        log::warn!(target: "api", "others could read a file, no longer path={} mode={mode:03o}", path.display());
    }
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

/// There is a whole file at every moment, power cuts included.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(text: &str) -> Pair {
        Pair { certificate: format!("certificate {text}"), key: format!("key {text}") }
    }

    #[test]
    fn files_are_their_owners_only_and_half_a_pair_is_none() {
        let directory = std::env::temp_dir().join(format!("porthole-store-{}", std::process::id()));
        let store = Store { directory: directory.join("tls") };
        assert!(store.read(Kind::Server).unwrap().is_none());
        store.write(Kind::Server, &pair("1")).unwrap();
        store.write(Kind::Server, &pair("2")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.directory), DIRECTORY_MODE);
        let key = store.directory.join("server.key");
        assert_eq!((mode(&key), mode(&store.directory.join("server.crt"))), (FILE_MODE, FILE_MODE));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(store.read(Kind::Server).unwrap().unwrap().key, "key 2");
        assert_eq!(mode(&key), FILE_MODE, "whoever loosened it, it is tight again");
        assert_eq!(fs::read_dir(&store.directory).unwrap().count(), 2);
        fs::remove_file(&key).unwrap();
        assert!(store.read(Kind::Server).unwrap().is_none());
        fs::create_dir(&key).unwrap();
        assert!(store.read(Kind::Server).is_err_and(|error| error.to_string().contains("server.key can't be read")));
        fs::remove_dir_all(&directory).unwrap();
    }
}
