"""Floods that cost a process its memory or its stack where nothing bounds them."""

import contextlib
import time

from memory import unharmed
from offers import offer
from peers.stun import StunPeer
from relay import eventually

CAMERA = {"cam": "test:"}
FLOOD_SECONDS = 2


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
