//! Addresses, sockets and the policy that says which of them are used.
pub mod candidate;
pub mod holder;
pub mod interfaces;
pub mod listen;
pub mod manual;
pub mod policy;
pub mod resolve;
pub mod route;
pub mod tcp;
pub mod udp;
pub mod watch;
