//! Why sessions end, in words that say what to look at.

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No datagram of the peer reached us.
    NothingReceived,
    /// The peer's checks reached us, our answers did not reach it.
    NoRoute,
    /// Routes work both ways, the peer chose none.
    NotNominated,
    HandshakeTimeout,
    /// The peer's certificate or parameters are not those of its description.
    HandshakeFailed,
    ConsentLost,
    ClosedByPeer,
    /// DELETE or shutdown.
    ClosedByUs,
    /// A publisher whose place another one took.
    Replaced,
    /// A publisher that was let in at the same time as another one, which came first.
    TurnedAway,
    /// A fault of ours, caught so that nobody else notices.
    Fault,
}

impl Reason {
    /// Nothing went wrong: somebody ended it, or another one's coming did.
    pub fn is_orderly(self) -> bool {
        matches!(self, Reason::ClosedByPeer | Reason::ClosedByUs | Reason::Replaced | Reason::TurnedAway)
    }

    /// The sentence for the log and the status page: what happened, and what to look at.
    pub fn sentence(self) -> &'static str {
        match self {
            Reason::NothingReceived => {
                "no packet of the peer arrived within 15 s; is a firewall between them, or another network? open the media port for UDP and TCP"
            }
            Reason::NoRoute => {
                "the peer's packets arrive but our answers do not; look at the routing and firewall of the way back"
            }
            Reason::NotNominated => {
                "a route works both ways but the peer chose none within 30 s; it may still wait for addresses that it cannot reach"
            }
            Reason::HandshakeTimeout => {
                "the way is open but the DTLS handshake did not end within 10 s; large packets may be lost on it"
            }
            Reason::HandshakeFailed => {
                "the DTLS handshake failed: the peer's certificate is not the one that its description named"
            }
            Reason::ConsentLost => "the peer stopped answering for 15 s; it is switched off, asleep or out of reach",
            Reason::ClosedByPeer => "the peer closed the connection",
            Reason::ClosedByUs => "closed on request",
            Reason::Replaced => "somebody else publishes to this stream now and has taken this one's place",
            Reason::TurnedAway => {
                "somebody else publishes to this stream or its source is there, and its policy lets nobody take the place"
            }
            Reason::Fault => "an internal fault ended this session; others are not affected",
        }
    }
}
