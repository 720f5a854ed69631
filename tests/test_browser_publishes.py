"""Chromium's camera goes in by WHIP and comes out in another browser."""

import pytest

from browser import until, view, wait_until_playing
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

# A publisher as other people's pages write it: WHIP with one video codec.
PUBLISHER = """
async ({ base, codec }) => {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 } });
  const pc = new RTCPeerConnection();
  window.sent = { pc };
  const transceiver = pc.addTransceiver(stream.getVideoTracks()[0], { direction: 'sendonly' });
  const all = RTCRtpSender.getCapabilities('video').codecs;
  transceiver.setCodecPreferences(all.filter(({ mimeType }) => [`video/${codec}`, 'video/rtx'].includes(mimeType)));
  await pc.setLocalDescription();
  const response = await fetch(`${base}/door/whip`, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp });
  const text = await response.text();
  if (response.status !== 201) throw new Error(`${response.status}: ${text}`);
  await pc.setRemoteDescription({ type: 'answer', sdp: text });
}
"""


# A publisher of several layers of one picture, as conference programs send it.
LAYERS = """
async ({ base, query, rids }) => {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 } });
  const pc = new RTCPeerConnection();
  window.sent = { pc };
  const sendEncodings = rids.map((rid, i) => ({ rid, scaleResolutionDownBy: 4 ** (rids.length - 1 - i) }));
  const transceiver = pc.addTransceiver(stream.getVideoTracks()[0], { direction: 'sendonly', sendEncodings });
  const all = RTCRtpSender.getCapabilities('video').codecs;
  transceiver.setCodecPreferences(all.filter(({ mimeType }) => ['video/VP8', 'video/rtx'].includes(mimeType)));
  await pc.setLocalDescription();
  const response = await fetch(`${base}/door/whip${query}`, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp });
  const text = await response.text();
  if (response.status !== 201) return `${response.status}: ${text}`;
  await pc.setRemoteDescription({ type: 'answer', sdp: text });
  return '';
}
"""


def publish(page, relay, extra=""):
    page.goto(f"{relay.url}/webrtc.html?dst=door&media=camera+microphone{extra}")
    wait_until_playing(page)


@pytest.mark.parametrize("extra", ["", "&mode=whip", "&mode=whip,tcp", "&mode=ws"], ids=["what-it-likes", "WHIP", "WHIP-and-TCP-only", "WebSocket"])
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


@pytest.mark.parametrize("codec", ["VP8", "VP9", "AV1", "H264"])
def test_each_codec_that_a_browser_publishes_is_passed_through(porthole, new_page, codec):
    relay = porthole({"door": None})
    publisher, viewer = new_page(), new_page()
    publisher.goto(relay.url + "/publish.html")
    publisher.evaluate(PUBLISHER, {"base": relay.url, "codec": codec})
    until(publisher, "sent.pc.connectionState === 'connected'", 5000)
    viewer.goto(f"{relay.url}/stream.html?src=door")
    wait_until_playing(viewer)
    until(viewer, f"porthole.stats.codec === '{codec}'", 5000)
    assert viewer.evaluate(PICTURE_CHANGES) >= 5


@pytest.mark.parametrize(("query", "width"), [("", 160), ("?rid=full", 640)], ids=["the-first", "the-one-that-is-asked-for"])
def test_of_several_layers_of_a_picture_one_is_taken_and_no_other_sent(porthole, new_page, query, width):
    relay = porthole({"door": None})
    publisher, viewer = new_page(), new_page()
    publisher.goto(relay.url + "/publish.html")
    assert publisher.evaluate(LAYERS, {"base": relay.url, "query": query, "rids": ["quarter", "full"]}) == ""
    until(publisher, "sent.pc.connectionState === 'connected'", 5000)
    viewer.goto(f"{relay.url}/stream.html?src=door")
    wait_until_playing(viewer)
    until(viewer, f"document.querySelector('video').videoWidth === {width}", 10000)
    assert viewer.evaluate(PICTURE_CHANGES) >= 5
    sent = "async () => [...(await sent.pc.getStats()).values()].filter((s) => s.framesEncoded > 0).map((s) => s.rid)"
    assert publisher.evaluate(sent) == ["full" if query else "quarter"]


def test_a_layer_that_does_not_come_is_refused_with_the_names_of_those_that_do(porthole, page):
    relay = porthole({"door": None})
    page.goto(relay.url + "/publish.html")
    refused = page.evaluate(LAYERS, {"base": relay.url, "query": "?rid=half", "rids": ["quarter", "full"]})
    assert refused.startswith("406") and "quarter, full" in refused


def test_viewers_stay_while_a_publisher_is_away_and_see_it_when_it_is_back(porthole, new_page):
    relay = porthole({"door": None})
    publisher, viewer = new_page(), new_page()
    publisher.goto(relay.url + "/publish.html")
    publisher.evaluate(PUBLISHER, {"base": relay.url, "codec": "H264"})
    view(viewer, relay, src="door")
    first = viewer.evaluate("seen.location")
    publisher.evaluate("sent.pc.close()")
    eventually(lambda: relay.stream("door")["state"] == "waiting", 3, "the publisher is gone")
    publisher.evaluate(PUBLISHER, {"base": relay.url, "codec": "H264"})
    viewer.evaluate("() => { seen.again = 0; seen.video.requestVideoFrameCallback(() => { seen.again = 1; }); }")
    until(viewer, "seen.again > 0", 4000)
    assert viewer.evaluate(PICTURE_CHANGES) >= 5
    assert viewer.evaluate("seen.location") == first and viewer.evaluate("seen.pc.connectionState") == "connected"


