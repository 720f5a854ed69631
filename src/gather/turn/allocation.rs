//! One allocation from the first request to its release (RFC 8656 sections 6 to 8): messages and time come in, messages
//! go out through [`Allocation::take_out`].
use crate::config::ice_uri::Transport;
use crate::gather::ice_servers::Login;
use crate::gather::stun::{Message, Retry, TransactionId, Writer, attribute, kind};
use crate::gather::turn::frame;
use crate::gather::turn::login::Signer;
use crate::gather::turn::peers::{Peers, Want};
use crate::rtc::digest::Digest;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// A request without an answer counts as lost after this time: five tries over UDP, one over a stream.
const PATIENCE: Duration = Duration::from_secs(8);
/// The release is tried for this long; after it the server's own clock ends the allocation.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);
/// Lifetime where the server tells none (RFC 8656 section 3.2), and the bounds between which its word is believed.
const LIFETIME: u32 = 600;
const LIFETIMES: std::ops::RangeInclusive<u32> = 60..=3600;
/// New nonces that one request may need: a server that never likes its own nonce would keep us busy for ever.
const MAX_NONCES: u32 = 3;
/// REQUESTED-TRANSPORT: UDP (RFC 8656 section 18.7).
const UDP: [u8; 4] = [17, 0, 0, 0];
/// First byte of RTP and RTCP (RFC 7983): whoever gets media gets a channel, which costs 4 bytes instead of 36.
const MEDIA: u8 = 128;

/// REQUESTED-ADDRESS-FAMILY: IPv6 (RFC 8656 section 18.6). Without it servers give an address of IPv4.
const IPV6: [u8; 4] = [2, 0, 0, 0];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Allocate { v6: bool },
    Refresh,
    Release,
    Peer(Want),
}

/// A request that is on its way.
struct Transaction {
    id: TransactionId,
    task: Task,
    bytes: Vec<u8>,
    retry: Retry,
    nonces: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Allocating,
    Ready(SocketAddr),
    Releasing,
    /// Nothing is left on the server, or nothing that we could reach. Why, unless we wanted it.
    Over(Option<String>),
}

/// What a message of the server was.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// For the allocation itself, or nothing.
    Taken,
    Data(SocketAddr, &'a [u8]),
}

pub struct Allocation {
    /// What lies between us and the server; to peers it is always UDP.
    transport: Transport,
    signer: Signer,
    state: State,
    pending: Vec<Transaction>,
    peers: Peers,
    refresh_due: Option<Instant>,
    out: Vec<Vec<u8>>,
    /// An answer came that was not signed with our credential's key.
    unsigned: bool,
}

impl Allocation {
    /// Asks for an allocation, for peers of IPv6 if `v6`; the request is in [`Self::take_out`].
    pub fn new(transport: Transport, v6: bool, login: Login, digest: Digest, now: Instant) -> Self {
        let mut allocation = Self {
            transport,
            signer: Signer::new(login, digest),
            state: State::Allocating,
            pending: Vec::new(),
            peers: Peers::default(),
            refresh_due: None,
            out: Vec::new(),
            unsigned: false,
        };
        allocation.ask(Task::Allocate { v6 }, now, 0);
        allocation
    }

    /// The address on the server that peers send to, while there is one.
    pub fn relayed(&self) -> Option<SocketAddr> {
        match self.state {
            State::Ready(relayed) => Some(relayed),
            _ => None,
        }
    }

    pub fn is_allocating(&self) -> bool {
        self.state == State::Allocating
    }

    /// Ended, by us or with this error.
    pub fn over(&self) -> Option<Option<&str>> {
        match &self.state {
            State::Over(error) => Some(error.as_deref()),
            _ => None,
        }
    }

    /// Lets a peer's packets through. Addresses of the other family can't be relayed (RFC 8656 section 9.1).
    pub fn permit(&mut self, now: Instant, peer: IpAddr) {
        if self.relayed().is_none_or(|relayed| relayed.is_ipv4() == peer.is_ipv4()) {
            self.peers.permit(now, peer);
        }
        self.tick(now);
    }

    /// Gives the allocation back. Again does nothing: the first release is on its way.
    pub fn release(&mut self, now: Instant) {
        if matches!(self.state, State::Releasing | State::Over(_)) {
            return;
        }
        self.peers = Peers::default();
        self.refresh_due = None;
        self.pending.clear();
        match self.state {
            State::Ready(_) => {
                self.state = State::Releasing;
                self.ask(Task::Release, now, 0);
            }
            // The server may have allocated without our knowing; its clock ends that.
            State::Allocating => self.state = State::Over(None),
            State::Releasing | State::Over(_) => {}
        }
    }

