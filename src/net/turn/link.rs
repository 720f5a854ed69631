//! The way to one TURN server (RFC 8656 section 3.1): a UDP socket, or a connection with or without TLS that a task of
//! its own opens, reads and writes. Nobody waits for it: what it can't take now is refused.
use crate::config::ice_uri::{Kind, Transport, Uri};
use crate::gather::policy::wildcard;
use crate::gather::turn::FromServer;
use crate::gather::turn::framing::{MAX_MESSAGE, Splitter, padded};
use crate::net::connect::Connection;
use crate::net::tls::{self, Trust};
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// A connection is open within this time, and its TLS within as much again.
const CONNECTS: Duration = Duration::from_secs(3);
/// A server that takes nothing for so long is gone.
const WRITES: Duration = Duration::from_secs(10);
/// Messages that wait for a connection; what is more is lost, or waits in its sender's ring.
const QUEUE: usize = 128;
/// Of these, room that only requests get: over a stream they are not said twice.
const RESERVED: usize = 32;
/// Bytes that are written at once.
const BATCH: usize = 16 << 10;
/// Bytes that the kernel keeps before it sends them: more only makes pictures late.
const UNSENT: u32 = 64 << 10;
/// A UDP socket that reports an error is asked again after this time.
const AGAIN: Duration = Duration::from_millis(100);

/// Where it goes, with the number that was given to the link.
pub type Inputs = mpsc::Sender<(u32, FromServer)>;

pub struct Link {
    way: Way,
    task: AbortHandle,
}

enum Way {
    Datagrams(Arc<UdpSocket>),
    Stream(mpsc::Sender<Vec<u8>>),
}

impl Link {
    /// Opens the way to a server, at the first of its addresses that can be reached. `from`: the local address, where
    /// one is prescribed. What comes goes into `inputs` with this `number`. Needs a runtime around it.
    ///
    /// # Errors
    /// If this machine has no socket or no route for any of the addresses. That nobody answers there is seen later.
    pub fn open(
        server: &Uri,
        addresses: &[SocketAddr],
        from: Option<IpAddr>,
        number: u32,
        inputs: Inputs,
    ) -> io::Result<Self> {
        match server.transport {
            Transport::Udp => {
                let socket = Arc::new(first(addresses, |address| datagram_socket(address, from))?);
                let task = tokio::spawn(receive(socket.clone(), number, inputs)).abort_handle();
                Ok(Self { way: Way::Datagrams(socket), task })
            }
            Transport::Tcp => {
                let (messages, queue) = mpsc::channel(QUEUE);
                let (server, addresses) = (server.clone(), addresses.to_vec());
                let task = tokio::spawn(async move {
                    let Err(error) = converse(&server, &addresses, from, queue, number, &inputs).await;
                    // Fails only where nobody wants to know any more.
                    let _ = inputs.send((number, FromServer::Closed(error))).await;
                });
                Ok(Self { way: Way::Stream(messages), task: task.abort_handle() })
            }
        }
    }

    /// Sends what the allocation itself has to say.
    pub fn send_request(&self, message: &[u8]) -> io::Result<()> {
        self.send(message, 0)
    }

    /// Sends what is meant for peers. `WouldBlock`: there is no room now.
    pub fn send_data(&self, message: &[u8]) -> io::Result<()> {
        self.send(message, RESERVED)
    }