@pytest.mark.alone
def test_a_browser_is_given_the_bitrate_that_its_picture_needs(porthole, new_page):
    relay = porthole({"door": None})
    publisher = new_page()
    publisher.goto(relay.url + "/publish.html")
    publisher.evaluate(PUBLISHER, {"base": relay.url, "codec": "VP8"})
    until(publisher, "sent.pc.connectionState === 'connected'", 5000)
    sent = """async () => {
      const estimates = [];
      for (const s of (await sent.pc.getStats()).values()) if (s.type === 'candidate-pair' && s.nominated) estimates.push(s.availableOutgoingBitrate ?? 0);
      return Math.max(0, ...estimates);
    }"""
    eventually(lambda: publisher.evaluate(sent) > 1_000_000, 20, "the browser believes in more than 1 Mbit/s")


def test_the_publisher_sees_itself_what_was_agreed_on_and_who_watches(porthole, new_page):
    relay = porthole({"door": None})
    publisher, viewer = new_page(), new_page()
    publish(publisher, relay)
    assert publisher.evaluate(PICTURE_CHANGES) >= 5, "the preview moves"
    publisher.wait_for_selector("#figures:has-text('H264 · opus')", timeout=5000)
    publisher.wait_for_selector("#figures:has-text('nobody now')", timeout=5000)
    viewer.goto(f"{relay.url}/stream.html?src=door")
    wait_until_playing(viewer)
    publisher.wait_for_selector("#figures:has-text('1 viewer now')", timeout=5000)
    viewer.goto("about:blank")
    publisher.wait_for_selector("#figures:has-text('nobody now')", timeout=8000)


def test_another_camera_is_picked_without_a_new_session(porthole, new_page):
    relay = porthole({"door": None})
    publisher, viewer = new_page(), new_page()
    publish(publisher, relay)
    session = publisher.evaluate("porthole.id")
    viewer.goto(f"{relay.url}/stream.html?src=door")
    wait_until_playing(viewer)
    publisher.wait_for_selector("#pickers", state="visible", timeout=3000)
    names = publisher.locator("#cameras option").all_text_contents()
    assert names[0] == "Usual camera" and names[-1] == "No camera" and any("fake_device" in name for name in names), names
    before = publisher.evaluate("document.querySelector('video').srcObject.id")
    publisher.select_option("#cameras", index=1)
    until(publisher, f"document.querySelector('video').srcObject.id !== '{before}'", 5000)
    assert viewer.evaluate(PICTURE_CHANGES) >= 5
    assert publisher.evaluate("porthole.id") == session and publisher.evaluate("porthole.state") == "playing"


def test_a_microphone_that_is_taken_away_goes_and_the_picture_stays(porthole, new_page):
    relay = porthole({"door": None})
    publisher = new_page()
    publish(publisher, relay)
    publisher.wait_for_selector("#pickers", state="visible", timeout=3000)
    publisher.select_option("#microphones", "none")
    until(publisher, "porthole.media.getAudioTracks().length === 0", 5000)
    wait_until_playing(publisher)
    eventually(lambda: [m for p in relay.stream("door")["producers"] for m in p.get("medias", [])] == ["video, recvonly, H264", "audio, sendonly, OPUS/48000/2"], 5, "the relay gets the picture alone, and the page hears")


def test_a_screen_is_published_with_its_sound(porthole, new_page):
    relay = porthole({"door": None})
    publisher, viewer = new_page(), new_page()
    publisher.goto(f"{relay.url}/publish.html?dst=door&media=display+speaker")
    publisher.click("#display")
    wait_until_playing(publisher)
    assert not publisher.is_visible("#pickers")
    viewer.goto(f"{relay.url}/stream.html?src=door")
    wait_until_playing(viewer)


def test_a_publisher_survives_a_crash_of_the_relay(porthole, new_page):
    relay = porthole({"door": None})
    publisher, viewer = new_page(), new_page()
    publish(publisher, relay)
    relay.kill()
    until(publisher, "porthole.state === 'failed' || porthole.state === 'connecting'", 30000)
    relay.start()
    wait_until_playing(publisher, 30000)
    viewer.goto(f"{relay.url}/stream.html?src=door")
    wait_until_playing(viewer)
    assert viewer.evaluate(PICTURE_CHANGES) >= 5


def test_an_insecure_page_leads_to_https(porthole, page):
    relay = porthole({"door": None})
    page.goto(f"http://{INSECURE_NAME}:{relay.http_port}/publish.html?dst=door")
    assert page.is_visible("#trust") and "tls: auto" in page.text_content("#trust")
    assert page.get_attribute("#trust a", "href") == "trust.html"
    assert not page.is_visible("#choice")
