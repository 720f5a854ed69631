//! Why a media port could not be bound, in a shape that the doctor can judge.
use super::candidate::Protocol;
use std::fmt;
use std::net::SocketAddr;

/// What could not be bound, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortProblem {
    pub protocol: Protocol,
    /// With the first port that was tried.
    pub address: SocketAddr,
    pub why: WhyNot,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// Another program has the port; its name and pid, where they are known.
    InUse { holder: Option<String> },
    /// Every port up to this one is in use.
    RangeInUse { last: u16 },
    /// The machine does not have the address now.
    NoAddress,
    /// Ports below 1024 need a right.
    Forbidden,
    /// Whatever else the system says.
    Other(String),
}

impl PortProblem {
    pub fn is_in_use(&self) -> bool {
        matches!(self.why, WhyNot::InUse { .. } | WhyNot::RangeInUse { .. })
    }

    /// What is wrong, and what the operator can do about it.
    pub fn sentences(&self) -> (String, String) {
        let (name, address, ip) = (self.protocol.name(), self.address, self.address.ip());
        let other_port = || "change webrtc.listen".to_owned();
        match &self.why {
            WhyNot::RangeInUse { last } => (
                format!("cannot listen on {name} {ip}: all ports from {} to {last} are in use", address.port()),
                "widen webrtc.filters.udp_ports".into(),
            ),
            WhyNot::InUse { holder } => (
                format!(
                    "cannot listen on {name} {address}: the port is in use by {}",
                    holder.as_deref().unwrap_or("another program")
                ),
                "stop it, or change webrtc.listen".into(),
            ),
            WhyNot::NoAddress => (
                format!("cannot listen on {name} {address}: this machine does not have the address now"),
                "change webrtc.listen if it is wrong".into(),
            ),
            WhyNot::Forbidden => (
                format!("cannot listen on {name} {address}: ports below 1024 need the right CAP_NET_BIND_SERVICE"),
                other_port(),
            ),
            WhyNot::Other(error) => (format!("cannot listen on {name} {address}: {error}"), other_port()),
        }
    }
}

impl fmt::Display for PortProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (problem, remedy) = self.sentences();
        write!(f, "{problem}; {remedy}")
    }
}
