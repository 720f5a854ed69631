//! What goes out: datagrams of sessions, and media for viewers.
use super::Engine;
use super::io::Transport;
use super::keys::PeerKey;
use super::media::pump::{self, Output};
use super::media::send_buffer::Way;
use crate::rtc::route::{Datagram, Socket};
use std::time::Instant;

impl Engine {
    /// Sends everything that there is to send. To be called after every input, or after several of one moment.
    pub fn transmit(&mut self, now: Instant, transport: &mut dyn Transport) {
        loop {
            self.send_datagrams(now, transport);
            if self.media.is_dirty() {
                self.note_news();
            }
            let mut viewers = std::mem::take(&mut self.work.pump);
            for key in viewers.drain(..) {
                self.pump(key, now, transport);
            }
            let idle = self.work.pump.is_empty();
            if idle {
                self.work.pump = viewers;
            }
            self.media.settle();
            self.settle(now);
            // What the round brought may have more to say: a viewer that ended, a publisher that is asked for a keyframe.
            if self.work.out.is_empty() && self.work.pump.is_empty() && !self.media.is_dirty() {
                break;
            }
        }
        self.send_datagrams(now, transport);
        for connection in self.work.close.drain(..) {
            // Unless another session came over it meanwhile.
            if self.sessions.over(Socket::Tcp(connection)).is_empty() {
                transport.close(connection);
            }
        }
        for number in self.work.give_back.drain(..) {
            self.reach.turn.release(number, now);
        }
        self.reach.turn.flush(transport);
    }

    /// Sends what sessions have to say: checks, handshakes, reports. What the kernel refuses is lost, as on any network.
    pub fn send_datagrams(&mut self, now: Instant, transport: &mut dyn Transport) {
        for connection in self.work.keep.drain(..) {
            transport.keep(connection);
        }
        self.reach.turn.flush(transport);
        for Datagram { route, bytes } in self.work.out.drain(..) {
            // What is lost the session's own schedule says again.
            let _ = match route.socket {
                Socket::Udp(_) => transport.send(&route, &bytes, bytes.len()),
                Socket::Tcp(_) => {
                    let mut framed = Vec::with_capacity(bytes.len() + 2);
                    framed.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
                    framed.extend_from_slice(&bytes);
                    transport.send(&route, &framed, framed.len())
                }
                Socket::Relay(number) => self.reach.turn.send(number, route.remote, &bytes, now, transport),
            };
        }
    }

    /// Viewers of tracks with news are to be sent them.
    fn note_news(&mut self) {
        for key in self.media.viewers_with_news() {
            if let Some(peer) = self.sessions.get_mut(key)
                && !std::mem::replace(&mut peer.is_to_be_pumped, true)
            {
                self.work.pump.push(key);
            }
        }
    }

    fn pump(&mut self, key: PeerKey, now: Instant, transport: &mut dyn Transport) {
        self.guarded_as_it_is(key, |engine| {
            let Some(peer) = engine.sessions.get_mut(key) else { return };
            peer.is_to_be_pumped = false;
            let way = Way { transport, turn: &mut engine.reach.turn, now };
            let mut output = Output { media: &engine.media, way, buffer: &mut engine.work.buffer };
            let pumped = pump::pump(peer, &mut output);
            if let Some(wake) = peer.wake {
                engine.sessions.wake(key, wake);
            }
            engine.media.packets_forwarded += pumped.packets;
            for track in pumped.wanted {
                engine.ask_keyframe(track, now);
            }
        });
    }
}
