"""Foreign cameras of every dialect, dialled by the relay; Chromium decodes what their own encoders made."""

import json
import re
import subprocess
import sys
from urllib.parse import quote

import pytest

from browser import VIEWER, assert_counter_rises, until, view
from cameras import FORMATS, SESSION, URLS, WITH_SOUND, producer, session_of
from picture import PEERS
from relay import eventually
from test_camera_faults import ODD_CASES, name_of

SECONDS = 10
VIDEO = [("video", "recvonly")]
BOTH = [("video", "recvonly"), ("audio", "recvonly")]
# What our offer, or our answer to the camera's, asks for.
ASKED = {
    "creality": VIDEO,
    "switchbot": VIDEO,
    "go2rtc": [*BOTH, ("audio", "sendonly")],
}


def sections(sdp):
    """`(kind, direction)` of each m-line."""
    parts = re.split(r"(?m)^m=", sdp)[1:]
    return [(part.split()[0], re.search(r"(?m)^a=(sendrecv|sendonly|recvonly|inactive)\r?$", part)[1]) for part in parts]


def watch(page, relay, cameras, name):
    """Plays the stream "cam"; every picture is of the latest session of the camera."""
    view(page, relay)
    counters = assert_counter_rises(page, video="seen.video")
    number = cameras.wait("sending", name, SECONDS)["session"]
    assert {session_of(counter) for counter in counters} == {number}, (counters, number)


def heard(page):
    script = "async () => [...(await seen.pc.getStats()).values()].find((s) => s.type === 'inbound-rtp' && s.kind === 'audio')?.packetsReceived"
    return page.evaluate(script) or 0