    fn send(&self, message: &[u8], leave: usize) -> io::Result<()> {
        match &self.way {
            // Past the runtime, which refuses to write to a socket before it has seen it ready.
            Way::Datagrams(socket) => SockRef::from(&**socket).send(message).map(|_| ()),
            Way::Stream(queue) if queue.capacity() <= leave => Err(io::ErrorKind::WouldBlock.into()),
            Way::Stream(queue) => queue.try_send(padded(message)).map_err(|_| io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What works first, or the last error.
fn first<T>(addresses: &[SocketAddr], open: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut error = io::Error::new(io::ErrorKind::NotFound, "no address of the server is known");
    for address in addresses {
        match open(*address) {
            Ok(opened) => return Ok(opened),
            Err(last) => error = io::Error::new(last.kind(), format!("no way to {address}: {last}")),
        }
    }
    Err(error)
}

fn datagram_socket(server: SocketAddr, from: Option<IpAddr>) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind((from.unwrap_or(wildcard(server.is_ipv6())), 0))?;
    socket.connect(server)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

async fn receive(socket: Arc<UdpSocket>, number: u32, inputs: Inputs) {
    let mut buffer = vec![0; MAX_MESSAGE];
    loop {
        match socket.recv(&mut buffer).await {
            Ok(length) => {
                if inputs.send((number, FromServer::Message(buffer[..length].to_vec()))).await.is_err() {
                    return;
                }
            }
            // The server is not there, for now: the requests' own schedule tells how long that is waited for.
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// Never returns well: a connection is used until it breaks.
type Until = Result<std::convert::Infallible, String>;

async fn converse(
    server: &Uri,
    addresses: &[SocketAddr],
    from: Option<IpAddr>,
    queue: mpsc::Receiver<Vec<u8>>,
    number: u32,
    inputs: &Inputs,
) -> Until {
    let stream = connect(addresses, from).await?;
    // Messages are complete; waiting for more to fill a segment only adds latency.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
    if server.kind != Kind::Turns {
        return exchange(Connection::Plain(stream), queue, number, inputs).await;
    }
    let handshake = timeout(CONNECTS, tls::connect(stream, &server.host, Trust::Roots)).await;
    let stream = handshake
        .map_err(|_| format!("the server takes the connection and speaks no TLS within {} s", CONNECTS.as_secs()))?
        .map_err(|error| format!("no TLS with {}: {error}", server.host))?;
    exchange(Connection::Tls(Box::new(stream)), queue, number, inputs).await
}

async fn connect(addresses: &[SocketAddr], from: Option<IpAddr>) -> Result<TcpStream, String> {
    let mut error = "no address of the server is known".to_owned();
    // One that swallows everything leaves time for the others.
    let each = CONNECTS / addresses.len().max(1) as u32;
    for address in addresses {
        let connecting = async {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            if let Some(from) = from {
                socket.bind(SocketAddr::new(from, 0))?;
            }
            socket.connect(*address).await
        };
        match timeout(each, connecting).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(refused)) => error = format!("no connection to {address}: {refused}"),
            Err(_) => error = format!("no connection to {address} within {} s", each.as_secs_f32()),
        }
    }
    Err(error)
}

async fn exchange(stream: Connection, mut queue: mpsc::Receiver<Vec<u8>>, number: u32, inputs: &Inputs) -> Until {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let broke = |error: io::Error| format!("the connection to the server broke: {error}");
    let reading = async {
        let (mut splitter, mut buffer) = (Splitter::default(), vec![0; MAX_MESSAGE]);
        loop {
            match reader.read(&mut buffer).await.map_err(broke)? {
                0 => return Err("the server ended the connection".to_owned()),
                length => splitter.push(&buffer[..length]),
            }
            while let Some(message) = splitter.next().map_err(|foreign| foreign.to_string())? {
                inputs
                    .send((number, FromServer::Message(message)))
                    .await
                    .map_err(|_| "nobody listens any more".to_owned())?;
            }
        }
    };
    let writing = async {
        loop {
            let mut batch = queue.recv().await.ok_or_else(|| "nobody speaks any more".to_owned())?;
            while batch.len() < BATCH
                && let Ok(message) = queue.try_recv()
            {
                batch.extend_from_slice(&message);
            }
            let written = async {
                writer.write_all(&batch).await?;
                writer.flush().await
            };
            let taken = timeout(WRITES, written).await;
            taken.map_err(|_| format!("the server took nothing for {} s", WRITES.as_secs()))?.map_err(broke)?;
        }
    };
    tokio::select! {
        end = reading => end,
        end = writing => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::turn::framing::padded;
    use tokio::net::TcpListener;

    fn link(listener: &TcpListener) -> (Link, mpsc::Receiver<(u32, FromServer)>) {
        let (sender, inputs) = mpsc::channel(8);
        let address = listener.local_addr().unwrap();
        let uri = Uri::parse(&format!("turn:{address}?transport=tcp")).unwrap();
        (Link::open(&uri, &[address], None, 7, sender).unwrap(), inputs)
    }

    async fn next(inputs: &mut mpsc::Receiver<(u32, FromServer)>) -> FromServer {
        timeout(Duration::from_secs(15), inputs.recv())
            .await
            .unwrap()
            .map(|(number, input)| (number == 7).then_some(input))
            .unwrap()
            .unwrap()
    }

    #[tokio::test]
    async fn what_is_said_before_the_connection_stands_is_said_then() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (link, mut inputs) = link(&listener);
        link.send_request(b"\x40\0\0\x05hello").unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = [0; 12];
        stream.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"\x40\0\0\x05hello\0\0\0");
        stream.write_all(&padded(b"\x40\0\0\x01a")).await.unwrap();
        assert!(matches!(next(&mut inputs).await, FromServer::Message(message) if message == b"\x40\0\0\x01a"));
        drop(stream);
        assert!(matches!(next(&mut inputs).await, FromServer::Closed(why) if why == "the server ended the connection"));
    }

    #[tokio::test]
    async fn a_server_that_reads_nothing_fills_a_bounded_queue_and_requests_keep_their_room() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (link, _inputs) = link(&listener);
        let (_stream, _) = listener.accept().await.unwrap();
        let mut taken = 0;
        // The kernels' own buffers come first, so the writer has to get its turns.
        while taken < 100_000 {
            match link.send_data(&[0x40; 1200]) {
                Ok(()) => taken += 1,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    if link.send_data(&[0x40; 1200]).is_err() {
                        break;
                    }
                }
            }
        }
        assert!(taken < 100_000, "never refused");
        for _ in 0..RESERVED {
            link.send_request(&[0; 20]).unwrap();
        }
        assert_eq!(link.send_request(&[0; 20]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn a_closed_port_and_a_foreign_server_are_told_in_words() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (_link, mut inputs) = link(&listener);
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail.example.org ESMTP\r\n").await.unwrap();
        assert!(matches!(next(&mut inputs).await, FromServer::Closed(why) if why.contains("does not speak TURN")));
        let address = listener.local_addr().unwrap();
        drop((listener, stream));
        let (sender, mut inputs) = mpsc::channel(8);
        let uri = Uri::parse(&format!("turn:{address}?transport=tcp")).unwrap();
        let _link = Link::open(&uri, &[address], None, 7, sender).unwrap();
        let FromServer::Closed(why) = next(&mut inputs).await else { panic!("a message of nobody") };
        assert!(why.starts_with(&format!("no connection to {address}: ")), "{why}");
    }
}
