"""What a viewer says is heard by the camera or by the page that publishes, from one talker at a time, in a session that goes on."""

import json
import re
import subprocess
import sys

import pytest

from browser import assert_counter_rises, until, wait_until_playing
from cameras import PEER, producer
from relay import eventually

TONE = """{
  window.tone = (hertz) => {
    const context = new AudioContext();
    const source = new OscillatorNode(context, { frequency: hertz });
    const end = context.createMediaStreamDestination();
    source.connect(end);
    source.start();
    return end.stream;
  };
}"""

# A microphone that hears one tone; the player opens and ends it as any other.
MICROPHONE = "navigator.mediaDevices.getUserMedia = async () => { window.opened = (window.opened ?? 0) + 1; return tone(%d); };"

# A viewer as other people's pages write it: one peer connection and one WebSocket, and offers in it as often as it likes.
TALKER = """
async ({ name, base, src, hertz, picture }) => {
  window.talkers ??= {};
  const pc = new RTCPeerConnection();
  const video = document.createElement('video');
  Object.assign(video, { muted: true, autoplay: true, playsInline: true, srcObject: new MediaStream() });
  document.body.append(video);
  pc.addEventListener('track', ({ track }) => video.srcObject.addTrack(track));
  if (picture) pc.addTransceiver('video', { direction: 'recvonly' });
  const sound = pc.addTransceiver('audio', { direction: hertz ? 'sendrecv' : 'recvonly' });
  if (hertz) await sound.sender.replaceTrack(tone(hertz).getTracks()[0]);
  const socket = new WebSocket(`${base.replace('http', 'ws')}/api/ws?src=${src}`);
  await new Promise((resolve) => { socket.onopen = resolve; });
  const talker = (window.talkers[name] = { pc, video, sound, socket, told: [], session: null });
  let answered;
  socket.onmessage = ({ data }) => {
    const { type, value, session } = JSON.parse(data);
    if (type === 'webrtc/candidate') pc.addIceCandidate({ candidate: value, sdpMid: '0' });
    else if (type === 'webrtc/talk') talker.told.push(value);
    else if (answered) answered({ type, value, session });
  };
  pc.onicecandidate = ({ candidate }) => candidate && socket.send(JSON.stringify({ type: 'webrtc/candidate', value: candidate.candidate }));
  talker.ask = (sdp) => new Promise((resolve) => {
    answered = resolve;
    socket.send(JSON.stringify({ type: 'webrtc/offer', value: sdp }));
  });
  talker.offer = async () => {
    await pc.setLocalDescription(await pc.createOffer());
    const answer = await talker.ask(pc.localDescription.sdp);
    if (answer.type !== 'webrtc/answer') throw new Error(answer.value);
    talker.session = answer.session;
    await pc.setRemoteDescription({ type: 'answer', sdp: answer.value });
    return answer.value;
  };
  return await talker.offer();
}
"""

# The same talker offers again, in a WebSocket of its own.
ANOTHER_SOCKET = """
async (base) => {
  const talker = window.talkers.one;
  talker.told.length = 0;
  talker.socket.onmessage = null;
  const socket = new WebSocket(`${base.replace('http', 'ws')}/api/ws?src=cam`);
  await new Promise((resolve) => { socket.onopen = resolve; });
  await talker.pc.setLocalDescription(await talker.pc.createOffer());
  const answer = await new Promise((resolve) => {
    socket.onmessage = ({ data }) => {
      const { type, value } = JSON.parse(data);
      if (type === 'webrtc/talk') talker.told.push(value);
      if (type === 'webrtc/answer') resolve(value);
    };
    socket.send(JSON.stringify({ type: 'webrtc/offer', value: talker.pc.localDescription.sdp, session: talker.session }));
  });
  await talker.pc.setRemoteDescription({ type: 'answer', sdp: answer });
}
"""

