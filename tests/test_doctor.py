"""Every way in which there is no picture gets its verdict, at the door where people ask: `/api/doctor`, the page, the command."""

import asyncio
import concurrent.futures
import fractions
import json
import os
import pathlib
import re
import socket
import subprocess
import time

import av
import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender, RTCSessionDescription

from browser import until, view, wait_until_playing
from namespaces import linked, namespaces, run
from offers import attribute, offer
from peers.stun import StunPeer
from relay import BINARY, eventually

SDP = {"Content-Type": "application/sdp"}
HOST = "candidate:1 1 udp 2122260223 {} 50000 typ host"
HIDDEN = HOST.format("0a1b2c3d-0000-4000-8000-000000000000.local")
CAMERA = {"cam": "test:?fps=15"}
PUBLISHER = pathlib.Path(__file__).parent / "peers" / "gst_publish.py"


def examine(relay):
    if relay.prefix:
        return json.loads(run(*relay.prefix, "curl", "-sf", relay.url + "/api/doctor").stdout)
    status, _, text = relay.get("/api/doctor")
    assert status == 200, text
    return json.loads(text)


def post(relay, sdp, path="/api/webrtc?src=cam"):
    """The answer to an offer, and the status."""
    if relay.prefix:
        command = ["curl", "-s", "-w", "\n%{http_code}", "-X", "POST", "-H", "Content-Type: application/sdp", "--data-binary", "@-", relay.url + path]
        text, status = run(*relay.prefix, *command, input=sdp).stdout.rsplit("\n", 1)
        return int(status), text
    status, _, text = relay.ask("POST", path, sdp, SDP)
    return status, text


def verdict(relay, code, where, seconds=6):
    """The verdict with this code in a part of the report, once it is there; no other code shows in that part."""

    def look():
        part = examine(relay)[where]
        found = [entry["verdict"] for entry in part if entry["verdict"]]
        assert {v["code"] for v in found} <= {code}, found
        return found

    return eventually(look, seconds, code)[0]


def doctor(*arguments, prefix=(), cwd="/"):
    return subprocess.run([*prefix, BINARY, "doctor", *arguments], cwd=cwd, capture_output=True, text=True, timeout=20, check=False)


@pytest.fixture
def stun_peer():
    peers = []

    def make(relay, sdp, answer):
        peers.append(StunPeer(relay, sdp, answer))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()


def test_a_relay_that_is_well_gets_no_verdict_and_the_command_exits_with_0(porthole, page):
    relay = porthole(CAMERA)
    view(page, relay)
    time.sleep(4)
    report = examine(relay)
    assert report["healthy"] and report["findings"] == 0, report
    session = report["sessions"][0]
    assert session["phase"] == "connected" and session["verdict"] is None
    assert session["ice"]["requests"] > 0 and session["ice"]["answers"] > 0
    assert session["ice"]["arrivals"][0]["local"] == "udp 127.0.0.1"
    assert session["dtls"]["took_ms"] is not None and session["dtls"]["received"] > 0
    assert session["media"][0]["packets"] > 0 and session["media"][0]["track"]["last_keyframe_ms"] is not None
    told = doctor(relay.url)
    assert told.returncode == 0 and "Nothing is wrong." in told.stdout, told
    assert "handshake" in told.stdout and relay.url in told.stdout


@pytest.mark.timeout(60)
def test_d01_an_offer_behind_which_nobody_sends_is_told_while_it_lives_and_when_it_ended(porthole):
    relay = porthole(CAMERA)
    sdp = offer(candidate=HOST.format("127.0.0.1"))
    status, answer = post(relay, sdp)
    assert status == 201
    found = verdict(relay, "D01", "sessions")
    assert f"127.0.0.1:{relay.media_port}" in found["sentence"]
    assert str(relay.media_port) in found["remedy"]
    told = doctor(relay.url)
    assert told.returncode == 1 and "D01" in told.stdout and found["remedy"] in told.stdout
    verdict(relay, "D01", "past", 16)
    report = examine(relay)
    assert not report["sessions"] and not report["healthy"]
    assert "no packet of the peer arrived" in report["past"][0]["reason"]
    text = json.dumps(report)
    for secret in (attribute(sdp, "ice-ufrag"), attribute(sdp, "ice-pwd"), attribute(answer, "ice-ufrag"), attribute(answer, "ice-pwd")):
        assert secret not in text


