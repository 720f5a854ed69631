"""Cameras die and come back; who watches stays, and sees them again without doing anything."""

import time

import pytest

from browser import assert_counter_rises, until, view, wait_until_playing
from cameras import Cameras, producer, session_of
from relay import eventually, free_port
from test_churn import HTTP_IDLE, RSS_KIB, footprint

# Watches many streams in one page. `watched[name]`: its connection, and when a picture of each session was first seen.
WATCH = """
async ({ base, streams, session }) => {
  window.watched ??= {};
  for (const name of streams) {
    const video = document.createElement('video');
    Object.assign(video, { muted: true, autoplay: true, playsInline: true, width: 320 });
    document.body.append(video);
    const pc = new RTCPeerConnection();
    const seen = (watched[name] = { video, pc, first: {}, latest: null, states: [] });
    pc.addEventListener('track', ({ track }) => { video.srcObject = new MediaStream([track]); });
    pc.addEventListener('connectionstatechange', () => seen.states.push(pc.connectionState));
    const look = () => {
      const counter = readFrame(video);
      if (counter !== null) {
        seen.first[Math.floor(counter / session)] ??= Date.now() / 1000;
        seen.latest = counter;
      }
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    pc.addTransceiver('video', { direction: 'recvonly' });
    await pc.setLocalDescription();
    const response = await fetch(`${base}/api/webrtc?src=${name}`, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp });
    const sdp = await response.text();
    if (!response.ok) throw new Error(`${name}: ${response.status}: ${sdp}`);
    await pc.setRemoteDescription({ type: 'answer', sdp });
  }
}
"""
FIRSTS = "Object.fromEntries(Object.entries(watched).map(([name, { first }]) => [name, first]))"
HEALTHY = 10.5  # seconds; after less than 10 the relay waits longer with each death
AWAY = 0.4  # a camera that restarts is not there this long
SEEN_WITHIN = 2  # seconds after the camera answered
NOTICED = 10  # no media for this long counts as lost


class Fate:
    """A camera, how it dies and how often; its state between deaths."""

    def __init__(self, cameras, name, dialect, death, times):
        self.cameras, self.name, self.dialect, self.death, self.left = cameras, name, dialect, death, times
        self.stream = name or "killed"
        self.deaths = []
        self.dies_at, self.returns_at, self.seen = None, None, set()

    def answered(self, session):
        """When the camera answered the dial of this session."""
        about = ["offer", "answer"]  # who offers depends on the dialect
        return min(seen["at"] for seen in list(self.cameras.seen) if seen["camera"] == self.name and seen["event"] in about and seen["session"] == session)

    def look(self, first, now):
        """Goes on with its fate; `first`: when a picture of each session was first seen. True when it has no more."""
        if self.returns_at is not None:
            if now >= self.returns_at:
                self._return()
            return False
        new = {int(session) for session in first} - self.seen
        if new:
            session = max(new)
            self.seen |= new
            waited = first[str(session)] - self.answered(session)
            assert waited <= SEEN_WITHIN, f"{self.stream}: seen {waited:.1f} s after the camera answered"
            if not self.left:
                return True
            self.dies_at = now + HEALTHY
        if self.dies_at is None:
            assert now - self.deaths[-1] < NOTICED + 12, f"{self.stream} is not seen again; {self.cameras.seen[-3:]}"
            return False
        if now >= self.dies_at:
            self._die(now)
        return False

    def _die(self, now):
        self.left -= 1
        self.deaths.append(now)
        self.dies_at, self.returns_at = None, now + AWAY
        if self.death == "kill":
            self.cameras.kill()
        else:
            self.cameras.tell(self.name, do=self.death)
            if self.death == "fall silent":  # the camera itself is well; it waits to be dialled again
                self.returns_at = None

    def _return(self):
        self.returns_at = None
        if self.death == "kill":
            self.cameras.change = {"number": 100 * len(self.deaths)}
            self.cameras.start()
        else:
            self.cameras.tell(self.name, do="return")


