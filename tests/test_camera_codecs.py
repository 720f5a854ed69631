"""Cameras whose codec does not suit a viewer: GStreamer as a camera that sends H.265, and Debian's Chromium, which has no H.265."""

import json
import pathlib
import subprocess

import pytest

from browser import VIEWER, assert_counter_rises, until, view
from cameras import session_of
from relay import eventually, free_port

PEER = pathlib.Path(__file__).parent / "peers" / "gst_camera.py"
PYTHON = "/usr/bin/python3"  # Debian's, which has GStreamer
EVERYWHERE = ""  # GStreamer never looks for peers from a loopback address


@pytest.fixture
def gst_camera():
    """`gst_camera("H265")` starts a camera; gives the source that calls it, and what it hears and says."""
    processes = []

    def start(codec):
        port = free_port()
        processes.append(subprocess.Popen([PYTHON, PEER, str(port), codec], stdout=subprocess.PIPE, text=True))
        assert processes[-1].stdout.readline() == "ready\n"
        return f"webrtc:http://127.0.0.1:{port}/whep", processes[-1].stdout

    yield start
    for process in processes:
        process.kill()
        process.wait()


def codecs(relay):
    """Of each source of the stream that runs: its URL and the codecs of its tracks."""
    return {each["url"]: [receiver["codec"]["codec_name"] for receiver in each["receivers"]] for each in relay.stream("cam")["producers"] if each.get("receivers")}


def test_a_viewer_without_h265_is_shown_the_h264_of_the_second_camera(porthole, page, cameras, gst_camera):
    first, said = gst_camera("H265")
    second = cameras.url("whep", "substream")
    relay = porthole({"cam": [first, second]}, media=EVERYWHERE)
    view(page, relay)
    assert session_of(assert_counter_rises(page, seconds=1, video="seen.video")[0]) == 1, "a picture of the second camera"
    answer = json.loads(said.readline())["answer"]
    assert "H265/90000" in answer and "H264" not in answer, answer
    assert codecs(relay) == {first: ["hevc"], second: ["h264"]}
    offer = page.evaluate("seen.pc.localDescription.sdp")
    assert "H264/90000" in offer and "H265" not in offer, "this browser has no H.265"


def test_a_stream_that_has_nothing_but_h265_is_refused_with_the_codecs_of_both_sides(porthole, page, gst_camera):
    camera, _ = gst_camera("H265")
    relay = porthole({"cam": camera}, media=EVERYWHERE)
    page.goto(relay.url + "/publish.html")
    refusal = page.evaluate(f"({VIEWER})({json.dumps({'dialect': 'whep', 'base': relay.url, 'src': 'cam', 'tcp': False})}).catch((error) => error.message)")
    assert refusal.startswith("406: streams: codecs not matched: video:H265 => "), refusal
    offered, remedy = refusal.split(" => ")[1].split("; ", 1)
    assert "video:H264" in offered and "H265" not in offered, refusal
    assert "set the camera to H.264 or add its H.264 sub-stream" in remedy
    page.goto(f"{relay.url}/stream.html?src=cam")
    until(page, "porthole.state === 'failed'", 15000)
    shown = eventually(lambda: page.text_content("#over"), 5, "the page says why")
    assert "H265" in shown and "H264" in shown and "sub-stream" in shown, shown
