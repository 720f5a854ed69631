"""A viewer by WHEP that says when it is connected, to which address, and when a frame arrives."""

import asyncio
import sys

import aiohttp
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription


def say(*words):
    print(*words, flush=True)


async def main(url):
    pc = RTCPeerConnection()
    tracks = asyncio.Queue()
    pc.on("track", tracks.put_nowait)

    @pc.on("connectionstatechange")
    def changed():
        if pc.connectionState == "connected":
            ice = pc.getTransceivers()[0].receiver.transport.transport.iceGatherer
            pair = ice._connection._nominated[1]  # aiortc has no other door to it
            say("connected", pair.remote_addr[0])

    transceiver = pc.addTransceiver("video", direction="recvonly")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([c for c in codecs if c.mimeType == "video/H264"])
    await pc.setLocalDescription(await pc.createOffer())
    async with aiohttp.ClientSession() as session:
        async with session.post(url, data=pc.localDescription.sdp, headers={"Content-Type": "application/sdp"}) as response:
            await pc.setRemoteDescription(RTCSessionDescription(await response.text(), "answer"))
    track = await tracks.get()
    while True:
        await track.recv()
        say("frame")


asyncio.run(main(sys.argv[1]))
