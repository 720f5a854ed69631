"""`<porthole-player>`: one element for any page, by pointer, keyboard and attribute, with and without WebSockets."""

import gzip

import av

import picture
from browser import assert_counter_rises, until, wait_until_playing
from conftest import INSECURE_NAME
from relay import eventually

CAMERA = {"cam": "test:?fps=15&audio=pcmu"}
PLAYER = "document.querySelector('porthole-player')"


def embed(relay, attributes="src=cam", more=""):
    return f'<!doctype html><html lang="en"><body><script type="module" src="{relay.url}/porthole.js"></script>{more}<porthole-player {attributes}></porthole-player></body></html>'


def play(page, relay, query=""):
    page.goto(f"{relay.url}/stream.html?src=cam{query}")
    wait_until_playing(page)


def test_the_module_is_below_fifteen_kib_gzipped(porthole):
    script = porthole(CAMERA).get("/porthole.js")[2]
    assert len(gzip.compress(script.encode(), 9)) < 15 * 1024


def test_a_page_of_another_port_plays_with_two_lines_of_markup(porthole, page, elsewhere):
    relay = porthole(CAMERA)
    page.goto(elsewhere(embed(relay)))
    until(page, f"{PLAYER}.state === 'playing'", 10000)
    assert_counter_rises(page, fps=15)
    until(page, f"{PLAYER}.stats.codec === 'H264' && {PLAYER}.stats.audioCodec === 'PCMU'", 5000)
    assert page.evaluate(f"{PLAYER}.signalling") == "WebSocket"
    page.evaluate(f"{PLAYER}.remove()")
    eventually(lambda: relay.viewers("cam") == 0, 2, "an element that is taken out hangs up")


def test_a_page_elsewhere_asks_the_relay_for_its_turn_servers(porthole, page, elsewhere):
    server = {"urls": ["turn:127.0.0.1:9"], "username": 'a "b" \\c', "credential": "secret"}
    relay = porthole(CAMERA, webrtc={"ice_servers": [server]})
    page.add_init_script("""{
      const set = RTCPeerConnection.prototype.setConfiguration;
      RTCPeerConnection.prototype.setConfiguration = function (configuration) { window.servers = configuration.iceServers; set.call(this, configuration); };
    }""")
    expected = [{"urls": "turn:127.0.0.1:9?transport=udp", "username": 'a "b" \\c', "credential": "secret"}]
    page.goto(elsewhere(embed(relay)))
    until(page, "window.servers", 5000)
    assert page.evaluate("servers") == expected
    page.goto(f"{relay.url}/stream.html?src=cam")
    until(page, "window.servers", 5000)
    assert page.evaluate("servers") == expected, "the relay's own pages carry them"


def test_where_no_websocket_gets_through_whep_does_it_and_is_first_from_then_on(porthole, nginx, page):
    relay = porthole(CAMERA)
    sockets = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(f"http://127.0.0.1:{nginx(relay)}/webcam/stream.html?src=cam")
    wait_until_playing(page)
    assert page.evaluate("porthole.signalling") == "WHEP" and len(sockets) == 1
    page.evaluate("porthole.retry()")
    until(page, "porthole.state !== 'playing'", 3000)
    wait_until_playing(page)
    assert len(sockets) == 1, "the second connection does not try what failed"


def test_a_player_out_of_view_hangs_up_and_comes_back_where_the_page_wants_that(porthole, page, elsewhere):
    relay = porthole(CAMERA)
    tall = "<style>p { height: 3000px; margin: 0 }</style><p></p>"
    page.goto(elsewhere(embed(relay, "src=cam pause-hidden", tall)))
    page.evaluate(f"{PLAYER}.scrollIntoView()")
    until(page, f"{PLAYER}.state === 'playing'", 10000)
    page.evaluate("scrollTo(0, 0)")
    until(page, f"{PLAYER}.state === 'stopped'", 6000)
    eventually(lambda: relay.viewers("cam") == 0, 2, "the relay is rid of it")
    assert page.evaluate("document.querySelector('video').readyState") >= 2, "the last picture stays"
    page.evaluate(f"{PLAYER}.scrollIntoView()")
    until(page, f"{PLAYER}.state === 'playing'", 10000)


