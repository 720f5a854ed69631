//! Questions and orders from outside the engine, each with its answer.
use super::peer::Peer;
use super::streams::Wish;
use super::{Engine, report};
use crate::stream::relay::Command;
use serde_json::{Value, json};
use std::time::Instant;

impl Engine {
    pub(super) fn on_command(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Offer { offer, reply } => self.on_offer(offer, reply, now),
            Command::Reoffer { id, sdp, reply } => drop(reply.send(self.on_reoffer(&id, &sdp, now))),
            Command::Turns { id, reply } => drop(reply.send(self.on_turns(&id, now))),
            Command::Trickle { id, trickle, reply } => drop(reply.send(self.on_trickle(&id, trickle, now))),
            Command::LateCandidates { id, reply } => self.on_late_candidates(&id, reply),
            Command::Close { id, reply } => drop(reply.send(self.on_close(&id))),
            Command::Etag { id, reply } => drop(reply.send(self.peer_by_id(&id).map(Peer::etag))),
            Command::Streams { reply } => {
                let all = self.streams.values().filter(|stream| !stream.deleted);
                let all = all.map(|stream| (stream.name.clone(), self.report(stream, now)));
                drop(reply.send(Ok(Value::Object(all.collect()))));
            }
            Command::Stream { name, reply } => drop(reply.send(self.describe(&name))),
            Command::Probe { name, video, audio, microphone, reply } => {
                self.on_probe(&name, Wish { video, audio, microphone }, reply, now);
            }
            Command::MayPut { name, sources, scope, reply } => {
                let meant = self.meant(&name, &sources);
                drop(reply.send(meant.and_then(|sources| self.may_put(&name, &sources, scope))));
            }
            Command::PutStream { name, sources, scope, publishers, reply } => {
                drop(reply.send(self.put_stream(&name, sources, scope, publishers, now)));
            }
            Command::DeleteStream { name, reply } => {
                self.delete_stream(&name, now);
                drop(reply.send(Ok(())));
            }
            Command::Session { id, reply } => {
                let found = self.peer_by_id(&id).map(|peer| {
                    let stream = self.streams.get(&peer.stream);
                    let waits = self.key_of(&id).is_ok_and(|key| stream.is_some_and(|stream| stream.has_waiting(key)));
                    report::session(peer, stream, waits, &self.tracks, |socket| self.wire.local_port(socket), now)
                });
                drop(reply.send(found));
            }
            Command::Doctor { clock, reply } => {
                let report = self.examine(clock, now);
                drop(reply.send(Ok(report)));
            }
            Command::Pulse { reply } => drop(reply.send(Ok(self.overdue(now)))),
            Command::Status { reply } => {
                let status = self.status(now);
                drop(reply.send(Ok(status)));
            }
        }
    }

    fn status(&mut self, now: Instant) -> Value {
        let candidates = self.candidate_lines(None, None);
        let (public, stun_servers) = self.public.report(now);
        json!({
            "listen": self.wire.listening(),
            "problems": self.wire.problems(),
            "candidates": candidates,
            "public": public,
            "stun_servers": stun_servers,
            "turn_servers": self.wire.relays.report(),
            "addresses": report::addresses(&self.wire.explain()),
            "sessions": self.peers.len(),
            "max_sessions": self.max_sessions,
            "streams": self.streams.len(),
            "tcp_connections": self.wire.connections(),
            "ring_bytes": self.tracks.values().map(|track| track.ring.bytes()).sum::<usize>(),
            "packets_forwarded": self.packets_forwarded,
            "sends": self.buffer.sends,
            "uptime_s": now.saturating_duration_since(self.started).as_secs(),
        })
    }
}