    /// The way to the server is gone, and the allocation with it (RFC 8656 section 3.1).
    pub fn lose(&mut self, error: &str) {
        match self.state {
            State::Over(_) => {}
            State::Releasing => self.state = State::Over(None),
            State::Allocating | State::Ready(_) => self.end(error),
        }
    }

    /// What is to be sent to the server, in order.
    pub fn take_out(&mut self) -> std::vec::Drain<'_, Vec<u8>> {
        self.out.drain(..)
    }

    /// Writes `data` for a peer as the server wants it. False: there is no way to this peer.
    pub fn wrap(&mut self, now: Instant, peer: SocketAddr, data: &[u8], out: &mut Vec<u8>) -> bool {
        if self.relayed().is_none() {
            return false;
        }
        if let Some(channel) = self.peers.channel_to(peer) {
            frame::write_channel(out, channel, data);
            return true;
        }
        if data.first().is_some_and(|first| *first >= MEDIA) {
            self.peers.bind(now, peer);
            self.tick(now);
        }
        let Some(id) = self.signer.digest().transaction() else { return false };
        out.extend_from_slice(&frame::send_indication(&id, peer, data));
        true
    }

    pub fn deadline(&self) -> Option<Instant> {
        let pending = self.pending.iter().map(|transaction| transaction.retry.deadline());
        let peers = self.relayed().and_then(|_| self.peers.deadline());
        pending.chain(self.refresh_due).chain(peers).min()
    }

    /// Sends again what was not answered, and renews what runs out.
    pub fn tick(&mut self, now: Instant) {
        let mut lost = Vec::new();
        for transaction in &mut self.pending {
            if transaction.retry.is_over(now) {
                lost.push((transaction.id, transaction.task));
            } else if transaction.retry.take(now) {
                self.out.push(transaction.bytes.clone());
            }
        }
        self.pending.retain(|transaction| lost.iter().all(|(id, _)| *id != transaction.id));
        for (_, task) in lost {
            self.lost(task, now);
        }
        if self.relayed().is_none() {
            return;
        }
        if self.refresh_due.take_if(|at| *at <= now).is_some() {
            self.ask(Task::Refresh, now, 0);
        }
        while let Some(want) = self.peers.take_due(now) {
            self.ask(Task::Peer(want), now, 0);
        }
    }

    /// Takes what came from the server.
    pub fn handle<'a>(&mut self, now: Instant, bytes: &'a [u8]) -> Outcome<'a> {
        if let Some((channel, data)) = frame::read_channel(bytes) {
            return self.peers.peer_of(channel).map_or(Outcome::Taken, |peer| Outcome::Data(peer, data));
        }
        let Some(message) = Message::read(bytes) else { return Outcome::Taken };
        if let Some((peer, data)) = frame::read_indication(&message) {
            let permitted = self.relayed().is_some() && self.peers.is_permitted(peer.ip());
            return if permitted { Outcome::Data(peer, data) } else { Outcome::Taken };
        }
        let asked = self.pending.iter().position(|transaction| {
            let method = transaction.task.method();
            let answers = message.kind == method | kind::SUCCESS || message.kind == method | kind::FAILURE;
            transaction.id == message.transaction && answers
        });
        let Some(asked) = asked else { return Outcome::Taken };
        let success = message.kind & kind::FAILURE == kind::SUCCESS;
        // Errors need no signature, since a server that refuses our name has no key to sign with; nobody else sees
        // the transaction id.
        if success && !self.signer.is_authentic(&message) {
            self.unsigned = true;
            return Outcome::Taken;
        }
        let transaction = self.pending.swap_remove(asked);
        match success {
            true => self.succeeded(transaction.task, &message, now),
            false => self.refused(transaction, &message, now),
        }
        Outcome::Taken
    }

    fn succeeded(&mut self, task: Task, message: &Message<'_>, now: Instant) {
        match task {
            Task::Allocate { .. } => match message.xor_address(attribute::XOR_RELAYED_ADDRESS) {
                Some(relayed) => {
                    self.state = State::Ready(relayed);
                    self.peers.keep_family(relayed);
                    self.refresh_later(message, now);
                    self.tick(now);
                }
                None => self.end("the server's answer holds no relayed address"),
            },
            Task::Refresh => self.refresh_later(message, now),
            Task::Release => self.state = State::Over(None),
            Task::Peer(want) => self.peers.granted(now, want),
        }
    }

    fn refresh_later(&mut self, message: &Message<'_>, now: Instant) {
        let lifetime = message.number(attribute::LIFETIME).unwrap_or(LIFETIME);
        let lifetime = lifetime.clamp(*LIFETIMES.start(), *LIFETIMES.end());
        self.refresh_due = Some(now + Duration::from_secs(u64::from(lifetime / 2)));
    }

    fn refused(&mut self, transaction: Transaction, message: &Message<'_>, now: Instant) {
        let (code, reason) = message.error().unwrap_or((0, "without a reason".into()));
        let Transaction { task, nonces, .. } = transaction;
        let again = match code {
            401 => !self.signer.is_challenged() && self.signer.learn(message),
            438 => nonces < MAX_NONCES && self.signer.is_challenged() && self.signer.learn(message),
            _ => false,
        };
        if again {
            return self.ask(task, now, nonces + 1);
        }
        match (task, code) {
            (Task::Peer(want), _) => self.peers.failed(now, want, true),
            (Task::Release, _) => self.state = State::Over(None),
            (_, 300) => match message.address(attribute::ALTERNATE_SERVER) {
                Some(other) => self.end(&format!("the server sends us to {other}; write that address instead")),
                None => self.end("the server sends us to another one without naming it"),
            },
            (_, 401 | 441) => self.end("the server refuses the username or the credential"),
            (_, 437) => self.end("the server does not know the allocation any more"),
            (_, 438) => self.end("the server refuses every nonce of its own"),
            (Task::Allocate { v6: true }, 440) => self.end("the server gives no addresses of IPv6"),
            (_, 440) => self.end("the server gives no addresses of IPv4"),
            (_, 486 | 508) => self.end("the server has no room for a further allocation of this user"),
            _ => self.end(&format!("the server refuses: {code} {reason}")),
        }
    }

    fn lost(&mut self, task: Task, now: Instant) {
        match task {
            Task::Peer(want) => self.peers.failed(now, want, false),
            Task::Release => self.state = State::Over(None),
            Task::Allocate { .. } | Task::Refresh if self.unsigned => {
                self.end("the server's answer is not signed with the credential: another one is set there");
            }
            Task::Allocate { .. } | Task::Refresh => {
                self.end(&format!("the server did not answer within {} s", PATIENCE.as_secs()));
            }
        }
    }

    fn end(&mut self, error: &str) {
        self.state = State::Over(Some(error.to_owned()));
        self.pending.clear();
        self.refresh_due = None;
    }

    fn ask(&mut self, task: Task, now: Instant, nonces: u32) {
        let request = self.signer.digest().transaction().and_then(|id| {
            let request = task.write(Writer::new(task.method(), &id));
            Some((id, self.signer.sign(request)?))
        });
        let Some((id, bytes)) = request else { return self.end("the system gives no random numbers") };
        let patience = if task == Task::Release { RELEASE_PATIENCE } else { PATIENCE };
        let mut retry = match self.transport {
            Transport::Udp => Retry::new(now, patience),
            Transport::Tcp => Retry::once(now, patience),
        };
        if retry.take(now) {
            self.out.push(bytes.clone());
        }
        self.pending.push(Transaction { id, task, bytes, retry, nonces });
    }
}

