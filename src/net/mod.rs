//! Addresses, sockets and the policy that says which of them are used.
pub mod interfaces;
pub mod policy;
pub mod route;
pub mod tcp;
pub mod udp;
