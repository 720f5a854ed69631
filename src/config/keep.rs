//! Changes of streams on their way into the file. Flash wears out with every write, and whoever may change streams can
//! change them a thousand times in a second: changes that follow one another closely are written together.
use super::Error;
use super::save::{Changes, check_streams, save_streams};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two writes of the file. At the end of the program nothing waits; a power cut loses so much of a quick series
/// of changes at most.
pub const PAUSE: Duration = Duration::from_secs(5);

/// Whatever changes the file goes through one of these: two at one time would not know of each other's changes.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Not written yet.
    waiting: Changes,
    written: Option<Instant>,
}

impl Keeper {
    pub fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::default() }
    }

    /// Creates, replaces or (with `None`) removes one stream. Written at once, unless the file was written a moment ago:
    /// then `Some` says when to call [`flush`](Self::flush). An error that the change would meet is told either way, and
    /// the change is dropped. May wait for the disk.
    pub fn change(&self, name: &str, sources: Option<&[String]>, now: Instant) -> Result<Option<Instant>, Error> {
        let mut state = self.state();
        let mut changes = state.waiting.clone();
        changes.insert(name.to_owned(), sources.map(<[String]>::to_vec));
        let due = state.written.map(|written| written + PAUSE).filter(|due| *due > now);
        match due {
            Some(_) => {
                check_streams(&self.path, &changes)?;
                state.waiting = changes;
            }
            None => state.write(&self.path, &changes, now)?,
        }
        Ok(due)
    }

    /// Writes what waits. After an error it waits on, for the next change or for the end.
    pub fn flush(&self, now: Instant) -> Result<(), Error> {
        let mut state = self.state();
        let changes = state.waiting.clone();
        if changes.is_empty() { Ok(()) } else { state.write(&self.path, &changes, now) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, path: &std::path::Path, changes: &Changes, now: Instant) -> Result<(), Error> {
        if save_streams(path, changes)? {
            self.written = Some(now);
        }
        self.waiting.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("porthole-keep-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("porthole.yaml")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn put(keeper: &Keeper, name: &str, now: Instant) -> Result<Option<Instant>, Error> {
        keeper.change(name, Some(&["test:".to_owned()]), now)
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_thousand_changes_write_the_file_twice() {
        let folder = Folder::new("thousand");
        let (keeper, start) = (Keeper::new(folder.file()), Instant::now());
        assert_eq!(put(&keeper, "first", start).unwrap(), None);
        let written = fs::metadata(folder.file()).unwrap().ino();
        for number in 0..1000 {
            let due = put(&keeper, &format!("s{}", number % 10), start + Duration::from_millis(number)).unwrap();
            assert_eq!(due, Some(start + PAUSE));
        }
        keeper.change("first", None, start + Duration::from_secs(4)).unwrap();
        assert_eq!(fs::metadata(folder.file()).unwrap().ino(), written);
        keeper.flush(start + PAUSE).unwrap();
        let lines: String = (0..10).map(|number| format!("  s{number}: \"test:\"\n")).collect();
        assert_eq!(text(&folder.file()), format!("streams:\n{lines}"));
        assert!(put(&keeper, "next", start + PAUSE).unwrap().is_some());
        assert_eq!(put(&keeper, "next", start + PAUSE * 2).unwrap(), None);
        assert!(text(&folder.file()).contains("next"));
    }

    #[test]
    fn errors_are_told_at_once_and_take_nothing_else_with_them() {
        let folder = Folder::new("errors");
        let (keeper, now) = (Keeper::new(folder.file()), Instant::now());
        put(&keeper, "a", now).unwrap();
        put(&keeper, "b", now).unwrap();
        assert!(put(&keeper, "${HOME}", now).is_err());
        let away = folder.0.with_extension("away");
        fs::rename(&folder.0, &away).unwrap();
        assert!(put(&keeper, "c", now).unwrap_err().to_string().contains("can't be written"));
        assert!(keeper.flush(now).is_err());
        fs::rename(&away, &folder.0).unwrap();
        keeper.flush(now).unwrap();
        assert_eq!(text(&folder.file()), "streams:\n  a: \"test:\"\n  b: \"test:\"\n");
    }

    #[test]
    fn what_the_operator_writes_meanwhile_stays() {
        let folder = Folder::new("meanwhile");
        let (keeper, now) = (Keeper::new(folder.file()), Instant::now());
        put(&keeper, "a", now).unwrap();
        put(&keeper, "b", now).unwrap();
        fs::write(folder.file(), "# mine\nstreams:\n  own: \"test:\"\n").unwrap();
        keeper.flush(now).unwrap();
        assert_eq!(text(&folder.file()), "# mine\nstreams:\n  own: \"test:\"\n  b: \"test:\"\n");
    }
}