def test_a_player_without_that_wish_plays_on_out_of_view(porthole, page, elsewhere):
    relay = porthole(CAMERA)
    page.goto(elsewhere(embed(relay, "src=cam", "<style>p { height: 3000px; margin: 0 }</style><p></p>")))
    until(page, f"{PLAYER}.state === 'playing'", 10000)
    page.wait_for_timeout(3500)
    assert page.evaluate(f"{PLAYER}.state") == "playing"


def snapshot(page, how):
    with page.expect_download() as download:
        how()
    with av.open(str(download.value.path()), format="png_pipe") as file:
        return download.value.suggested_filename, next(file.decode(video=0))


def test_a_snapshot_is_the_picture_of_this_moment_as_it_is_shown(porthole, page):
    relay = porthole(CAMERA)
    play(page, relay)
    before = page.evaluate("readFrame(porthole.video)")
    name, frame = snapshot(page, lambda: page.click("#snapshot"))
    after = page.evaluate("readFrame(porthole.video)")
    assert name.startswith("cam-") and name.endswith(".png"), name
    assert (frame.width, frame.height) == (640, 360)
    assert before <= picture.read_frame(frame) <= after
    page.keyboard.press("r")
    _, turned = snapshot(page, lambda: page.keyboard.press("s"))
    assert (turned.width, turned.height) == (360, 640)


def shown(page):
    """Where a corner of the picture is, by what the browser draws: the code rows are black and white, the rest is not."""
    return page.evaluate("""() => {
      const video = document.querySelector('video').getBoundingClientRect();
      return { width: Math.round(video.width), height: Math.round(video.height) };
    }""")


def test_the_keys_do_what_the_list_of_keys_says(porthole, page):
    relay = porthole(CAMERA)
    play(page, relay)
    until(page, "porthole.stats.audioCodec", 5000)
    page.focus("porthole-player")
    press = page.keyboard.press
    assert page.evaluate("porthole.video.muted")
    press("m")
    assert not page.evaluate("porthole.video.muted")
    press("ArrowDown")
    assert page.evaluate("Math.round(porthole.video.volume * 10)") == 9
    press("ArrowUp")
    assert page.evaluate("porthole.video.volume") == 1
    press("c")
    assert page.is_visible("#cross")
    press("Shift+ArrowRight")
    press("Shift+ArrowDown")
    assert page.get_attribute("porthole-player", "crosshair") == "51.0,51.0"
    press("c")
    assert not page.is_visible("#cross")
    upright = shown(page)
    press("r")
    assert page.get_attribute("porthole-player", "rotate") == "90"
    turned = shown(page)
    assert upright["width"] > upright["height"] and turned["width"] < turned["height"], (upright, turned)
    for _ in range(3):
        press("r")
    assert page.get_attribute("porthole-player", "rotate") == "0" and shown(page) == upright
    press("x")
    press("y")
    assert page.evaluate("[porthole.hasAttribute('mirror'), porthole.hasAttribute('flip')]") == [True, True]
    press("?")
    assert "picture in picture" in page.text_content("#panel")
    press("Escape")
    assert not page.is_visible("#panel")
    press("f")
    until(page, "document.fullscreenElement === porthole", 3000)
    press("f")
    until(page, "!document.fullscreenElement", 3000)
    press("p")
    until(page, "document.pictureInPictureElement === porthole.video", 3000)
    press("p")
    until(page, "!document.pictureInPictureElement", 3000)
    press(" ")
    until(page, "porthole.state === 'stopped'", 3000)
    eventually(lambda: relay.viewers("cam") == 0, 2, "stopped means hung up")
    press(" ")
    wait_until_playing(page)


