//! Addresses, sockets and the policy that says which of them are used.
pub mod route;
