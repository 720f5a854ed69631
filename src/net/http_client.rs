//! One HTTP request and its reply, as signalling needs them: small bodies, a deadline, redirects that keep the method.
use crate::gather::scope::Scope;
use crate::net::connect::{self, Place};
use crate::net::interfaces;
use crate::net::tls::Trust;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use ureq_proto::client::{Call, RecvResponseResult, SendRequestResult};
use ureq_proto::http;

/// Time for one request, its redirects included.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// Times that a server may send us elsewhere.
const MAX_REDIRECTS: usize = 3;
/// Head and body of a reply: a full session description with its JSON and Base64 is below 64 KiB.
const MAX_REPLY: usize = 256 << 10;
/// Head of a reply. It is read from its beginning whenever more of it comes, so a server that sends single bytes makes us read
/// this much each time.
const MAX_REPLY_HEAD: usize = 16 << 10;
/// What stands between the parts of a reply that has no length: the size of the next part and its line ends.
const MAX_BETWEEN: usize = 1 << 10;
/// Room for a request's head: signed URLs of clouds have 2 KiB.
const MAX_HEAD: usize = 16 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Patch,
    Delete,
}

/// A request; `Host` and `Authorization` from the URL are added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub place: Place,
    pub fields: Vec<(&'static str, String)>,
    pub body: String,
}

impl Request {
    pub fn new(method: Method, place: Place) -> Self {
        Self { method, place, fields: Vec::new(), body: String::new() }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// Who replied at last.
    pub place: Place,
    /// Its address.
    pub from: Option<IpAddr>,
    fields: Vec<(String, String)>,
    pub body: String,
}

/// A reply with a status that does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherStatus {
    pub status: u16,
    sentence: String,
}

impl fmt::Display for OtherStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for OtherStatus {}

impl Reply {
    /// A reply as it would have come: for exchanges without a network.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn of(status: u16, place: &Place, fields: &[(&str, &str)], body: &str) -> Self {
        let fields = fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned())).collect();
        Self { status, place: place.clone(), from: None, fields, body: body.into() }
    }

    /// The first field of that name, in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields(name).next()
    }

    pub fn fields(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The reply if its status is one of these, else a sentence on what the status means. The body is not in it: sentences
    /// reach whoever may look at streams, who may have named a server that answers the relay and nobody else.
    ///
    /// # Errors
    /// If it has another status.
    pub fn expect(&self, statuses: &[u16]) -> Result<&Self, OtherStatus> {
        if statuses.contains(&self.status) {
            return Ok(self);
        }
        let meaning = match self.status {
            401 | 403 => ": it wants a user name and password, or others than in the URL",
            404 => ": there is no such address on it; look at the path of the URL",
            406 | 409 | 503 => ": it is busy or has no camera now",
            500.. => ": it failed inside",
            _ => "",
        };
        let sentence = format!("{} answered with status {}{meaning}", self.place.authority(), self.status);
        Err(OtherStatus { status: self.status, sentence })
    }
}

/// Sends a request to where `scope` allows and waits for the whole reply. Who is elsewhere redirects it to no address of
/// this machine.
///
/// # Errors
/// If nobody answers within [`DEADLINE`], or with something that is no HTTP, or the way is not allowed. Every status is a
/// reply.
pub async fn fetch(request: Request, trust: Trust, scope: Scope) -> Result<Reply, String> {
    let at = request.place.authority();
    match timeout(DEADLINE, follow(request, trust, scope)).await {
        Ok(reply) => reply,
        Err(_) => Err(format!("{at}: no answer within {} s", DEADLINE.as_secs())),
    }
}

async fn follow(mut request: Request, trust: Trust, mut scope: Scope) -> Result<Reply, String> {
    for _ in 0..=MAX_REDIRECTS {
        let reply = once(&request, trust, scope).await?;
        scope = scope.after(reply.from, interfaces::own);
        let keeps = matches!(reply.status, 307 | 308);
        let moves = matches!(reply.status, 301 | 302) && request.method == Method::Get;
        let Some(location) = reply.field("location").filter(|_| keeps || moves) else { return Ok(reply) };
        let mut next = request.place.join(location)?;
        if (&next.host, next.port) != (&request.place.host, request.place.port) {
            // What changes something is for who has it.
            if matches!(request.method, Method::Patch | Method::Delete) {
                return Ok(reply);
            }
            // A login is for who was named with it, and for nobody that it sends us to.
            request.fields.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        } else if next.login.is_none() {
            next.login = request.place.login.take();
        }
        request.place = next;
    }
    Err(format!("{}: more than {MAX_REDIRECTS} redirects", request.place.authority()))
}