def test_the_cameras_of_these_tests_work_without_a_relay(cameras):
    cases = [(dialect, None) for dialect in URLS] + ODD_CASES
    wanted = []
    for dialect, fault in cases:
        name = name_of(dialect, fault)
        cameras.tell(name, fault=fault, audio="opus")
        wanted += [dialect, cameras.url(dialect, name).removeprefix("webrtc:").split("#")[0]]
    run = subprocess.run([sys.executable, str(PEERS / "dial.py"), "8", *wanted], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    for case, counters in zip(cases, json.loads(run.stdout), strict=True):
        assert counters == list(range(SESSION, SESSION + 8)), case
        eventually(lambda case=case: cameras.sessions(name_of(*case)) == 0, 5, "the camera is left")


@pytest.mark.parametrize("dialect", URLS)
def test_a_viewer_sees_the_picture_of_a_foreign_encoder(porthole, page, cameras, dialect):
    name = f"seen-{dialect}"
    cameras.tell(name, audio="pcmu")
    relay = porthole({"cam": cameras.url(dialect, name)})
    watch(page, relay, cameras, name)
    stream, shown = relay.stream("cam"), producer(relay)
    assert (stream["state"], stream["last_error"], stream["attempts"]) == ("live", None, 0), stream
    assert shown["format_name"] == FORMATS.get(dialect, f"webrtc/{dialect}"), shown
    assert shown["protocol"] == f"{'ws' if dialect == 'wyze' else URLS[dialect][0]}+udp", shown
    assert shown["state"] == "connected" and shown["remote_addr"].startswith("127.0.0.1:"), shown
    codecs = {receiver["codec"]["codec_name"]: receiver for receiver in shown["receivers"]}
    assert codecs.keys() == {"h264"} | ({"pcm_mulaw"} if dialect in WITH_SOUND else set()), codecs
    assert shown["bytes_recv"] > 0 and codecs["h264"]["packets"] > 0, shown
    if dialect in WITH_SOUND:
        eventually(lambda: heard(page) > 50, 5, "the viewer hears the camera")


@pytest.mark.parametrize("dialect", URLS)
def test_a_camera_is_asked_for_what_it_has_in_the_words_of_its_dialect(porthole, page, cameras, dialect):
    name = f"asked-{dialect}"
    relay = porthole({"cam": cameras.url(dialect, name)})
    view(page, relay)
    events = [seen for seen in list(cameras.seen) if seen["camera"] == name]
    requests = [seen for seen in events if seen["event"] == "request"]
    assert not any(seen["event"] in ("disliked", "unreadable", "candidate before the offer") for seen in events), events
    answers = dialect in ("openipc", "milestone")
    sdp = cameras.wait("answer" if answers else "offer", name)["sdp"]
    kinds = sections(sdp)
    assert kinds == (VIDEO if answers else ASKED.get(dialect, BOTH)), sdp
    if URLS[dialect][0] == "http" and dialect != "wyze":
        assert "a=candidate:" in sdp and not re.search(r"(?m)^m=\S+ 0 ", sdp), "HTTP dialects have no later candidates"
    else:
        cameras.wait("candidate", name)
        # once the media flows there is nothing left to say
        cameras.wait("websocket closed", name)
    if dialect == "kinesis":
        assert cameras.events("frame", name, action="SDP_OFFER")[0]["recipient"] == "viewer-7"
        assert requests[0]["path"].startswith("/asked-kinesis/kinesis?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature="), requests
    elif dialect == "wyze":
        assert cameras.events("frame", name, action="SDP_OFFER")[0]["recipient"] == "wyze-viewer"
    elif dialect == "switchbot":
        wish = cameras.events("wish", name)[0]
        assert (wish["resolution"], wish["play_type"]) == (1, 3), wish
    elif dialect == "milestone":
        assert cameras.events("wish", name)[0]["cameraId"] == "d2b4bc26-3e1b-4f4b-8b1d-0d9f1e3a7c55"
        assert [seen["method"] for seen in requests] == ["POST", "POST", "PATCH"], requests
    elif dialect == "creality":
        assert requests[0]["content_type"] == "plain/text", requests


@pytest.mark.parametrize("dialect", URLS)
def test_a_camera_that_nobody_watches_any_more_is_left_at_once(porthole, page, cameras, dialect):
    name = f"left-{dialect}"
    relay = porthole({"cam": cameras.url(dialect, name)}, relay={"linger": "0s"})
    view(page, relay)
    assert cameras.sessions(name) == 1
    page.evaluate("seen.pc.close()")
    eventually(lambda: cameras.sessions(name) == 0, 3, "the camera's session ended")
    assert relay.stream("cam")["state"] == "idle"
    if dialect == "whep":
        assert len(cameras.events("deleted", name)) == 1 and not cameras.events("deleted in vain", name)


@pytest.mark.parametrize(
    ("dialect", "trust"),
    [("whep", "its-authority"), ("kinesis", "its-authority"), ("milestone", "nobody-by-insecure"), ("wyze", "nobody-by-insecure")],
)
def test_a_viewer_sees_a_camera_behind_tls(porthole, page, cameras, dialect, trust):
    named = trust == "its-authority"
    name = f"tls-{dialect}-{named}"
    url = cameras.url(dialect, name, port=cameras.tls if named else cameras.untrusted, more="" if named else "#insecure")
    relay = porthole({"cam": url}, environment=cameras.environment)
    watch(page, relay, cameras, name)


@pytest.mark.parametrize("status", [307, 308])
def test_whep_follows_where_the_endpoint_moved(porthole, page, cameras, status):
    name = f"moved-{status}"
    cameras.tell(name, redirect=status)
    relay = porthole({"cam": cameras.url("whep", name)}, relay={"linger": "0s"})
    watch(page, relay, cameras, name)
    page.evaluate("seen.pc.close()")
    cameras.wait("deleted", name, 3)


def test_whep_keeps_its_secret_from_another_host_that_the_endpoint_names(porthole, page, cameras):
    name = "elsewhere"
    cameras.tell(name, redirect=307, host=f"https://127.0.0.1:{cameras.tls}")
    relay = porthole({"cam": cameras.url("whep", name, more="#bearer=secret")}, relay={"linger": "0s"}, environment=cameras.environment)
    watch(page, relay, cameras, name)
    page.evaluate("seen.pc.close()")
    cameras.wait("deleted", name, 3)
    told = [(seen["method"], seen.get("authorization")) for seen in cameras.events("request", name)]
    assert told == [("POST", "Bearer secret"), ("POST", None), ("DELETE", None)], told


@pytest.mark.parametrize(
    ("authorization", "userinfo", "more"),
    [("Bearer key:of/tests=", "", "#bearer=key:of/tests="), ("Basic Z3Vlc3Q6cEBzcw==", "guest:p%40ss@", "")],
    ids=["bearer", "user-and-password"],
)
def test_whep_says_who_it_is_on_every_request_and_nobody_else_reads_it(porthole, page, cameras, authorization, userinfo, more):
    name = f"secret-{authorization.split()[0]}"
    cameras.tell(name, authorization=authorization)
    relay = porthole({"cam": cameras.url("whep", name, userinfo=userinfo, more=more)}, relay={"linger": "0s"}, log={"level": "debug"})
    watch(page, relay, cameras, name)
    page.evaluate("seen.pc.close()")
    cameras.wait("deleted", name, 3)
    requests = cameras.events("request", name)
    assert [seen["method"] for seen in requests] == ["POST", "DELETE"], requests
    assert all(seen.get("authorization") == authorization for seen in requests), requests
    told = relay.log() + relay.get("/api/streams")[2] + relay.get("/api/doctor")[2]
    assert not any(secret in told for secret in ("key:of/tests", "p%40ss", "p@ss", "Z3Vlc3Q6")), told


def test_go2rtc_by_user_and_password(porthole, page, cameras):
    name = "go2rtc-basic"
    relay = porthole({"cam": cameras.url("go2rtc", name, userinfo="guest:p%40ss@")})
    view(page, relay)
    assert cameras.events("request", name)[0]["authorization"] == "Basic Z3Vlc3Q6cEBzcw=="


def test_a_printer_never_has_two_sessions_however_many_watch_come_and_go(porthole, page, cameras):
    name = "printer"
    relay = porthole({"cam": cameras.url("creality", name)}, relay={"linger": "1s"})
    page.goto(relay.url + "/publish.html")
    # Every viewer is a session of its own with the relay; the script replaces the video of the one before.
    for _ in range(3):
        page.evaluate(VIEWER, {"dialect": "whep", "base": relay.url, "src": "cam", "tcp": False})
        page.evaluate("(window.all ??= []).push(seen.pc)")
    until(page, "seen.firstAt > 0", 10000)
    assert relay.viewers("cam") == 3
    assert cameras.sessions(name) == 1
    page.evaluate("all.forEach((pc) => pc.close())")
    cameras.wait("closed", name, 5)
    view(page, relay)
    assert_counter_rises(page, seconds=1, video="seen.video")
    told = [seen["sessions"] for seen in cameras.events("connected", name)]
    assert told == [1, 1], "one session for all viewers, and the second only after the first ended"


def test_a_printer_is_not_dialled_again_before_its_last_session_ended(porthole, page, cameras):
    name = "again-and-again"
    relay = porthole({"cam": cameras.url("creality", name)}, relay={"linger": "0s"})
    view(page, relay)
    for number in range(3):
        status, _, text = relay.ask("PATCH", "/api/streams?name=cam&src=" + quote(cameras.url("creality", name, more=f"#n={number}"), safe=""))
        assert status == 200, text
        until(page, f"readFrame(seen.video) >= {(number + 2) * SESSION}", 10000)
    assert max(seen["sessions"] for seen in cameras.events("connected", name)) == 1


@pytest.mark.parametrize("door", ["ws", "http"], ids=["go2rtc", "WHEP"])
def test_a_viewer_sees_the_camera_of_one_relay_through_another(porthole, page, door):
    near = porthole({"yard": "test:?fps=15&audio=pcmu"})
    path = {"ws": "/api/ws?src=yard", "http": "/api/webrtc?src=yard"}[door]
    far = porthole({"cam": f"webrtc:{near.url.replace('http', door)}{path}"}, relay={"linger": "0s"})
    view(page, far)
    assert_counter_rises(page, fps=15, video="seen.video")
    assert near.viewers("yard") == 1
    eventually(lambda: heard(page) > 50, 5, "the sound comes through both")
    page.evaluate("seen.pc.close()")
    eventually(lambda: near.viewers("yard") == 0, 2, "the first relay is rid of the second")
