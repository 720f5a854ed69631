//! The listening sockets of `api.listen` and `api.tls_listen`.
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

/// Connections that the kernel keeps while the gate is busy.
const BACKLOG: i32 = 64;

/// Binds `host:port`; `:port` means every address of both families, IPv4 alone where the kernel has no IPv6.
/// The error names the setting, `key`.
pub fn bind(key: &str, listen: &str) -> io::Result<TcpListener> {
    let result = match listen.strip_prefix(':') {
        Some(port) => match port.parse() {
            Ok(port) => bind_all(port),
            Err(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "the port must be a number from 0 to 65535")),
        },
        None => bind_named(listen),
    };
    result.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "; another program holds this port, choose another one or stop it",
            io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
            _ => "",
        };
        io::Error::new(error.kind(), format!("{key} {listen:?}: {error}{hint}"))
    })
}

fn bind_all(port: u16) -> io::Result<TcpListener> {
    match bind_one((Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse && error.kind() != io::ErrorKind::PermissionDenied => {
            bind_one((Ipv4Addr::UNSPECIFIED, port).into())
        }
        result => result,
    }
}

fn bind_named(listen: &str) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in listen.to_socket_addrs()? {
        match bind_one(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_listens_to_both_families() {
        let listener = bind("api.listen", ":0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    #[test]
    fn a_port_in_use_is_named_with_its_setting() {
        let listener = bind("api.listen", "127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap().to_string();
        let error = bind("api.listen", &listen).unwrap_err();
        assert!(error.to_string().contains(&format!("api.listen {listen:?}")), "{error}");
        assert!(error.to_string().contains("another program"), "{error}");
        assert!(bind("api.listen", ":x").unwrap_err().to_string().contains("must be a number"));
    }
}
