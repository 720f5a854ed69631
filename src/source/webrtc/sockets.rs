//! The sockets of one call. A camera gets sockets of its own: another relay, and many cameras, send everything from
//! one port, and two sessions with one such peer could not be told apart on a shared one.
use crate::gather::candidate::{self, Protocol};
use crate::gather::interfaces::Interface;
use crate::gather::policy::{Doors, Policy};
use crate::net::udp::{ReceiveBuffers, UdpPort};
use crate::rtc::ice::UDP_PRIORITY;
use crate::rtc::route::{Datagram, Route, Socket};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::task::Poll;

/// Addresses of this machine that a camera is told: small ones try every pair, one after the other.
const MAX_HOSTS: usize = 6;

pub struct Sockets {
    /// For IPv4 and IPv6; a machine may have only one of them.
    ports: [Option<UdpPort>; 2],
    buffers: ReceiveBuffers,
}

impl Sockets {
    /// Must be called inside the runtime.
    ///
    /// # Errors
    /// If neither address family gives a socket.
    pub fn bind(doors: &Doors) -> Result<Self, String> {
        let [v4, v6] = [0, 1].map(|index| {
            let ip = doors.udp[usize::from(index)].ok_or("webrtc.filters leaves no address for it")?;
            bind_one(ip, doors.ports.clone(), index).map_err(|error| match error.kind() {
                io::ErrorKind::AddrInUse => "every port of webrtc.filters.udp_ports is taken".to_owned(),
                _ => error.to_string(),
            })
        });
        match (v4, v6) {
            (Err(v4), Err(_)) => Err(format!("no socket for the camera: {v4}")),
            (v4, v6) => Ok(Self { ports: [v4.ok(), v6.ok()], buffers: ReceiveBuffers::new() }),
        }
    }

    pub fn all(&self) -> [Option<Socket>; 2] {
        [self.ports[0].as_ref().map(|_| Socket::Udp(0)), self.ports[1].as_ref().map(|_| Socket::Udp(1))]
    }

    pub fn local(&self, v6: bool) -> Option<SocketAddr> {
        self.ports[usize::from(v6)].as_ref().map(|port| port.local)
    }

