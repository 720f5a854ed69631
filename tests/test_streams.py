"""Streams by the API: lazy, lasting, kept in the file that the operator wrote."""

import json
import subprocess
import urllib.error
import urllib.request
from urllib.parse import quote

import pytest

from browser import assert_counter_rises, until, view
from offers import offer
from relay import BINARY, START_SECONDS, eventually, free_media_port, free_port

SDP = {"Content-Type": "application/sdp"}


def state(relay, name="cam"):
    return relay.stream(name)["state"]


def test_a_source_starts_with_the_first_viewer_and_stops_a_while_after_the_last(porthole, page):
    relay = porthole({"cam": "test:?fps=15"}, relay={"linger": "1s"})
    assert state(relay) == "idle"
    view(page, relay)
    assert state(relay) == "live"
    page.evaluate("seen.pc.close()")
    eventually(lambda: relay.viewers("cam") == 0, 2, "the viewer is gone")
    assert state(relay) == "live", "a page that is loaded again finds the source running"
    eventually(lambda: state(relay) == "idle", 3, "the source stopped")
    assert "source stops" in relay.log()
    view(page, relay)
    assert_counter_rises(page, seconds=1, fps=15, video="seen.video")


def test_a_viewer_sees_the_new_source_when_a_stream_is_changed_under_it(porthole, page):
    relay = porthole({"cam": "test:?size=320x180&fps=15"})
    view(page, relay)
    until(page, "seen.video.videoWidth === 320", 3000)
    status, _, text = relay.ask("PATCH", "/api/streams?name=cam&src=test:%3Fsize%3D640x360%26fps%3D15")
    assert status == 200, text
    until(page, "seen.video.videoWidth === 640", 5000)
    assert page.evaluate("seen.pc.connectionState") == "connected"


def test_streams_come_and_go_by_the_api_and_viewers_of_others_notice_nothing(porthole, page):
    relay = porthole({"cam": "test:?fps=15"})
    view(page, relay)
    assert relay.ask("PUT", "/api/streams?name=second&src=test:%3Ffps%3D5")[0] == 200
    assert relay.stream("second")["producers"] == [{"url": "test:?fps=5"}]
    assert relay.ask("POST", "/api/webrtc?src=second", offer(), SDP)[0] == 201
    assert relay.ask("DELETE", "/api/streams?src=second")[0] == 200
    assert relay.get("/api/streams?src=second")[0] == 404
    assert_counter_rises(page, seconds=1, fps=15, video="seen.video")


def test_a_probe_names_the_tracks_and_refuses_what_the_stream_has_not(porthole):
    relay = porthole({"cam": "test:?fps=15&audio=pcma"})
    status, _, text = relay.get("/api/streams?src=cam&video=h264")
    assert status == 200
    codecs = {receiver["codec"]["codec_name"] for receiver in json.loads(text)["producers"][0]["receivers"]}
    assert codecs == {"h264", "pcm_alaw"}
    status, _, text = relay.get("/api/streams?src=cam&video=h265")
    assert status == 500 and "codecs not matched" in text and "H264" in text, (status, text)


def test_a_source_that_cannot_work_is_named_to_whoever_asks(porthole):
    relay = porthole({"wrong": "test:?fps=999", "later": "rtsp://camera.lan/stream"})
    status, _, text = relay.ask("POST", "/api/webrtc?src=wrong", offer(), {"Content-Type": "text/plain"})
    assert status == 500 and "fps=999" in text and "1 to 60" in text, (status, text)
    status, _, text = relay.ask("POST", "/later/whep", offer(), SDP)
    assert status == 502 and "rtsp" in text, (status, text)
    assert relay.stream("wrong")["last_error"]


def test_a_viewer_without_the_sources_codec_reads_both_sides_codecs(porthole):
    relay = porthole({"cam": "test:?fps=15"})
    status, _, text = relay.ask("POST", "/api/webrtc?src=cam", offer(video="VP8", audio=False), {"Content-Type": "text/plain"})
    assert status == 500 and text.startswith("streams: codecs not matched: video:H264 => video:VP8"), (status, text)


def answers(url):
    try:
        with urllib.request.urlopen(url + "/api", timeout=2) as reply:
            return reply.status == 200
    except OSError:
        return False


@pytest.fixture
def with_file(tmp_path):
    """A relay that reads a file, as an operator runs it."""
    path = tmp_path / "porthole.yaml"
    http, media = free_port(), free_media_port()
    path.write_text(
        f"# my cameras\napi: {{listen: '127.0.0.1:{http}'}}  # local only\n"
        f"webrtc:\n  listen: '127.0.0.1:{media}'\n\nstreams:\n  yard: 'test:?fps=5'   # the yard\n"
    )
    process = subprocess.Popen([BINARY, "-c", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    url = f"http://127.0.0.1:{http}"
    eventually(lambda: answers(url), START_SECONDS, "the relay answers")
    yield path, url, process
    process.terminate()
    assert process.wait(2) == 0


def test_a_stream_that_is_put_is_in_the_file_and_every_other_line_stays(with_file):
    path, url, process = with_file
    before = path.read_text()

    def ask(method, query):
        run = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, f"{url}/api/streams?{query}"], capture_output=True, text=True, check=True)
        return run.stdout

    assert ask("PUT", "name=door&src=test:%3Ffps%3D1") == "200"
    after = path.read_text()
    assert "door" in after and all(line in after.splitlines() for line in before.splitlines())
    assert ask("DELETE", "src=door") == "200"
    assert path.read_text() == after, "two writes do not follow one another closely"
    process.terminate()
    assert process.wait(2) == 0
    assert path.read_text() == before, "nothing waits at the end"


def test_secrets_of_a_source_are_shown_nowhere_and_outlast_a_client_that_sends_the_list_back(with_file):
    path, url, *_ = with_file

    def ask(address, method="GET"):
        try:
            with urllib.request.urlopen(urllib.request.Request(url + address, method=method), timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def put(source):
        return ask(f"/api/streams?name=door&src={quote(source, safe='')}", "PUT")[0]

    # Nobody listens at port 1.
    assert put("webrtc:http://u:s3cr3t@127.0.0.1:1/whep?token=s3cr3t#bearer=s3cr3t") == 200
    eventually(lambda: "token=s3cr3t" in path.read_text(), 8, "the stream is in the file")
    written = path.read_text()
    ask("/api/streams?src=door&video")
    told = [ask(address)[1] for address in ("/api/streams", "/api/doctor", "/api/log")]
    assert all("127.0.0.1:1" in text and "s3cr3t" not in text for text in told), told
    shown = json.loads(told[0])["door"]["producers"][0]
    assert shown["url"] == "webrtc:http://***@127.0.0.1:1/whep?token=***#bearer=***" and "refused" in shown["last_error"], shown
    assert put(shown["url"]) == 200
    assert put(shown["url"].replace("127.0.0.1", "127.0.0.2")) == 400
    assert path.read_text() == written
