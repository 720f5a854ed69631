"""A GStreamer camera that is reached by TCP alone. Its own gathering of candidates at times never ends where UDP is dropped."""

import subprocess

import pytest

from relay import free_port
from test_camera_codecs import PEER as GST_CAMERA
from test_camera_codecs import PYTHON
from test_camera_ways import apart, chromium_within, watch  # noqa: F401


@pytest.mark.timeout(90)
def test_a_camera_of_gstreamer_is_reached_by_tcp_where_udp_is_dropped(porthole, new_page, apart, tmp_path):
    near, far = apart
    port = free_port()
    camera = subprocess.Popen([*far.prefix, PYTHON, GST_CAMERA, str(port), "VP8"], stdout=subprocess.PIPE, text=True)
    try:
        assert camera.stdout.readline() == "ready\n"
        relay = porthole({"cam": f"webrtc:http://10.77.42.2:{port}/whep"}, prefix=near.prefix, address="10.77.42.1")
        producer = watch(near, relay, new_page(chromium_within(near, tmp_path)))
        assert producer["protocol"] == "http+tcp", producer
    finally:
        camera.kill()
        camera.wait()