def test_the_report_shows_no_more_of_a_session_id_than_the_log(porthole):
    relay = porthole(CAMERA)
    _, headers, _ = relay.ask("POST", "/api/webrtc?src=cam", offer(), SDP)
    name = headers["Location"].rsplit("/", 1)[-1]
    session = examine(relay)["sessions"][0]
    assert name.startswith(session["id"]) and len(session["id"]) == 8
    assert name not in json.dumps(examine(relay))


def test_d02_only_hidden_names_and_silence(porthole):
    relay = porthole(CAMERA)
    assert post(relay, offer(candidate=HIDDEN))[0] == 201
    assert ".local" in verdict(relay, "D02", "sessions")["sentence"]


def test_d03_the_peers_checks_arrive_and_ours_stay_unanswered(porthole, stun_peer):
    relay = porthole(CAMERA)
    sdp = offer(candidate=HIDDEN)
    peer = stun_peer(relay, sdp, post(relay, sdp)[1])
    for _ in range(5):
        peer.request()
        time.sleep(0.1)
    found = verdict(relay, "D03", "sessions")
    assert "127.0.0.1" in found["sentence"], found
    session = examine(relay)["sessions"][0]
    assert session["ice"]["requests"] == 5 and session["ice"]["answers"] == 0 and session["ice"]["checks"] > 5


def test_d04_filters_that_leave_nothing_are_named_with_their_line(porthole, tmp_path):
    settings = tmp_path / "settings.yaml"
    settings.write_text("# mine\nwebrtc:\n  filters:\n    ips: [192.0.2.77]\n")
    relay = porthole(CAMERA, media="", arguments=["-c", str(settings)])
    found = examine(relay)["machine"]["verdicts"]
    assert [v["code"] for v in found] == ["D04"], found
    assert f"webrtc.filters.ips (line 4 of {settings})" in found[0]["sentence"], found
    assert post(relay, offer(candidate=HIDDEN))[0] != 201
    assert verdict(relay, "D04", "past")["sentence"] == found[0]["sentence"]


def test_d05_only_addresses_of_containers_are_left(porthole):
    with namespaces(1) as (inside,):
        run("ip", "-n", inside.name, "link", "add", "docker0", "type", "veth", "peer", "name", "veth1")
        run("ip", "-n", inside.name, "address", "add", "172.17.0.1/16", "dev", "docker0")
        for name in ("docker0", "veth1"):
            run("ip", "-n", inside.name, "link", "set", name, "up")
        relay = porthole(CAMERA, prefix=inside.prefix, address="172.17.0.1", media="")
        found = examine(relay)["machine"]["verdicts"]
        assert [v["code"] for v in found] == ["D05"] and "172.17.0.1" in found[0]["sentence"], found
        status, answer = post(relay, offer(candidate=HIDDEN))
        assert status == 201 and answer.startswith("v=0"), (status, answer)
        verdict(relay, "D05", "sessions")


@pytest.mark.timeout(60)
def test_d06_the_way_is_open_and_the_handshake_gets_no_answer(porthole, stun_peer):
    relay = porthole(CAMERA)
    sdp = offer(candidate=HIDDEN)
    peer = stun_peer(relay, sdp, post(relay, sdp)[1])
    end = time.monotonic() + 5
    while time.monotonic() < end:
        peer.request(nominate=True)
        peer.answer_checks()
    assert "nothing of the handshake came back" in verdict(relay, "D06", "sessions")["sentence"]
    assert peer.strangers > 0
    session = examine(relay)["sessions"][0]
    assert session["phase"] == "handshaking" and session["dtls"]["sent"] > 0 and session["dtls"]["received"] == 0


def test_d07_a_player_without_the_sources_codec(porthole):
    relay = porthole(CAMERA)
    for _ in range(3):
        assert post(relay, offer(video="VP8", audio=False))[0] == 406
    found = verdict(relay, "D07", "past")
    assert "has video:H264" in found["sentence"] and "takes video:VP8" in found["sentence"] and "H.264" in found["remedy"]
    assert [past["times"] for past in examine(relay)["past"]] == [3], "the same failure again takes no second place"


