"""The relay is nobody's errand boy: neither a guest nor a camera elsewhere leads it to services that only this machine reaches."""

import json
import pathlib
import shutil
import subprocess
import sys
import textwrap

import pytest

from namespaces import linked
from relay import eventually

RELAY, GUEST = "10.77.42.1", "10.77.42.2"

# A camera that redirects every request to the address that it is given.
CAMERA = textwrap.dedent("""
    import http.server, sys
    class Camera(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(307)
            self.send_header("Location", sys.argv[2])
            self.send_header("Content-Length", "0")
            self.end_headers()
    http.server.HTTPServer((sys.argv[1], 8000), Camera).serve_forever()
""")


# A service on the relay's loopback, as a printer's is: prints the requests that it is asked.
SERVICE = textwrap.dedent("""
    import socket
    listener = socket.create_server(("127.0.0.1", 7125))
    print("listens", flush=True)
    while True:
        print(listener.accept()[0].recv(100), flush=True)
""")


@pytest.fixture
def network():
    with linked(RELAY, GUEST) as sides:
        yield sides


@pytest.fixture
def started():
    processes = []

    def start(namespace, program, *arguments):
        command = [*namespace.prefix, sys.executable, "-c", program, *arguments]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def curl(namespace, *arguments):
    """`(status, text)`"""
    text = namespace.run("curl", "-s", "-w", "\n%{http_code}", *arguments).stdout
    text, status = text.rsplit("\n", 1)
    return int(status), text


def test_a_guest_names_no_service_of_this_machine_as_a_source(porthole, network):
    inside, guest = network
    relay = porthole({"yard": "test:"}, prefix=inside.prefix, address=RELAY)
    for host in ("127.0.0.1:7125", "localhost:7125", "[::1]:7125", f"{RELAY}:7125", "0.0.0.0:7125", "169.254.1.1"):
        url = f"webrtc:http://{host}/printer/gcode/script"
        for method, path in (("PUT", f"{relay.url}/api/streams?name=new&src={url}"), ("PATCH", f"{relay.url}/api/streams?name=yard&src={url}")):
            status, text = curl(guest, "-g", "-X", method, path)
            assert status == 400 and "configuration file" in text, (host, method, text)
    _, streams = curl(guest, f"{relay.url}/api/streams")
    assert list(json.loads(streams)) == ["yard"] and "test:" in streams


@pytest.fixture
def name(network):
    """A name that means loopback where the relay runs, which nobody sees from the name."""
    inside, _ = network
    place = pathlib.Path("/etc/netns", inside.name)
    place.mkdir(parents=True)
    (place / "hosts").write_text("127.0.0.1 camera.example\n")
    yield "camera.example"
    shutil.rmtree(place)


def test_a_name_of_this_machine_is_no_way_around(porthole, network, started, name):
    inside, guest = network
    service = started(inside, SERVICE)
    assert service.stdout.readline() == "listens\n"
    relay = porthole({"yard": "test:"}, prefix=inside.prefix, address=RELAY)
    status, _ = curl(guest, "-X", "PATCH", f"{relay.url}/api/streams?name=yard&src=webrtc:http://{name}:7125/")
    assert status == 200
    status, text = curl(guest, f"{relay.url}/api/streams?src=yard&video")
    assert "only sources in the configuration file may lead there" in relay.log() + text, text
    service.kill()
    assert service.stdout.read() == ""


def test_a_camera_elsewhere_redirects_to_no_service_of_this_machine(porthole, network, started):
    inside, guest = network
    service = started(inside, SERVICE)
    assert service.stdout.readline() == "listens\n"
    for number, target in enumerate(("http://127.0.0.1:7125/printer/gcode/script?script=M112", f"http://{RELAY}:7125/")):
        camera = started(guest, CAMERA, GUEST, target)
        relay = porthole({"yard": f"webrtc:http://{GUEST}:8000/whep"}, prefix=inside.prefix, address=RELAY)

        def why():
            _, text = curl(inside, f"{relay.url}/api/streams?src=yard&video")
            return "only sources in the configuration file may lead there" in relay.log() and text

        eventually(why, 10, "the relay says why it does not follow")
        camera.kill()
        camera.wait()
    service.kill()
    assert service.stdout.read() == ""
