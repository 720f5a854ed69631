"""aiortc, a WebRTC peer of its own making (Python), as viewer and as publisher."""

import asyncio
import concurrent.futures
import fractions
import threading
import time

import aiohttp
import pytest
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription, VideoStreamTrack
from av import VideoFrame

import picture
from browser import assert_counter_rises, wait_until_playing

FRAMES = 60


def in_thread(coroutine):
    """Runs it beside Playwright, whose own event loop holds the main thread."""
    return concurrent.futures.ThreadPoolExecutor(1).submit(asyncio.run, coroutine)


def prefer_h264(transceiver):
    codecs = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([c for c in codecs if c.mimeType == "video/H264"])


async def exchange(pc, url):
    """Offer and answer by WHEP or WHIP; the session's address."""
    await pc.setLocalDescription(await pc.createOffer())
    return await post(pc, url, pc.localDescription.sdp)


async def post(pc, url, sdp):
    async with aiohttp.ClientSession() as session:
        async with session.post(url, data=sdp, headers={"Content-Type": "application/sdp"}) as response:
            text = await response.text()
            assert response.status == 201, text
            location = response.headers["Location"]
    await pc.setRemoteDescription(RTCSessionDescription(text, "answer"))
    return location


class Counter(VideoStreamTrack):
    """A picture with a counter, 15 times a second."""

    number = 0

    async def recv(self):
        started = getattr(self, "started", None)
        if started is None:
            self.started = started = time.monotonic()
        self.number += 1
        await asyncio.sleep(max(0, started + self.number / 15 - time.monotonic()))
        frame = VideoFrame(640, 360, "yuv420p")
        frame.planes[0].update(picture.draw(self.number))
        for plane in frame.planes[1:]:
            plane.update(b"\x80" * plane.buffer_size)
        frame.pts, frame.time_base = self.number * 6000, fractions.Fraction(1, 90000)
        return frame


@pytest.mark.parametrize("source", ["test:?fps=15", "test:?fps=15&audio=pcmu"], ids=["video", "video-and-audio"])
def test_aiortc_decodes_every_frame_it_is_sent(porthole, source):
    relay = porthole({"cam": source})

    async def run():
        pc = RTCPeerConnection()
        tracks = {}
        pc.on("track", lambda track: tracks.setdefault(track.kind, track))
        prefer_h264(pc.addTransceiver("video", direction="recvonly"))
        if "audio" in source:
            pc.addTransceiver("audio", direction="recvonly")
        await exchange(pc, f"{relay.url}/api/webrtc?src=cam")
        counters = []
        while len(counters) < FRAMES:
            counters.append(picture.read_frame(await asyncio.wait_for(tracks["video"].recv(), 10)))
        heard = await asyncio.wait_for(tracks["audio"].recv(), 5) if "audio" in source else None
        await pc.close()
        return counters, heard

    counters, heard = in_thread(run()).result(60)
    assert None not in counters, counters
    assert all(b == a + 1 for a, b in zip(counters, counters[1:])), counters
    assert ("audio" in source) == (heard is not None)


def test_what_aiortc_publishes_chromium_watches(porthole, page):
    relay = porthole({"door": None})

    watched = threading.Event()

    async def publish():
        pc = RTCPeerConnection()
        prefer_h264(pc.addTransceiver(Counter(), direction="sendonly"))
        await exchange(pc, f"{relay.url}/api/webrtc?dst=door")
        await asyncio.to_thread(watched.wait, 60)
        await pc.close()

    publisher = in_thread(publish())
    try:
        page.goto(f"{relay.url}/stream.html?src=door")
        wait_until_playing(page, timeout=20000)
        assert_counter_rises(page, seconds=2, fps=15)
    finally:
        watched.set()
        publisher.result(10)
