"""Chromium's camera goes in by WHIP and comes out in another browser."""

import pytest

from browser import until, wait_until_playing
from conftest import INSECURE_NAME
from relay import eventually

PICTURE_CHANGES = """
async () => {
  const video = document.querySelector('video');
  const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 36 });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const seen = new Set();
  for (let i = 0; i < 10; i++) {
    context.drawImage(video, 0, 0, 64, 36);
    seen.add(context.getImageData(0, 0, 64, 36).data.join());
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  return seen.size;
}
"""


def publish(page, relay, extra=""):
    page.goto(f"{relay.url}/webrtc.html?dst=door&media=camera+microphone{extra}")
    wait_until_playing(page)


@pytest.mark.parametrize("extra", ["", "&mode=tcp", "&mode=ws"], ids=["WHIP", "WHIP-and-TCP-only", "WebSocket"])
def test_what_one_browser_publishes_another_one_watches(porthole, new_page, extra):
    relay = porthole({"door": None})
    publisher, viewer = new_page(), new_page()
    publish(publisher, relay, extra)
    viewer.goto(f"{relay.url}/stream.html?src=door")
    wait_until_playing(viewer)
    assert viewer.evaluate(PICTURE_CHANGES) >= 5
    until(viewer, "porthole.stats.codec === 'H264' && porthole.stats.audioCodec === 'opus'", 5000)


def test_a_stream_without_publisher_says_so_and_a_waiting_viewer_gets_the_picture_when_one_comes(porthole, new_page):
    relay = porthole({"door": None})
    front, viewer, publisher = new_page(), new_page(), new_page()
    front.goto(relay.url + "/")
    front.wait_for_selector(".pill.waiting", timeout=3000)
    assert front.text_content(".pill") == "waiting for a publisher"
    viewer.goto(f"{relay.url}/stream.html?src=door")
    until(viewer, "window.porthole?.reason", 5000)
    publish(publisher, relay)
    wait_until_playing(viewer, timeout=15000)
    front.wait_for_selector(".pill.live", timeout=5000)


def test_the_stream_is_free_for_the_next_publisher_when_the_page_is_left(porthole, new_page):
    relay = porthole({"door": None})
    first = new_page()
    publish(first, relay)
    assert relay.stream("door")["producers"]
    first.goto("about:blank")
    eventually(lambda: not any("medias" in p for p in relay.stream("door")["producers"] or []), 2, "the publisher is gone")
    second, viewer = new_page(), new_page()
    publish(second, relay)
    viewer.goto(f"{relay.url}/stream.html?src=door")
    wait_until_playing(viewer)


def test_a_page_that_is_no_secure_context_says_exactly_that(porthole, page):
    relay = porthole({"door": None})
    page.goto(f"http://{INSECURE_NAME}:{relay.http_port}/publish.html?dst=door&media=camera")
    until(page, "window.porthole?.state === 'insecure'", 5000)
    text = page.text_content("#over")
    assert "not a secure context" in text and "https://" in text and "localhost" in text
