//! The other end of a URL: a TCP connection to it, in TLS where the scheme says so.
use crate::base::percent::decoded;
use crate::gather::scope::Scope;
use crate::net::interfaces;
use crate::net::reference;
use crate::net::tls::{self, TlsStream, Trust};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// Time for one address to accept the connection; the next one is tried then.
const CONNECT_TIME: Duration = Duration::from_secs(4);
/// Time for the TLS handshake: small boards calculate for a while.
const TLS_TIME: Duration = Duration::from_secs(6);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// Where a URL of the kinds `http`, `https`, `ws` and `wss` leads.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    pub secure: bool,
    /// Name or literal address, without brackets.
    pub host: String,
    pub port: u16,
    /// Path and query, `/` at least.
    pub path: String,
    /// User name and password as they stand before the `@`.
    pub login: Option<String>,
}

/// Neither the login nor the query reaches the log: signatures stand there.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.authority())
    }
}

impl Place {
    /// Reads a URL; a fragment is left out.
    ///
    /// # Errors
    /// A sentence that says what the URL lacks; it does not repeat the URL, which may hold a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or("a URL begins with http://, https://, ws:// or wss://")?;
        let (secure, usual) = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => (false, 80),
            "https" | "wss" => (true, 443),
            other => return Err(format!("unsupported url: {other}:// is none of http, https, ws, wss")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login.to_owned()), place),
            None => (None, authority),
        };
        let wrong = || "the URL names no host, or a port that is none".to_owned();
        let (host, tail) = match place.strip_prefix('[') {
            Some(place) => place.split_once(']').filter(|(host, _)| host.contains(':')).ok_or_else(wrong)?,
            None => place.split_at(place.find(':').unwrap_or(place.len())),
        };
        let port = match tail.strip_prefix(':') {
            None if tail.is_empty() => Some(usual),
            None => None,
            Some(number) => number.parse::<u16>().ok().filter(|port| *port != 0),
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '\\' | '[' | ']');
        if host.is_empty() || host.contains(odd) || path.contains(|c: char| c.is_control() || c == ' ') {
            return Err(wrong());
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { secure, host: host.to_owned(), port: port.ok_or_else(wrong)?, path, login })
    }

    /// `host:port`, the port only where it is not the usual one.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.secure, self.port) {
            (false, 80) | (true, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// The value of an `Authorization` field for the login (RFC 7617); `%40` and the like are read as what they mean.
    pub fn basic(&self) -> Option<String> {
        let login = self.login.as_deref()?;
        let (name, password) = login.split_once(':').unwrap_or((login, ""));
        let plain = format!("{}:{}", decoded(name), decoded(password));
        Some(format!("Basic {}", data_encoding::BASE64.encode(plain.as_bytes())))
    }

    /// Where a reference (`Location`) leads from here. The login goes along only where the reference names no host.
    ///
    /// # Errors
    /// If it leads to no place at all.
    pub fn join(&self, reference: &str) -> Result<Self, String> {
        let scheme = if self.secure { "https" } else { "http" };
        let base = format!("{scheme}://{}{}", self.authority(), self.path);
        let target = reference::resolve(&base, reference).ok_or("the server sends us to an address that is none")?;
        let mut place = Self::parse(&target)?;
        if !reference::names_host(reference) {
            place.login = self.login.clone();
        }
        Ok(place)
    }

    /// Scheme, host and port are the same (RFC 6454 section 5).
    pub fn is_same_origin(&self, other: &Self) -> bool {
        self.secure == other.secure && self.host.eq_ignore_ascii_case(&other.host) && self.port == other.port
    }
}

/// A connection with or without TLS.
pub enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    fn socket(&self) -> &TcpStream {
        match self {
            Connection::Plain(stream) => stream,
            Connection::Tls(stream) => tls::inner(stream),
        }
    }

    /// Our address towards the other end: the one by which it can reach us too.
    pub fn local(&self) -> Option<IpAddr> {
        self.socket().local_addr().ok().map(|address| address.ip().to_canonical())
    }

    /// The other end.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.socket().peer_addr().ok()
    }
}

/// Opens a connection to the first of a name's addresses that `scope` allows and that answers. The address that is looked at is
/// the one that is connected to: a name that means another one a moment later leads nowhere else.
///
/// # Errors
/// If the name has no address or none that is allowed, nobody answers at any of them, or TLS fails: a sentence with the
/// host in it.
pub async fn open(place: &Place, trust: Trust, scope: Scope) -> Result<Connection, String> {
    let at = place.authority();
    let addresses: Vec<SocketAddr> = match timeout(CONNECT_TIME, lookup_host((place.host.as_str(), place.port))).await {
        Ok(Ok(found)) => found.take(MAX_ADDRESSES).collect(),
        Ok(Err(error)) => return Err(format!("{at}: the name has no address ({error})")),
        Err(_) => return Err(format!("{at}: no name server answered within {} s", CONNECT_TIME.as_secs())),
    };
    let mut failed = format!("{at}: the name has no address");
    for address in addresses {
        if let Err(barred) = scope.check(address.ip(), interfaces::own) {
            failed = format!("{at} {barred}");
            continue;
        }
        match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return secured(stream, place, trust).await.map_err(|error| format!("{at}: {error}"));
            }
            Ok(Err(error)) => failed = format!("{at}: {}", refused(&error)),
            Err(_) => failed = format!("{at}: nobody answered within {} s; is it switched on?", CONNECT_TIME.as_secs()),
        }
    }
    Err(failed)
}

