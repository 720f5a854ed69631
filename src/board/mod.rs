//! The machine that the relay runs on: what it is, the service manager that started it, and what
//! resets it when the relay hangs.
pub mod facts;
pub mod notify;
pub mod profile;
pub mod watchdog;
