//! One foreign peer: a str0m session on a socket of its own, which the caller turns step by step.
use crate::error::{Context, Error};
use socket2::{Domain, Protocol as SocketProtocol, Socket, Type};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Instant;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;

/// What we ask the kernel to buffer, so that losses are the relay's and not ours; it may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Larger than any datagram of WebRTC.
const DATAGRAM: usize = 2048;

/// What [`Peer::poll`] found.
pub enum Step {
    Event(Box<Event>),
    /// Nothing more until this moment or the next datagram.
    Wait(Instant),
}

pub struct Peer {
    pub rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    buffer: Vec<u8>,
    /// When the datagram arrived that the events at hand come from.
    pub arrived: Instant,
}

impl Peer {
    /// A peer on loopback that knows H.264 and sees RTP packets as they are.
    pub fn new() -> Result<Self, Error> {
        let now = Instant::now();
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(SocketProtocol::UDP))?;
        // Beyond the system's limit only the administrator gets more; both are best effort.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        let mut rtc = RtcConfig::new().set_rtp_mode(true).clear_codecs().enable_h264(true).build(now);
        rtc.add_local_candidate(Candidate::host(local, "udp")?);
        Ok(Self { rtc, socket, local, buffer: vec![0; DATAGRAM], arrived: now })
    }

    /// Sends what is to be sent and answers the next event, if any. `sent` sees each datagram just before it goes.
    pub fn poll(&mut self, mut sent: impl FnMut(&[u8])) -> Result<Step, Error> {
        loop {
            match self.rtc.poll_output()? {
                Output::Transmit(transmit) => {
                    sent(&transmit.contents);
                    match self.socket.try_send_to(&transmit.contents, transmit.destination) {
                        Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error).context("send"),
                        _ => {}
                    }
                }
                Output::Event(event) => return Ok(Step::Event(Box::new(event))),
                Output::Timeout(at) => return Ok(Step::Wait(at)),
            }
        }
    }

    /// Waits until a datagram or `until` is there and feeds it in.
    pub async fn wait(&mut self, until: Instant) -> Result<(), Error> {
        let received = match self.socket.try_recv_from(&mut self.buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                tokio::select! {
                    received = self.socket.recv_from(&mut self.buffer) => Some(received?),
                    () = tokio::time::sleep_until(until.into()) => None,
                }
            }
            other => Some(other?),
        };
        self.arrived = Instant::now();
        let input = match received {
            Some((len, source)) => {
                // What no session can parse is no concern of a benchmark.
                let Ok(receive) = Receive::new(Protocol::Udp, source, self.local, &self.buffer[..len]) else {
                    return Ok(());
                };
                Input::Receive(self.arrived, receive)
            }
            None => Input::Timeout(self.arrived),
        };
        Ok(self.rtc.handle_input(input)?)
    }

    /// Says good-bye.
    pub fn close(&mut self) {
        self.rtc.disconnect();
        while let Ok(Step::Event(_)) = self.poll(|_| {}) {}
    }
}
