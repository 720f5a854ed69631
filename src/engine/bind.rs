//! Which tracks a viewer's m-lines are sent, and that there may be something to send.
use super::Engine;
use super::keys::PeerKey;
use super::keys::TrackKey;
use super::media::Media;
use super::sessions::peer::Peer;

impl Engine {
    /// Binds a viewer's m-lines to the stream's tracks as they are now.
    pub(super) fn bind(&mut self, key: PeerKey) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let Some(stream) = self.streams.get(&peer.stream) else { return };
        bind_to(peer, key, &stream.tracks(), &mut self.media);
    }

    /// Binds the viewers of a stream to its tracks as they are now.
    pub(super) fn bind_viewers(&mut self, name: &str) {
        let viewers = self.streams.get(name).map(|stream| stream.viewers.clone()).unwrap_or_default();
        for viewer in viewers {
            self.bind(viewer);
        }
    }

    /// There may be something to send to this viewer.
    pub(super) fn pump_soon(&mut self, key: PeerKey) {
        if let Some(peer) = self.sessions.get_mut(key)
            && !std::mem::replace(&mut peer.is_to_be_pumped, true)
        {
            self.work.pump.push(key);
        }
    }

    /// Lets sources that nobody needs stop after a while.
    pub(super) fn rest(&mut self, name: &str, now: std::time::Instant) {
        let media = &self.media;
        let gone = self.streams.rest(name, |key| media.is_watched(key), now);
        if !gone.is_empty() {
            self.media.remove(&gone);
        }
    }
}

fn bind_to(peer: &mut Peer, key: PeerKey, tracks: &[TrackKey], media: &mut Media) {
    for sender in &mut peer.senders {
        let before = sender.track;
        sender.bind(media, tracks);
        if before == sender.track {
            continue;
        }
        if let Some(track) = before {
            media.unwatch(track, key);
        }
        if let Some(track) = sender.track {
            media.watch(track, key);
        }
    }
}
