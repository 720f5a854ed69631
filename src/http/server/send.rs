//! Bodies on their way to a client, as fast as it reads and no faster.
use super::body::Pieces;
use super::limits::{COPY_BYTES, HEAD_BYTES, Limits};
use super::outbox::Parcel;
use super::transport::Transport;
use bytes::Bytes;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// Room made for what a client sends while it is sent a stream.
const EARLY_READ: usize = 512;
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Sends a head and a body of known length.
pub async fn bytes(client: &mut Transport, head: Vec<u8>, body: &[u8], limits: &Limits) -> io::Result<()> {
    // Most bodies are small, and one packet is enough for both.
    let (start, rest) = body.split_at(body.len().min(COPY_BYTES));
    write(client, &[&head, start].concat(), limits).await?;
    write(client, rest, limits).await
}

/// Sends a head and a stream to its end. What the client sends meanwhile is kept in `early`, since it is the beginning of
/// its next request. Each piece is counted in `parcel` while it waits for the client.
///
/// # Errors
/// If the client leaves or does not read, if others need the memory, or if the producer panics: the connection cannot go
/// on. The stream is dropped in any case.
pub async fn stream(
    client: &mut Transport,
    early: &mut Vec<u8>,
    head: Vec<u8>,
    mut pieces: Pieces,
    chunks: bool,
    limits: &Limits,
    parcel: &Parcel,
) -> io::Result<()> {
    client.expect_long_silence();
    write(client, &head, limits).await?;
    while let Some(piece) = next(client, early, &mut pieces).await? {
        // An empty chunk would be the last one.
        if piece.is_empty() {
            continue;
        }
        parcel.resize(piece.len(), limits.unread);
        let sent = async {
            match chunks {
                true => {
                    let size = format!("{:x}\r\n", piece.len()).into_bytes();
                    bytes(client, size, &piece, limits).await?;
                    write(client, b"\r\n", limits).await
                }
                false => write(client, &piece, limits).await,
            }
        };
        tokio::select! {
            sent = sent => sent?,
            () = parcel.given_up() => return Err(io::Error::new(io::ErrorKind::TimedOut, "others need the memory")),
        }
        parcel.resize(0, limits.unread);
    }
    if chunks { write(client, LAST_CHUNK, limits).await } else { Ok(()) }
}

/// The next piece, unless the client leaves before it is there.
async fn next(client: &mut Transport, early: &mut Vec<u8>, pieces: &mut Pieces) -> io::Result<Option<Bytes>> {
    let mut piece = poll_fn(|cx| {
        let poll = catch_unwind(AssertUnwindSafe(|| pieces.as_mut().poll_next(cx)));
        poll.map_or_else(
            |_| std::task::Poll::Ready(Err(io::Error::other("the stream's producer panicked"))),
            |poll| poll.map(Ok),
        )
    });
    loop {
        early.reserve(EARLY_READ);
        tokio::select! {
            piece = &mut piece => return piece,
            read = client.read_buf(early) => match read? {
                0 => return Err(io::ErrorKind::ConnectionAborted.into()),
                // Whoever talks so much does not listen.
                _ if early.len() > HEAD_BYTES => return Err(io::ErrorKind::InvalidData.into()),
                _ => {}
            },
        }
    }
}

/// Writes all of it. A client that does not take [`COPY_BYTES`] within the time for them loses the connection.
async fn write(client: &mut Transport, mut bytes: &[u8], limits: &Limits) -> io::Result<()> {
    let (mut due, mut taken) = (Instant::now() + limits.write_time, 0);
    while !bytes.is_empty() {
        match timeout_at(due, client.write(bytes)).await.map_err(|_| io::ErrorKind::TimedOut)?? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            length => (bytes, taken) = (&bytes[length..], taken + length),
        }
        if taken >= COPY_BYTES {
            (due, taken) = (Instant::now() + limits.write_time, 0);
        }
    }
    // TLS hands to the system what it still has.
    timeout_at(due, client.flush()).await.map_err(|_| io::ErrorKind::TimedOut)?
}
