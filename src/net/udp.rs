//! The UDP side of the media port: batched receive with the address that was asked, segmented send.
use crate::net::fragments;
use crate::rtc::route::{Route, Socket};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Datagrams taken from the kernel with one call; with receive offload each slot may hold several.
const BATCH: usize = 4;
const SLOT: usize = 64 << 10;
/// What we ask the kernel to buffer; it grants at most its own limit.
const RECEIVE_BUFFER: usize = 1 << 20;
const SEND_BUFFER: usize = 1 << 20;

/// One bound UDP socket.
pub struct UdpPort {
    socket: UdpSocket,
    state: UdpSocketState,
    pub local: SocketAddr,
    index: u8,
}

impl UdpPort {
    /// Binds `address`; a wildcard IPv6 address takes IPv6 only. Port 0 lets the kernel choose.
    /// Must be called inside the runtime that will use it.
    pub fn bind(address: SocketAddr, index: u8) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        fragments::allow(&socket, address.is_ipv6());
        // Best effort: small boards forbid more than their default.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        let socket = UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        Ok(Self { socket, state, local, index })
    }

    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_recv_ready(cx).map(|_| ())
    }

    /// Segments that one send may carry.
    pub fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Takes what the kernel holds, up to one batch; answers false when there was nothing.
    pub fn receive(&self, buffers: &mut ReceiveBuffers, mut each: impl FnMut(Route, &[u8])) -> bool {
        let mut metas = [RecvMeta::default(); BATCH];
        let mut rest = buffers.0.as_mut_slice();
        let mut slices: [IoSliceMut<'_>; BATCH] = std::array::from_fn(|_| {
            let (slot, after) = std::mem::take(&mut rest).split_at_mut(SLOT);
            rest = after;
            IoSliceMut::new(slot)
        });
        let result =
            self.socket.try_io(Interest::READABLE, || self.state.recv((&self.socket).into(), &mut slices, &mut metas));
        let Ok(count) = result else { return false };
        for (meta, slice) in metas.iter().zip(&slices).take(count) {
            let route = Route { socket: Socket::Udp(self.index), local: meta.dst_ip.map(canonical), remote: meta.addr };
            for datagram in slice[..meta.len].chunks(meta.stride.max(1)) {
                each(route, datagram);
            }
        }
        true
    }

    /// Sends `bytes` as datagrams of `segment` bytes each, the last one as long as it is. A full kernel
    /// buffer answers `WouldBlock`.
    pub fn send(&self, route: &Route, bytes: &[u8], segment: usize) -> io::Result<()> {
        match self.transmit(route, bytes, segment) {
            // What the kernel segments it does not fragment as well: one by one they pass.
            Err(error) if bytes.len() > segment && fragments::is_too_long(&error) => {
                bytes.chunks(segment).try_for_each(|datagram| self.transmit(route, datagram, segment))
            }
            result => result,
        }
    }

    fn transmit(&self, route: &Route, bytes: &[u8], segment: usize) -> io::Result<()> {
        let transmit = Transmit {
            destination: route.remote,
            ecn: None,
            contents: bytes,
            segment_size: (bytes.len() > segment).then_some(segment),
            src_ip: route.local.filter(|_| self.local.ip().is_unspecified()),
        };
        self.socket.try_io(Interest::WRITABLE, || self.state.try_send((&self.socket).into(), &transmit))
    }
}

fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Where datagrams are received; one for the whole engine.
pub struct ReceiveBuffers(Vec<u8>);

impl ReceiveBuffers {
    pub fn new() -> Self {
        Self(vec![0; BATCH * SLOT])
    }
}
