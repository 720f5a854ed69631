//! The bound media sockets: brought in line with the policy at the start and after each change of the
//! machine's addresses.
use crate::gather::candidate::{Bound, Protocol};
use crate::gather::policy::Policy;
use crate::gather::port_problem::{PortProblem, WhyNot};
use crate::net::port_owner::holder;
use crate::net::tcp::{self, TcpInput};
use crate::net::udp::UdpPort;
use crate::rtc::route::Socket;
use nix::libc::{EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// UDP sockets at one time: one for each address of the machine at most, and their numbers fit in a byte.
const MAX_UDP: u8 = 128;
/// Connections that the kernel keeps for us to accept.
const BACKLOG: i32 = 64;

/// An address that comes back within this time, a cable put in again, finds its socket's number and port again, and
/// its sessions go on. Twice the time that consent lasts.
const KEPT: Duration = Duration::from_secs(30);

/// What a socket's number stands for.
struct Place {
    local: SocketAddr,
    /// `None` while the machine does not have the address.
    port: Option<Arc<UdpPort>>,
    gone: Option<Instant>,
}

#[derive(Default)]
pub struct Sockets {
    /// A number stands for one address until it is given up; the search for a free one goes on behind the latest.
    udp: Vec<Option<Place>>,
    next: u8,
    listeners: Vec<(SocketAddr, AbortHandle)>,
    pub bound: Bound,
    problems: BTreeMap<(Protocol, IpAddr), PortProblem>,
}

impl Sockets {
    /// Unbinds what is not wanted any more, binds what is missing, and answers the numbers that are given up. What can't be
    /// bound is a problem that is told and tried again, not a reason to end: the rest still serves. Must be called
    /// inside the engine's runtime.
    pub fn adjust(
        &mut self,
        policy: &Policy,
        wanted: &[(Protocol, IpAddr)],
        inputs: &mpsc::Sender<TcpInput>,
        now: Instant,
    ) -> Vec<Socket> {
        let gone: Vec<_> =
            self.bound.iter().filter(|(protocol, local)| !wanted.contains(&(*protocol, local.ip()))).collect();
        gone.into_iter().for_each(|(protocol, local)| self.unbind(protocol, local, now));
        let mut given_up = Vec::new();
        for (index, place) in self.udp.iter_mut().enumerate() {
            let old = |place: &mut Place| place.gone.is_some_and(|at| now.saturating_duration_since(at) >= KEPT);
            if place.take_if(old).is_some() {
                given_up.push(Socket::Udp(index as u8));
            }
        }
        self.problems.retain(|wish, _| wanted.contains(wish));
        for (protocol, ip) in wanted {
            if !self.bound.iter().any(|(have, local)| have == *protocol && local.ip() == *ip) {
                self.bind(policy, *protocol, *ip, inputs);
            }
        }
        given_up
    }

    fn bind(&mut self, policy: &Policy, protocol: Protocol, ip: IpAddr, inputs: &mpsc::Sender<TcpInput>) {
        let ports = policy.ports(protocol);
        let mut result = Err(io::Error::from_raw_os_error(EADDRINUSE));
        for port in ports.clone() {
            let address = SocketAddr::new(ip, port);
            result = match protocol {
                Protocol::Udp => self.bind_udp(address),
                Protocol::Tcp => self.bind_tcp(address, inputs),
            };
            if !matches!(&result, Err(error) if error.raw_os_error() == Some(EADDRINUSE)) {
                break;
            }
        }
        match result {
            Ok(local) => {
                log::info!(target: "webrtc", "listen {} addr={local}", protocol.name());
                self.bound.add(protocol, local);
                self.problems.remove(&(protocol, ip));
            }
            Err(error) => self.problem(protocol, SocketAddr::new(ip, *ports.start()), *ports.end(), &error),
        }
    }

    fn bind_udp(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        let kept = self.udp.iter().enumerate().find_map(|(index, place)| {
            let place = place.as_ref().filter(|place| place.port.is_none() && place.local.ip() == address.ip())?;
            Some((index as u8, place.local))
        });
        let free = |place: &u8| self.udp.get(usize::from(*place)).is_none_or(Option::is_none);
        let next = || (0..MAX_UDP).map(|step| (self.next + step) % MAX_UDP).find(free);
        let index = kept.map(|(index, _)| index).or_else(next);
        let index = index.ok_or_else(|| io::Error::other(format!("{MAX_UDP} sockets are in use")))?;
        let again = kept.filter(|_| address.port() == 0).and_then(|(_, local)| UdpPort::bind(local, index).ok());
        let port = again.map_or_else(|| UdpPort::bind(address, index), Ok)?;
        let local = port.local;
        if self.udp.len() <= usize::from(index) {
            self.udp.resize_with(usize::from(index) + 1, || None);
        }
        self.udp[usize::from(index)] = Some(Place { local, port: Some(Arc::new(port)), gone: None });
        self.next = (index + 1) % MAX_UDP;
        Ok(local)
    }

    fn bind_tcp(&mut self, address: SocketAddr, inputs: &mpsc::Sender<TcpInput>) -> io::Result<SocketAddr> {
        let (listener, local) = listen_tcp(address)?;
        let task = tokio::spawn(tcp::accept(listener, inputs.clone()));
        self.listeners.push((local, task.abort_handle()));
        Ok(local)
    }

    /// TCP connections have sockets of their own; their sessions end them.
    fn unbind(&mut self, protocol: Protocol, local: SocketAddr, now: Instant) {
        log::info!(target: "webrtc", "listen ended {} addr={local}", protocol.name());
        self.bound.remove(protocol, local);
        if protocol == Protocol::Tcp {
            return self.listeners.retain(|(address, task)| {
                if *address == local {
                    task.abort();
                }
                *address != local
            });
        }
        for place in self.udp.iter_mut().flatten().filter(|place| place.local == local && place.port.is_some()) {
            (place.port, place.gone) = (None, Some(now));
        }
    }

    fn problem(&mut self, protocol: Protocol, address: SocketAddr, last: u16, error: &io::Error) {
        let (ip, name) = (address.ip(), protocol.name());
        let code = error.raw_os_error();
        // A machine without IPv6 is nothing to warn about.
        let absent = matches!(code, Some(EAFNOSUPPORT | EADDRNOTAVAIL));
        if absent && ip.is_ipv6() && ip.is_unspecified() {
            log::debug!(target: "webrtc", "no IPv6 on this machine protocol={name}");
            return;
        }
        let why = match code {
            Some(EADDRINUSE) if last > address.port() => WhyNot::RangeInUse { last },
            Some(EADDRINUSE) => WhyNot::InUse { holder: holder(protocol, address).map(|holder| holder.to_string()) },
            Some(EADDRNOTAVAIL) => WhyNot::NoAddress,
            Some(EACCES) => WhyNot::Forbidden,
            _ => WhyNot::Other(error.to_string()),
        };
        let problem = PortProblem { protocol, address, why };
        let known = self.problems.insert((protocol, ip), problem.clone());
        if known.as_ref() != Some(&problem) {
            log::error!(target: "webrtc", "{problem}");
        }
    }

    /// What could not be bound.
    pub fn problems(&self) -> impl Iterator<Item = &PortProblem> {
        self.problems.values()
    }

    pub fn udp(&self, index: u8) -> Option<&Arc<UdpPort>> {
        self.udp.get(usize::from(index))?.as_ref()?.port.as_ref()
    }

    /// Every UDP socket with its number.
    pub fn all_udp(&self) -> impl Iterator<Item = (u8, &Arc<UdpPort>)> {
        self.udp.iter().enumerate().filter_map(|(index, place)| Some((index as u8, place.as_ref()?.port.as_ref()?)))
    }
}

fn listen_tcp(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for old connections to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let local = listener.local_addr()?;
    Ok((listener, local))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Webrtc;

    fn policy(listen: &str, udp_ports: Option<(u16, u16)>) -> Policy {
        let mut webrtc = Webrtc { listen: listen.into(), ..Default::default() };
        webrtc.filters.udp_ports = udp_ports;
        Policy::new(&webrtc).unwrap()
    }

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const UDP: &[(Protocol, IpAddr)] = &[(Protocol::Udp, LOOPBACK)];

    #[tokio::test]
    async fn an_address_that_comes_back_has_its_number_and_port_again() {
        let (inputs, _events) = mpsc::channel(1);
        let (policy, now) = (policy("", None), Instant::now());
        let mut sockets = Sockets::default();
        assert!(sockets.adjust(&policy, UDP, &inputs, now).is_empty());
        let local = sockets.udp(0).unwrap().local;
        assert!(
            sockets.adjust(&policy, UDP, &inputs, now).is_empty() && sockets.all_udp().count() == 1,
            "nothing to do"
        );
        assert!(sockets.adjust(&policy, &[], &inputs, now).is_empty());
        assert!(sockets.bound.is_empty() && sockets.udp(0).is_none());
        sockets.adjust(&policy, UDP, &inputs, now + KEPT / 2);
        assert_eq!(sockets.udp(0).unwrap().local, local);
        assert!(sockets.adjust(&policy, UDP, &inputs, now + KEPT * 2).is_empty());
    }

    #[tokio::test]
    async fn the_number_of_a_vanished_socket_is_given_up_late_and_not_used_for_the_next_one() {
        let (inputs, _events) = mpsc::channel(1);
        let (policy, mut now) = (policy("", None), Instant::now());
        let mut sockets = Sockets::default();
        for _ in 0..2 * u32::from(MAX_UDP) {
            sockets.adjust(&policy, UDP, &inputs, now);
            let (index, _) = sockets.all_udp().next().unwrap();
            sockets.adjust(&policy, &[], &inputs, now);
            now += KEPT;
            assert_eq!(sockets.adjust(&policy, UDP, &inputs, now), [Socket::Udp(index)]);
            assert_eq!(sockets.all_udp().next().unwrap().0, (index + 1) % MAX_UDP);
        }
    }

    #[tokio::test]
    async fn a_port_range_is_searched_and_a_full_one_is_a_problem_that_goes_when_a_port_is_free() {
        let (inputs, _events) = mpsc::channel(1);
        let holder = loop {
            let first = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let port = first.local_addr().unwrap().port();
            if port < u16::MAX && std::net::UdpSocket::bind(("127.0.0.1", port + 1)).is_ok() {
                break first;
            }
        };
        let taken = holder.local_addr().unwrap().port();
        let mut sockets = Sockets::default();
        sockets.adjust(&policy("", Some((taken, taken + 1))), UDP, &inputs, Instant::now());
        assert_eq!(sockets.bound.port(Protocol::Udp, LOOPBACK), Some(taken + 1));
        let mut full = Sockets::default();
        let both = policy("", Some((taken, taken + 1)));
        full.adjust(&both, UDP, &inputs, Instant::now());
        assert!(full.bound.is_empty());
        let problem = full.problems().next().unwrap();
        assert!(problem.is_in_use() && problem.to_string().contains("webrtc.filters.udp_ports"), "{problem}");
        drop(holder);
        full.adjust(&both, UDP, &inputs, Instant::now());
        assert!(full.problems().next().is_none() && full.bound.port(Protocol::Udp, LOOPBACK) == Some(taken));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_names_its_holder() {
        let (inputs, _events) = mpsc::channel(1);
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let mut sockets = Sockets::default();
        sockets.adjust(
            &policy(&format!("127.0.0.1:{port}/tcp"), None),
            &[(Protocol::Tcp, LOOPBACK)],
            &inputs,
            Instant::now(),
        );
        let problem = sockets.problems().next().unwrap().to_string();
        assert!(problem.contains(&format!("(pid {})", std::process::id())), "{problem}");
    }
}
