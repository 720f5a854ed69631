"""Floods that cost a process its memory or its stack where nothing bounds them."""

import asyncio
import base64
import contextlib
import hashlib
import os
import socket
import threading
import time

import pytest
from aiortc import RTCPeerConnection

from memory import unharmed
from offers import offer
from peers.stun import StunPeer
from relay import eventually
from test_aiortc import Counter, exchange, in_thread, prefer_h264

CAMERA = {"cam": "test:"}
# tests/long/floods takes longer
FLOOD_SECONDS = float(os.environ.get("PORTHOLE_FLOOD_SECONDS", "2"))


@contextlib.contextmanager
def silent_viewer(relay):
    """A viewer that has found a route and does not answer the handshake: its socket."""
    sdp = offer(audio=False)
    status, _, answer = relay.ask("POST", "/api/webrtc?src=cam", sdp, {"Content-Type": "application/sdp"})
    assert status == 201, answer
    viewer = StunPeer(relay, sdp, answer)
    with viewer.socket:

        def is_greeted():
            viewer.request(nominate=True)
            viewer.answer_checks()
            return viewer.strangers > 0

        eventually(is_greeted, 5, "the relay begins the handshake")
        viewer.socket.connect(viewer.to)
        yield viewer.socket


def record(kind, epoch, number, body):
    return bytes([kind, 254, 253]) + epoch.to_bytes(2) + number.to_bytes(6) + len(body).to_bytes(2) + body


def send_all(peer, datagrams):
    for datagram in datagrams:
        with contextlib.suppress(OSError):
            peer.send(datagram)


def test_a_burst_of_fragments_without_content_does_not_end_the_relay(porthole):
    relay = porthole(CAMERA)

    def fragment(offset):
        return record(22, 0, 16000 - offset, bytes([1]) + (16001).to_bytes(3) + bytes(2) + offset.to_bytes(3) + (1).to_bytes(3))

    with silent_viewer(relay) as peer, unharmed(relay):
        for begin in range(15990, -1, -10):
            send_all(peer, [b"".join(fragment(begin + n) for n in reversed(range(10)))])
            time.sleep(0.0005)


def test_records_of_keys_that_do_not_exist_yet_fill_no_memory(porthole):
    relay = porthole(CAMERA)
    datagrams = [b"".join(record(kind, 1, number, b"?") for number in range(100)) for kind in (22, 23)]
    with silent_viewer(relay) as peer, unharmed(relay):
        end = time.monotonic() + FLOOD_SECONDS
        while time.monotonic() < end:
            send_all(peer, datagrams * 30)
            time.sleep(0.001)


class Pinger:
    """A WebSocket server, as a camera's or a tracker's, that sends pings for as long as the flood takes and reads nothing."""

    PINGS = bytes([0x89, 125, *bytes(125)]) * 500

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sent = 0
        self.end = None
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        # the relay comes again and again
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self.flood(connection)

    def flood(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        connection.sendall(b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        self.end = self.end or time.monotonic() + FLOOD_SECONDS
        while time.monotonic() < self.end:
            connection.sendall(self.PINGS)
            self.sent += 500

    def is_over(self):
        return self.end is not None and time.monotonic() > self.end


@pytest.fixture
def pinger():
    server = Pinger()
    yield server
    server.listener.close()


def test_a_camera_that_pings_and_never_reads_fills_no_memory(porthole, pinger):
    relay = porthole({**CAMERA, "bad": f"webrtc:ws://127.0.0.1:{pinger.port}/api/ws?src=a"})
    with unharmed(relay):
        asking = in_thread(asyncio.to_thread(relay.get, "/api/streams?src=bad&video", timeout=60))
        eventually(pinger.is_over, FLOOD_SECONDS + 20, "the relay calls the camera")
    asking.result(60)
    assert pinger.sent >= 1000 and "floods us with pings" in relay.log(), relay.log()


def test_a_tracker_that_pings_and_never_reads_fills_no_memory(porthole, pinger):
    shares = {"door": {"pwd": "Zm9ydHkgdHdvIHJhbmRvbSBieXRlcw", "src": "cam"}}
    relay = porthole(CAMERA, webtorrent={"trackers": [f"ws://127.0.0.1:{pinger.port}"], "shares": shares})
    with unharmed(relay):
        eventually(pinger.is_over, FLOOD_SECONDS + 20, "the relay meets the tracker")
    assert pinger.sent >= 1000 and "nothing but pings" in relay.log(), relay.log()


def test_packets_that_hold_more_than_they_carry_fill_no_memory(porthole):
    relay = porthole({**CAMERA, "door": None}, relay={"buffer": 4})

    async def publish():
        pc = RTCPeerConnection()
        transceiver = pc.addTransceiver(Counter(), direction="sendonly")
        prefer_h264(transceiver)
        await exchange(pc, f"{relay.url}/api/webrtc?dst=door")
        connected = asyncio.Event()
        pc.on("connectionstatechange", lambda: connected.set() if pc.connectionState == "connected" else None)
        await asyncio.wait_for(connected.wait(), 10)
        transport, sent = transceiver.sender.transport, []
        send = transport._send_rtp

        async def noted(packet):
            sent.append(packet)
            await send(packet)

        transport._send_rtp = noted
        while not sent:
            await asyncio.sleep(0.01)
        transceiver.sender.replaceTrack(None)
        await asyncio.sleep(0.2)
        # what follows goes on where the picture ended
        first, timestamp = (int.from_bytes(sent[-1][at : at + length]) for at, length in ((2, 2), (4, 4)))
        end, number = time.monotonic() + FLOOD_SECONDS, 0
        while time.monotonic() < end:
            for _ in range(50):
                number += 1
                numbers = ((first + number) % 2**16).to_bytes(2) + ((timestamp + 90 * number) % 2**32).to_bytes(4)
                head = bytes([0x90, sent[-1][1] & 127]) + numbers + sent[-1][8:12]
                extension = bytes.fromhex("bede") + (330).to_bytes(2) + bytes(4 * 330)
                await send(head + extension + b"\x41\x9a")
            await asyncio.sleep(0.001)
        await pc.close()
        return number

    # some of what a session takes beside the 4 MiB of the ring
    with unharmed(relay, growth_kib=8 * 1024):
        number = in_thread(publish()).result(60 + FLOOD_SECONDS)
    assert number >= 1000, number