# The strongest frequency of a media element's sound, 0 where it is silent.
STRONGEST = """
(element) => {
  if (!element.analyser) {
    element.context = new AudioContext();
    element.analyser = new AnalyserNode(element.context, { fftSize: 8192, smoothingTimeConstant: 0 });
    element.context.createMediaStreamSource(element.srcObject).connect(element.analyser);
  }
  const levels = new Float32Array(element.analyser.frequencyBinCount);
  element.analyser.getFloatFrequencyData(levels);
  const best = levels.reduce((best, level, i) => (level > levels[best] ? i : best), 0);
  return levels[best] > -60 ? (best * element.context.sampleRate) / element.analyser.fftSize : 0;
}
"""

NEAR = 15  # Hz


def talker(page, relay, hertz=None, name="one", picture=False, src="cam"):
    """Opens a talker in the page; gives the relay's answer."""
    if page.url == "about:blank":
        page.add_init_script(TONE)
        page.goto(relay.url + "/publish.html")  # a page of this origin that connects to nothing
    answer = page.evaluate(TALKER, {"name": name, "base": relay.url, "src": src, "hertz": hertz, "picture": picture})
    until(page, f"talkers.{name}.pc.connectionState === 'connected'", 10000)
    return answer


def player(page, relay, hertz=880, src="cam", query=""):
    page.add_init_script(TONE + MICROPHONE % hertz)
    page.goto(f"{relay.url}/stream.html?src={src}{query}")
    wait_until_playing(page)


def hold(page):
    page.wait_for_selector("#talk", state="visible", timeout=5000)
    box = page.locator("#talk").bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    page.mouse.down()


def tones(cameras, name, after=0):
    return [event["hertz"] for event in cameras.events("heard", name)[after:]]


def hears(cameras, name, hertz, seconds=8, count=3):
    """The camera hears this tone `count` times from now on."""
    before = len(cameras.events("heard", name))
    near = lambda: [each for each in tones(cameras, name, before) if abs(each - hertz) < NEAR]  # noqa: E731
    eventually(lambda: len(near()) >= count, seconds, f"{name} hears {hertz} Hz; it hears {tones(cameras, name)[-10:]}")


def falls_silent(page, cameras, name):
    """Nothing that was sent is still on its way."""
    page.wait_for_timeout(1000)
    before = len(cameras.events("heard", name))
    page.wait_for_timeout(1000)
    assert tones(cameras, name, before) == []


def intercom(cameras, name, audio="pcmu", dialect="go2rtc", **more):
    cameras.tell(name, audio=audio)
    return {"cam": cameras.url(dialect, name, **more)}


def attributes(sdp, *names):
    return [line for line in sdp.splitlines() if re.match(f"a=({'|'.join(names)}):", line)]


@pytest.mark.parametrize("audio, rate", [("pcmu", "/8000"), ("opus", "/48000/2")], ids=["PCMU", "Opus"])
def test_the_camera_hears_the_tone_that_its_viewer_sends(porthole, page, cameras, audio, rate):
    relay = porthole(intercom(cameras, audio, audio))
    talker(page, relay, 997, picture=True)
    hears(cameras, audio, 997)
    assert f"audio, sendonly, {audio.upper()}{rate}" in producer(relay)["medias"], producer(relay)


def test_the_tone_goes_through_two_relays(porthole, page, cameras):
    near = porthole(intercom(cameras, "far"))
    relay = porthole({"cam": f"webrtc:{near.url.replace('http', 'ws')}/api/ws?src=cam"})
    talker(page, relay, 1310)
    hears(cameras, "far", 1310)


def test_a_whep_camera_is_talked_to_where_its_url_says_so(porthole, page, cameras):
    relay = porthole(intercom(cameras, "whep", dialect="whep", more="#talk"))
    talker(page, relay, 740)
    hears(cameras, "whep", 740)


def test_a_whep_camera_without_that_word_is_not_offered_any_sound(porthole, page, cameras):
    relay = porthole(intercom(cameras, "mute", dialect="whep"))
    answer = talker(page, relay, 740)
    assert "a=sendrecv" not in answer and "a=recvonly" not in answer
    assert relay.stream("cam")["talk"] == {"available": False, "busy": False}


