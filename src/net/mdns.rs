//! The addresses behind the `.local` names of browsers, asked by multicast DNS (RFC 6762) on the local network. One
//! socket serves all questions, and there is none while there is no question.
use crate::base::host;
use crate::gather::mdns::message::{self, Family};
use crate::gather::mdns::questions::{MAX_NAMES, Questions};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;
/// Longest message (RFC 6762 section 17).
const MAX_MESSAGE: usize = 9000;
/// Networks that are asked at one time.
const MAX_NETWORKS: usize = 8;
/// Addresses of one name that count.
const MAX_ADDRESSES: usize = 4;
/// A socket that reports an error is asked again after this time.
const AGAIN: Duration = Duration::from_millis(200);

/// A name, and our addresses on the networks where it is looked for.
type Question = (String, Vec<Ipv4Addr>);

pub struct Mdns(mpsc::Sender<Question>);

impl Mdns {
    /// Answers go into `answers`, as what `wrap` makes of a name and its addresses. Needs a runtime around it.
    pub fn start<E: Send + 'static>(
        answers: mpsc::Sender<E>,
        wrap: impl Fn(String, Vec<IpAddr>) -> E + Send + Sync + 'static,
    ) -> Self {
        let (sender, questions) = mpsc::channel(MAX_NAMES);
        tokio::spawn(serve(questions, answers, wrap));
        Self(sender)
    }

    /// Looks for a name of [`message::hidden`]. Nobody waits: where there is no answer, or too much is asked at one time,
    /// nothing comes of it.
    pub fn ask(&self, name: String, from: Vec<Ipv4Addr>) {
        let _ = self.0.try_send((name, from));
    }
}

/// Answers until nobody can ask any more.
async fn serve<E>(
    mut incoming: mpsc::Receiver<Question>,
    answers: mpsc::Sender<E>,
    wrap: impl Fn(String, Vec<IpAddr>) -> E,
) {
    let mut buffer = vec![0; MAX_MESSAGE];
    while let Some((name, from)) = incoming.recv().await {
        let socket = match socket() {
            Ok(socket) => socket,
            Err(error) => {
                log::warn!(target: "net", "the names of browsers can't be looked up error={error}");
                continue;
            }
        };
        let (mut questions, mut networks) = (Questions::default(), Vec::new());
        join(&socket, &mut networks, from);
        questions.ask(name, Instant::now());
        while let Some(deadline) = questions.deadline() {
            tokio::select! {
                more = incoming.recv() => {
                    let Some((name, from)) = more else { return };
                    join(&socket, &mut networks, from);
                    questions.ask(name, Instant::now());
                }
                got = socket.recv_from(&mut buffer) => match got {
                    // Whoever may answer does so from this port (RFC 6762 section 6).
                    Ok((length, from)) if from.port() == PORT => {
                        for (name, addresses) in known(&mut questions, &buffer[..length]) {
                            log::debug!(target: "net", "browser name={name:?} addresses={addresses:?}");
                            if answers.send(wrap(name, addresses)).await.is_err() {
                                return;
                            }
                        }
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(AGAIN).await,
                },
                () = tokio::time::sleep_until(deadline.into()) => {
                    for name in questions.due(Instant::now()) {
                        send(&socket, &networks, &name);
                    }
                }
            }
        }
    }
}

/// What a message tells of names that were asked for, each once.
fn known(questions: &mut Questions, bytes: &[u8]) -> Vec<(String, Vec<IpAddr>)> {
    let mut known: Vec<(String, Vec<IpAddr>)> = Vec::new();
    for (name, ip) in message::answers(bytes) {
        let Some(ip) = host::of_one(ip) else { continue };
        match known.iter_mut().find(|(other, _)| *other == name) {
            Some((_, addresses)) if addresses.len() < MAX_ADDRESSES && !addresses.contains(&ip) => addresses.push(ip),
            Some(_) => {}
            None if questions.answered(&name) => known.push((name, vec![ip])),
            None => {}
        }
    }
    known
}

/// Shares the port with whoever else answers or asks on this machine; browsers answer to the group only. Without the
/// port of its own the answers of other responders still come (RFC 6762 section 6.7).
fn socket() -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    let bind = |port| socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into());
    bind(PORT).or_else(|_| bind(0))?;
    socket.set_multicast_ttl_v4(255)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}

fn join(socket: &UdpSocket, networks: &mut Vec<Ipv4Addr>, from: Vec<Ipv4Addr>) {
    for ip in from {
        if networks.len() < MAX_NETWORKS && !networks.contains(&ip) {
            // Fails where the address has just gone; the others still count.
            let _ = socket.join_multicast_v4(GROUP, ip);
            networks.push(ip);
        }
    }
}

/// Asks on every network. What the kernel refuses is asked again by the schedule.
fn send(socket: &UdpSocket, networks: &[Ipv4Addr], name: &str) {
    let socket = socket2::SockRef::from(socket);
    for network in networks {
        if socket.set_multicast_if_v4(network).is_err() {
            continue;
        }
        for family in [Family::A, Family::Aaaa] {
            let group = SocketAddrV4::new(GROUP, PORT).into();
            let _ = socket.send_to(&message::question(name, family), &group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_counts_and_only_once() {
        let name = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d.local";
        let mut bytes = message::question(name, Family::A);
        (bytes[2], bytes[7]) = (0x84, 3);
        for octets in [[0, 0, 0, 0], [192, 168, 1, 9], [192, 168, 1, 9]] {
            bytes.extend_from_slice(b"\xc0\x0c\0\x01\x80\x01\0\0\0\x78\0\x04");
            bytes.extend_from_slice(&octets);
        }
        let mut questions = Questions::default();
        assert_eq!(known(&mut questions, &bytes), []);
        questions.ask(name.into(), Instant::now());
        assert_eq!(known(&mut questions, &bytes), [(name.into(), vec!["192.168.1.9".parse().unwrap()])]);
        assert!(questions.is_empty());
        assert_eq!(known(&mut questions, &bytes), []);
    }
}
