//! Checks that come from the peer: counted, answered, and followed by checks of our own (RFC 8445 section 7.3).
use super::pair::{Seen, State};
use super::stun::ErrorCode;
use super::{Ice, Outcome, PEER_REFLEXIVE_PRIORITY};
use crate::rtc::route::{Datagram, Route};
use rtc_crypto::constant_time_eq;
use rtc_stun::attributes::{
    ATTR_ICE_CONTROLLED, ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME,
};
use rtc_stun::message::{BINDING_ERROR, BINDING_SUCCESS, Message, MessageType, Setter, TransactionId};
use rtc_stun::xoraddr::XorMappedAddress;
use std::time::Instant;

/// Addresses of ours whose requests are counted apart; a machine with more is told of these.
pub(super) const MAX_SEEN: usize = 16;

impl Ice {
    pub(super) fn request(
        &mut self,
        now: Instant,
        route: Route,
        mut message: Message,
        out: &mut Vec<Datagram>,
    ) -> Outcome {
        let expected = format!("{}:{}", self.local.ufrag, self.remote.ufrag);
        let username = message.get(ATTR_USERNAME).unwrap_or_default();
        if !constant_time_eq(&username, expected.as_bytes()) || !self.authentic(&mut message, &self.local.pwd) {
            return Outcome::Rejected;
        }
        self.note_request(now, &route);
        if self.role_conflict(&message) {
            self.reply(&message, BINDING_ERROR, &[&ErrorCode(487, "role conflict")], route, out);
            return Outcome::Accepted;
        }
        self.reply(
            &message,
            BINDING_SUCCESS,
            &[&XorMappedAddress { ip: route.remote.ip(), port: route.remote.port() }],
            route,
            out,
        );
        let priority = message.get(ATTR_PRIORITY).ok().and_then(|v| Some(u32::from_be_bytes(v.try_into().ok()?)));
        let Some(index) = self.pair_of(now, route, priority.unwrap_or(PEER_REFLEXIVE_PRIORITY)) else {
            return Outcome::Accepted;
        };
        let nominate = !self.controlling && message.contains(ATTR_USE_CANDIDATE);
        let pair = &mut self.pairs[index];
        pair.asked = Some(now);
        pair.tally.requests = pair.tally.requests.saturating_add(1);
        pair.nominated |= nominate;
        match pair.state {
            // A triggered check (RFC 8445 section 7.3.1.4) goes out at once.
            State::Waiting | State::Failed => {
                (pair.checks, pair.due) = (0, now);
                self.check(index, now, out);
            }
            State::InProgress => {}
            State::Succeeded if nominate => self.select_best(now),
            State::Succeeded => {}
        }
        Outcome::Accepted
    }

    fn note_request(&mut self, now: Instant, route: &Route) {
        self.requests_seen = self.requests_seen.saturating_add(1);
        let protocol = route.socket.protocol();
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.local == route.local && seen.protocol == protocol) {
            (seen.requests, seen.last) = (seen.requests.saturating_add(1), now);
        } else if self.seen.len() < MAX_SEEN {
            self.seen.push(Seen { local: route.local, protocol, requests: 1, last: now });
        }
    }

    fn pair_of(&mut self, now: Instant, route: Route, priority: u32) -> Option<usize> {
        let known = self.pairs.iter().position(|pair| pair.route == route).or_else(|| {
            self.pairs.iter().position(|pair| {
                pair.route.socket == route.socket && pair.route.remote == route.remote && pair.route.local.is_none()
            })
        });
        match known {
            Some(index) => {
                let pair = &mut self.pairs[index];
                if pair.route.local.is_none() && route.local.is_some() {
                    pair.route.local = route.local;
                    self.changed |= self.selected == Some(index);
                }
                Some(index)
            }
            None => self.add_pair(now, route, priority),
        }
    }

    /// RFC 8445 section 7.3.1.1. True when the peer shall switch; when we shall, we did.
    fn role_conflict(&mut self, message: &Message) -> bool {
        let attribute = if self.controlling { ATTR_ICE_CONTROLLING } else { ATTR_ICE_CONTROLLED };
        let Some(theirs) = message.get(attribute).ok().and_then(|v| Some(u64::from_be_bytes(v.try_into().ok()?)))
        else {
            return false;
        };
        if (self.tie_breaker >= theirs) == self.controlling {
            return true;
        }
        self.controlling = !self.controlling;
        false
    }

    fn reply(
        &self,
        request: &Message,
        kind: MessageType,
        attributes: &[&dyn Setter],
        route: Route,
        out: &mut Vec<Datagram>,
    ) {
        let mut reply = Message::new();
        reply.transaction_id = TransactionId(request.transaction_id.0);
        reply.set_type(kind);
        reply.write_header();
        let done = attributes.iter().all(|attribute| attribute.add_to(&mut reply).is_ok());
        if done && self.seal(&mut reply, &self.local.pwd) {
            out.push(Datagram { route, bytes: reply.raw });
        }
    }
}