def test_a_probe_tells_what_the_loudspeaker_takes(porthole, cameras):
    relay = porthole({**intercom(cameras, "probe"), "picture": "test:"})
    status, _, text = relay.get("/api/streams?src=cam&microphone=pcmu")
    assert status == 200 and "audio, sendonly, PCMU/8000" in text, text
    assert relay.get("/api/streams?src=cam&microphone")[0] == 200
    status, _, text = relay.get("/api/streams?src=cam&microphone=opus")
    assert status != 200 and "its loudspeaker takes PCMU" in text, text
    status, _, text = relay.get("/api/streams?src=picture&microphone=opus")
    assert status != 200 and "no source of it takes a microphone's sound" in text, text


def test_a_microphone_comes_and_goes_in_a_session_whose_picture_moves_on(porthole, page, cameras):
    relay = porthole(intercom(cameras, "added"))
    answers = [talker(page, relay, picture=True)]
    until(page, "talkers.one.video.currentTime > 0", 10000)
    session = page.evaluate("talkers.one.session")
    (before,) = relay.stream("cam")["consumers"]
    page.evaluate("() => { window.counting = collectCounters(talkers.one.video, 5); }")
    for direction in ("sendrecv", "recvonly", "sendrecv"):
        page.evaluate("(direction) => { talkers.one.sound.direction = direction; }", direction)
        page.evaluate("async (on) => { await talkers.one.sound.sender.replaceTrack(on ? tone(620).getTracks()[0] : null); }", direction == "sendrecv")
        answers.append(page.evaluate("talkers.one.offer()"))
        (now,) = relay.stream("cam")["consumers"]
        assert now["id"] == before["id"] and ("audio, recvonly, PCMU/8000" in now["medias"]) == (direction == "sendrecv"), now
    hears(cameras, "added", 620)
    counters = page.evaluate("counting")
    steps = [b - a for a, b in zip(counters, counters[1:])]
    assert len(counters) > 25 and None not in counters and min(steps) > 0 and max(steps) <= 3, counters
    assert page.evaluate("talkers.one.session") == session and page.evaluate("talkers.one.pc.connectionState") == "connected"
    origins = [re.search(r"o=- (\d+) (\d+)", answer).groups() for answer in answers]
    assert origins == [(origins[0][0], str(version)) for version in (1, 2, 3, 4)]
    for name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup", "ssrc", "mid"):
        assert len({tuple(attributes(answer, name)) for answer in answers}) == 1, (name, answers)


def test_an_offer_in_a_session_that_cannot_be_met_says_why_and_changes_nothing(porthole, page, cameras):
    relay = porthole(intercom(cameras, "refused"))
    talker(page, relay, 620, picture=True)
    sdp = page.evaluate("talkers.one.pc.localDescription.sdp")
    pwd = attributes(sdp, "ice-pwd")[0]
    certificate = attributes(sdp, "fingerprint")[0]
    for wrong, why in [
        (sdp.replace(pwd, "a=ice-pwd:" + "x" * 24), "the ice-pwd is not"),
        (sdp.replace(certificate, certificate[:-2] + ("00" if certificate[-2:] != "00" else "01")), "a=fingerprint is not"),
        (sdp.split("m=audio")[0], "with port 0"),
        (sdp.replace("m=audio", "m=application"), "of another kind"),
        (sdp.replace("m=audio", "n=audio"), "line"),
    ]:
        answer = page.evaluate("(sdp) => talkers.one.ask(sdp)", wrong)
        assert answer["type"] == "error" and why in answer["value"], answer
    hears(cameras, "refused", 620)
    assert relay.viewers("cam") == 1
    other = sdp.replace(attributes(sdp, "ice-ufrag")[0], "a=ice-ufrag:Else")
    answer = page.evaluate("(sdp) => talkers.one.ask(sdp)", other)
    assert answer["session"] != page.evaluate("talkers.one.session") and relay.viewers("cam") == 2, "another transport is another session"


