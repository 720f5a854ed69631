"""Dials the cameras of peers/camera in their dialects, as a relay does; prints the counters of what it decoded.

    python tests/peers/dial.py FRAMES DIALECT URL [DIALECT URL …]

aiortc on both sides: what fails here is wrong with the cameras of these tests and not with the relay.
"""

import asyncio
import base64
import json
import pathlib
import sys

import aioice.ice
import aiohttp
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import picture  # noqa: E402

aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


def wrap(value):
    return base64.b64encode(json.dumps(value).encode()).decode()


def unwrap(text):
    return json.loads(base64.b64decode(text, validate=True))


class Viewer:
    def __init__(self, audio):
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.tracks = asyncio.Queue()
        self.pc.on("track", lambda track: self.tracks.put_nowait(track) if track.kind == "video" else None)
        self.audio = audio
        self.held, self.described = [], False

    async def offer(self):
        self.pc.addTransceiver("video", direction="recvonly")
        if self.audio:
            self.pc.addTransceiver("audio", direction="recvonly")
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def take(self, sdp, kind="answer"):
        if not self.described:
            self.described = True
            await self.pc.setRemoteDescription(RTCSessionDescription(repaired(sdp), kind))
            for line in self.held:
                await self.candidate(line)

    async def answer(self, offer):
        await self.take(offer, "offer")
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        return self.pc.localDescription.sdp

    async def candidate(self, line):
        if not self.described:
            self.held.append(line)
        elif line:
            candidate = candidate_from_sdp(line.removeprefix("candidate:"))
            candidate.sdpMLineIndex = 0
            await self.pc.addIceCandidate(candidate)


def repaired(sdp):
    """Without the printer's second fmtp line, which aiortc takes for the first one."""
    return "".join(line for line in sdp.splitlines(True) if "x-google" not in line)


async def creality(session, url, viewer):
    offer = wrap({"type": "offer", "sdp": await viewer.offer()})
    async with session.post(url, data=offer, headers={"Content-Type": "plain/text"}) as response:
        await viewer.take(unwrap(await response.text())["sdp"])


async def whep(session, url, viewer):
    async with session.post(url, data=await viewer.offer(), headers={"Content-Type": "application/sdp"}) as response:
        assert response.status == 201, response.status
        await viewer.take(await response.text())
        return response.url.join(aiohttp.client.URL(response.headers["Location"]))


async def milestone(session, url, viewer):
    form = {"client_id": "GrantValidatorClient", "grant_type": "password", "username": "operator", "password": "sesame&more"}
    async with session.post(url + "/IDP/connect/token", data=form) as response:
        headers = {"Authorization": "Bearer " + (await response.json())["access_token"]}
    async with session.post(url + "/REST/v1/WebRTC/Session", json={"cameraId": "c"}, headers=headers) as response:
        opened = await response.json()
    answer = json.dumps({"type": "answer", "sdp": await viewer.answer(json.loads(opened["offerSDP"])["sdp"])})
    async with session.patch(f"{url}/REST/v1/WebRTC/Session/{opened['sessionId']}", json={"answerSDP": answer}, headers=headers) as response:
        assert response.status == 200, response.status


async def by_websocket(session, url, viewer, first, heard):
    """Hands every frame to `heard` until the viewer is connected."""
    async with session.ws_connect(url) as ws:

        async def listen():
            async for message in ws:
                try:
                    frame = message.json()
                except ValueError:
                    continue
                await heard(ws, frame)

        if first:
            await ws.send_json(first)
        listening = asyncio.ensure_future(listen())
        async with asyncio.timeout(10):
            while viewer.pc.connectionState != "connected":
                if listening.done():
                    await listening
                await asyncio.sleep(0.02)
        listening.cancel()


async def kinesis(session, url, viewer, **more):
    async def heard(ws, frame):
        payload = unwrap(frame["messagePayload"])
        if frame["messageType"] == "SDP_ANSWER":
            await viewer.take(payload["sdp"])
        elif frame["messageType"] == "ICE_CANDIDATE":
            await viewer.candidate(payload["candidate"])

    offer = {"type": "offer", "sdp": await viewer.offer(), **more}
    await by_websocket(session, url, viewer, {"action": "SDP_OFFER", "recipientClientId": "me", "messagePayload": wrap(offer)}, heard)


async def switchbot(session, url, viewer):
    await kinesis(session, url, viewer, resolution=0, play_type=0)


async def wyze(session, url, viewer):
    async with session.get(url) as response:
        found = await response.json()
    assert found["result"] == "ok", found
    await kinesis(session, found["signalingUrl"], viewer)


async def openipc(session, url, viewer):
    async def heard(ws, frame):
        if frame["reply"] == "webrtc_answer" and not viewer.described:
            await ws.send_json({"req": "answer", "data": await viewer.answer(frame["data"]["sdp"])})
        elif frame["reply"] == "webrtc_candidate":
            await viewer.candidate(frame["data"]["candidate"])

    await by_websocket(session, url, viewer, None, heard)


async def go2rtc(session, url, viewer):
    async def heard(ws, frame):
        if frame["type"] == "webrtc/answer":
            await viewer.take(frame["value"])
        elif frame["type"] == "webrtc/candidate" and frame["value"]:
            await viewer.candidate(frame["value"])

    await by_websocket(session, url, viewer, {"type": "webrtc/offer", "value": await viewer.offer()}, heard)


async def dial(dialect, url, frames):
    viewer = Viewer(audio=dialect not in ("creality", "switchbot"))
    async with aiohttp.ClientSession() as session:
        location = await DIALECTS[dialect](session, url, viewer)
        track = await asyncio.wait_for(viewer.tracks.get(), 10)
        counters = [picture.read_frame(await asyncio.wait_for(track.recv(), 10)) for _ in range(frames)]
        if location:
            async with session.delete(location) as response:
                assert response.status == 200, response.status
    await viewer.pc.close()
    return counters


DIALECTS = {each.__name__: each for each in (creality, whep, milestone, kinesis, switchbot, wyze, openipc, go2rtc)}


async def main(frames, *cameras):
    dials = await asyncio.gather(*(dial(*camera, int(frames)) for camera in zip(cameras[::2], cameras[1::2])))
    print(json.dumps(dials))


asyncio.run(main(*sys.argv[1:]))
