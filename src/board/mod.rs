//! The machine that the relay runs on: what it is, and the service manager that started it.
pub mod facts;
pub mod notify;
pub mod profile;
