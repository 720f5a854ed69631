"""GStreamer's webrtcbin as viewer and as publisher, in Debian's own Python."""

import pathlib
import subprocess

from browser import assert_counter_rises, wait_until_playing

PYTHON = "/usr/bin/python3"
PEERS = pathlib.Path(__file__).parent / "peers"
FRAMES = 60
EVERYWHERE = ""  # GStreamer never looks for peers from a loopback address


def test_gstreamer_decodes_every_frame_it_is_sent(porthole):
    relay = porthole({"cam": "test:?fps=15"}, media=EVERYWHERE)
    command = [PYTHON, PEERS / "gst_view.py", f"{relay.url}/api/webrtc?src=cam", str(FRAMES)]
    view = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert view.returncode == 0, view.stderr
    lines = view.stdout.split()
    assert "None" not in lines, lines
    counters = [int(line) for line in lines]
    assert all(b == a + 1 for a, b in zip(counters, counters[1:])), counters


def test_what_gstreamer_publishes_chromium_watches(porthole, page):
    relay = porthole({"door": None}, media=EVERYWHERE)
    command = [PYTHON, PEERS / "gst_publish.py", f"{relay.url}/api/webrtc?dst=door", "60"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as publisher:
        try:
            page.goto(f"{relay.url}/stream.html?src=door")
            wait_until_playing(page, timeout=20000)
            assert_counter_rises(page, seconds=2, fps=15)
        finally:
            publisher.kill()
            print(publisher.stderr.read())
