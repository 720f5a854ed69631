"""Publishers that tell a decoder what it needs only once, in their description or at the beginning: late viewers see a picture all the same."""

import asyncio
import base64

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.codecs.h264 import H264Encoder

import picture
import test_aiortc
from test_aiortc import Counter, in_thread, prefer_h264
from test_doctor import verdict

SPS, PPS, IDR = 7, 8, 5
FRAMES = 10
GOP = 5


class Sets:
    """Takes the parameter sets out of what aiortc's encoders send, at once or after `passed` keyframes."""

    def __init__(self, monkeypatch, passed):
        self.taken, self.keyframes, self.passed = {}, 0, passed
        split = H264Encoder._split_bitstream
        encode = H264Encoder._encode_frame
        monkeypatch.setattr(H264Encoder, "_split_bitstream", staticmethod(lambda data: list(self.without(split(data)))))
        monkeypatch.setattr(H264Encoder, "_encode_frame", lambda encoder, frame, force_keyframe: encode(encoder, frame, frame.pts // 6000 % GOP == 1))

    def without(self, units):
        for unit in units:
            kind = unit[0] & 31
            self.keyframes += kind == IDR
            if kind in (SPS, PPS):
                self.taken[kind] = unit
                if self.keyframes >= self.passed:
                    continue
            yield unit

    def described(self, sdp):
        """The offer with the sets of a picture like those that will be sent."""
        frame = asyncio.run(Counter().recv())
        list(H264Encoder()._encode_frame(frame, force_keyframe=True))
        self.keyframes = 0
        sets = ",".join(base64.b64encode(bytes(self.taken[kind])).decode() for kind in (SPS, PPS))
        return "".join(
            line.rstrip() + f";sprop-parameter-sets={sets}\r\n" if line.startswith("a=fmtp:") and "profile-level-id" in line else line
            for line in sdp.splitlines(True)
        )


@pytest.mark.parametrize("where", ["in-the-description", "at-the-beginning"])
def test_a_late_viewer_sees_what_a_publisher_sends_whose_parameter_sets_came_once(porthole, monkeypatch, where):
    relay = porthole({"door": None})
    described = where == "in-the-description"
    sets = Sets(monkeypatch, passed=0 if described else 1)

    async def exchange(pc, url, change=lambda sdp: sdp):
        await pc.setLocalDescription(await pc.createOffer())
        description = RTCSessionDescription(await asyncio.to_thread(change, pc.localDescription.sdp), "offer")
        await test_aiortc.post(pc, url, description.sdp)

    async def run():
        publisher, viewer = RTCPeerConnection(), RTCPeerConnection()
        prefer_h264(publisher.addTransceiver(Counter(), direction="sendonly"))
        await exchange(publisher, f"{relay.url}/api/webrtc?dst=door", sets.described if described else lambda sdp: sdp)
        async with asyncio.timeout(10):
            while sets.keyframes < 3:
                await asyncio.sleep(0.05)
        tracks = []
        viewer.on("track", tracks.append)
        prefer_h264(viewer.addTransceiver("video", direction="recvonly"))
        await exchange(viewer, f"{relay.url}/api/webrtc?src=door")
        counters = [picture.read_frame(await asyncio.wait_for(tracks[0].recv(), 10)) for _ in range(FRAMES)]
        await viewer.close()
        await publisher.close()
        return counters

    counters = in_thread(run()).result(40)
    assert None not in counters, counters
    assert all(b > a for a, b in zip(counters, counters[1:])), counters


def test_d16_a_publisher_tells_its_parameter_sets_nowhere(porthole, monkeypatch):
    relay = porthole({"door": None})
    Sets(monkeypatch, passed=0)

    async def run():
        publisher = RTCPeerConnection()
        prefer_h264(publisher.addTransceiver(Counter(), direction="sendonly"))
        await test_aiortc.exchange(publisher, f"{relay.url}/api/webrtc?dst=door")
        found = await asyncio.to_thread(verdict, relay, "D16", "sessions")
        await publisher.close()
        return found

    assert "SPS" in in_thread(run()).result(30)["sentence"]
