//! `porthole`: arguments to command to exit code.
mod config;
mod media;
mod rtc;
mod source;
mod stream;

fn main() {}
