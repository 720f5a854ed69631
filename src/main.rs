//! `porthole`: arguments to command to exit code.
mod config;
mod http;
mod media;
mod source;
mod stream;

fn main() {}