def test_d08_a_source_that_fails(porthole):
    relay = porthole({"cam": "rtsp://user:hunter2@127.0.0.1:1/live"})
    assert post(relay, offer())[0] == 502
    assert "rtsp" in verdict(relay, "D08", "past")["sentence"]
    assert "cam" in verdict(relay, "D08", "streams")["sentence"]
    assert "hunter2" not in json.dumps(examine(relay))


class NeverAKeyframe(MediaStreamTrack):
    """H.264 that consists of slices which refer to pictures that never were."""

    kind = "video"

    def __init__(self):
        super().__init__()
        self.number = 0

    async def recv(self):
        await asyncio.sleep(0.05)
        self.number += 1
        packet = av.Packet(b"\0\0\0\1\x41" + os.urandom(400))
        packet.pts, packet.time_base = self.number * 4500, fractions.Fraction(1, 90000)
        return packet


@pytest.mark.timeout(60)
def test_d09_a_publisher_that_never_sends_a_keyframe(porthole):
    relay = porthole({"studio": ""})

    async def publish():
        pc = RTCPeerConnection()
        try:
            transceiver = pc.addTransceiver(NeverAKeyframe(), direction="sendonly")
            codecs = RTCRtpSender.getCapabilities("video").codecs
            transceiver.setCodecPreferences([codec for codec in codecs if codec.name == "H264"])
            await pc.setLocalDescription(await pc.createOffer())
            status, answer = await asyncio.to_thread(post, relay, pc.localDescription.sdp, "/studio/whip")
            assert status == 201, answer
            await pc.setRemoteDescription(RTCSessionDescription(type="answer", sdp=answer))
            return await asyncio.to_thread(verdict, relay, "D09", "sessions", 15)
        finally:
            await pc.close()

    with concurrent.futures.ThreadPoolExecutor(1) as thread:  # Playwright's loop runs in this one
        found = thread.submit(asyncio.run, publish()).result()
    assert "no keyframe ever" in found["sentence"] and "asked" in found["sentence"], found


@pytest.mark.timeout(90)
def test_d10_a_link_that_loses_packets(porthole, new_page, tmp_path):
    with linked() as (near, far):
        relay = porthole({"cam": "test:?fps=30"}, prefix=near.prefix, address="10.77.42.1")
        page = new_page(far.chromium(tmp_path))
        view(page, relay)
        far.drop("meta l4proto udp numgen random mod 100 < 20")
        found = verdict(relay, "D10", "sessions", 30)
        percent = int(re.search(r"(\d+) %", found["sentence"])[1])
        assert 5 <= percent <= 40, found


@pytest.mark.timeout(90)
def test_d14_udp_is_blocked_and_the_picture_goes_by_tcp(porthole, new_page, tmp_path):
    with linked() as (near, far):
        relay = porthole(CAMERA, prefix=near.prefix, address="10.77.42.1")
        near.drop("meta l4proto udp")
        page = new_page(far.chromium(tmp_path))
        # a player that tells its candidates: without them nobody knows whether it wanted TCP
        page.goto(f"{relay.url}/stream.html?src=cam")
        wait_until_playing(page, 30000)
        assert str(relay.media_port) in verdict(relay, "D14", "sessions", 20)["remedy"]


@pytest.mark.timeout(60)
def test_d15_a_publisher_sends_b_frames(porthole):
    relay = porthole({"door": None}, media="")  # GStreamer never looks for peers from a loopback address
    command = ["/usr/bin/python3", PUBLISHER, f"{relay.url}/api/webrtc?dst=door", "60", "reordered"]
    with subprocess.Popen(command) as publisher:
        try:
            assert "B-frames" in verdict(relay, "D15", "sessions", 20)["remedy"]
        finally:
            publisher.kill()


def test_a_player_that_wants_tcp_gets_no_verdict_for_it(porthole, page):
    relay = porthole(CAMERA)
    view(page, relay, tcp=True)
    time.sleep(4)
    session = examine(relay)["sessions"][0]
    assert session["ice"]["selected"] == "tcp" and session["verdict"] is None, session


def test_d11_a_foreign_origin_is_shown_with_the_line_that_would_let_it_in(porthole):
    relay = porthole(CAMERA)
    assert relay.get("/api/streams", headers={"Origin": "http://fluidd.example:81"})[0] == 403
    assert relay.get("/api/streams", headers={"Host": "camera.example"})[0] == 421
    report = examine(relay)
    assert [(r["kind"], r["name"], r["verdict"]["code"]) for r in report["refused"]] == [
        ("host", "camera.example", "D11"),
        ("origin", "http://fluidd.example:81", "D11"),
    ]
    assert 'api: {origin: ["http://fluidd.example:81"]}' in report["refused"][1]["verdict"]["remedy"]
    assert report["findings"] == 2
    told = doctor(relay.url)
    assert told.returncode == 1 and 'api: {origin: ["http://fluidd.example:81"]}' in told.stdout


