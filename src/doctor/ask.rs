//! `porthole doctor`: asks the running relay for its findings and prints them; where none answers it looks at the
//! ports itself. One HTTP/1.0 request, over a plain socket where that is spoken: it must work where everything else is
//! broken.
use super::print;
use crate::config::Config;
use crate::gather::policy::{Listen, Protocol};
use crate::gather::scope::Scope;
use crate::net::connect::{self, Place};
use crate::net::port_owner::holder;
use crate::net::tls::Trust;
use serde_json::Value;
use std::fmt::{self, Write as _};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const CONNECT_TIME: Duration = Duration::from_secs(3);
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// A report of 50 ended and some hundred live sessions has 1 MiB.
const MAX_ANSWER: u64 = 8 << 20;
/// Where a relay listens that nobody told otherwise.
const DEFAULT: &str = "127.0.0.1:1984";

const HEALTHY: u8 = 0;
const AILING: u8 = 1;
const SILENT: u8 = 2;

/// What to print, and the exit code.
pub struct Report {
    pub text: String,
    pub code: u8,
}

/// Where a relay is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Door {
    scheme: &'static str,
    /// `host:port`.
    authority: String,
}

impl Door {
    fn new(scheme: &'static str, authority: impl Into<String>) -> Self {
        Self { scheme, authority: authority.into() }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}/", self.scheme, self.authority)
    }
}

const PLAIN: &str = "http://";
const SECURE: &str = "https://";

/// Asks the relay at `url`, else the one of the configuration.
pub fn ask(url: Option<&str>, config: Option<&Config>) -> Report {
    let door = match (url, config.map(|config| &config.api)) {
        (Some(url), _) => match of_url(url) {
            Ok(door) => door,
            Err(text) => return Report { text: format!("{text}\n"), code: SILENT },
        },
        (None, Some(api)) if !api.listen.is_empty() => Door::new(PLAIN, of_listen(&api.listen)),
        (None, Some(api)) if !api.tls_listen.is_empty() => Door::new(SECURE, of_listen(&api.tls_listen)),
        (None, Some(_)) => {
            let text = "HTTP is switched off (api.listen is empty), so the relay can't be asked\n".into();
            return Report { text, code: SILENT };
        }
        (None, None) => Door::new(PLAIN, DEFAULT),
    };
    match fetch(&door) {
        Ok(found) => {
            let healthy = found["healthy"].as_bool().unwrap_or(false);
            Report { text: print::report(&found, &door), code: if healthy { HEALTHY } else { AILING } }
        }
        Err(failure) => {
            let mut text = format!("No relay answers at {door}: {failure}\n");
            // What this machine's ports are like says nothing about another machine.
            if let Some(config) = config.filter(|_| url.is_none()) {
                look_at_ports(&mut text, &door.authority, config);
            }
            Report { text, code: SILENT }
        }
    }
}

/// Of `http://host[:port][/…]`, the same with `https`, or of a bare `host[:port]`, whose port is the relay's own.
fn of_url(url: &str) -> Result<Door, String> {
    let (scheme, rest, port) = match (url.strip_prefix(PLAIN), url.strip_prefix(SECURE)) {
        (Some(rest), _) => (PLAIN, rest, 80),
        (None, Some(rest)) => (SECURE, rest, 443),
        (None, None) => (PLAIN, url, 1984),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let wrong = rest.contains("://")
        || authority.is_empty()
        || authority.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@');
    if wrong {
        return Err(format!("{url:?} is no address of a relay, such as http://printer.local:1984"));
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    Ok(Door::new(scheme, if has_port { authority.to_owned() } else { format!("{authority}:{port}") }))
}

/// Where to knock for `api.listen`: a wildcard is reached over loopback.
fn of_listen(listen: &str) -> String {
    match listen.rsplit_once(':') {
        Some(("" | "0.0.0.0" | "[::]", port)) => format!("127.0.0.1:{port}"),
        _ => listen.to_owned(),
    }
}

fn fetch(door: &Door) -> Result<Value, String> {
    let place = &door.authority;
    let request = format!("GET /api/doctor HTTP/1.0\r\nHost: {place}\r\nAccept: application/json\r\n\r\n");
    let bytes = if door.scheme == SECURE { over_tls(door, &request)? } else { plainly(place, &request)? };
    let text = String::from_utf8_lossy(&bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Err("something listens there that speaks no HTTP".into());
    };
    let status = head.lines().next().unwrap_or_default();
    if !status.contains(" 200") {
        let said = print::plain(body.lines().next().unwrap_or_default());
        return Err(format!("what listens there is another program, or refuses ({}): {said}", print::plain(status)));
    }
    serde_json::from_str(body)
        .ok()
        .filter(|found: &Value| found["machine"].is_object())
        .ok_or_else(|| "what listens there is another program: it has no /api/doctor".into())
}

fn plainly(place: &str, request: &str) -> Result<Vec<u8>, String> {
    let mut stream = connect(place).map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there, the relay is not running".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer, a firewall or another network".to_owned(),
        _ => error.to_string(),
    })?;
    let mut bytes = Vec::new();
    stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.take(MAX_ANSWER).read_to_end(&mut bytes))
        .map_err(silent)?;
    Ok(bytes)
}

