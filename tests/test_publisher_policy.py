"""Two want to publish to one stream: the stream's policy decides, and the publisher page says what became of it."""

import pathlib
import subprocess
import time

import pytest

from browser import until, view, wait_until_playing
from relay import BINARY, eventually
from test_browser_publishes import PICTURE_CHANGES, publish

OFFER = (pathlib.Path(__file__).parent / "captures" / "chromium_publisher.sdp").read_text()
# What a WebSocket client is told of its offer.
BY_SOCKET = """
async ({ base, sdp }) => {
  const socket = new WebSocket(`${base.replace('http', 'ws')}/api/ws?dst=door`);
  await new Promise((resolve) => { socket.onopen = resolve; });
  socket.send(JSON.stringify({ type: 'webrtc/offer', value: sdp }));
  const message = await new Promise((resolve) => { socket.onmessage = ({ data }) => resolve(JSON.parse(data)); });
  socket.close();
  return message;
}
"""


def publishers(relay):
    """`(id, state)` of each, the one whose turn it is first."""
    return [(each["id"], each["state"]) for each in relay.stream("door")["producers"] or [] if "remote_addr" in each]


def shown(page):
    return page.text_content("#pill"), page.text_content("#over")


def watch(page, relay):
    view(page, relay, src="door")
    return page.evaluate("seen.location")


def assert_still_watching(page, location):
    assert page.evaluate(PICTURE_CHANGES) >= 5
    assert page.evaluate("seen.location") == location and page.evaluate("seen.pc.connectionState") == "connected"


def test_by_default_the_newest_publisher_takes_the_place_and_the_page_that_lost_it_says_so_and_does_not_take_it_back(porthole, new_page):
    relay = porthole({"door": None})
    first, second, viewer = new_page(), new_page(), new_page()
    publish(first, relay)
    location = watch(viewer, relay)
    publish(second, relay)
    until(first, "porthole.state === 'stopped'", 5000)
    assert shown(first) == ("stopped", "Somebody else sends to this stream now and has replaced this page.")
    newest = publishers(relay)
    assert len(newest) == 1
    time.sleep(3)
    assert publishers(relay) == newest, "nobody takes it back"
    assert second.evaluate("porthole.state") == "playing"
    assert_still_watching(viewer, location)
    first.click("#camera")
    until(first, "porthole.state === 'playing'", 10000)
    until(second, "porthole.state === 'stopped'", 5000)


@pytest.mark.parametrize("mode", ["ws", "whip"])
def test_with_reject_the_first_goes_on_and_the_second_is_told_and_gets_the_place_when_it_is_free(porthole, new_page, mode):
    relay = porthole({"door": {"policy": "reject"}})
    first, second, viewer = new_page(), new_page(), new_page()
    publish(first, relay)
    location = watch(viewer, relay)
    before = publishers(relay)
    status, _, text = relay.ask("POST", "/door/whip", OFFER, {"Content-Type": "application/sdp"})
    assert (status, text.strip()) == (409, "somebody else publishes to this stream, and its policy is reject: try again when they have stopped")
    message = viewer.evaluate(BY_SOCKET, {"base": relay.url, "sdp": OFFER})
    assert message == {"type": "error", "value": f"webrtc/offer: {text.strip()}"}
    second.goto(f"{relay.url}/publish.html?dst=door&media=camera&mode={mode}")
    until(second, "porthole.state === 'failed'", 10000)
    assert shown(second) == ("not sending", "Somebody else sends to this stream. This page tries again until they have stopped.")
    assert publishers(relay) == before
    assert first.evaluate("porthole.state") == "playing"
    assert_still_watching(viewer, location)
    first.click("#stop")
    until(second, "porthole.state === 'playing'", 15000)
    assert_still_watching(viewer, location)


def test_with_append_the_second_waits_and_follows_and_viewers_see_it_without_doing_anything(porthole, new_page):
    relay = porthole({"door": {"url": [], "policy": "append"}})
    first, second, viewer = new_page(), new_page(), new_page()
    publish(first, relay)
    location = watch(viewer, relay)
    second.goto(f"{relay.url}/publish.html?dst=door&media=camera+microphone")
    eventually(lambda: len(publishers(relay)) == 2, 10, "the second is connected")
    (one, state), (two, waits) = publishers(relay)
    assert (state, waits) == ("connected", "waiting")
    eventually(lambda: "its turn comes by itself when they have stopped" in shown(second)[1], 6, "its page says that it waits")
    assert shown(second)[0] == "waiting"
    assert shown(first) == ("sending", "")
    assert_still_watching(viewer, location)
    first.click("#stop")
    eventually(lambda: publishers(relay) == [(two, "connected")], 3, "its turn has come")
    viewer.evaluate("() => { seen.again = 0; seen.video.requestVideoFrameCallback(() => { seen.again = 1; }); }")
    until(viewer, "seen.again > 0", 3000)
    assert_still_watching(viewer, location)
    eventually(lambda: shown(second) == ("sending", ""), 6, "its page says that it sends")
    assert one != two


def test_nobody_takes_the_place_of_a_camera_by_any_door_and_everybody_is_told_which_line_would_let_them(porthole, page):
    relay = porthole({"door": {"url": "test:", "policy": "reject"}})
    location = watch(page, relay)
    sentence = 'nobody may publish to this stream, its configuration gives it a source; "publish: true" beside its url lets them'
    for door in ("/door/whip", "/api/webrtc?dst=door"):
        status, _, text = relay.ask("POST", door, OFFER, {"Content-Type": "application/sdp"})
        assert (status, text.strip()) == (403, sentence), door
    assert page.evaluate(BY_SOCKET, {"base": relay.url, "sdp": OFFER}) == {"type": "error", "value": f"webrtc/offer: {sentence}"}
    assert_still_watching(page, location)
    page.goto(f"{relay.url}/publish.html?dst=door&media=camera")
    until(page, "porthole.state === 'failed'", 10000)
    assert shown(page) == ("not sending", sentence)


def test_a_policy_that_is_none_is_named_with_its_place(tmp_path):
    (tmp_path / "porthole.yaml").write_text("streams:\n  door:\n    policy: queue\n")
    check = subprocess.run([BINARY, "check", "porthole.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert check.returncode != 0
    assert "porthole.yaml:3:13: streams.door.policy: expected replace, reject or append" in check.stdout + check.stderr


def test_a_policy_stays_in_the_file_and_in_force_when_the_api_changes_the_sources(porthole, tmp_path):
    path = tmp_path / "kept.yaml"
    path.write_text("streams:\n  door:\n    policy: reject   # mine\n")
    relay = porthole({}, arguments=["-c", str(path)])
    assert relay.ask("PUT", "/api/streams?name=door&src=test:")[0] == 200
    assert path.read_text() == 'streams:\n  door:\n    url: "test:"\n    policy: reject\n'
