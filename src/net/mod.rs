//! Addresses, sockets and the policy that says which of them are used.
pub mod candidate;
pub mod certificate;
pub mod fetch;
pub mod fragments;
pub mod holder;
pub mod ice_list;
pub mod interfaces;
pub mod listen;
pub mod manual;
pub mod mdns;
pub mod policy;
pub mod reach;
pub mod reference;
pub mod reflexive;
pub mod resolve;
pub mod scope;
pub mod servers;
#[cfg_attr(not(feature = "turn"), expect(dead_code, reason = "half of it is for TURN"))]
pub mod stun;
pub mod tcp;
#[cfg_attr(not(feature = "tls"), path = "tls_absent.rs")]
pub mod tls;
#[cfg_attr(not(feature = "turn"), path = "turn_absent.rs")]
pub mod turn;
pub mod udp;
pub mod watch;
pub mod websocket;
