"""What strangers send to the media port disturbs nobody."""

import random
import socket
import struct
import time

from browser import assert_counter_rises, view
from offers import attribute, offer
from relay import eventually

COOKIE = bytes.fromhex("2112a442")
SEED = 8555


def binding_request(username, attributes=b""):
    body = struct.pack("!HH", 6, len(username)) + username + b"\0" * (-len(username) % 4) + attributes
    return struct.pack("!HH", 1, len(body)) + COOKIE + bytes(12) + body


def garbage(chance, username):
    """Random bytes, and every kind of packet of the port, damaged."""
    good = binding_request(username, struct.pack("!HH", 0x24, 4) + bytes(4) + struct.pack("!HH", 8, 20) + bytes(20))
    yield b""
    for length in range(len(good)):
        yield good[:length]
        damaged = bytearray(good)
        damaged[length] ^= 1 << chance.randrange(8)
        yield bytes(damaged)
    for _ in range(2000):
        first = chance.choice([0, 1, 20, 22, 23, 63, 128, 144, 191, 200, 255])
        yield bytes([first]) + chance.randbytes(chance.randrange(1400))
    yield struct.pack("!HH", 0x101, 0xFFFF) + COOKIE + bytes(12)
    yield binding_request(username, struct.pack("!HH", 8, 0xFFFF))


def test_garbage_and_truncated_stun_over_udp_change_nothing(porthole, page):
    relay = porthole({"cam": "test:?fps=15"})
    view(page, relay)
    _, _, answer = relay.ask("POST", "/api/webrtc?src=cam", offer(), {"Content-Type": "application/sdp"})
    username = f"{attribute(answer, 'ice-ufrag')}:abcd".encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.settimeout(0.2)
        for number, datagram in enumerate(garbage(random.Random(SEED), username)):
            stranger.sendto(datagram, (relay.address, relay.media_port))
            if number % 50 == 0:
                time.sleep(0.005)
        try:
            reply = stranger.recv(2000)
            raise AssertionError(f"a stranger got an answer: {reply[:40]!r}")
        except TimeoutError:
            pass
    assert_counter_rises(page, seconds=1.5, fps=15, video="seen.video")
    assert "fault" not in relay.log()


def test_garbage_over_tcp_is_cut_off_and_silence_too(porthole, page):
    relay = porthole({"cam": "test:?fps=15"})
    view(page, relay, tcp=True)
    silent = socket.create_connection((relay.address, relay.media_port))
    for datagram in list(garbage(random.Random(SEED), b"nobody:abcd"))[:400]:
        with socket.create_connection((relay.address, relay.media_port)) as stranger:
            try:
                stranger.sendall(struct.pack("!H", len(datagram)) + datagram)
                stranger.sendall(b"\xff\xff")
                stranger.settimeout(2)
                assert stranger.recv(10) == b""
            except (ConnectionResetError, BrokenPipeError):
                pass
    assert_counter_rises(page, seconds=1.5, fps=15, video="seen.video")
    silent.settimeout(12)
    assert silent.recv(10) == b"", "a connection that says nothing is closed"
    silent.close()
    assert "fault" not in relay.log()


def test_connections_to_the_media_port_are_bounded_for_one_address(porthole, page):
    relay = porthole({"cam": "test:?fps=15"})
    view(page, relay, tcp=True)
    held = [socket.create_connection((relay.address, relay.media_port)) for _ in range(60)]
    eventually(lambda: "too many media connections" in relay.log(), 3, "the surplus is refused")
    assert_counter_rises(page, seconds=1.5, fps=15, video="seen.video")
    for connection in held:
        connection.close()
