"""What every black-box test uses: relays, Chromium, and a proxy as printers have it."""

import http.server
import os
import socket
import subprocess
import threading

import pytest
from playwright.sync_api import sync_playwright

import picture
from cameras import Cameras
from namespaces import CHROMIUM
from relay import Relay, eventually, free_port

pytest_plugins = ["counts", "workers"]
WHOLE_CHROMIUM = "/usr/bin/chromium"  # as people have it
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
    "--disable-features=WebRtcHideLocalIpsWithMdns,PreloadTopChromeWebUI",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--auto-select-desktop-capture-source=Entire screen",
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
    """Starts browsers: `chromium()` the usual one, `chromium(executable)` another one, or one behind a wrapper."""
    browsers = {}

    def start(executable=CHROMIUM):
        if executable not in browsers:
            browsers[executable] = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        return browsers[executable]

    def end(executable):
        if executable in browsers:
            browsers.pop(executable).close()

    start.end = end
    yield start
    for browser in browsers.values():
        browser.close()


@pytest.fixture
def new_page(chromium, request):
    """`new_page()` opens a page in a profile of its own; broken scripts and policy violations fail the test. `more`: options of the profile.

    A file of tests that says so has pages in the whole browser (`BROWSER = WHOLE_CHROMIUM`)."""
    usual = getattr(request.module, "BROWSER", CHROMIUM)
    contexts, complaints, wrapped = [], [], set()

    def open_page(executable=usual, **more):
        context = chromium(executable).new_context(permissions=["camera", "microphone"], **more)
        contexts.append(context)
        if executable != usual:
            wrapped.add(executable)
        context.add_init_script(picture.SCRIPT)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"error in the page: {error}"))
        page.on("console", lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None)
        return page

    yield open_page
    for context in contexts:
        context.close()
    # one behind a wrapper is of no use to other tests
    for executable in wrapped:
        chromium.end(executable)
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def page(new_page):
    return new_page()


@pytest.fixture
def nginx(tmp_path):
    """nginx as printer images set it up: HTTP/1.0 to the relay, below /webcam/."""
    processes = []

    def start(relay, whole=False):
        """`whole`: the relay is asked for the folder too."""
        port = free_port()
        configuration = tmp_path / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        configuration.write_text(f"""
            {user} daemon off; pid {tmp_path}/nginx.pid; error_log stderr;
            events {{}}
            http {{
              access_log off; client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;
              fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
              server {{ listen 127.0.0.1:{port}; location /webcam/ {{ proxy_pass {relay.url}{"" if whole else "/"}; }} }}
            }}""")
        processes.append(subprocess.Popen(["/usr/sbin/nginx", "-p", str(tmp_path), "-c", str(configuration)]))

        def answers():
            assert processes[-1].poll() is None, "nginx ended by itself"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        eventually(answers, 5, "nginx answers")
        return port

    yield start
    for process in processes:
        process.terminate()
        process.wait(5)


@pytest.fixture
def elsewhere():
    """`elsewhere(html)` serves a page from another port of this host, as Fluidd's server does; gives its address."""
    servers = []

    def serve(html):
        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(html.encode())

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def star(tmp_path):
    """Namespaces of a relay, a viewer and a TURN server around a router."""
    from star import Star

    star = Star(tmp_path)
    try:
        yield star.build()
    finally:
        star.end()
