//! Who holds a port that we can't bind, as far as `/proc` tells (proc_pid_net(5)): other users' programs
//! stay nameless unless we are root.
use crate::gather::candidate::Protocol;
use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Processes that are looked at; a board has a few hundred.
const MAX_PROCESSES: usize = 4096;
/// State of a listening TCP socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// A program that has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// The program that keeps us from binding `address`.
pub fn holder(protocol: Protocol, address: SocketAddr) -> Option<Holder> {
    let proc = Path::new("/proc");
    let mut inodes = Vec::new();
    for table in [protocol.name().to_owned(), format!("{}6", protocol.name())] {
        let text = fs::read_to_string(proc.join("net").join(table)).unwrap_or_default();
        inodes.extend(owners(&text, protocol, address));
    }
    let processes = fs::read_dir(proc).ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes.take(MAX_PROCESSES).find_map(|pid: u32| {
        let process = proc.join(pid.to_string());
        let mut links = fs::read_dir(process.join("fd")).ok()?.flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
        links.find(|link| link.to_str().and_then(socket_inode).is_some_and(|inode| inodes.contains(&inode)))?;
        let name = fs::read_to_string(process.join("comm")).ok()?;
        Some(Holder { pid, name: name.trim_end().to_owned() })
    })
}

/// Inodes of the sockets in a table of `/proc/net` that stand in the way of `wanted`.
fn owners(table: &str, protocol: Protocol, wanted: SocketAddr) -> Vec<u64> {
    let owner = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let local = address(fields.get(1)?)?;
        let binds = protocol == Protocol::Udp || *fields.get(3)? == LISTEN;
        (binds && in_the_way(local, wanted)).then_some(())?;
        fields.get(9)?.parse().ok()
    };
    table.lines().skip(1).filter_map(owner).collect()
}

/// A wildcard is in everybody's way; that of IPv6 may hold IPv4 too, which the table does not tell.
fn in_the_way(local: SocketAddr, wanted: SocketAddr) -> bool {
    let (have, want) = (local.ip().to_canonical(), wanted.ip());
    local.port() == wanted.port()
        && (have == want
            || (have.is_unspecified() && (have.is_ipv6() || want.is_ipv4()))
            || (want.is_unspecified() && want.is_ipv4() == have.is_ipv4()))
}

/// `0100007F:1F90`: words of the address in the machine's byte order, port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let words = ip.len() / 8;
    let mut bytes = Vec::with_capacity(16);
    for word in 0..words {
        let word = ip.get(word * 8..word * 8 + 8)?;
        bytes.extend(u32::from_str_radix(word, 16).ok()?.to_ne_bytes());
    }
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// The number in `socket:[12345]`.
fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn sockets_in_the_way_are_found_in_the_tables_of_proc() {
        let udp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            12: 00000000:216B 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 111 2 x 0\n\
            13: 0200000A:216B 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 222 2 x 0\n\
            14: 0200000A:216C 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 333 2 x 0\nbroken";
        let owners_of = |wanted: &str| owners(udp, Protocol::Udp, wanted.parse().unwrap());
        assert_eq!(owners_of("10.0.0.2:8555"), [111, 222]);
        assert_eq!(owners_of("10.0.0.3:8555"), [111]);
        assert_eq!(owners_of("0.0.0.0:8556"), [333]);
        assert_eq!(owners_of("[::]:8555"), [0; 0]);
        let tcp6 = "sl\n 0: 00000000000000000000000000000000:216B x 0A 0:0 0:0 0 0 0 444 1\n\
            1: 00000000000000000000000001000000:216B x 0A 0:0 0:0 0 0 0 555 1\n\
            2: 00000000000000000000000001000000:216B x 01 0:0 0:0 0 0 0 666 1";
        let owners_of = |wanted: &str| owners(tcp6, Protocol::Tcp, wanted.parse().unwrap());
        assert_eq!(owners_of("[::1]:8555"), [444, 555]);
        assert_eq!(owners_of("10.0.0.3:8555"), [444]);
    }

    #[test]
    fn the_holder_of_a_port_of_this_process_is_this_process() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let found = holder(Protocol::Udp, socket.local_addr().unwrap()).unwrap();
        assert_eq!(found.pid, std::process::id());
        assert!(!found.name.is_empty());
    }

    #[test]
    fn links_to_sockets_are_told_from_others() {
        assert_eq!(socket_inode("socket:[12345]"), Some(12345));
        assert_eq!([socket_inode("pipe:[1]"), socket_inode("/dev/null"), socket_inode("socket:[x]")], [None; 3]);
    }
}
