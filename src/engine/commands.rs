//! Questions and orders from outside, each with its answer.
use super::Engine;
use super::api::Command;
use super::sessions::peer::Peer;
use super::streams::stream::Wish;
use serde_json::Value;
use std::time::Instant;

impl Engine {
    pub(super) fn on_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Offer { offer, reply } => self.on_offer(offer, reply, now),
            Command::Reoffer { id, sdp, reply } => drop(reply.send(self.on_reoffer(&id, &sdp, now))),
            Command::Talk { id, events, reply } => drop(reply.send(self.on_talk(&id, events, now))),
            Command::Trickle { id, trickle, reply } => drop(reply.send(self.on_trickle(&id, trickle, now))),
            Command::LateCandidates { id, reply } => self.on_late_candidates(&id, reply),
            Command::Close { id, reply } => drop(reply.send(self.on_close(&id, now))),
            Command::Etag { id, reply } => drop(reply.send(self.sessions.by_id(&id).map(Peer::etag))),
            Command::Streams { reply } => {
                let all = self.streams.iter().map(|stream| (stream.name.clone(), self.stream_json(stream, now)));
                drop(reply.send(Ok(Value::Object(all.collect()))));
            }
            Command::Stream { name, reply } => {
                drop(reply.send(self.streams.listed(&name).map(|stream| self.stream_json(stream, now))));
            }
            Command::Probe { name, video, audio, microphone, reply } => {
                self.on_probe(&name, Wish { video, audio, microphone }, reply, now);
            }
            Command::MayPut { name, sources, scope, reply } => {
                let meant = self.streams.meant(&name, &sources);
                drop(reply.send(meant.and_then(|sources| self.streams.may_put(&name, &sources, scope))));
            }
            Command::PutStream { name, sources, scope, publishers, reply } => {
                drop(reply.send(self.put_stream(&name, sources, scope, publishers, now)));
            }
            Command::DeleteStream { name, reply } => {
                self.delete_stream(&name, now);
                drop(reply.send(Ok(())));
            }
            Command::Session { id, reply } => drop(reply.send(self.session_json(&id, now))),
            Command::Doctor { clock_s, asker_clock_s, reply } => {
                let report = self.diagnose(clock_s, asker_clock_s, now);
                drop(reply.send(Ok(report)));
            }
            Command::Pulse { reply } => drop(reply.send(Ok(self.overdue(now)))),
            Command::Status { reply } => {
                let status = self.status_json(now);
                drop(reply.send(Ok(status)));
            }
        }
    }
}
