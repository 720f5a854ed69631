"""Browsers that hide their addresses behind `.local` names, and a relay that looks the names up where it may."""

import json
import subprocess
import sys
import time

import pytest

import picture
from browser import VIEWER, assert_counter_rises, until
from conftest import CHROMIUM_FLAGS
from namespaces import linked, run
from offers import offer
from relay import ROOT, eventually

NEAR, FAR = "10.77.42.1", "10.77.42.2"
NAME = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d.local"
NOBODIES = [f"fffffff{number}-4e5f-4a6b-8c7d-9e0f1a2b3c4d.local" for number in range(3)]
HOST = "candidate:1 1 udp 2122260223 {} 50000 typ host"
# what a firewall does that lets nothing in that was not asked for
NOTHING_UNASKED = "meta l4proto udp udp dport != 5353 ct state new"


@pytest.fixture
def link():
    with linked(NEAR, FAR) as (near, far):
        run("ip", "-n", far.name, "route", "add", "default", "via", NEAR)
        # an address that appears while a browser gathers makes it forget what it found
        eventually(lambda: not any("tentative" in run("ip", "-n", side.name, "address").stdout for side in (near, far)), 5, "the network is settled")
        yield near, far


class Browser:
    """The name and the port of a browser, without the browser."""

    def __init__(self, far, output):
        self.output = output
        command = [*far.prefix, sys.executable, str(ROOT / "tests/peers/mdns.py"), FAR, NAME, "50000"]
        with open(output, "wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file)
        eventually(lambda: "ready" in self.text, 5, "the responder is there")

    @property
    def text(self):
        return self.output.read_text()


@pytest.fixture
def browser(link, tmp_path):
    browser = Browser(link[1], tmp_path / "mdns.log")
    yield browser
    browser.process.kill()
    browser.process.wait()


def start(porthole, near, **webrtc):
    return porthole({"cam": "test:?fps=15"}, prefix=near.prefix, address=NEAR, webrtc=webrtc)


def post(relay, *hosts):
    """Sends an offer with these candidates; the seconds until its answer."""
    sdp = offer(candidate="\r\na=".join(HOST.format(host) for host in hosts))
    command = ["curl", "-sf", "-o", "/dev/null", "-w", "%{time_total}", "-H", "Content-Type: application/sdp", "--data-binary", "@-", relay.url + "/cam/whep"]
    return float(run(*relay.prefix, *command, input=sdp).stdout)


def sockets(relay):
    return [line for line in run(*relay.prefix, "ss", "-lunpH").stdout.splitlines() if ":5353 " in line]


def test_a_name_that_somebody_answers_for_is_checked(porthole, link, browser):
    relay = start(porthole, link[0], mdns=True)
    post(relay, NAME)
    eventually(lambda: f"checked from {NEAR} {relay.media_port}" in browser.text, 3, "a check comes to the address")
    session = json.loads(run(*relay.prefix, "curl", "-sf", relay.url + "/api/doctor").stdout)["sessions"][0]
    assert f"udp {FAR}:50000 host, by its name" in session["ice"]["remote"]["lines"]
    eventually(lambda: not sockets(relay), 2, "nothing is open when nothing is asked")


def test_what_nobody_answers_for_is_given_up_and_delays_nothing(porthole, link, browser):
    relay = start(porthole, link[0], mdns=True)
    post(relay, NAME)  # starts the source
    # a machine that is busy delays one or another
    assert min(post(relay, nobody) for nobody in NOBODIES) < 0.05
    assert len(sockets(relay)) == 1
    eventually(lambda: not sockets(relay), 8, "the asking ends")
    assert {browser.text.count(f"asked {nobody} {kind}") for nobody in NOBODIES for kind in (1, 28)} == {3}


def test_only_random_names_are_asked_for_and_none_without_the_setting(porthole, link, browser):
    relay = start(porthole, link[0], mdns=True)
    post(relay, "printer.local", "home.example.org", "../" * 20 + ".local", NAME)
    eventually(lambda: "checked" in browser.text, 3, "the good one is found")
    asked = {line.split()[1] for line in browser.text.splitlines() if line.startswith("asked")}
    assert asked == {NAME}
    relay.stop()
    before = browser.text
    closed = start(porthole, link[0])
    post(closed, NAME)
    time.sleep(1.5)
    assert browser.text == before and not sockets(closed)


def test_a_flood_of_names_is_bounded(porthole, link, browser):
    relay = start(porthole, link[0], mdns=True)
    for number in range(6):
        post(relay, *(f"{number:04x}{name:04x}-4e5f-4a6b-8c7d-9e0f1a2b3c4d.local" for name in range(32)))
    assert sockets(relay)
    eventually(lambda: not sockets(relay), 10, "the asking ends")
    asked = {line.split()[1] for line in browser.text.splitlines() if line.startswith("asked")}
    assert 0 < len(asked) <= 32
    post(relay, NAME)
    eventually(lambda: "checked" in browser.text, 3, "others are served again")


@pytest.fixture
def hiding(link, playwright, tmp_path):
    """A page in a browser that hides its addresses, in the far namespace."""
    flags = [flag for flag in CHROMIUM_FLAGS if "Mdns" not in flag]
    assert len(flags) == len(CHROMIUM_FLAGS) - 1
    browser = playwright.chromium.launch(executable_path=link[1].chromium(tmp_path), args=flags)
    page = browser.new_page()
    page.add_init_script(picture.SCRIPT)
    yield page
    browser.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("mdns", [True, False], ids=["looked-up", "not-looked-up"])
def test_a_browser_that_hides_its_address_plays_where_the_relay_has_to_speak_first(porthole, link, hiding, mdns):
    near, _ = link
    relay = porthole({"cam": "test:?fps=15"}, prefix=near.prefix, address=NEAR, webrtc={"mdns": mdns})
    near.drop(NOTHING_UNASKED)
    near.drop(f"tcp dport {relay.media_port}")
    hiding.goto(relay.url + "/publish.html")
    hiding.evaluate(VIEWER, {"dialect": "webrtc/offer", "base": relay.url, "src": "cam", "tcp": False})
    if mdns:
        until(hiding, "seen.firstAt > 0 && seen.connectedAt > 0", 10000)
        assert_counter_rises(hiding, seconds=2, fps=15, video="seen.video")
    else:
        time.sleep(6)
        assert not hiding.evaluate("seen.connectedAt")
    own = [line for line in hiding.evaluate("seen.pc.localDescription.sdp").splitlines() if line.startswith("a=candidate:")]
    assert own and all(".local " in line for line in own if " udp " in line.lower()), own
