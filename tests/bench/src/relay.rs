//! The relays that can be measured: how to start them, and where their doors are.
use crate::error::{Context, Error};
use crate::http;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A relay that does not answer by then does not start.
const START_TIME: Duration = Duration::from_secs(10);
/// Time to end after SIGTERM.
const STOP_TIME: Duration = Duration::from_secs(3);

/// Streams that every relay is given: with a keyframe each second, each ten seconds, and an empty one.
pub const SHORT_GOP: &str = "short";
pub const LONG_GOP: &str = "long";
pub const PUBLISHED: &str = "published";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Porthole,
    Go2rtc,
    MediaMtx,
}

impl Product {
    pub fn name(self) -> &'static str {
        match self {
            Product::Porthole => "porthole",
            Product::Go2rtc => "go2rtc",
            Product::MediaMtx => "mediamtx",
        }
    }
}

/// Something to measure: a product and its program file.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub product: Product,
    pub program: PathBuf,
}

impl Candidate {
    /// Other relays on the search path.
    pub fn installed() -> Vec<Candidate> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let find = |product: Product| {
            let program = std::env::split_paths(&path).map(|dir| dir.join(product.name())).find(|p| p.is_file())?;
            Some(Candidate { product, program })
        };
        [Product::Go2rtc, Product::MediaMtx].into_iter().filter_map(find).collect()
    }
}

/// A running relay; ends when dropped.
pub struct Relay {
    pub product: Product,
    pub http: SocketAddr,
    /// The command line, for the report.
    pub command: String,
    child: Child,
}

impl Relay {
    /// Starts a relay on free ports of loopback and waits until it answers. `environment` is for it alone.
    pub async fn start(candidate: &Candidate, environment: &[(&str, &Path)]) -> Result<Self, Error> {
        let http = free_port(|address| TcpListener::bind(address)?.local_addr())?;
        let media = free_port(|address| UdpSocket::bind(address)?.local_addr())?;
        let arguments = match candidate.product {
            Product::Porthole => vec!["-c".to_owned(), porthole_config(http, media)],
            Product::Go2rtc => vec!["-config".to_owned(), go2rtc_config(http, media)],
            Product::MediaMtx => vec![mediamtx_config(http, media)?],
        };
        let mut command = Command::new(&candidate.program);
        command.args(&arguments).envs(environment.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().context(&candidate.program.display().to_string())?;
        let command = format!("{} {}", candidate.program.display(), arguments.join(" "));
        let relay = Self { product: candidate.product, http, command, child };
        let deadline = Instant::now() + START_TIME;
        while http::request(http, "GET", "/", "").await.is_err() {
            if Instant::now() > deadline {
                return Err(Error::new(format!("{} does not answer at {http}", relay.command)));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(relay)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn view_path(&self, stream: &str) -> String {
        match self.product {
            Product::MediaMtx => format!("/{stream}/whep"),
            _ => format!("/api/webrtc?src={stream}"),
        }
    }

    pub fn publish_path(&self, stream: &str) -> String {
        match self.product {
            Product::MediaMtx => format!("/{stream}/whip"),
            _ => format!("/api/webrtc?dst={stream}"),
        }
    }

    /// Does the relay make the pictures of [`SHORT_GOP`] and [`LONG_GOP`] itself? Others are given them by a publisher.
    pub fn has_camera(&self) -> bool {
        self.product == Product::Porthole
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let deadline = Instant::now() + STOP_TIME;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
fn free_port(bind: impl Fn(SocketAddr) -> std::io::Result<SocketAddr>) -> Result<SocketAddr, Error> {
    bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).context("free port")
}

fn porthole_config(http: SocketAddr, media: SocketAddr) -> String {
    let camera = "test:?fps=30&pattern=noise&bitrate=3M&gop";
    format!(
        r#"{{api: {{listen: "{http}"}}, webrtc: {{listen: "{media}", filters: {{loopback: true}}}}, relay: {{sessions: 200}}, log: {{level: warn}}, streams: {{{SHORT_GOP}: "{camera}=1s", {LONG_GOP}: "{camera}=10s", {PUBLISHED}: }}}}"#
    )
}

fn go2rtc_config(http: SocketAddr, media: SocketAddr) -> String {
    format!(
        r#"{{"api":{{"listen":"{http}"}},"rtsp":{{"listen":""}},"srtp":{{"listen":""}},"webrtc":{{"listen":"{media}","candidates":["{media}"]}},"log":{{"level":"warn"}},"streams":{{"{SHORT_GOP}":null,"{LONG_GOP}":null,"{PUBLISHED}":null}}}}"#
    )
}

/// MediaMTX reads files only.
fn mediamtx_config(http: SocketAddr, media: SocketAddr) -> Result<String, Error> {
    let text = format!(
        "logLevel: warn\nrtsp: no\nrtmp: no\nhls: no\nsrt: no\nwebrtc: yes\nwebrtcAddress: {http}\n\
         webrtcLocalUDPAddress: {media}\nwebrtcAdditionalHosts: [127.0.0.1]\npaths:\n  all_others:\n"
    );
    let path = std::env::temp_dir().join(format!("bench-mediamtx-{}.yml", std::process::id()));
    std::fs::write(&path, text).context("configuration of mediamtx")?;
    Ok(path.display().to_string())
}