def test_a_viewer_may_give_up_the_picture_and_keep_talking(porthole, page, cameras):
    relay = porthole(intercom(cameras, "blind"))
    talker(page, relay, 530, picture=True)
    show = "(direction) => { talkers.one.pc.getTransceivers()[0].direction = direction; return talkers.one.offer(); }"
    assert "a=inactive" in page.evaluate(show, "inactive").split("m=audio")[0]
    hears(cameras, "blind", 530)
    (consumer,) = relay.stream("cam")["consumers"]
    assert not any("video" in media for media in consumer["medias"]), consumer
    page.evaluate("() => { talkers.one.video.requestVideoFrameCallback(() => { talkers.one.seen = true; }); }")
    page.wait_for_timeout(500)
    assert not page.evaluate("talkers.one.seen")
    page.evaluate(show, "recvonly")
    until(page, "talkers.one.seen", 5000)
    hears(cameras, "blind", 530)


def test_the_players_button_adds_the_microphone_to_its_session_and_lets_go_of_it(porthole, page, cameras):
    relay = porthole(intercom(cameras, "button"))
    player(page, relay, 880)
    sockets = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    session = page.evaluate("porthole.session?.id ?? null") or eventually(lambda: page.evaluate("porthole.session?.id"), 5, "the session's id")
    (before,) = relay.stream("cam")["consumers"]
    assert not any("recvonly" in media for media in before["medias"]), "without a word there is no microphone"
    page.evaluate("() => { window.counting = collectCounters(porthole.video, 4); }")
    hold(page)
    hears(cameras, "button", 880)
    assert relay.stream("cam")["talk"] == {"available": True, "busy": True}
    page.mouse.up()
    falls_silent(page, cameras, "button")
    assert relay.stream("cam")["talk"]["busy"] is False
    page.focus("porthole-player")
    page.keyboard.down("t")
    hears(cameras, "button", 880)
    page.keyboard.up("t")
    counters = page.evaluate("counting")
    steps = [b - a for a, b in zip(counters, counters[1:])]
    assert len(counters) > 20 and None not in counters and min(steps) > 0 and max(steps) <= 3, counters
    (after,) = relay.stream("cam")["consumers"]
    assert after["id"] == before["id"] and page.evaluate("porthole.session.id") == session
    assert page.evaluate("opened") == 1, "the microphone stays at hand for the next word"
    assert len(sockets) == 2, "one for each word"


def test_without_a_websocket_the_player_makes_another_session_that_takes_its_words(porthole, page, cameras):
    relay = porthole(intercom(cameras, "http"))
    player(page, relay, 840, query="&mode=whep")
    hold(page)
    hears(cameras, "http", 840)
    wait_until_playing(page)
    (consumer,) = relay.stream("cam")["consumers"]
    page.mouse.up()
    falls_silent(page, cameras, "http")
    hold(page)
    hears(cameras, "http", 840)
    assert [each["id"] for each in relay.stream("cam")["consumers"]] == [consumer["id"]], "once is enough"
    page.mouse.up()


def test_who_presses_again_at_once_is_not_told_that_somebody_else_talks(porthole, page, cameras):
    relay = porthole(intercom(cameras, "again"))
    player(page, relay, 820, query="&mode=whep")
    hold(page)
    hears(cameras, "again", 820)
    wait_until_playing(page)
    page.mouse.up()
    assert relay.stream("cam")["talk"]["busy"], "the relay counts the last word for a moment"
    page.mouse.down()
    hears(cameras, "again", 820)
    assert not page.is_visible("#panel:has-text('Somebody else is talking')")
    page.mouse.up()


