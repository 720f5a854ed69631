//! Wakes the engine when an interface or an address appears, changes or vanishes: the kernel's own word for it
//! (rtnetlink(7)). Nothing is read from the messages but that there was one; the list is then asked for afresh.
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// One change comes as several messages; they are taken together.
const SETTLE: Duration = Duration::from_millis(50);
/// A look around without a message: a port that was taken may be free by now.
const RECHECK: Duration = Duration::from_secs(10);
/// The same where the kernel tells nothing, in a sandbox without netlink sockets.
const POLL: Duration = Duration::from_millis(1500);
/// The kernel sends at most a page at a time.
const BUFFER: usize = 8192;
/// Header of a netlink message (linux/netlink.h): length, type, flags, sequence, port.
const HEADER: usize = 16;

const GROUPS: i32 = nix::libc::RTMGRP_LINK | nix::libc::RTMGRP_IPV4_IFADDR | nix::libc::RTMGRP_IPV6_IFADDR;
const CHANGES: [u16; 4] =
    [nix::libc::RTM_NEWLINK, nix::libc::RTM_DELLINK, nix::libc::RTM_NEWADDR, nix::libc::RTM_DELADDR];

/// Sends one word after each change, and now and then without one. Ends with its receiver. Must be called inside
/// the engine's runtime.
pub fn start() -> mpsc::Receiver<()> {
    // One waiting word stands for any number of changes.
    let (changes, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let socket = open().inspect_err(|error| {
            log::warn!(target: "net", "the kernel does not tell of new addresses, looking every {POLL:?} error={error}");
        });
        let socket = socket.ok();
        loop {
            match &socket {
                Some(socket) => {
                    let _ = timeout(RECHECK, changed(socket)).await;
                    sleep(SETTLE).await;
                    drain(socket);
                }
                None => sleep(POLL).await,
            }
            if changes.send(()).await.is_err() {
                return;
            }
        }
    });
    receiver
}

fn open() -> io::Result<AsyncFd<OwnedFd>> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS as u32))?;
    #[expect(deprecated, reason = "its successor is unsafe; an OwnedFd is open for as long as it is registered")]
    AsyncFd::new(socket)
}

/// Returns after a message of interest.
async fn changed(socket: &AsyncFd<OwnedFd>) {
    loop {
        let Ok(mut ready) = socket.readable().await else { return };
        let mut buffer = [0; BUFFER];
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(len) if tells_change(&buffer[..len]) => return,
            Ok(_) => {}
            Err(nix::Error::EAGAIN) => ready.clear_ready(),
            // More changes than the kernel could keep for us.
            Err(nix::Error::ENOBUFS) => return,
            Err(error) => {
                log::debug!(target: "net", "netlink error={error}");
                return sleep(POLL).await;
            }
        }
    }
}

fn drain(socket: &AsyncFd<OwnedFd>) {
    let mut buffer = [0; BUFFER];
    while recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).is_ok() {}
}

/// Is there a message about a link or an address among these? One that is cut short counts.
fn tells_change(mut bytes: &[u8]) -> bool {
    while let (Some(len), Some(kind)) = (bytes.first_chunk::<4>(), bytes.get(4..6)) {
        let len = u32::from_ne_bytes(*len) as usize;
        if CHANGES.contains(&u16::from_ne_bytes([kind[0], kind[1]])) {
            return true;
        }
        // Messages are aligned to four bytes.
        match bytes.get(len.next_multiple_of(4)..) {
            Some(rest) if len >= HEADER => bytes = rest,
            _ => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn a_change_is_seen_behind_other_messages() {
        let other = message(3, &[1, 2, 3]);
        assert!(!tells_change(&other) && !tells_change(&[]));
        assert!(tells_change(&message(nix::libc::RTM_NEWADDR, &[0; 20])));
        assert!(tells_change(&[other.clone(), message(nix::libc::RTM_DELLINK, &[])].concat()));
        assert!(!tells_change(&[other.clone(), other].concat()));
    }

    #[test]
    fn a_broken_message_counts_as_a_change_and_ends_the_reading() {
        assert!(tells_change(&[0; 16]), "a length of nothing");
        assert!(tells_change(&message(3, &[0; 40])[..30]), "cut short");
    }
}