def test_every_button_has_a_name_and_tab_reaches_them_all(porthole, page):
    relay = porthole(CAMERA)
    play(page, relay)
    until(page, "porthole.stats.audioCodec", 5000)
    page.focus("porthole-player")
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("porthole.shadowRoot.activeElement?.getAttribute('aria-label') ?? ''"))
    assert {"Stop", "Sound on", "Snapshot", "Crosshair, rotation and keys", "Picture in picture", "Full screen"} <= reached, reached


def test_a_mirrored_picture_is_mirrored(porthole, page):
    relay = porthole(CAMERA)
    play(page, relay)
    _, plain = snapshot(page, lambda: page.keyboard.press("s"))
    page.keyboard.press("x")
    _, mirrored = snapshot(page, lambda: page.keyboard.press("s"))
    backwards = picture.read_frame(mirrored)
    # one code in sixteen reads as one backwards too, that of a number which nobody has counted up to
    assert picture.read_frame(plain) < 1 << 12 and (backwards is None or backwards >= 1 << 20)
    rows = mirrored.reformat(format="gray").to_ndarray()
    assert picture.read(rows[:, ::-1].tobytes(), 640, 360) is not None


def test_the_crosshair_is_dragged_to_the_nozzle_and_found_there_the_next_time(porthole, page):
    relay = porthole(CAMERA)
    play(page, relay)
    page.click("#view")
    page.click("#panel button:has-text('Crosshair')")
    page.keyboard.press("Escape")
    box = page.locator("#picture").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.6, steps=4)
    page.mouse.up()
    x, y = map(float, page.get_attribute("porthole-player", "crosshair").split(","))
    assert abs(x - 30) < 1 and abs(y - 60) < 1
    page.reload()
    wait_until_playing(page)
    assert page.get_attribute("porthole-player", "crosshair") == f"{x:.1f},{y:.1f}"
    assert page.is_visible("#cross")


def test_a_failure_is_told_with_the_doctors_remedy_and_a_way_to_try_at_once(porthole, page):
    relay = porthole({"cam": "rtsp://127.0.0.1:1/"})
    page.goto(f"{relay.url}/stream.html?src=cam")
    until(page, "window.porthole?.state === 'failed'", 10000)
    verdict = page.evaluate("porthole.verdict")
    assert verdict["code"] == "D08", verdict
    text = page.text_content("#over")
    assert verdict["sentence"] in text and verdict["remedy"] in text
    relay.ask("PATCH", "/api/streams?name=cam&src=test:")
    page.click("#again")
    wait_until_playing(page, 5000)


def test_a_picture_that_does_not_come_gets_the_doctors_sentence_too(porthole, page):
    relay = porthole(CAMERA)
    play(page, relay)
    relay.ask("PATCH", "/api/streams?name=cam&src=rtsp://127.0.0.1:1/")
    until(page, "porthole.state === 'waiting' && porthole.verdict?.code === 'D08'", 20000)
    assert page.evaluate("porthole.verdict.remedy") in page.text_content("#over")


def hears(page, relay, talk):
    """Makes the relay say that the stream takes sound, as of a camera that has a loudspeaker."""
    page.route("**/api/streams?src=cam", lambda route: route.fulfill(json={**relay.stream("cam"), "talk": talk}))


def test_a_stream_that_takes_no_sound_has_no_button_to_talk(porthole, page):
    relay = porthole(CAMERA)
    play(page, relay)
    until(page, "porthole.stats.codec", 3000)
    assert not page.is_visible("#talk")


