//! TCP connections to a camera (RFC 6544, active side): where it tells addresses at which it takes them, and UDP has not
//! led to it after a moment.
use super::call::Call;
use crate::gather::policy::Doors;
use crate::net::tcp::{TcpConnection, TcpInput, frame};
use crate::rtc::route::{Route, Socket};
use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// UDP is given so long: it delivers late packets late, and TCP everything behind them too.
const UDP_FIRST: Duration = Duration::from_millis(300);
/// Addresses of one camera that are connected to.
const MAX_CONNECTIONS: usize = 4;
/// A connection is open within this time.
const CONNECTS: Duration = Duration::from_secs(5);
/// Frames that wait; a full queue slows the readers down.
const INPUTS: usize = 128;

/// Where it was to lead, the camera's priority of that, and what came of it.
type Opened = (SocketAddr, u32, Result<TcpStream, String>);

pub struct Connections {
    opening: JoinSet<Opened>,
    /// By their numbers, which are their places.
    open: Vec<Option<TcpConnection>>,
    /// The addresses that were tried.
    tried: Vec<SocketAddr>,
    /// When the camera first told one.
    since: Option<Instant>,
    /// The camera's signalling is on this machine.
    pub is_local: bool,
    /// Where they leave from, for IPv4 and IPv6: any address, one, or not at all.
    pub doors: [Option<IpAddr>; 2],
    /// The call goes another way.
    settled: bool,
    errors: Vec<String>,
    inputs: (mpsc::Sender<TcpInput>, mpsc::Receiver<TcpInput>),
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            opening: JoinSet::new(),
            open: Vec::new(),
            tried: Vec::new(),
            since: None,
            is_local: false,
            doors: Doors::open().tcp,
            settled: false,
            errors: Vec::new(),
            inputs: mpsc::channel(INPUTS),
        }
    }
}

async fn connect(from: IpAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    if !from.is_unspecified() {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    socket.connect(remote).await
}

/// What happened: a connection came about or did not, or one of them brought something.
pub enum Come {
    Opened(Opened),
    Input(TcpInput),
}

impl Connections {
    /// Waits for the next thing.
    pub async fn next(&mut self) -> Come {
        let (opening, inputs) = (&mut self.opening, &mut self.inputs.1);
        tokio::select! {
            opened = async { match opening.join_next().await { Some(Ok(opened)) => opened, _ => pending().await } } => {
                Come::Opened(opened)
            }
            input = async { match inputs.recv().await { Some(input) => input, None => pending().await } } => {
                Come::Input(input)
            }
        }
    }

    /// Connects to what the camera told, when it is time; lets go of what a connected call does not use.
    pub fn look(&mut self, call: &mut Call, now: Instant) {
        if let Some(used) = call.route().filter(|_| call.is_connected()).map(|route| route.socket) {
            self.settle(used, call, now);
        }
        if self.settled || !call.is_described() || call.passive().next().is_none() {
            return;
        }
        let since = *self.since.get_or_insert(now);
        if now < since + UDP_FIRST || call.is_reachable() {
            return;
        }
        for (remote, priority) in call.passive() {
            // A camera elsewhere has no business with this machine's own services.
            let foreign = remote.ip().is_loopback() && !self.is_local;
            if foreign || self.tried.len() >= MAX_CONNECTIONS || self.tried.contains(&remote) {
                continue;
            }
            let Some(from) = self.doors[usize::from(remote.is_ipv6())] else { continue };
            self.tried.push(remote);
            self.opening.spawn(async move {
                let opened = match timeout(CONNECTS, connect(from, remote)).await {
                    Ok(Ok(stream)) => Ok(stream),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err(format!("no answer within {} s", CONNECTS.as_secs())),
                };
                (remote, priority, opened)
            });
        }
    }

    fn settle(&mut self, used: Socket, call: &mut Call, now: Instant) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        self.opening.abort_all();
        for (number, connection) in self.open.iter_mut().enumerate() {
            let socket = Socket::Tcp(number as u32);
            if socket != used && connection.take().is_some() {
                call.drop_socket(socket, now);
            }
        }
    }

    /// When [`Self::look`] has something to do.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let due = self.since? + UDP_FIRST;
        (due > now && !self.settled).then_some(due)
    }

    pub fn handle(&mut self, come: Come, call: &mut Call, now: Instant) {
        match come {
            Come::Opened((remote, priority, Ok(stream))) if !self.settled => {
                let number = self.open.len() as u32;
                let connection = TcpConnection::start(number, stream, remote, self.inputs.0.clone());
                self.open.push(Some(connection));
                call.add_connection(Socket::Tcp(number), remote, priority, now);
            }
            Come::Opened((_, _, Ok(_))) => {}
            Come::Opened((remote, _, Err(error))) => {
                log::debug!(target: "webrtc", "no connection to the camera at tcp {remote}: {error}");
                self.errors.push(format!("tcp {remote}: {error}"));
            }
            Come::Input(TcpInput::Frame { connection, bytes }) => {
                if let Some(open) = self.get(connection) {
                    let local = open.local().map(|address| address.ip().to_canonical());
                    let route = Route { socket: Socket::Tcp(connection), local, remote: open.remote };
                    call.handle(now, route, &bytes);
                }
            }
            Come::Input(TcpInput::Writable { connection }) => {
                if let Some(open) = self.get(connection)
                    && open.resume().is_err()
                {
                    open.break_off();
                }
            }
            Come::Input(TcpInput::Closed { connection }) => {
                if let Some(open) = self.open.get_mut(connection as usize).and_then(Option::take) {
                    let why = format!("the TCP connection to the camera at {} broke", open.remote);
                    self.errors.push(format!("tcp {}: the connection broke", open.remote));
                    call.lose(Socket::Tcp(connection), &why, now);
                }
            }
            // Nobody connects to us here.
            Come::Input(TcpInput::Opened { .. }) => {}
        }
    }

    fn get(&mut self, number: u32) -> Option<&mut TcpConnection> {
        self.open.get_mut(number as usize)?.as_mut()
    }

    /// Sends one datagram; a connection that takes no more ends, and the call hears of that.
    pub fn send(&mut self, number: u32, bytes: &[u8]) {
        let Some(connection) = self.get(number) else { return };
        let mut framed = Vec::with_capacity(bytes.len() + 2);
        frame(&mut framed, bytes);
        if connection.write(&framed).is_err() {
            connection.break_off();
        }
    }

    /// Why connections failed, for the reason of a call that found no way.
    pub fn errors(&self) -> impl Iterator<Item = String> {
        self.errors.iter().cloned()
    }
}