async fn once(request: &Request, trust: Trust, scope: Scope) -> Result<Reply, String> {
    let at = request.place.authority();
    let broken = |error: ureq_proto::Error| format!("{at}: no HTTP that can be understood ({error})");
    let head = head(request)?;
    let mut connection = connect::open(&request.place, trust, scope).await?;
    let from = connection.remote().map(|remote| remote.ip());
    let lost = |error: std::io::Error| format!("{at}: the connection broke ({error})");

    let mut call = Call::new(head).map_err(broken)?.proceed();
    let mut out = vec![0; MAX_HEAD];
    let written = call.write(&mut out).map_err(broken)?;
    connection.write_all(&out[..written]).await.map_err(lost)?;
    let mut call = match call.proceed().map_err(broken)? {
        Some(SendRequestResult::SendBody(mut call)) => {
            // With a length in the head the body goes out as it is.
            call.consume_direct_write(request.body.len()).map_err(broken)?;
            connection.write_all(request.body.as_bytes()).await.map_err(lost)?;
            call.proceed().ok_or_else(|| format!("{at}: the request could not be written"))?
        }
        Some(SendRequestResult::RecvResponse(call)) => call,
        _ => return Err(format!("{at}: the request could not be written")),
    };
    connection.flush().await.map_err(lost)?;

    let mut taken = Vec::new();
    let response = loop {
        let (used, response) = call.try_response(&taken, false).map_err(broken)?;
        taken.drain(..used);
        if let Some(response) = response {
            break response;
        }
        if taken.len() > MAX_REPLY_HEAD {
            return Err(format!("{at}: the head of the answer is longer than {} KiB", MAX_REPLY_HEAD >> 10));
        }
        if connection.read_buf(&mut taken).await.map_err(lost)? == 0 {
            return Err(format!("{at}: the connection was closed without an answer"));
        }
    };
    let fields = response.headers().iter();
    let fields = fields.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let mut reply = Reply {
        status: response.status().as_u16(),
        place: request.place.clone(),
        from,
        fields: fields.collect(),
        body: String::new(),
    };
    let Some(RecvResponseResult::RecvBody(mut call)) = call.proceed() else { return Ok(reply) };
    let mut body = Vec::new();
    let mut plain = vec![0; 16 << 10];
    let close_delimited = call.body_mode() == ureq_proto::BodyMode::CloseDelimited;
    loop {
        let (used, made) = call.read(&taken, &mut plain).map_err(broken)?;
        taken.drain(..used);
        body.extend_from_slice(&plain[..made]);
        if body.len() + taken.len() > MAX_REPLY {
            return Err(format!("{at}: the answer is longer than {} KiB", MAX_REPLY >> 10));
        }
        if call.can_proceed() && !close_delimited {
            break;
        }
        if used == 0 && taken.len() > MAX_BETWEEN {
            return Err(format!("{at}: no HTTP that can be understood (a chunk without a size)"));
        }
        if used == 0 && connection.read_buf(&mut taken).await.map_err(lost)? == 0 {
            if close_delimited {
                break;
            }
            return Err(format!("{at}: the connection was closed in the middle of the answer"));
        }
    }
    reply.body = String::from_utf8_lossy(&body).into_owned();
    Ok(reply)
}

