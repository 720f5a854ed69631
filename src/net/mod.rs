//! The edge: sockets, connections, name servers and what the kernel tells of the machine's network.
pub mod address_watch;
pub mod connect;
pub mod fragments;
pub mod http_client;
pub mod interfaces;
pub mod mdns;
pub mod port_owner;
pub mod reference;
pub mod resolve;
pub mod tcp;
#[cfg_attr(not(feature = "tls"), path = "tls_absent.rs")]
pub mod tls;
#[cfg_attr(not(feature = "turn"), path = "turn_absent.rs")]
pub mod turn;
pub mod udp;
pub mod websocket;
