//! An allocation and the way to its server in one hand, for whoever turns a loop: feed it what comes from the server and
//! [`Client::tick`] it when it is due; what it has to say leaves by itself.
use super::link::{Inputs, Link};
use crate::gather::ice_servers::{Login, Uri};
use crate::gather::turn::FromServer;
use crate::gather::turn::allocation::{Allocation, Outcome};
use crate::rtc::digest::Digest;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// A server as far as it is known.
#[derive(Clone, Debug)]
pub struct Server {
    pub uri: Uri,
    pub login: Login,
    /// Of its name, the best first.
    pub addresses: Vec<SocketAddr>,
    /// The peers have IPv6.
    pub v6: bool,
}

pub struct Client {
    allocation: Allocation,
    link: Link,
    scratch: Vec<u8>,
}

impl Client {
    /// Asks a server for an allocation. `from`: the local address, where one is prescribed; `number` and
    /// `inputs`: as for [`Link::open`].
    ///
    /// # Errors
    /// Those of [`Link::open`].
    pub fn open(
        server: &Server,
        from: Option<IpAddr>,
        digest: Digest,
        now: Instant,
        number: u32,
        inputs: Inputs,
    ) -> io::Result<Self> {
        let fits = |address: &SocketAddr| from.is_none_or(|from| from.is_ipv4() == address.is_ipv4());
        let addresses: Vec<SocketAddr> = server.addresses.iter().copied().filter(fits).collect();
        let link = Link::open(&server.uri, &addresses, from, number, inputs)?;
        let allocation = Allocation::new(server.uri.transport, server.v6, server.login.clone(), digest, now);
        let mut client = Self { allocation, link, scratch: Vec::new() };
        client.flush();
        Ok(client)
    }

    /// To look at; everything that changes it goes through the client.
    pub fn allocation(&self) -> &Allocation {
        &self.allocation
    }

    /// Takes what came from the server.
    pub fn handle<'a>(&mut self, now: Instant, input: &'a FromServer) -> Outcome<'a> {
        let outcome = match input {
            FromServer::Message(bytes) => self.allocation.handle(now, bytes),
            FromServer::Closed(error) => {
                self.allocation.lose(error);
                Outcome::Taken
            }
        };
        self.flush();
        outcome
    }

    /// Does what is due; [`Allocation::deadline`] tells when.
    pub fn tick(&mut self, now: Instant) {
        self.allocation.tick(now);
        self.flush();
    }

    /// Lets a peer's packets through.
    pub fn permit(&mut self, now: Instant, peer: IpAddr) {
        self.allocation.permit(now, peer);
        self.flush();
    }

    /// Gives the allocation back.
    pub fn release(&mut self, now: Instant) {
        self.allocation.release(now);
        self.flush();
    }

    /// Sends to a peer. `WouldBlock`: later; where no way leads to the peer, the bytes are lost as on any network.
    pub fn send(&mut self, now: Instant, peer: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.scratch.clear();
        let wrapped = self.allocation.wrap(now, peer, bytes, &mut self.scratch);
        self.flush();
        if wrapped { self.link.send_data(&self.scratch) } else { Ok(()) }
    }

    /// Lets out what the allocation has to say. What the kernel refuses is sent again by its own schedule.
    fn flush(&mut self) {
        for message in self.allocation.take_out() {
            let _ = self.link.send_request(&message);
        }
    }
}