fn silent(error: impl fmt::Display) -> String {
    format!("something listens there but does not answer ({error})")
}

/// The certificate is not looked at: nothing secret is told, and a relay's own authority is seldom known to the machine.
fn over_tls(door: &Door, request: &str) -> Result<Vec<u8>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let place = Place::parse(&door.to_string())?;
    runtime.block_on(async {
        let mut stream = connect::open(&place, Trust::Anybody, Scope::Any).await?;
        let mut bytes = Vec::new();
        let exchange = async {
            stream.write_all(request.as_bytes()).await?;
            stream.take(MAX_ANSWER).read_to_end(&mut bytes).await
        };
        timeout(ANSWER_TIME, exchange).await.map_err(silent)?.map_err(silent)?;
        Ok(bytes)
    })
}

fn connect(place: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "this name has no address");
    for address in place.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIME) {
            Ok(stream) => {
                stream.set_read_timeout(Some(ANSWER_TIME))?;
                stream.set_write_timeout(Some(ANSWER_TIME))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Says of the ports that the configuration names whether they are free.
fn look_at_ports(text: &mut String, place: &str, config: &Config) {
    if let Some(address) = place.to_socket_addrs().ok().and_then(|mut list| list.next()) {
        state(text, "api.listen", Protocol::Tcp, address);
    }
    let Ok(listen) = Listen::parse(&config.webrtc.listen) else { return };
    let host = listen.host.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    if listen.udp != 0 {
        state(text, "webrtc.listen", Protocol::Udp, SocketAddr::new(host, listen.udp));
    }
    if let Some(port) = listen.tcp.filter(|port| *port != 0) {
        state(text, "webrtc.listen", Protocol::Tcp, SocketAddr::new(host, port));
    }
}

fn state(text: &mut String, key: &str, protocol: Protocol, address: SocketAddr) {
    let bound = match protocol {
        Protocol::Udp => UdpSocket::bind(address).map(drop),
        // Unlike a plain bind this succeeds while closed connections of a relay that just ended linger.
        Protocol::Tcp => listen_once(address),
    };
    let by_whom = || holder(protocol, address).map(|holder| format!(" by {holder}")).unwrap_or_default();
    let found = match bound {
        Ok(()) => "free".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => format!("taken{}", by_whom()),
        Err(error) => error.to_string(),
    };
    let _ = writeln!(text, "  {} {address} ({key}): {found}", protocol.name());
}

fn listen_once(address: SocketAddr) -> io::Result<()> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood() {
        let cases = [
            ("http://printer.local:1984/doctor.html", "http://printer.local:1984/"),
            ("http://printer.local", "http://printer.local:80/"),
            ("https://printer.local", "https://printer.local:443/"),
            ("https://[fd00::1]:1984", "https://[fd00::1]:1984/"),
            ("printer.local", "http://printer.local:1984/"),
            ("192.168.1.2:8080", "http://192.168.1.2:8080/"),
            ("http://[fd00::1]:1984/", "http://[fd00::1]:1984/"),
            ("[fd00::1]", "http://[fd00::1]:1984/"),
        ];
        for (url, door) in cases {
            assert_eq!(of_url(url).unwrap().to_string(), door, "{url}");
        }
        for url in ["", "http://", "https://", "ftp://x", "http://a b", "http://u:p@x", "x\r\nHost: y"] {
            assert!(of_url(url).is_err(), "{url:?}");
        }
        assert_eq!(of_listen(":1984"), "127.0.0.1:1984");
        assert_eq!(of_listen("[::]:1"), "127.0.0.1:1");
        assert_eq!(of_listen("192.168.1.2:1984"), "192.168.1.2:1984");
    }

    #[test]
    fn a_port_that_is_held_is_told() {
        let held = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        let mut text = String::new();
        state(&mut text, "webrtc.listen", Protocol::Udp, address);
        assert!(text.contains("taken by") && text.contains(&std::process::id().to_string()), "{text}");
        drop(held);
        let mut text = String::new();
        state(&mut text, "webrtc.listen", Protocol::Udp, address);
        assert!(text.contains("free"), "{text}");
    }
}
