//! What a connection is read from and written to: TCP, or TLS over it. One type, so that the code behind it is in the
//! binary once.
use super::tls;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// A client that is sent a stream is asked for a sign of life after so long a silence, and so often.
const SILENCE: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// One that gives none for so long is gone.
const GONE_AFTER: Duration = Duration::from_secs(60);
/// Bytes of a stream that the system keeps for a client whose network is slow, besides those on their way.
const UNSENT_BYTES: u32 = 32 * 1024;

/// One connection.
pub enum Transport {
    Plain(TcpStream),
    Tls(Box<tls::Stream>),
    #[cfg(test)]
    Pipe(tokio::io::DuplexStream),
}

impl Transport {
    /// Writes all of it, and waits until TLS has handed it to the system too.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        self.flush().await
    }

    /// From now on the client may have nothing to say for days, and nothing to be told: the system shall notice when it
    /// is gone, and keep little for it.
    pub fn expect_long_silence(&self) {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => tls::tcp(stream),
            #[cfg(test)]
            Self::Pipe(_) => return,
        };
        let socket = SockRef::from(stream);
        let keepalive = TcpKeepalive::new().with_time(SILENCE).with_interval(ASK_AGAIN);
        // Where the system does not know one of them the stream works all the same.
        let _ = socket.set_tcp_keepalive(&keepalive);
        let _ = socket.set_tcp_user_timeout(Some(GONE_AFTER));
        let _ = socket.set_tcp_notsent_lowat(UNSENT_BYTES);
    }
}

macro_rules! delegate {
    ($self:ident, $method:ident, $($argument:expr),*) => {
        match $self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Transport::Tls(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(test)]
            Transport::Pipe(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_read, cx, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write, cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_flush, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_shutdown, cx)
    }
}