fn head(request: &Request) -> Result<http::Request<()>, String> {
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Patch => http::Method::PATCH,
        Method::Delete => http::Method::DELETE,
    };
    let scheme = if request.place.secure { "https" } else { "http" };
    let mut head = http::Request::builder()
        .method(method)
        .uri(format!("{scheme}://{}{}", request.place.authority(), request.place.path))
        .header("user-agent", concat!("porthole/", env!("CARGO_PKG_VERSION")))
        .header("connection", "close");
    if matches!(request.method, Method::Post | Method::Patch) {
        head = head.header("content-length", request.body.len());
    }
    if let Some(login) =
        request.place.basic().filter(|_| !request.fields.iter().any(|(name, _)| *name == "authorization"))
    {
        head = head.header("authorization", login);
    }
    for (name, value) in &request.fields {
        head = head.header(*name, value);
    }
    head.body(()).map_err(|error| format!("{}: the URL cannot be asked for ({error})", request.place.authority()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that gives each connection the next of these answers and keeps what it was sent.
    async fn server(answers: Vec<String>) -> (Place, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = Place::parse(&format!("http://u:p@{}/cam", listener.local_addr().unwrap())).unwrap();
        let task = tokio::spawn(async move {
            let mut seen = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = Vec::new();
                while !(String::from_utf8_lossy(&bytes).ends_with("offer")
                    || bytes.starts_with(b"GET") && bytes.ends_with(b"\r\n\r\n"))
                {
                    assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
                }
                seen.push(String::from_utf8(bytes).unwrap());
                for part in answer.as_bytes().chunks(7) {
                    stream.write_all(part).await.unwrap();
                    stream.flush().await.unwrap();
                }
            }
            seen
        });
        (place, task)
    }

    #[tokio::test]
    async fn a_post_follows_a_redirect_with_its_body_and_reads_a_chunked_reply() {
        let moved = "HTTP/1.1 307 Moved\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n".to_owned();
        let chunked = "HTTP/1.1 201 Created\r\nLocation: /there/1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nans\r\n3\r\nwer\r\n0\r\n\r\n";
        let (place, seen) = server(vec![moved, chunked.to_owned()]).await;
        let request = Request::new(Method::Post, place).with("content-type", "application/sdp").body("offer");
        let reply = fetch(request, Trust::Roots, Scope::Any).await.unwrap();
        assert_eq!((reply.status, reply.body.as_str(), reply.field("location")), (201, "answer", Some("/there/1")));
        assert_eq!(reply.place.path, "/there");
        let seen = seen.await.unwrap();
        assert!(
            seen[0].starts_with("POST /cam HTTP/1.1\r\n") && seen[1].starts_with("POST /there HTTP/1.1\r\n"),
            "{seen:?}"
        );
        assert!(
            seen.iter().all(|text| text.contains("authorization: Basic dTpw\r\n") && text.ends_with("\r\n\r\noffer")),
            "{seen:?}"
        );
    }

    #[tokio::test]
    async fn what_changes_something_is_not_sent_on_to_another_host() {
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = other.local_addr().unwrap();
        for (method, follows) in [(Method::Patch, false), (Method::Delete, false), (Method::Get, true)] {
            let moved = format!("HTTP/1.1 307 Moved\r\nLocation: http://{to}/\r\nContent-Length: 0\r\n\r\n");
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let place = Place::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
            let asking = tokio::spawn(fetch(Request::new(method, place), Trust::Roots, Scope::Any));
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut head).await.unwrap() > 0);
            }
            stream.write_all(moved.as_bytes()).await.unwrap();
            if follows {
                drop(other.accept().await.unwrap());
                assert!(asking.await.unwrap().is_err());
            } else {
                assert_eq!(asking.await.unwrap().unwrap().status, 307);
            }
        }
    }

    #[tokio::test]
    async fn what_may_not_lead_to_this_machine_asks_nobody_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "0.0.0.0"] {
            let place = Place::parse(&format!("http://{host}:{port}/printer/gcode/script?script=M112")).unwrap();
            let request = Request::new(Method::Post, place);
            let error = fetch(request, Trust::Roots, Scope::Others).await.unwrap_err();
            assert!(error.contains("this machine"), "{error}");
        }
        assert!(timeout(Duration::from_millis(20), listener.accept()).await.is_err(), "nobody came");
    }

    #[tokio::test]
    async fn a_reply_of_http_1_0_ends_with_its_connection() {
        let (place, _) = server(vec!["HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it".to_owned()]).await;
        let reply = fetch(Request::new(Method::Get, place), Trust::Roots, Scope::Any).await.unwrap();
        assert_eq!((reply.status, reply.body.as_str()), (200, "all of it"));
    }

    #[tokio::test]
    async fn what_is_no_http_what_never_ends_and_what_breaks_off_are_errors_that_name_the_host() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for answer in [
            "SSH-2.0-OpenSSH\r\n\r\n".to_owned(),
            String::new(),
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort".to_owned(),
            format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(MAX_REPLY_HEAD)),
            format!("{chunked}{}", "0".repeat(2 * MAX_BETWEEN)),
            format!("{chunked}1\r\n{}", "x".repeat(2 * MAX_BETWEEN)),
        ] {
            let (place, _) = server(vec![answer]).await;
            let at = place.authority();
            let error = fetch(Request::new(Method::Get, place), Trust::Roots, Scope::Any).await.unwrap_err();
            assert!(error.starts_with(&at), "{error}");
        }
    }

    #[test]
    fn a_status_says_what_to_look_at() {
        let place = Place::parse("http://cam/").unwrap();
        let error = Reply::of(401, &place, &[], "nope").expect(&[200, 201]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cam answered with status 401: it wants a user name and password, or others than in the URL"
        );
        assert!(
            Reply::of(500, &place, &[], "<html>").expect(&[200]).unwrap_err().sentence.ends_with("it failed inside")
        );
        assert!(Reply::of(200, &place, &[], "").expect(&[200]).is_ok());
    }
}