def test_cameras_that_die_and_return_twenty_times_are_seen_again_by_the_same_viewer_and_leave_nothing(porthole, page, cameras, tmp_path):
    alone = Cameras(tmp_path).start()
    fates = [Fate(cameras, f"dies-{dialect}", dialect, "die", 4) for dialect in ("creality", "whep", "kinesis", "openipc")]
    fates += [Fate(cameras, "silent", "go2rtc", "fall silent", 2), Fate(alone, "", "milestone", "kill", 2)]
    streams = [fate.stream for fate in fates]
    relay = porthole({fate.stream: fate.cameras.url(fate.dialect, fate.name) for fate in fates}, relay={"linger": "0s"})
    watch = {"base": relay.url, "streams": streams, "session": 100_000}

    def leave():
        page.evaluate("Object.values(watched).forEach(({ pc }) => pc.close())")
        page.goto("about:blank")
        eventually(lambda: all(relay.stream(stream)["state"] == "idle" for stream in streams), 10, "every source stopped")
        time.sleep(HTTP_IDLE)  # the threads that answered HTTP end, with their memory
        return footprint(relay.pid)

    try:
        for _ in range(2):  # what is allocated once is there before
            page.goto(relay.url + "/publish.html")
            page.evaluate(WATCH, watch)
            until(page, "Object.values(watched).every(({ latest }) => latest !== null)", 15000)
            fds, before = leave()
        for fate in fates:
            fate.seen = {seen["session"] for seen in fate.cameras.events("sending", fate.name)}
            fate.deaths.append(time.time())  # the beginning, no death
        page.goto(relay.url + "/publish.html")
        page.evaluate(WATCH, watch)
        going = list(fates)
        while going:
            firsts = page.evaluate(FIRSTS)
            going = [fate for fate in going if not fate.look(firsts[fate.stream], time.time())]
            page.wait_for_timeout(50)
        assert sum(len(fate.deaths) - 1 for fate in fates) == 20
        for fate in fates:
            states = page.evaluate(f"watched['{fate.stream}'].states")
            assert states == ["connecting", "connected"], f"{fate.stream}: the viewer's own connection is not touched: {states}"
        after_fds, after = leave()
        assert after_fds <= fds, f"{fds} open files before, {after_fds} after"
        assert after - before <= RSS_KIB, f"{before} KiB before, {after} KiB after"
    finally:
        alone.kill()


def test_a_camera_that_is_away_is_named_with_the_reason_until_it_is_back(porthole, page, cameras):
    name = "away"
    relay = porthole({"cam": cameras.url("whep", name)})
    page.goto(f"{relay.url}/stream.html?src=cam")
    wait_until_playing(page)
    cameras.tell(name, do="die", fault="http_503")
    cameras.tell(name, do="return")
    eventually(lambda: relay.stream("cam")["attempts"] >= 2, 5, "it was tried again")
    stream = relay.stream("cam")
    assert stream["state"] in ("connecting", "failing") and "503" in stream["last_error"], stream
    until(page, "porthole.state !== 'playing'", 10000)
    eventually(lambda: "503" in page.text_content("#over"), 10, "the page says why")
    assert relay.viewers("cam") == 1, "who watches stays"
    cameras.tell(name, fault=None)
    wait_until_playing(page, timeout=15000)
    assert_counter_rises(page, seconds=1)
    stream = relay.stream("cam")
    assert (stream["state"], stream["last_error"]) == ("live", None), stream


def test_a_stream_whose_first_camera_is_not_there_shows_the_second(porthole, page, cameras):
    nobody = cameras.url("creality", "nobody", port=free_port())
    relay = porthole({"cam": [nobody, cameras.url("whep", "second")]})
    view(page, relay)
    assert_counter_rises(page, seconds=1, video="seen.video")
    assert producer(relay)["format_name"] == "webrtc"
    assert cameras.wait("sending", "second")


def test_a_stream_whose_first_camera_dies_shows_the_second_to_the_same_viewer(porthole, page, cameras):
    relay = porthole({"cam": [cameras.url("go2rtc", "main"), cameras.url("openipc", "spare")]})
    cameras.tell("spare", number=50)  # its pictures tell themselves apart from the other's
    view(page, relay)
    assert session_of(page.evaluate("readFrame(seen.video)")) == 1
    cameras.tell("main", do="die")
    until(page, "readFrame(seen.video) >= 5100000", 8000)
    assert page.evaluate("seen.pc.connectionState") == "connected"
    assert producer(relay)["format_name"] == "webrtc/openipc"


@pytest.mark.parametrize("dialect", ["creality", "whep"])
def test_a_camera_that_connects_and_dies_at_once_is_left_longer_and_longer_alone(porthole, page, cameras, dialect):
    name = f"flapping-{dialect}"
    relay = porthole({"cam": cameras.url(dialect, name)})
    view(page, relay)
    cameras.tell(name, fault="gone")
    cameras.tell(name, do="die")
    cameras.tell(name, do="return")
    eventually(lambda: len(cameras.events("connected", name)) >= 4, 20, "it was dialled again three times")
    ends = [seen["at"] for seen in cameras.events("closed", name)]
    begins = [seen["at"] for seen in cameras.events("offer", name)][1:]
    waits = [begin - end for end, begin in zip(ends, begins)]
    for number, wait in enumerate(waits[:3]):
        assert 0.5 * 2**number <= wait <= 0.625 * 2**number + 1, waits
    assert max(seen["sessions"] for seen in cameras.events("connected", name)) == 1
