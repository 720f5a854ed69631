//! How far a URL may lead, by who wrote it. The relay stands where others do not reach: on loopback beside a printer's own
//! services, on a cable that leads to one camera. What the operator wrote may lead there, what came over the network may not.
use crate::base::host;
use std::net::IpAddr;

/// Which addresses a connection may lead to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Any: the operator wrote the URL, or somebody on this machine.
    #[default]
    Any,
    /// None of this machine's and none that is link-local: somebody on the network wrote it, or a server elsewhere named it.
    Others,
}

impl Scope {
    /// What a client of the API may name.
    pub fn of_client(client: IpAddr) -> Self {
        if client.to_canonical().is_loopback() { Scope::Any } else { Scope::Others }
    }

    /// May a connection lead to `ip`? `own`: this machine's addresses, asked for only where it depends on them.
    ///
    /// # Errors
    /// If not: half a sentence to put behind the host's name, with what the operator can change.
    pub fn check(self, ip: IpAddr, own: impl FnOnce() -> Vec<IpAddr>) -> Result<(), String> {
        let what = match self {
            Scope::Any => None,
            Scope::Others => kind(ip, &own()),
        };
        let Some(what) = what else { return Ok(()) };
        Err(format!(
            "leads to {}, {what}: only sources in the configuration file may lead there, not those that come over the network",
            ip.to_canonical()
        ))
    }

    /// What may still be asked after `answered` has: nobody elsewhere sends us to this machine's own services. `own`: as
    /// for [`Self::check`].
    pub fn after(self, answered: Option<IpAddr>, own: impl FnOnce() -> Vec<IpAddr>) -> Self {
        match answered {
            Some(ip) if self == Scope::Any && kind(ip, &own()).is_some() => Scope::Any,
            _ => Scope::Others,
        }
    }
}

/// What is special about an address that not everybody may send us to.
fn kind(ip: IpAddr, own: &[IpAddr]) -> Option<&'static str> {
    let ip = host::end_of(ip);
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    // Connections to 0.0.0.0 and [::] reach this machine.
    if ip.is_loopback() || ip.is_unspecified() || own.contains(&ip) {
        Some("this machine")
    } else if link_local {
        Some("a link-local address")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_came_over_the_network_leads_neither_to_this_machine_nor_to_link_local_addresses() {
        let own = [ip("192.168.1.2"), ip("2001:db8::2")];
        let barred = [
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
            "192.168.1.2",
            "::ffff:192.168.1.2",
            "2001:db8::2",
            "64:ff9b::7f00:1",
            "2002:7f00:1::1",
            "2002:c0a8:102::9",
            "169.254.169.254",
            "::ffff:169.254.1.1",
            "fe80::1",
        ];
        for text in barred {
            let error = Scope::Others.check(ip(text), || own.to_vec()).unwrap_err();
            assert!(error.contains("configuration file"), "{text}: {error}");
            assert_eq!(Scope::Any.check(ip(text), || own.to_vec()), Ok(()), "{text}");
        }
        for text in ["192.168.1.3", "10.0.0.1", "203.0.113.7", "fd00::1", "2001:db8::3"] {
            assert_eq!(Scope::Others.check(ip(text), || own.to_vec()), Ok(()), "{text}");
        }
    }

    #[test]
    fn nobody_elsewhere_sends_us_to_this_machine() {
        assert_eq!(Scope::Any.after(Some(ip("127.0.0.1")), Vec::new), Scope::Any);
        assert_eq!(Scope::Any.after(Some(ip("169.254.3.4")), Vec::new), Scope::Any);
        for answered in [Some(ip("192.0.2.7")), Some(ip("2001:db8::7")), None] {
            assert_eq!(Scope::Any.after(answered, Vec::new), Scope::Others);
        }
        assert_eq!(Scope::Others.after(Some(ip("127.0.0.1")), Vec::new), Scope::Others);
    }

    #[test]
    fn only_clients_on_this_machine_may_name_its_own_services() {
        assert_eq!(Scope::of_client(ip("127.0.0.1")), Scope::Any);
        assert_eq!(Scope::of_client(ip("::ffff:127.0.0.1")), Scope::Any);
        for client in ["192.168.1.2", "::ffff:192.168.1.2", "fe80::1", "203.0.113.1"] {
            assert_eq!(Scope::of_client(ip(client)), Scope::Others, "{client}");
        }
    }
}
