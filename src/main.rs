//! `porthole`: arguments to command to exit code.
mod config;
mod engine;
mod media;
mod net;
mod rtc;
mod source;
mod stream;

fn main() {}
