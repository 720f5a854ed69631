//! Datagrams that are longer than their way carries: the system cuts them (IP fragmentation), and so may every router of IPv4.
//! Nothing tells us how long they may be for each viewer, and a packet that a tunnel refuses is a picture that never comes.
use nix::libc;
use nix::sys::socket::sockopt::Ipv6DontFrag;
use nix::sys::socket::{SetSockOpt, setsockopt};
use nix::{setsockopt_impl, sockopt_impl};
use std::io;
use std::os::fd::AsFd;

sockopt_impl!(
    /// How the length of an IPv4 path is found (ip(7)).
    Discovery,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_MTU_DISCOVER,
    libc::c_int
);
sockopt_impl!(
    /// The same for IPv6, where the system cuts and routers only tell.
    DiscoveryV6,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU_DISCOVER,
    libc::c_int
);

/// Lets a UDP socket's datagrams be cut on their way. Best effort: without it only long ones are lost.
pub fn allow(socket: &impl AsFd, v6: bool) {
    let set = |result: nix::Result<()>| {
        if let Err(error) = result {
            log::debug!(target: "webrtc", "long datagrams are not cut error={error}");
        }
    };
    set(Discovery.set(socket, &libc::IP_PMTUDISC_DONT));
    if v6 {
        set(DiscoveryV6.set(socket, &libc::IPV6_PMTUDISC_DONT));
        set(setsockopt(socket, Ipv6DontFrag, &false));
    }
}

/// Did the system refuse a datagram, or a run of them, for its length? For a run it says so in either way, by its version.
pub fn is_too_long(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMSGSIZE | libc::EINVAL))
}