/// Of this machine or of a local network: loopback, private (RFC 1918), link-local, unique-local.
pub fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip == Ipv6Addr::LOCALHOST || ip.is_unicast_link_local() || ip.is_unique_local(),
    }
}

/// Our address on the way to a place, as the kernel's routes say, and the place's; nothing is sent but questions to
/// name servers.
pub async fn way(place: &Place) -> Option<(IpAddr, IpAddr)> {
    let remote = lookup_host((place.host.as_str(), place.port)).await.ok()?.next()?;
    let any = if remote.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect(remote).ok()?;
    Some((socket.local_addr().ok()?.ip().to_canonical(), remote.ip().to_canonical()))
}

fn refused(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there (connection refused)".into(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "no way leads there; is it on?".into(),
        _ => error.to_string(),
    }
}

async fn secured(stream: TcpStream, place: &Place, trust: Trust) -> Result<Connection, String> {
    if !place.secure {
        return Ok(Connection::Plain(stream));
    }
    match timeout(TLS_TIME, tls::connect(stream, &place.host, trust)).await {
        Ok(Ok(stream)) => Ok(Connection::Tls(Box::new(stream))),
        Ok(Err(error)) => Err(format!("TLS failed: {error}")),
        Err(_) => Err(format!("the TLS handshake did not end within {} s", TLS_TIME.as_secs())),
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Connection::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Connection::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Connection::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Connection::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_understood() {
        let cases = [
            ("http://10.0.0.2:8000/call/webrtc_local", "10.0.0.2:8000 /call/webrtc_local false"),
            ("ws://cam", "cam / false"),
            ("wss://cam?X-Amz=1#format=kinesis", "cam /?X-Amz=1 true"),
            ("HTTPS://user:p%40ss@[fd00::1]:8443/a?b", "[fd00::1]:8443 /a?b true"),
        ];
        for (url, expected) in cases {
            let place = Place::parse(url).unwrap();
            assert_eq!(format!("{} {} {}", place.authority(), place.path, place.secure), expected, "{url}");
        }
        for url in [
            "cam",
            "rtsp://cam/",
            "http://",
            "http://:80/",
            "http://a:0/",
            "http://a:x",
            "http://[::1",
            "http://a b/",
            "http://a/ b",
            "http://[::1]x/",
            "http://[[fd00::1]:80/",
            "http://[cam]/",
            "http://a]:80/",
        ] {
            assert!(Place::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_login_is_sent_as_what_it_means_and_never_shown() {
        let place = Place::parse("http://user:p%40ss:w%zz@cam/").unwrap();
        assert_eq!(place.basic().unwrap(), format!("Basic {}", data_encoding::BASE64.encode(b"user:p@ss:w%zz")));
        assert_eq!(format!("{place:?}"), "cam");
        assert_eq!(Place::parse("http://cam/").unwrap().basic(), None);
    }

    #[test]
    fn references_are_followed_from_where_they_were_given() {
        let base = Place::parse("http://cam:1984/api/webrtc?src=a").unwrap();
        let path = |reference| base.join(reference).map(|place| format!("{}{}", place.authority(), place.path));
        assert_eq!(path("webrtc?id=1").as_deref(), Ok("cam:1984/api/webrtc?id=1"));
        assert_eq!(path("/whep/1").as_deref(), Ok("cam:1984/whep/1"));
        assert_eq!(path("?x").as_deref(), Ok("cam:1984/api/webrtc?x"));
        assert_eq!(path("https://other/a#b").as_deref(), Ok("other/a"));
        assert_eq!(path("/a b").as_deref(), Ok("cam:1984/a%20b"));
        assert_eq!(path("//other/a").as_deref(), Ok("other/a"));
        assert_eq!(path("../x").as_deref(), Ok("cam:1984/x"));
        for none in ["/a\nb", "rtsp://cam/", "http:", "http://", "//:80/", "mailto:a@b"] {
            assert!(path(none).is_err(), "{none:?}");
        }
    }

    #[test]
    fn a_login_goes_along_only_where_the_reference_names_no_host() {
        let base = Place::parse("https://u:p@cam/whep").unwrap();
        assert_eq!(base.join("/s").unwrap().login, base.login);
        for elsewhere in ["//cam/s", "https://cam/s", "http://cam/s"] {
            assert_eq!(base.join(elsewhere).unwrap().login, None);
        }
        let same = |reference| base.join(reference).unwrap().is_same_origin(&base);
        assert!(
            same("/s") && same("//CAM:443/s") && !same("http://cam/s") && !same("//cam:8443/s") && !same("//other/s")
        );
    }
}
