"""Hundreds of viewers come and go; nothing of them stays."""

import http.client
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from browser import VIEWER, until
from offers import offer
from relay import eventually

WARM_UP = 30
VIEWERS = 300
GONE_SECONDS = 20
RSS_KIB = 2048


def footprint(pid):
    """`(open files, KiB of memory of its own)`; pages of the binary that were read in do not count."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))
    return len(os.listdir(f"/proc/{pid}/fd")), resident


def come_and_go(relay, viewers):
    """Every second viewer says goodbye; the others just vanish."""
    connection = http.client.HTTPConnection(relay.address, relay.http_port, timeout=10)
    for number in range(viewers):
        connection.request("POST", "/api/webrtc?src=cam", offer(), {"Content-Type": "application/sdp"})
        response = connection.getresponse()
        text = response.read().decode()
        assert response.status == 201, (number, response.status, text)
        if number % 2:
            location = response.headers["Location"]
            connection.request("DELETE", location if location.startswith("/") else "/api/" + location)
            response = connection.getresponse()
            response.read()
            assert response.status == 200, number
    connection.close()


# For each line a process that connects viewers, says goodbye to every second one, then vanishes with the others as a lost
# machine does. What all of them need is loaded once.
VANISHING = """
import asyncio, os, sys
import aiohttp
from aiortc import RTCPeerConnection, RTCSessionDescription

async def connect(session, url):
    pc = RTCPeerConnection()
    pc.addTransceiver("video", direction="recvonly")
    connected = asyncio.Event()
    pc.on("connectionstatechange", lambda: connected.set() if pc.connectionState == "connected" else None)
    await pc.setLocalDescription(await pc.createOffer())
    async with session.post(url, data=pc.localDescription.sdp, headers={"Content-Type": "application/sdp"}) as response:
        assert response.status == 201, await response.text()
        answer = await response.text()
    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await asyncio.wait_for(connected.wait(), 20)
    return pc

async def main(url, count):
    async with aiohttp.ClientSession() as session:
        peers = [await connect(session, url) for _ in range(count)]
    await asyncio.gather(*(pc.close() for pc in peers[::2]))
    print(len(peers), flush=True)
    os._exit(0)

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        asyncio.run(main(sys.argv[1], int(line)))
    if os.waitpid(child, 0)[1] != 0:
        print("failed", flush=True)
"""
BATCH = 25
CROWD = VIEWERS
# The threads that answered HTTP end, with their memory, after two idle seconds.
HTTP_IDLE = 3


@pytest.fixture
def vanishing():
    """`vanishing(url, count)`: so many viewers come, and half of them leave without a word."""
    started = []

    def come_and_vanish(url, count):
        if not started:
            command = [sys.executable, "-c", VANISHING, url]
            started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        print(count, file=started[0].stdin, flush=True)
        assert started[0].stdout.readline() == f"{count}\n"

    yield come_and_vanish
    for process in started:
        process.stdin.close()
        process.wait(5)


@pytest.mark.timeout(300)
def test_three_hundred_viewers_that_connect_and_leave_half_of_them_abruptly_leave_nothing_behind(porthole, vanishing):
    relay = porthole({"cam": "test:?fps=5"}, relay={"sessions": VIEWERS})
    url = relay.url + "/api/webrtc?src=cam"

    def batch():
        watching = relay.viewers("cam")
        vanishing(url, BATCH)
        # of those that vanished nobody knows yet
        eventually(lambda: relay.viewers("cam") <= watching + BATCH // 2, 5, "those who said goodbye are gone")

    # As many at once as later, so that what the allocator keeps for them is there before.
    fds, _ = footprint(relay.pid)
    for _ in range(CROWD // BATCH):
        batch()
    eventually(lambda: settled(relay, fds + 2), GONE_SECONDS, "the first viewers are gone")
    time.sleep(HTTP_IDLE)
    fds, before = footprint(relay.pid)
    for _ in range(VIEWERS // BATCH):
        batch()
    eventually(lambda: settled(relay, fds), GONE_SECONDS, "all viewers are gone")
    time.sleep(HTTP_IDLE)
    _, after = footprint(relay.pid)
    assert after - before <= RSS_KIB, f"{before} KiB before, {after} KiB after"


def settled(relay, fds):
    return relay.viewers("cam") == 0 and footprint(relay.pid)[0] <= fds


def test_three_hundred_viewers_that_never_connect_leave_nothing_behind(porthole):
    relay = porthole({"cam": "test:?fps=15"}, relay={"sessions": VIEWERS})
    fds, _ = footprint(relay.pid)
    come_and_go(relay, WARM_UP)
    eventually(lambda: settled(relay, fds + 2), GONE_SECONDS, "the first viewers are gone")
    fds, before = footprint(relay.pid)
    come_and_go(relay, VIEWERS)
    assert relay.viewers("cam") > 0
    eventually(lambda: settled(relay, fds), GONE_SECONDS, "all viewers are gone")
    _, after = footprint(relay.pid)
    assert after - before <= RSS_KIB, f"{before} KiB before, {after} KiB after"
    assert json.loads(relay.get("/api/streams")[2])["cam"]["consumers"] in (None, [])


def test_browsers_that_come_and_go_leave_nothing_behind(porthole, new_page):
    relay = porthole({"cam": "test:?fps=15"})
    fds, _ = footprint(relay.pid)

    def watch_and_leave(times):
        page = new_page()
        page.goto(relay.url + "/publish.html")
        for number in range(times):
            door = {"dialect": ["whep", "webrtc/offer"][number % 2], "tcp": number % 4 > 1}
            page.evaluate(VIEWER, {**door, "base": relay.url, "src": "cam"})
            until(page, "seen.firstAt > 0", 10000)
            page.evaluate("seen.pc.close()")
        page.context.close()  # and with it the HTTP connections that the browser keeps

    watch_and_leave(6)
    eventually(lambda: settled(relay, fds), GONE_SECONDS, "the first viewers are gone")
    _, before = footprint(relay.pid)
    watch_and_leave(24)
    eventually(lambda: settled(relay, fds), GONE_SECONDS, "all viewers are gone")
    _, after = footprint(relay.pid)
    assert after - before <= RSS_KIB, f"{before} KiB before, {after} KiB after"
