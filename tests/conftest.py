"""What every black-box test uses: relays, and Chromium."""

import pytest
from playwright.sync_api import sync_playwright

import picture
from cameras import Cameras
from relay import Relay

CHROMIUM = "/usr/bin/chromium"
INSECURE_NAME = "camera.lan"  # leads to loopback, and is no secure context as "localhost" would be
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    f"--host-resolver-rules=MAP {INSECURE_NAME} 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture
def porthole(tmp_path):
    """`porthole({"cam": "test:"}, api={…})` starts a relay; the end of the test ends it and looks at how it ends."""
    relays = []

    def start(streams, **more):
        relay = Relay(tmp_path, streams, **more)
        relays.append(relay)
        return relay.start()

    yield start
    failures = []
    for relay in relays:
        try:
            relay.stop()
        except AssertionError as failure:
            failures.append(str(failure))
        print(relay.log())
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="module")
def cameras(tmp_path_factory):
    """Cameras of every dialect, one process for the tests of a file; a test names one of its own."""
    started = Cameras(tmp_path_factory.mktemp("cameras")).start()
    yield started
    started.kill()
    print("".join(started.errors))


@pytest.fixture(scope="session")
def playwright():
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
def chromium(playwright):
    """Starts browsers: `chromium()` the usual one, `chromium(executable)` one behind a wrapper."""
    browsers = {}

    def start(executable=CHROMIUM):
        if executable not in browsers:
            browsers[executable] = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        return browsers[executable]

    yield start
    for browser in browsers.values():
        browser.close()


@pytest.fixture
def new_page(chromium):
    """`new_page()` opens a page in a profile of its own; broken scripts and policy violations fail the test."""
    contexts, complaints = [], []

    def open_page(executable=CHROMIUM):
        context = chromium(executable).new_context(permissions=["camera", "microphone"])
        contexts.append(context)
        context.add_init_script(picture.SCRIPT)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"error in the page: {error}"))
        page.on("console", lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def page(new_page):
    return new_page()