def test_d12_a_media_port_that_is_taken(porthole):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        relay = porthole(CAMERA, webrtc={"listen": f"127.0.0.1:{port}"})
        found = examine(relay)["machine"]["verdicts"]
        assert [v["code"] for v in found] == ["D12"], found
        assert f"udp 127.0.0.1:{port}" in found[0]["sentence"] and f"(pid {os.getpid()})" in found[0]["sentence"]


def test_d13_clocks_that_are_apart_and_a_turn_password_that_has_run_out(porthole):
    relay = porthole(CAMERA)
    clock = lambda shift: json.loads(relay.get(f"/api/doctor?clock={int(time.time()) + shift}")[2])["machine"]["verdicts"]  # noqa: E731
    assert clock(0) == [] and clock(-60) == []
    for shift in (86400, -86400):
        found = clock(shift)
        assert [v["code"] for v in found] == ["D13"] and "are 24 h apart" in found[0]["sentence"], found
    server = {"urls": ["turn:127.0.0.1:9"], "username": f"{int(time.time()) - 60}:relay", "credential": "s3cret"}
    late = porthole(CAMERA, webrtc={"ice_servers": [server]})
    found = examine(late)["machine"]["verdicts"]
    assert [v["code"] for v in found] == ["D13"] and "password for the TURN server has run out" in found[0]["sentence"], found
    told = doctor(late.url)
    assert told.returncode == 1 and "D13" in told.stdout


def test_the_command_says_what_it_finds_where_no_relay_answers(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder, socket.create_server(("127.0.0.1", 0)) as other:
        holder.bind(("127.0.0.1", 0))
        taken = holder.getsockname()[1]
        silent = doctor("-c", "api.listen=127.0.0.1:9", "-c", f"webrtc.listen=127.0.0.1:{taken}/udp", cwd=tmp_path)
        assert silent.returncode == 2, silent
        assert "not running" in silent.stdout and f"udp 127.0.0.1:{taken} (webrtc.listen): taken by " in silent.stdout and f"(pid {os.getpid()})" in silent.stdout
        assert "(api.listen): free" in silent.stdout
        mute = doctor(f"http://127.0.0.1:{other.getsockname()[1]}", cwd=tmp_path)
        assert mute.returncode == 2 and "does not answer" in mute.stdout, mute


def test_the_command_finds_the_relay_by_its_configuration(porthole, tmp_path):
    relay = porthole(CAMERA)
    told = doctor("-c", f"api.listen=127.0.0.1:{relay.http_port}", cwd=tmp_path)
    assert told.returncode == 0 and f"127.0.0.1:{relay.http_port}" in told.stdout, told


def test_the_page_shows_verdicts_as_text_and_is_found_from_the_front_page(porthole, page):
    relay = porthole(CAMERA)
    relay.ask("POST", "/api/webrtc?src=cam", offer(candidate=HIDDEN), SDP | {"User-Agent": "<img src=x onerror=alert(1)>"})
    verdict(relay, "D02", "sessions")
    page.goto(relay.url)
    page.click("text=Ask the doctor")
    until(page, "window.porthole?.state === 'examined'", 5000)
    assert "D02" in page.text_content("#found")
    page.click("#sessions details summary")
    assert "<img src=x onerror=alert(1)>" in page.text_content("#sessions")
    assert page.evaluate("document.querySelectorAll('main img').length") == 0
    time.sleep(4)
    assert page.evaluate("document.querySelector('#sessions details').open"), "what was opened stays open"


def test_a_player_without_a_picture_leads_to_the_doctor(porthole, page):
    relay = porthole({"cam": "rtsp://127.0.0.1:1/"})
    page.goto(f"{relay.url}/stream.html?src=cam")
    until(page, "window.porthole?.state === 'failed'", 10000)
    page.click("#doctor")
    until(page, "window.porthole?.state === 'examined'", 5000)
    assert "D08" in page.text_content("#found")
