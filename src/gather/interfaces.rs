//! The addresses of a machine, as its kernel told them.
use std::net::IpAddr;

/// Beginnings of names that container engines and hypervisors give their bridges and their ends of cables.
const CONTAINER_NAMES: [&str; 8] = ["docker", "br-", "veth", "hassio", "podman", "cni", "virbr", "lxcbr"];

/// One address of one network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub ip: IpAddr,
    pub loopback: bool,
    /// A bridge between containers or virtual machines, or a cable's end into one: nobody outside of this machine is there.
    pub container: bool,
    /// The kernel still looks whether somebody else has this IPv6 address, or found that somebody has (RFC 4862 section 5.4).
    pub tentative: bool,
}

impl Interface {
    /// An address of a usual network card or, by its name, of a loopback or container interface.
    #[cfg(test)]
    pub fn new(name: &str, ip: IpAddr) -> Self {
        let container = is_container(name, None);
        Self { name: name.into(), ip, loopback: name == "lo", container, tentative: false }
    }
}

/// By its kind where that is known, else by its name. `physical_port`: `None` no bridge, else whether a cable or
/// radio is among its ports: the LAN bridge of a router has one, whatever its name.
pub fn is_container(name: &str, physical_port: Option<bool>) -> bool {
    match physical_port {
        Some(physical) => !physical,
        None => CONTAINER_NAMES.iter().any(|start| name.starts_with(start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_with_a_physical_port_is_a_network_whatever_its_name() {
        assert!(is_container("br-0123456789ab", None) && is_container("docker0", None) && is_container("veth12", None));
        assert!(!is_container("br-lan", Some(true)) && is_container("mybridge", Some(false)));
        assert!(!is_container("eth0", None) && !is_container("bridge0", None));
    }
}