def test_the_publishing_page_hears_a_viewer_that_was_there_before_it(porthole, new_page):
    relay = porthole({"door": None})
    viewer, publisher = new_page(), new_page()
    viewer.add_init_script(TONE + MICROPHONE % 910)
    viewer.goto(f"{relay.url}/stream.html?src=door")
    until(viewer, "window.porthole?.state === 'waiting'", 10000)
    publisher.goto(f"{relay.url}/publish.html?dst=door&media=camera+microphone")
    wait_until_playing(publisher)
    wait_until_playing(viewer)
    assert not publisher.is_visible("#talks")
    hold(viewer)
    strongest = f"({STRONGEST})(document.getElementById('ear'))"
    eventually(lambda: abs(publisher.evaluate(strongest) - 910) < NEAR, 8, "the page hears the tone")
    publisher.wait_for_selector("#talks", state="visible", timeout=3000)
    assert publisher.evaluate("!document.getElementById('ear').paused") and not publisher.is_visible("#listen")
    viewer.mouse.up()
    publisher.wait_for_selector("#talks", state="hidden", timeout=3000)
    eventually(lambda: publisher.evaluate(strongest) == 0, 3, "and then it is silent")
    (consumer,) = relay.stream("door")["consumers"]
    assert "audio, recvonly, OPUS/48000/2" in consumer["medias"]


def test_a_page_that_sends_no_sound_hears_its_viewers_all_the_same(porthole, new_page):
    relay = porthole({"door": None})
    publisher, viewer = new_page(), new_page()
    publisher.goto(f"{relay.url}/publish.html?dst=door&media=camera")
    wait_until_playing(publisher)
    player(viewer, relay, 1180, src="door")
    hold(viewer)
    strongest = f"({STRONGEST})(document.getElementById('ear'))"
    eventually(lambda: abs(publisher.evaluate(strongest) - 1180) < NEAR, 8, "the page hears the tone")
    viewer.mouse.up()


def test_a_talker_that_signals_by_another_socket_is_told_that_it_is_refused(porthole, new_page, cameras):
    relay = porthole(intercom(cameras, "again-refused"))
    first, second = new_page(), new_page()
    talker(first, relay, 700)
    hears(cameras, "again-refused", 700)
    talker(second, relay, 1100)
    until(second, "talkers.one.told.length", 3000)
    second.evaluate(ANOTHER_SOCKET, relay.url)
    until(second, "talkers.one.told.length", 3000)
    assert second.evaluate("talkers.one.told") == ["busy"]
    assert relay.log().count("talk refused, somebody else talks") == 1, "it talks on all the time"


def test_a_second_talker_is_refused_and_told_and_heard_when_the_first_lets_go(porthole, new_page, cameras):
    relay = porthole(intercom(cameras, "floor"))
    first, second, late = new_page(), new_page(), new_page()
    talker(first, relay, 700)
    hears(cameras, "floor", 700)
    before = len(cameras.events("heard", "floor"))
    talker(second, relay, 1100)
    until(second, "talkers.one.told.length", 3000)
    player(late, relay, 1500)
    hold(late)
    late.wait_for_selector("#panel:has-text('Somebody else is talking')", timeout=3000)
    late.mouse.up()
    late.wait_for_timeout(1000)
    assert second.evaluate("talkers.one.told") == ["busy"] and first.evaluate("talkers.one.told") == []
    assert {abs(hertz - 700) < NEAR for hertz in tones(cameras, "floor", before)} == {True}, tones(cameras, "floor")
    assert relay.log().count("talk refused, somebody else talks") == 2, "once for each turn"
    first.evaluate("async () => { await talkers.one.sound.sender.replaceTrack(null); }")
    hears(cameras, "floor", 1100)
    assert second.evaluate("talkers.one.told") == ["busy", "free"]


