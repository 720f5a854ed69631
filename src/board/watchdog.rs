//! The board's own watchdog (Linux, watchdog-api): a device that resets the board unless something is written to it in
//! time. Small systems leave it to the relay, in the environment variable `PORTHOLE_WATCHDOG`.
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// How often it is fed: the Raspberry Pi's resets after 15 s, others later.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// The letter after which closing the device disarms it; without it the board is reset.
const DISARM: &[u8] = b"V";

/// Armed from the moment that it is opened. Dropped without [`Watchdog::disarm`] it stays armed: the relay that is
/// started after a crash has the rest of its time to come up.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
}

impl Watchdog {
    pub fn open(path: &Path) -> io::Result<Self> {
        let device = OpenOptions::new().write(true).open(path)?;
        let mut watchdog = Self { device };
        watchdog.feed()?;
        Ok(watchdog)
    }

    pub fn feed(&mut self) -> io::Result<()> {
        self.device.write_all(b"\n")
    }

    /// The board may go on without the relay.
    pub fn disarm(mut self) -> io::Result<()> {
        self.device.write_all(DISARM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_farewell_disarms() {
        let path = std::env::temp_dir().join(format!("porthole-watchdog-{}", std::process::id()));
        let written = || std::fs::read(&path).unwrap();
        assert!(Watchdog::open(&path).is_err(), "what is not there is not made");
        std::fs::write(&path, "").unwrap();
        let mut crashed = Watchdog::open(&path).unwrap();
        crashed.feed().unwrap();
        drop(crashed);
        assert_eq!(written(), b"\n\n");
        std::fs::write(&path, "").unwrap();
        Watchdog::open(&path).unwrap().disarm().unwrap();
        assert_eq!(written(), b"\nV");
        std::fs::remove_file(path).unwrap();
    }
}
