//! The TCP connections that peers opened to the media port, as many as there is room for.
use crate::base::places::{Full, Taken, client};
use crate::base::sparing::Sparing;
use crate::net::tcp::{self, TcpConnection, TcpInput};
use crate::rtc::route::{Route, Socket};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

pub struct TcpConnections {
    all: HashMap<u32, TcpConnection>,
    next: u32,
    /// Which refused connections are written down.
    sparing: Sparing,
    inputs: mpsc::Sender<TcpInput>,
}

impl TcpConnections {
    /// `inputs`: where goes what connections bring.
    pub fn new(inputs: mpsc::Sender<TcpInput>) -> Self {
        Self { all: HashMap::new(), next: 1, sparing: Sparing::default(), inputs }
    }

    pub fn inputs(&self) -> &mpsc::Sender<TcpInput> {
        &self.inputs
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Registers an accepted connection, or drops it where a bound is reached.
    pub fn open(&mut self, stream: TcpStream, remote: SocketAddr) {
        self.all.retain(|_, connection| !connection.is_idle());
        if let Err(full) = self.place_for(remote.ip()) {
            if let Some(left_out) = self.sparing.admit(remote.ip(), Instant::now()) {
                let whose = match full {
                    Full::All => "in all",
                    Full::Client => "from there",
                };
                log::warn!(target: "webrtc", "too many media connections {whose}, refused remote={remote}{left_out}");
            }
            return;
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1).max(1);
        self.all.insert(number, TcpConnection::start(number, stream, remote, self.inputs.clone()));
    }

    /// May this address have a further media connection?
    fn place_for(&self, address: IpAddr) -> Result<(), Full> {
        let asking = client(address);
        let own = self.all.values().filter(|connection| client(connection.remote.ip()) == asking).count();
        tcp::CONNECTIONS.check(Taken { network: self.all.len(), local: 0, own }, false)
    }

    /// The route of a connection.
    pub fn route(&self, number: u32) -> Option<Route> {
        let connection = self.all.get(&number)?;
        let local = connection.local().map(|address| address.ip().to_canonical());
        Some(Route { socket: Socket::Tcp(number), local, remote: connection.remote })
    }

    /// A connection takes more again: what waits is written.
    pub fn resume(&mut self, number: u32) {
        if let Some(connection) = self.all.get_mut(&number)
            && connection.resume().is_err()
        {
            connection.break_off();
        }
    }

    /// Writes framed bytes. A connection that takes no more ends, and its session hears of that.
    pub fn write(&mut self, number: u32, framed: &[u8]) {
        if let Some(connection) = self.all.get_mut(&number)
            && connection.write(framed).is_err()
        {
            connection.break_off();
        }
    }

    /// Does nothing wait on this connection?
    pub fn is_clear(&self, number: u32) -> bool {
        self.all.get(&number).is_some_and(TcpConnection::is_clear)
    }

    /// The connection is a session's.
    pub fn keep(&mut self, number: u32) {
        if let Some(connection) = self.all.get_mut(&number) {
            connection.known = true;
        }
    }

    pub fn close(&mut self, number: u32) {
        self.all.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn four_addresses_do_not_get_all_media_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (inputs, _events) = mpsc::channel(1);
        let mut connections = TcpConnections::new(inputs);
        let mut connect = async |remote: String| {
            let _other_end = TcpStream::connect(address).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            connections.open(stream, remote.parse().unwrap());
            connections.len()
        };
        for client in 1..5 {
            for _ in 0..40 {
                connect(format!("[fd00:0:0:{client}::{client}]:5")).await;
            }
        }
        let before = connect("[fd00:0:0:1::99]:5".into()).await;
        assert!((64..128).contains(&before), "{before}");
        assert_eq!(connect("10.0.0.9:5".into()).await, before + 1);
    }
}
