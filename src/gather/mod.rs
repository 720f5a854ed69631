//! By which addresses peers and we find each other, as pure functions and state machines: no socket, no task, no clock and
//! no file. What happens on the network is [`crate::net`]'s.
pub mod candidate;
pub mod checks;
pub mod ice_servers;
pub mod interfaces;
pub mod mdns;
pub mod policy;
pub mod port_problem;
pub mod reflexive;
pub mod scope;
#[cfg_attr(not(feature = "turn"), expect(dead_code, reason = "half of it is for TURN"))]
pub mod stun;
#[cfg_attr(not(feature = "turn"), path = "turn_absent.rs")]
pub mod turn;
