//! tiny_http, out of everybody's reach: it listens on an abstract Unix socket with a random name and takes only
//! requests that carry the gate's secret, so its missing limits meet nothing but the gate's bounded requests.
use super::head::Method;
use super::limits::BODY_BYTES;
use super::request::Request;
use super::response::Response;
use std::fs::File;
use std::io::{self, Read};
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tiny_http::{Header, Server};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// Field by which the gate proves itself to the thread behind tiny_http.
pub const TOKEN_FIELD: &str = "x-porthole-token";
/// Field with the client's address.
pub const PEER_FIELD: &str = "x-porthole-peer";
/// Requests between tiny_http and the routes; as many as the gate lets in.
const QUEUE: usize = super::limits::CONNECTIONS;
/// The thread parses fields and copies a body to the heap; it needs little.
const STACK: usize = 128 * 1024;
/// Pause before tiny_http is started again after it gave up (it does on the first failing `accept`).
const RESTART_PAUSE: Duration = Duration::from_millis(200);

/// A request to answer; `raw` is what [`respond`] needs.
pub struct Inbound {
    pub request: Request,
    pub raw: tiny_http::Request,
}

/// The gate's way to tiny_http.
pub struct Inner {
    name: String,
    token: String,
    shared: Arc<Shared>,
}

/// A tiny_http server is never dropped: its `drop` panics for abstract sockets. Its threads end with the process.
type Undropped = Arc<ManuallyDrop<Server>>;

#[derive(Default)]
struct Shared {
    server: Mutex<Option<Undropped>>,
    stopping: AtomicBool,
}

impl Shared {
    fn server(&self) -> MutexGuard<'_, Option<Undropped>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Starts tiny_http and the thread that takes requests off it.
    pub fn start() -> io::Result<(Inner, mpsc::Receiver<Inbound>)> {
        let (name, token) = (format!("porthole-{}", random_hex()?), random_hex()?);
        let (sink, inbound) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared::default());
        *shared.server() = Some(listen(&name)?);
        let taker = Taker { name: name.clone(), token: token.clone(), shared: shared.clone(), sink };
        std::thread::Builder::new().name("http-inner".into()).stack_size(STACK).spawn(move || taker.run())?;
        Ok((Inner { name, token, shared }, inbound))
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// A fresh connection; each one carries one request.
    pub async fn connect(&self) -> io::Result<UnixStream> {
        let result = UnixStream::connect(Path::new(&format!("\0{}", self.name))).await;
        if result.is_err() {
            self.wake();
        }
        result
    }

    /// Makes the taking thread look whether it has to stop or to start tiny_http again.
    fn wake(&self) {
        if let Some(server) = &*self.shared.server() {
            server.unblock();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.wake();
    }
}

fn listen(name: &str) -> io::Result<Undropped> {
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    let listener = UnixListener::bind_addr(&address)?;
    let server = Server::from_listener(listener, None).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Arc::new(ManuallyDrop::new(server)))
}

struct Taker {
    name: String,
    token: String,
    shared: Arc<Shared>,
    sink: mpsc::Sender<Inbound>,
}

impl Taker {
    fn run(self) {
        while !self.shared.stopping.load(Ordering::Relaxed) {
            let server = self.shared.server().clone();
            match server.map(|server| server.recv()) {
                Some(Ok(raw)) => {
                    // a fault drops the request, which answers 500
                    let inbound = catch_unwind(AssertUnwindSafe(|| self.admit(raw))).unwrap_or_default();
                    if let Some(inbound) = inbound
                        && self.sink.blocking_send(inbound).is_err()
                    {
                        return;
                    }
                }
                _ if self.shared.stopping.load(Ordering::Relaxed) => return,
                _ => self.restart(),
            }
        }
    }

    /// Binding fails as long as the old server still listens: then nothing was wrong.
    fn restart(&self) {
        std::thread::sleep(RESTART_PAUSE);
        if let Ok(server) = listen(&self.name) {
            log::warn!(target: "api", "the inner HTTP server was started again");
            *self.shared.server() = Some(server);
        }
    }

