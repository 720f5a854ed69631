//! What the engine promises, tried on it whole.
mod delivery;
mod endings;
mod many;
mod publishers;
mod sources;
mod verdicts;
