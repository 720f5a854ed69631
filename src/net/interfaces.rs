//! The machine's addresses, as the kernel tells them.
use std::net::IpAddr;

/// One address of one network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub ip: IpAddr,
    pub loopback: bool,
}

/// Every address of every interface that is up. An error of the kernel reads as "none": the next look may succeed.
pub fn list() -> Vec<Interface> {
    use nix::net::if_::InterfaceFlags;
    let Ok(addresses) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    addresses
        .filter(|address| address.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|address| {
            let storage = address.address?;
            let ip = match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
                (Some(v4), _) => IpAddr::V4(v4.ip()),
                (_, Some(v6)) => IpAddr::V6(v6.ip()),
                _ => return None,
            };
            Some(Interface {
                name: address.interface_name,
                ip,
                loopback: address.flags.contains(InterfaceFlags::IFF_LOOPBACK),
            })
        })
        .collect()
}