def test_a_player_that_waits_its_turn_is_heard_as_soon_as_it_comes(porthole, new_page, cameras):
    relay = porthole(intercom(cameras, "turn"))
    first, second = new_page(), new_page()
    talker(first, relay, 700)
    hears(cameras, "turn", 700)
    player(second, relay, 1500)
    hold(second)
    second.wait_for_selector("#panel:has-text('Somebody else is talking')", timeout=3000)
    first.evaluate("() => talkers.one.pc.close()")
    hears(cameras, "turn", 1500)
    second.wait_for_selector("#panel", state="hidden", timeout=3000)
    second.mouse.up()


def test_of_ten_viewers_who_talk_at_once_one_is_heard_and_then_the_next(porthole, page, cameras):
    relay = porthole(intercom(cameras, "crowd"))
    sessions = {}
    for number in range(10):
        talker(page, relay, 500 + 150 * number, name=f"v{number}")
        sessions[page.evaluate(f"talkers.v{number}.session")[:8]] = number
    eventually(lambda: relay.log().count("talk refused") >= 9, 5, "nine are refused")
    assert relay.viewers("cam") == 10
    heard = []
    for _ in range(3):
        turns = re.findall(r"talk begins stream=\S+ session=(\w+)", relay.log())
        number = sessions[turns[-1]]
        assert number not in heard
        heard.append(number)
        hears(cameras, "crowd", 500 + 150 * number)
        before = len(cameras.events("heard", "crowd"))
        page.wait_for_timeout(1000)
        assert {abs(hertz - 500 - 150 * number) < NEAR for hertz in tones(cameras, "crowd", before)} == {True}, tones(cameras, "crowd")
        page.evaluate(f"talkers.v{number}.pc.close()")
        eventually(lambda: len(re.findall("talk begins", relay.log())) > len(turns), 3, "the next one's turn")


@pytest.fixture
def speaker():
    """`speaker(url, hertz)`: a process that watches and talks, once it is connected."""
    processes = []

    def start(*words):
        command = [sys.executable, str(PEER.parent / "talker.py"), *map(str, words)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "connected\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_a_talker_that_vanishes_without_a_word_leaves_the_floor(porthole, speaker, cameras):
    relay = porthole(intercom(cameras, "ghost"))
    url = f"{relay.url}/api/webrtc?src=cam"
    ghost = speaker(url, 610)
    hears(cameras, "ghost", 610)
    ghost.kill()
    speaker(url, 1240)
    hears(cameras, "ghost", 1240, seconds=4)
    assert relay.viewers("cam") == 2, "the relay does not know yet that the first is gone"


def test_damaged_sound_hurts_nobody_and_what_is_sound_is_heard(porthole, speaker, cameras):
    relay = porthole(intercom(cameras, "noise"))
    speaker(f"{relay.url}/api/webrtc?src=cam", 870, "broken")
    hears(cameras, "noise", 870, count=6)
    assert relay.stream("cam")["talk"]["busy"] and "internal fault" not in relay.log()


def test_a_camera_that_comes_back_hears_who_went_on_talking(porthole, page, cameras):
    relay = porthole(intercom(cameras, "again"))
    talker(page, relay, 970, picture=True)
    hears(cameras, "again", 970)
    cameras.tell("again", do="die")
    eventually(lambda: relay.stream("cam")["state"] != "live", 5, "the relay sees it gone")
    assert relay.stream("cam")["talk"] == {"available": False, "busy": False}
    cameras.tell("again", do="return")
    hears(cameras, "again", 970, seconds=15)
    assert cameras.events("heard", "again")[-1]["session"] > 1
    assert relay.viewers("cam") == 1


def test_who_only_watches_has_no_part_in_all_this(porthole, page, cameras):
    relay = porthole(intercom(cameras, "quiet"))
    page.goto(f"{relay.url}/stream.html?src=cam")
    wait_until_playing(page)
    page.wait_for_selector("#talk", state="visible", timeout=5000)
    (consumer,) = relay.stream("cam")["consumers"]
    assert not any("recvonly" in media for media in consumer["medias"])
    assert_counter_rises(page, seconds=3)
    assert "talk" not in relay.log() and json.loads(relay.get("/api/status")[2])["sessions"] == 1
