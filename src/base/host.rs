//! Addresses that others tell us: whether one host may have them, however they are written.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address in its canonical form, if it can be one host's: not unspecified, multicast or broadcast, also not within
/// one of IPv6 that a translator or a tunnel takes to such an address of IPv4.
pub fn of_one(ip: IpAddr) -> Option<IpAddr> {
    let ip = ip.to_canonical();
    let one = match ip {
        IpAddr::V4(v4) => is_one(v4),
        IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_multicast() && embedded(v6).is_none_or(is_one),
    };
    one.then_some(ip)
}

/// The address at which packets to this one end, in its canonical form: see [`embedded`].
pub fn end_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => embedded(v6).filter(|_| !v6.is_unspecified()).map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 => v4,
    }
}

/// 0.0.0.0/8 is no host elsewhere (RFC 1122 section 3.2.1.3): systems take it for themselves.
fn is_one(ip: Ipv4Addr) -> bool {
    ip.octets()[0] != 0 && !ip.is_multicast() && !ip.is_broadcast()
}

/// The address of IPv4 that packets to this one end at: by 6to4 (RFC 3056), NAT64 (RFC 6052), or as IPv4-compatible
/// (RFC 4291 section 2.5.5.1).
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match ip.segments() {
        [0x2002, high, low, ..] => v4(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0, 0, 0, 0, 0, 0, 0, 1] => None,
        [0, 0, 0, 0, 0, 0, high, low] => v4(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_many_or_of_nobody_is_none_however_it_is_written() {
        let of = |ip: &str| of_one(ip.parse().unwrap()).map(|ip| ip.to_string());
        for many in ["239.7.7.7", "224.0.0.251", "0.0.0.0", "0.1.2.3", "255.255.255.255"] {
            let v4: Ipv4Addr = many.parse().unwrap();
            let [a, b, c, d] = v4.octets();
            assert_eq!(of(many), None, "{many}");
            for form in ["::ffff:", "64:ff9b::", "::"] {
                let form = if form == "::" && a == 0 { "::ffff:" } else { form };
                assert_eq!(of(&format!("{form}{many}")), None, "{form}{many}");
            }
            assert_eq!(of(&format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::9")), None, "6to4 of {many}");
        }
        assert_eq!((of("::"), of("ff02::fb"), of("ff0e::1")), (None, None, None));
    }

    #[test]
    fn addresses_of_hosts_stay_and_get_their_canonical_form() {
        let of = |ip: &str| of_one(ip.parse().unwrap()).map(|ip| ip.to_string());
        for host in
            ["10.0.0.1", "127.0.0.1", "203.0.113.7", "::1", "fe80::1", "fd00::7", "2001:db8::1", "64:ff9b::cb00:7107"]
        {
            assert_eq!(of(host).as_deref(), Some(host));
        }
        assert_eq!(of("::ffff:10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(of("2002:0a00:1::1").as_deref(), Some("2002:a00:1::1"));
    }
}