def test_the_microphone_is_offered_only_while_the_button_is_held_and_a_relay_that_takes_no_sound_is_named(porthole, page):
    relay = porthole(CAMERA)
    page.add_init_script("""{
      window.offers = [];
      const set = RTCPeerConnection.prototype.setLocalDescription;
      RTCPeerConnection.prototype.setLocalDescription = function (offer) { offers.push(offer.sdp ?? offer.type); return set.call(this, offer); };
    }""")
    hears(page, relay, {"available": True, "busy": False})
    play(page, relay)
    page.wait_for_selector("#talk", state="visible", timeout=3000)
    assert page.evaluate("offers.length") == 1 and "a=sendrecv" not in page.evaluate("offers[0]")
    page.focus("porthole-player")
    page.keyboard.down("t")
    page.wait_for_selector("#panel:has-text('The relay takes no sound from this page now')", timeout=3000)
    assert page.evaluate("offers[1]").count("a=sendrecv") == 1
    assert page.get_attribute("#talk", "aria-pressed") == "false"
    page.keyboard.up("t")
    assert_counter_rises(page, fps=15)


def test_somebody_else_who_talks_is_told_where_no_websocket_tells_it(porthole, page):
    relay = porthole(CAMERA)
    hears(page, relay, {"available": True, "busy": True})
    play(page, relay, "&mode=whep")
    page.wait_for_selector("#talk", state="visible", timeout=3000)
    page.focus("porthole-player")
    page.keyboard.down("t")
    page.wait_for_selector("#panel:has-text('Somebody else is talking')", timeout=3000)
    page.keyboard.up("t")


def test_an_insecure_page_says_why_the_microphone_is_missing_and_how_to_get_https(porthole, page):
    relay = porthole(CAMERA)
    hears(page, relay, {"available": True, "busy": False})
    page.goto(f"http://{INSECURE_NAME}:{relay.http_port}/stream.html?src=cam")
    wait_until_playing(page)
    page.click("#talk")
    text = page.text_content("#panel")
    assert "HTTPS only" in text and "tls: auto" in text and INSECURE_NAME in text
    assert page.get_attribute("#panel a", "href").endswith("/trust.html")


# Two channels, of which the left one sounds.
LEFT = """
async (base) => {
  const context = new AudioContext();
  await context.resume();
  const [tone, merger, out] = [context.createOscillator(), context.createChannelMerger(2), context.createMediaStreamDestination()];
  tone.connect(merger, 0, 0);
  merger.connect(out);
  tone.start();
  const pc = new RTCPeerConnection();
  window.sent = { pc, context };
  pc.addTransceiver(out.stream.getAudioTracks()[0], { direction: 'sendonly' });
  const { type, sdp } = await pc.createOffer();
  await pc.setLocalDescription({ type, sdp: sdp.replace('useinbandfec=1', 'useinbandfec=1;stereo=1;sprop-stereo=1') });
  const response = await fetch(`${base}/door/whip`, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp });
  await pc.setRemoteDescription({ type: 'answer', sdp: await response.text() });
}
"""
# The loudness of both channels that arrive.
HEARD = """
async () => {
  const stream = document.querySelector('video').srcObject;
  if (!stream?.getAudioTracks().length) return [0, 0];
  if (!window.ears) {
    const context = new AudioContext();
    await context.resume();
    const splitter = context.createChannelSplitter(2);
    context.createMediaStreamSource(stream).connect(splitter);
    window.ears = [0, 1].map((channel) => {
      const analyser = context.createAnalyser();
      splitter.connect(analyser, channel);
      return analyser;
    });
  }
  return ears.map((ear) => {
    const samples = new Float32Array(ear.fftSize);
    ear.getFloatTimeDomainData(samples);
    return Math.max(...samples.map(Math.abs));
  });
}
"""


def test_two_channels_arrive_as_two(porthole, new_page):
    relay = porthole({"door": None})
    publisher, viewer = new_page(), new_page()
    publisher.goto(relay.url + "/publish.html")
    publisher.evaluate(LEFT, relay.url)
    until(publisher, "sent.pc.connectionState === 'connected'", 5000)
    viewer.goto(f"{relay.url}/stream.html?src=door")

    def left_alone():
        left, right = viewer.evaluate(HEARD)
        return left > 0.2 and right < left / 4

    eventually(left_alone, 10, "the left channel sounds and the right one does not")
