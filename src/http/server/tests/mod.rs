//! The server by itself, over pipes in memory.
pub mod fuzz;
mod streams;
