//! Addresses, sockets and the policy that says which of them are used.
pub mod interfaces;
pub mod policy;
pub mod reflexive;
pub mod route;
pub mod servers;
pub mod stun;
pub mod tcp;
pub mod turn;
pub mod udp;