    /// Waits until something came.
    pub async fn readable(&self) {
        poll_fn(|cx| {
            let mut ports = self.ports.iter().flatten();
            if ports.any(|port| port.poll_readable(cx).is_ready()) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Takes what came, up to one batch of each socket.
    pub fn receive(&mut self, mut each: impl FnMut(Route, &[u8])) {
        for port in self.ports.iter().flatten() {
            port.receive(&mut self.buffers, &mut each);
        }
    }

    /// Sends; what the kernel refuses is lost, as on any network.
    pub fn send(&self, Datagram { route, bytes }: &Datagram) {
        let Socket::Udp(index) = route.socket else { return };
        if let Some(port) = self.ports.get(usize::from(index)).and_then(Option::as_ref)
            && let Err(error) = port.send(route, bytes, bytes.len())
        {
            log::debug!(target: "webrtc", "send failed route={route} error={error}");
        }
    }

    /// Host candidates, without `a=`. `filters`: where they hold for calls.
    pub fn candidates(
        &self,
        interfaces: &[Interface],
        towards: Option<IpAddr>,
        filters: Option<&Policy>,
    ) -> Vec<String> {
        let answers = |local: &SocketAddr, ip: IpAddr| local.ip().is_unspecified() || local.ip() == ip;
        let port = |ip: IpAddr| self.local(ip.is_ipv6()).filter(|local| answers(local, ip)).map(|local| local.port());
        let hosts = match filters {
            Some(policy) => policy.call_hosts(interfaces, towards),
            None => hosts(interfaces, towards),
        };
        hosts
            .into_iter()
            .enumerate()
            .filter_map(|(n, ip)| {
                let (port, foundation) = (port(ip)?, candidate::foundation(&ip.to_string(), Protocol::Udp));
                Some(format!("candidate:{foundation} 1 udp {} {ip} {port} typ host", UDP_PRIORITY - n as u32))
            })
            .take(MAX_HOSTS)
            .collect()
    }
}

/// The first of the ports that is free.
fn bind_one(ip: IpAddr, ports: RangeInclusive<u16>, index: u8) -> io::Result<UdpPort> {
    let mut result = Err(io::Error::from(io::ErrorKind::AddrInUse));
    for port in ports {
        result = UdpPort::bind(SocketAddr::new(ip, port), index);
        if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::AddrInUse) {
            break;
        }
    }
    result
}

/// The addresses to tell a camera: first the one from which it is reached. Loopback and the inside of container
/// bridges are told only to who is there.
fn hosts(interfaces: &[Interface], towards: Option<IpAddr>) -> Vec<IpAddr> {
    let link_local = |ip: IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let usable = |i: &&Interface| !i.tentative && !i.loopback && !i.container && !link_local(i.ip);
    let mut hosts: Vec<IpAddr> = towards.into_iter().filter(|ip| !link_local(*ip)).collect();
    for ip in interfaces.iter().filter(usable).map(|interface| interface.ip) {
        if !hosts.contains(&ip) && hosts.len() < MAX_HOSTS {
            hosts.push(ip);
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_camera_is_told_the_address_that_reaches_it_first() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let all = [
            Interface::new("lo", ip("127.0.0.1")),
            Interface::new("eth0", ip("192.168.1.2")),
            Interface::new("wlan0", ip("10.0.0.2")),
            Interface::new("docker0", ip("172.17.0.1")),
            Interface::new("eth0", ip("fe80::1")),
            Interface::new("eth0", ip("fd00::2")),
        ];
        assert_eq!(hosts(&all, Some(ip("10.0.0.2"))), [ip("10.0.0.2"), ip("192.168.1.2"), ip("fd00::2")]);
        assert_eq!(hosts(&all, Some(ip("127.0.0.1")))[0], ip("127.0.0.1"));
        assert_eq!(hosts(&all, Some(ip("172.17.0.1")))[0], ip("172.17.0.1"));
        assert_eq!(hosts(&all, None).len(), 3);
        let many: Vec<Interface> = (1..50).map(|n| Interface::new("eth0", IpAddr::from([10, 0, 1, n]))).collect();
        assert_eq!(hosts(&many, None).len(), MAX_HOSTS);
    }

    #[tokio::test]
    async fn a_call_binds_what_the_filters_leave_and_tells_no_more() {
        let localhost = IpAddr::from(Ipv4Addr::LOCALHOST);
        let taken = std::net::UdpSocket::bind((localhost, 0)).unwrap();
        let first = taken.local_addr().unwrap().port();
        let doors = |last| Doors { udp: [Some(localhost), None], tcp: [None; 2], ports: first..=last };
        let error = Sockets::bind(&doors(first)).err().unwrap();
        assert!(error.contains("udp_ports is taken"), "{error}");
        // The ports behind it may be others' too, but hardly all of them.
        let sockets = Sockets::bind(&doors(first.saturating_add(200))).unwrap();
        let local = sockets.local(false).unwrap();
        assert!(local.ip() == localhost && (first..=first.saturating_add(200)).contains(&local.port()));
        assert_eq!(sockets.local(true), None);
        let machine = [Interface::new("eth0", "192.168.1.2".parse().unwrap())];
        assert_eq!(sockets.candidates(&machine, None, None), [""; 0], "no socket answers there");
        assert_eq!(sockets.candidates(&machine, Some(localhost), None).len(), 1);
        let none = Doors { udp: [None; 2], ..doors(first) };
        assert!(Sockets::bind(&none).err().unwrap().contains("webrtc.filters"));
    }

    #[tokio::test]
    async fn what_one_call_sends_another_receives() {
        let (mut a, b) = (Sockets::bind(&Doors::open()).unwrap(), Sockets::bind(&Doors::open()).unwrap());
        let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, a.local(false).unwrap().port()));
        let route = Route { socket: Socket::Udp(0), local: None, remote };
        // The runtime writes to no socket before it has looked at it once.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        b.send(&Datagram { route, bytes: b"hello".to_vec() });
        a.readable().await;
        let mut seen = Vec::new();
        a.receive(|route, bytes| seen.push((route.socket, bytes.to_vec())));
        assert_eq!(seen, [(Socket::Udp(0), b"hello".to_vec())]);
    }
}
