//! ICE over TCP (RFC 6544): datagrams framed by RFC 4571, on connections that peers open to the same port number, and on
//! those that calls to cameras open.
//! Reading is a task for each connection; writing is the engine's, so that it can pace a slow viewer.
use crate::base::places::Places;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Longest frame that a peer may send; DTLS and RTP stay below 1,500 bytes.
const MAX_FRAME: usize = 4096;
/// A connection has to send its first frame, and prove whose it is, within this time.
const FIRST_FRAME: Duration = Duration::from_secs(10);
/// Media connections: one for each viewer that has no other way, and a few more while it looks for one.
pub const CONNECTIONS: Places = Places { all: 128, each: 32, kept: 0 };
/// Bytes that wait for a slow peer before its connection is given up (media waits in the ring, not here).
const MAX_PENDING: usize = 256 << 10;

/// What happens on the TCP port.
#[derive(Debug)]
pub enum TcpInput {
    Opened {
        stream: TcpStream,
        remote: SocketAddr,
    },
    Frame {
        connection: u32,
        bytes: Vec<u8>,
    },
    /// What was pending can go on.
    Writable {
        connection: u32,
    },
    Closed {
        connection: u32,
    },
}

/// Accepts for ever; an error of one accept (out of descriptors, say) is waited out.
pub async fn accept(listener: TcpListener, inputs: mpsc::Sender<TcpInput>) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
                if inputs.send(TcpInput::Opened { stream, remote }).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                log::debug!(target: "webrtc", "tcp accept failed error={error}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Our end of one connection.
pub struct TcpConnection {
    stream: Arc<TcpStream>,
    inputs: mpsc::Sender<TcpInput>,
    number: u32,
    pub remote: SocketAddr,
    /// A session's authentic check came over it.
    pub known: bool,
    opened: Instant,
    pending: Vec<u8>,
    /// A task that waits for the kernel to take more.
    waiter: Option<AbortHandle>,
    reader: AbortHandle,
}

impl TcpConnection {
    pub fn start(number: u32, stream: TcpStream, remote: SocketAddr, inputs: mpsc::Sender<TcpInput>) -> Self {
        // Frames are complete; waiting for more to fill a segment only adds latency.
        let _ = stream.set_nodelay(true);
        let stream = Arc::new(stream);
        let (source, sink) = (stream.clone(), inputs.clone());
        let reader = tokio::spawn(async move {
            if let Err(error) = read_frames(number, &source, &sink).await {
                log::debug!(target: "webrtc", "tcp connection ended error={error}");
            }
            let _ = sink.send(TcpInput::Closed { connection: number }).await;
        });
        let reader = reader.abort_handle();
        let opened = Instant::now();
        Self { stream, inputs, number, remote, known: false, opened, pending: Vec::new(), waiter: None, reader }
    }

    /// Nobody knows whose it is, and there was time enough to say so.
    pub fn is_idle(&self) -> bool {
        !self.known && self.opened.elapsed() > FIRST_FRAME
    }

    /// Ends both directions: the reader sees that and tells the engine, which then forgets the connection.
    pub fn break_off(&self) {
        let _ = socket2::SockRef::from(&*self.stream).shutdown(std::net::Shutdown::Both);
    }

    pub fn local(&self) -> Option<SocketAddr> {
        self.stream.local_addr().ok()
    }

    /// Nothing waits: media may be written.
    pub fn is_clear(&self) -> bool {
        self.pending.is_empty()
    }

    /// Writes framed bytes; what the kernel does not take waits. An error ends the connection.
    pub fn write(&mut self, framed: &[u8]) -> io::Result<()> {
        let taken = if self.pending.is_empty() { self.try_write(framed)? } else { 0 };
        if taken < framed.len() {
            if self.pending.len() + framed.len() - taken > MAX_PENDING {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read"));
            }
            self.pending.extend_from_slice(&framed[taken..]);
            self.wait_writable();
        }
        Ok(())
    }

    /// The kernel takes more: goes on with what was pending.
    pub fn resume(&mut self) -> io::Result<()> {
        self.waiter = None;
        let taken = self.try_write(&self.pending)?;
        self.pending.drain(..taken);
        if self.pending.is_empty() {
            self.pending = Vec::new();
        } else {
            self.wait_writable();
        }
        Ok(())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.try_write(bytes) {
            Ok(taken) => Ok(taken),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn wait_writable(&mut self) {
        if self.waiter.is_some() {
            return;
        }
        let (stream, inputs, connection) = (self.stream.clone(), self.inputs.clone(), self.number);
        let waiter = tokio::spawn(async move {
            let _ = stream.ready(Interest::WRITABLE).await;
            let _ = inputs.send(TcpInput::Writable { connection }).await;
        });
        self.waiter = Some(waiter.abort_handle());
    }
}

impl Drop for TcpConnection {
    fn drop(&mut self) {
        self.reader.abort();
        // A peer that reads nothing would keep the task, and the socket with it, for ever.
        if let Some(waiter) = &self.waiter {
            waiter.abort();
        }
    }
}

async fn read_frames(connection: u32, stream: &TcpStream, inputs: &mpsc::Sender<TcpInput>) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(2048);
    let mut seen = false;
    loop {
        let ready = stream.readable();
        if seen {
            ready.await?;
        } else {
            tokio::time::timeout(FIRST_FRAME, ready).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        }
        buffer.reserve(2048);
        match stream.try_read_buf(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        while let Some(frame) = take_frame(&mut buffer)? {
            seen = true;
            if inputs.send(TcpInput::Frame { connection, bytes: frame }).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Takes one complete frame from the front (RFC 4571 section 2).
pub(crate) fn take_frame(buffer: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let Some(&[high, low]) = buffer.first_chunk::<2>() else { return Ok(None) };
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too long"));
    }
    if buffer.len() < 2 + len {
        return Ok(None);
    }
    let frame = buffer[2..2 + len].to_vec();
    buffer.drain(..2 + len);
    Ok(Some(frame))
}

/// Appends `bytes` with their length in front.
pub fn frame(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let mut wire = Vec::new();
        frame(&mut wire, b"one");
        frame(&mut wire, b"");
        frame(&mut wire, &[7; 1500]);
        for step in [1, 2, 3, 700] {
            let (mut buffer, mut frames) = (Vec::new(), Vec::new());
            for piece in wire.chunks(step) {
                buffer.extend_from_slice(piece);
                while let Some(frame) = take_frame(&mut buffer).unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, [b"one".to_vec(), vec![], vec![7; 1500]]);
            assert!(buffer.is_empty());
        }
        assert!(take_frame(&mut vec![0xff, 0xff, 0]).is_err());
    }
}
