//! The machine's addresses, as the kernel tells them.
use crate::gather::interfaces::{Interface, is_container};
use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

/// Flags of an IPv6 address in `/proc/net/if_inet6` (linux/if_addr.h).
const IFA_OPTIMISTIC: u32 = 0x04;
const IFA_DADFAILED: u32 = 0x08;
const IFA_TENTATIVE: u32 = 0x40;

/// Every address of every interface that is up. An error of the kernel reads as "none": the next look may succeed.
pub fn list() -> Vec<Interface> {
    use nix::net::if_::InterfaceFlags;
    let Ok(addresses) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let unusable = unusable(&fs::read_to_string("/proc/net/if_inet6").unwrap_or_default());
    let sys = Path::new("/sys/class/net");
    addresses
        .filter(|address| address.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|address| {
            let storage = address.address?;
            let ip = match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
                (Some(v4), _) => IpAddr::V4(v4.ip()),
                (_, Some(v6)) => IpAddr::V6(v6.ip()),
                _ => return None,
            };
            let name = address.interface_name;
            Some(Interface {
                ip,
                loopback: address.flags.contains(InterfaceFlags::IFF_LOOPBACK),
                container: is_container(&name, bridge_has_port(sys, &name)),
                tentative: unusable.iter().any(|(n, v6)| *n == name && IpAddr::V6(*v6) == ip),
                name,
            })
        })
        .collect()
}

/// This machine's own addresses, in their canonical form.
pub fn own() -> Vec<IpAddr> {
    list().into_iter().map(|interface| interface.ip.to_canonical()).collect()
}

/// Names of the interfaces that there are, up or not.
pub fn names() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/class/net") else { return Vec::new() };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// `None` if `name` is no bridge. Hardware has a `device`; a VLAN or a bond on it has it as `lower_…`.
fn bridge_has_port(sys: &Path, name: &str) -> Option<bool> {
    let interface = sys.join(name);
    if !interface.join("bridge").exists() {
        return None;
    }
    let ports = fs::read_dir(interface.join("brif")).ok()?;
    Some(ports.flatten().any(|port| {
        let port = sys.join(port.file_name());
        let lower = fs::read_dir(&port).into_iter().flatten().flatten();
        port.join("device").exists()
            || lower
                .filter(|entry| entry.file_name().to_string_lossy().starts_with("lower_"))
                .any(|entry| entry.path().join("device").exists())
    }))
}

/// The addresses of `/proc/net/if_inet6` that cannot be used yet, or never: `address index prefix scope flags name`.
fn unusable(if_inet6: &str) -> Vec<(String, Ipv6Addr)> {
    if_inet6
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let ip = Ipv6Addr::from_bits(u128::from_str_radix(fields.next()?, 16).ok()?);
            let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
            let waits = flags & IFA_TENTATIVE != 0 && flags & IFA_OPTIMISTIC == 0;
            (waits || flags & IFA_DADFAILED != 0).then_some((fields.next()?.to_owned(), ip))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_not_usable_yet_are_known_by_their_flags() {
        let text = "00000000000000000000000000000001 01 80 10 80       lo\n\
                    fe80000000000000001122fffe334455 02 40 20 c0     eth0\n\
                    fd000000000000000000000000000002 02 40 00 44     eth0\n\
                    fd000000000000000000000000000003 02 40 00 88     eth0\nbroken\n";
        let names: Vec<String> = unusable(text).into_iter().map(|(name, ip)| format!("{name} {ip}")).collect();
        assert_eq!(names, ["eth0 fe80::11:22ff:fe33:4455", "eth0 fd00::3"]);
    }

    #[test]
    fn ports_of_a_bridge_are_looked_at_through_vlans_and_bonds() {
        let sys = std::env::temp_dir().join(format!("porthole-sys-{}", std::process::id()));
        for path in [
            "br-lan/bridge",
            "br-lan/brif/bond0",
            "bond0/lower_eth0/device",
            "docker0/bridge",
            "docker0/brif/veth1",
            "veth1",
            "br0/bridge",
            "br0/brif/eth0",
            "eth0/device",
        ] {
            fs::create_dir_all(sys.join(path)).unwrap();
        }
        let seen = ["br-lan", "docker0", "br0", "eth0"].map(|name| bridge_has_port(&sys, name));
        fs::remove_dir_all(&sys).unwrap();
        assert_eq!(seen, [Some(true), Some(false), Some(true), None]);
    }
}
