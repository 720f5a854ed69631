//! What systemd is told (sd_notify(3)): that the relay is ready, that it lives, and how a reload went. Under another
//! service manager nothing is told to nobody. The board's own watchdog is fed along with the service manager's.
use super::watchdog::{self, Watchdog};
use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

/// Of the watchdog's time, the part after which it is fed.
const PART: u32 = 3;
/// A sentence for `STATUS=` is cut here: it is one line of `systemctl status`.
const MAX_STATUS: usize = 400;

/// The way to the service manager.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// The board's own.
    watchdog: RefCell<Option<Watchdog>>,
    /// How often the more impatient of both wants to be fed.
    pub interval: Option<Duration>,
}

impl Notifier {
    /// As the environment names it: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`, `PORTHOLE_WATCHDOG`.
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let mut notifier = Self::default();
        if let Some(name) = variable("NOTIFY_SOCKET") {
            match open(&name) {
                Ok(socket) => {
                    notifier.socket = Some(socket);
                    notifier.interval =
                        interval(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id());
                }
                Err(error) => {
                    log::warn!(target: "app", "the service manager can't be told anything NOTIFY_SOCKET={name:?} error={error}");
                }
            }
        }
        if let Some(path) = variable("PORTHOLE_WATCHDOG") {
            match Watchdog::open(Path::new(&path)) {
                Ok(device) => {
                    let interval = notifier.interval.unwrap_or(watchdog::INTERVAL);
                    notifier.interval = Some(interval.min(watchdog::INTERVAL));
                    notifier.watchdog = RefCell::new(Some(device));
                }
                Err(error) => log::warn!(target: "app", "no watchdog PORTHOLE_WATCHDOG={path:?} error={error}"),
            }
        }
        notifier
    }

    /// The relay serves.
    pub fn ready(&self) {
        self.send("READY=1\nSTATUS=serving\n");
    }

    /// The relay lives.
    pub fn alive(&self) {
        self.send("WATCHDOG=1\n");
        if let Some(watchdog) = self.watchdog.borrow_mut().as_mut()
            && let Err(error) = watchdog.feed()
        {
            log::error!(target: "app", "the board's watchdog can't be fed error={error}");
        }
    }

    /// The relay goes, because it was told to or because of a fault.
    pub fn stopping(&self, fault: bool) {
        self.send("STOPPING=1\n");
        if let Some(watchdog) = self.watchdog.take()
            && !fault
        {
            // One that can't be disarmed resets the board, as it should.
            let _ = watchdog.disarm();
        }
    }

    /// One line for `systemctl status`.
    pub fn status(&self, sentence: &str) {
        self.send(&format!("STATUS={}\n", one_line(sentence)));
    }

    /// Best effort: who does not listen can't be helped.
    fn send(&self, text: &str) {
        if let Some((socket, manager)) = &self.socket {
            let _ = socket.send_to_addr(text.as_bytes(), manager);
        }
    }
}

/// `/path`, or `@name` in Linux's abstract name space.
fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(abstracted) => SocketAddr::from_abstract_name(abstracted)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// `None`: nobody watches, or another process is watched.
fn interval(micros: Option<OsString>, pid: Option<OsString>, own: u32) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    if pid.is_some_and(|pid| number(pid) != Some(u64::from(own))) {
        return None;
    }
    let whole = Duration::from_micros(number(micros?)?);
    (whole > Duration::ZERO).then(|| whole / PART)
}

fn one_line(sentence: &str) -> String {
    sentence.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_STATUS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<OsString> {
        Some(text.into())
    }

    #[test]
    fn the_watchdog_is_fed_well_before_its_time() {
        assert_eq!(interval(some("30000000"), None, 7), Some(Duration::from_secs(10)));
        assert_eq!(interval(some("30000000"), some("7"), 7), Some(Duration::from_secs(10)));
        assert_eq!(interval(some("30000000"), some("8"), 7), None, "meant for another process");
        assert_eq!(interval(some("soon"), None, 7), None);
        assert_eq!(interval(some("0"), None, 7), None);
        assert_eq!(interval(None, None, 7), None);
    }

    #[test]
    fn a_status_is_one_line() {
        assert_eq!(one_line("a\nREADY=0"), "a READY=0");
        assert_eq!(one_line(&"ä".repeat(1000)).chars().count(), MAX_STATUS);
    }

    #[test]
    fn words_arrive_at_a_socket_with_a_path_and_at_an_abstract_one() {
        let path = std::env::temp_dir().join(format!("porthole-notify-{}", std::process::id()));
        let by_path = UnixDatagram::bind(&path).unwrap();
        let abstracted = format!("porthole-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(abstracted.as_bytes()).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        for (receiver, name) in [(by_path, path.clone().into_os_string()), (by_name, format!("@{abstracted}").into())] {
            let notifier = Notifier { socket: Some(open(&name).unwrap()), ..Notifier::default() };
            notifier.alive();
            let mut buffer = [0; 64];
            receiver.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            let len = receiver.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], b"WATCHDOG=1\n");
        }
        std::fs::remove_file(path).unwrap();
    }
}
