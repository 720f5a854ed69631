//! The front: HTTP and WebSocket in go2rtc's dialect, WHIP and WHEP, the pages.
mod chunked;
mod cors;
mod dialect;
mod head;
mod limits;
mod peers;
mod percent;
mod policy;
mod request;
mod response;
mod slots;
mod trickle;
