"""A viewer that listens and talks by WHEP: says "connected", and then talks in one tone until it is ended.

    python tests/peers/talker.py URL HERTZ [broken]

`broken`: most packets of its first two seconds are damaged, in every way that libsrtp lets through.
"""

import asyncio
import pathlib
import sys

import aiohttp
from aiortc import RTCPeerConnection, RTCSessionDescription

sys.path.append(str(pathlib.Path(__file__).resolve().parent / "camera"))
from media import Tone  # noqa: E402

PACKETS = 100  # that may be damaged

# Each makes a damaged packet out of a good one; the SRTP around it is sound.
DAMAGES = [
    lambda packet: packet[:12],  # no payload
    lambda packet: bytes([packet[0] | 0x20]) + packet[1:-1] + b"\xff",  # more padding than packet
    lambda packet: bytes([packet[0] | 0x10]) + packet[1:12] + b"\xbe\xde\x00\x01\xff\xff\xff\xff",  # an extension longer than its block
    lambda packet: bytes([packet[0] | 0x0f]) + packet[1:72],  # fifteen sources and nothing else
    lambda packet: packet[:1] + b"\x7f" + packet[2:],  # a payload type that nobody agreed on
    lambda packet: packet + bytes(1000),  # a second of sound in one packet
    lambda packet: packet[:8] + b"\x00\x00\x00\x05" + packet[12:],  # of somebody else
    lambda packet: packet[:4] + b"\xff\xff\xff\xff" + packet[8:],  # of another time
]


def damage(transport):
    send, count = transport._send_rtp, 0

    async def send_damaged(packet):
        nonlocal count
        # RTP, in aiortc's own numbers from 128 on where RTCP has 200 to 206
        if count < PACKETS and not 200 <= packet[1] <= 206:
            count += 1
            if count % 3:
                packet = DAMAGES[count % len(DAMAGES)](packet)
        await send(packet)

    transport._send_rtp = send_damaged


async def main(url, hertz, broken=""):
    pc = RTCPeerConnection()
    sound = pc.addTransceiver(Tone(8000, int(hertz)), direction="sendrecv")

    @pc.on("connectionstatechange")
    def changed():
        if pc.connectionState == "connected":
            print("connected", flush=True)

    await pc.setLocalDescription(await pc.createOffer())
    if broken:
        damage(sound.sender.transport)
    async with aiohttp.ClientSession() as session:
        async with session.post(url, data=pc.localDescription.sdp, headers={"Content-Type": "application/sdp"}) as response:
            text = await response.text()
            assert response.status == 201, text
            await pc.setRemoteDescription(RTCSessionDescription(text, "answer"))
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