impl Task {
    fn method(self) -> u16 {
        match self {
            Task::Allocate { .. } => kind::ALLOCATE,
            Task::Refresh | Task::Release => kind::REFRESH,
            Task::Peer(Want::Permission(_)) => kind::CREATE_PERMISSION,
            Task::Peer(Want::Channel(..)) => kind::CHANNEL_BIND,
        }
    }

    fn write(self, request: Writer) -> Writer {
        match self {
            Task::Allocate { v6 } => {
                let request = request.with(attribute::REQUESTED_TRANSPORT, &UDP);
                if v6 { request.with(attribute::REQUESTED_ADDRESS_FAMILY, &IPV6) } else { request }
            }
            Task::Refresh => request.with(attribute::LIFETIME, &LIFETIME.to_be_bytes()),
            Task::Release => request.with(attribute::LIFETIME, &[0; 4]),
            Task::Peer(Want::Permission(ip)) => {
                request.with_address(attribute::XOR_PEER_ADDRESS, SocketAddr::new(ip, 0))
            }
            Task::Peer(Want::Channel(number, peer)) => {
                let [high, low] = number.to_be_bytes();
                request
                    .with(attribute::CHANNEL_NUMBER, &[high, low, 0, 0])
                    .with_address(attribute::XOR_PEER_ADDRESS, peer)
            }
        }
    }
}