    /// Checks the secret before anything else is read, then takes the whole request.
    fn admit(&self, mut raw: tiny_http::Request) -> Option<Inbound> {
        let token = field(&raw, TOKEN_FIELD).unwrap_or_default();
        if !same_secret(token.as_bytes(), self.token.as_bytes()) {
            refuse(raw, 403);
            return None;
        }
        let peer = field(&raw, PEER_FIELD).and_then(|peer| peer.parse::<SocketAddr>().ok());
        let method = Method::parse(raw.method().as_str());
        let mut body = Vec::new();
        let read = raw.as_reader().take(BODY_BYTES as u64).read_to_end(&mut body);
        let (Some(peer), Some(method), Ok(_)) = (peer, method, read) else {
            refuse(raw, 400);
            return None;
        };
        let fields = raw.headers().iter().map(|field| (field.field.as_str().as_str(), field.value.as_str()));
        let request = Request::new(method, raw.url(), fields, peer, body);
        Some(Inbound { request, raw })
    }
}

fn refuse(raw: tiny_http::Request, status: u16) {
    if let Err(error) = raw.respond(tiny_http::Response::empty(status)) {
        log::debug!(target: "api", "inner request refused: {error}");
    }
}

fn field<'a>(raw: &'a tiny_http::Request, name: &str) -> Option<&'a str> {
    let fields = raw.headers().iter();
    fields.filter(|field| field.field.as_str().as_str().eq_ignore_ascii_case(name)).map(|f| f.value.as_str()).next()
}

/// Writes the response into the socket to the gate. Blocks while the gate copies to a slow client, so this belongs on
/// a thread that may wait.
pub fn respond(raw: tiny_http::Request, response: Response) {
    let fields = response.fields.iter().map(|(name, value)| (*name, value.as_str())).chain([("Server", "porthole")]);
    let fields = fields.filter_map(|(name, value)| Header::from_bytes(name, value).ok()).collect();
    let length = Some(response.body.len());
    let answer = tiny_http::Response::new(response.status.into(), fields, &*response.body, length, None);
    // Always a Content-Length: the gate copies by it, and HTTP/1.0 clients know nothing else.
    if let Err(error) = raw.respond(answer.with_chunked_threshold(usize::MAX)) {
        log::debug!(target: "api", "response lost: {error}");
    }
}

/// Compares in a time that does not depend on where the first difference is.
fn same_secret(given: &[u8], expected: &[u8]) -> bool {
    given.len() == expected.len() && given.iter().zip(expected).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}

/// 128 random bits.
fn random_hex() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn ask(inner: &Inner, token: &str) -> String {
        let mut stream = inner.connect().await.unwrap();
        let request = format!(
            "POST /a?b=c HTTP/1.1\r\n{TOKEN_FIELD}: {token}\r\n{PEER_FIELD}: 10.0.0.9:5\r\nconnection: close\r\n\
             content-length: 5\r\n\r\nhello"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn only_requests_with_the_secret_reach_the_routes() {
        let (inner, mut inbound) = Inner::start().unwrap();
        for token in ["", "0123", &"0".repeat(32)] {
            assert!(ask(&inner, token).await.starts_with("HTTP/1.1 403"), "{token}");
        }
        let token = inner.token().to_owned();
        let routes = tokio::spawn(async move {
            let Inbound { request, raw } = inbound.recv().await.unwrap();
            assert_eq!((request.path.as_str(), request.query("b"), &*request.body), ("/a", Some("c"), &b"hello"[..]));
            assert_eq!(request.peer.to_string(), "10.0.0.9:5");
            tokio::task::spawn_blocking(|| respond(raw, Response::text(200, "x".repeat(100_000)))).await.unwrap();
        });
        let answer = ask(&inner, &token).await;
        assert!(
            answer.contains("Content-Length: 100001\r\n") && answer.contains("Server: porthole\r\n"),
            "{answer:.300}"
        );
        routes.await.unwrap();
    }
}
