//! The doctor: why is there no picture? Facts that the engine collects in passing, one verdict for each session with
//! one remedy, and the same for the machine; shown by `/api/doctor`, the page `/doctor.html` and `porthole doctor`.
pub mod ask;
pub mod explain;
pub mod facts;
pub mod history;
pub(crate) mod print;
pub mod refusals;
pub mod verdict;
