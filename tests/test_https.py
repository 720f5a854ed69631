"""HTTPS: one port for both, the relay's own authority, certificates of one's own, and clients that mean no good."""

import datetime
import glob
import http.client
import ipaddress
import json
import os
import re
import shlex
import socket
import ssl
import stat
import struct
import subprocess
import sys
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import picture
from browser import assert_counter_rises, until, view, wait_until_playing
from conftest import CHROMIUM, CHROMIUM_FLAGS, INSECURE_NAME
from memory import resident_kib
from namespaces import linked
from relay import BINARY, Relay, eventually, free_port

CAMERA = {"cam": "test:?fps=15"}
HANDSHAKE_SECONDS = 5
LOOKED = 8  # seconds; files and addresses are looked at every 5 at most
CONNECTIONS = 72  # of 80, for programs of the relay's own machine


def succeeds(attempt):
    """Whether it does, now; another time may be another matter."""
    try:
        return attempt()
    except (OSError, http.client.HTTPException, subprocess.CalledProcessError):
        return False


@pytest.fixture
def state(tmp_path, monkeypatch):
    """The directory that the relay keeps its authority in."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path / "state/porthole-tls"


@pytest.fixture
def trusting(playwright, tmp_path):
    """`trusting(authority)` opens a page in a Chromium whose user imported that authority; broken scripts fail the test."""
    browsers, complaints = [], []

    def start(authority):
        home = tmp_path / f"home-{len(browsers)}"
        database = home / ".pki/nssdb"
        database.mkdir(parents=True)
        subprocess.run(["certutil", "-N", "--empty-password", "-d", f"sql:{database}"], check=True)
        if authority:
            subprocess.run(["certutil", "-A", "-d", f"sql:{database}", "-n", "porthole", "-t", "C,,", "-i", str(authority)], check=True)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS, env={**os.environ, "HOME": str(home)})
        browsers.append(browser)
        context = browser.new_context(permissions=["camera", "microphone"])
        context.add_init_script(picture.SCRIPT)

        def open_page():
            page = context.new_page()
            page.on("pageerror", lambda error: complaints.append(f"error in the page: {error}"))
            page.on("console", lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None)
            return page

        return open_page

    yield start
    for browser in browsers:
        browser.close()
    assert not complaints, "\n".join(complaints)


class Secure:
    """The same relay by another address, for what asks for its URL."""

    def __init__(self, relay, host="localhost", port=None):
        self.url = f"https://{host}:{port or relay.http_port}"


def trust(authority, **versions):
    context = ssl.create_default_context(cafile=str(authority))
    for name, version in versions.items():
        setattr(context, name, version)
    return context


def get(relay, path, authority, host="localhost", port=None, headers=None, context=None):
    """`(status, headers, text)` over HTTPS by Python, which checks chain and name. The connection goes to loopback."""
    context = context or trust(authority)
    with socket.create_connection((relay.address, port or relay.http_port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=host) as secure:
            connection = http.client.HTTPConnection(host, port or relay.http_port)
            connection.sock = secure
            connection.request("GET", path, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()


def served(relay, authority=None, port=None):
    """The certificate that the relay shows now."""
    context = trust(authority) if authority else ssl._create_unverified_context()
    context.check_hostname = False
    with socket.create_connection((relay.address, port or relay.http_port), timeout=10) as plain:
        with context.wrap_socket(plain) as secure:
            return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True))


def names(certificate):
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(found.get_values_for_type(x509.DNSName)) | {str(ip) for ip in found.get_values_for_type(x509.IPAddress)}


def tls(relay):
    return json.loads(relay.get("/api/status")[2])["tls"]


def certificate(name, days=90):
    """A self-signed certificate and its key, PEM, as somebody's own authority would make them."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now - datetime.timedelta(1), now + datetime.timedelta(days))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    made = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


# ---- the relay's own authority


def test_http_and_https_share_a_port_and_python_and_curl_trust_the_authority(porthole, state):
    relay = porthole(CAMERA, api={"tls": "auto"})
    assert relay.get("/api")[0] == 200, "HTTP goes on"
    status, headers, text = get(relay, "/api/streams", state / "ca.crt")
    assert status == 200 and "cam" in text
    assert "Strict-Transport-Security" not in headers and headers["Server"] == "porthole"
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = trust(state / "ca.crt", minimum_version=version, maximum_version=version)
        assert get(relay, "/api", None, context=context)[0] == 200, version
    for host in ("localhost", "127.0.0.1", f"{socket.gethostname().split('.')[0]}.local"):
        command = ["curl", "-sSf", "--cacert", state / "ca.crt", "--connect-to", f"{host}:{relay.http_port}:127.0.0.1:{relay.http_port}", f"https://{host}:{relay.http_port}/api"]
        assert '"porthole"' in subprocess.run(command, capture_output=True, text=True, check=True).stdout, host
    assert relay.ask("GET", "/", None)[0] == 200, "nobody is redirected"


def test_only_http_1_1_is_spoken_over_tls(porthole, state):
    relay = porthole(CAMERA, api={"tls": "auto"})

    def agreed(offered):
        context = trust(state / "ca.crt")
        context.set_alpn_protocols(offered)
        with socket.create_connection((relay.address, relay.http_port), timeout=5) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                return secure.selected_alpn_protocol()

    assert agreed(["h2", "http/1.1"]) == "http/1.1"
    with pytest.raises(ssl.SSLError, match="(?i)no application protocol"):
        agreed(["h2"])
    old = ["openssl", "s_client", "-connect", f"127.0.0.1:{relay.http_port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]
    refused = subprocess.run(old, input="", capture_output=True, text=True, check=False)
    assert refused.returncode != 0 and re.search("alert (protocol version|handshake failure)", refused.stderr), refused


def test_the_files_are_their_owners_only_and_the_network_gets_the_certificate_and_never_a_key(porthole, state):
    relay = porthole(CAMERA, api={"tls": "auto"})
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()}
    assert modes == {name: 0o600 for name in ("ca.crt", "ca.key", "server.crt", "server.key")}
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    code, headers, text = relay.get("/ca.crt")
    assert code == 200 and headers["Content-Type"] == "application/x-x509-ca-cert"
    assert text == (state / "ca.crt").read_text() and "PRIVATE" not in text
    fingerprint = x509.load_pem_x509_certificate(text.encode()).fingerprint(hashes.SHA256()).hex(":").upper()
    assert tls(relay)["authority"]["fingerprint"] == fingerprint and fingerprint in relay.log()
    for path in ("/ca.key", "/server.key", "/porthole-tls/ca.key", "/../ca.key", "/ca.crt/../ca.key"):
        assert relay.get(path)[0] == 404, path


def test_the_certificate_is_one_that_phones_take_and_the_authority_can_vouch_for_local_names_only(porthole, state):
    relay = porthole(CAMERA, api={"tls": "auto"})
    leaf, authority = served(relay, state / "ca.crt"), x509.load_pem_x509_certificate((state / "ca.crt").read_bytes())
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert life < datetime.timedelta(398), "Apple's systems take 825 days, browsers 398"
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.SERVER_AUTH]
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert list(authority.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [x509.ExtendedKeyUsageOID.SERVER_AUTH]
    assert tls(relay)["authority"]["servers_only"] is True
    # whoever has the key makes certificates for a bank, for mail, for clients and programs: OpenSSL does not take them
    lan, usages = x509.DNSName("kitchen.lan"), x509.ExtendedKeyUsageOID
    forgeries = [
        (lan, usages.SERVER_AUTH, "sslserver", True),
        (x509.DNSName("bank.example"), usages.SERVER_AUTH, "sslserver", False),
        (x509.IPAddress(ipaddress.ip_address("8.8.8.8")), usages.SERVER_AUTH, "sslserver", False),
        (x509.RFC822Name("me@bank.example"), usages.SERVER_AUTH, "sslserver", False),
        (x509.RFC822Name("me@bank.example"), usages.EMAIL_PROTECTION, "smimesign", False),
        (x509.UniformResourceIdentifier("https://bank.example/me"), usages.SERVER_AUTH, "any", False),
        (x509.UniformResourceIdentifier("https://kitchen.lan/me"), usages.SERVER_AUTH, "any", False),
        (lan, usages.CLIENT_AUTH, "sslclient", False),
        (lan, usages.EMAIL_PROTECTION, "smimesign", False),
    ]
    for name, usage, purpose, taken in forgeries:
        verified = forged(state, name, usage, purpose)
        said = verified.stdout + verified.stderr
        assert (verified.returncode == 0) == taken, (name, purpose, said)
        assert taken or re.search("permitted subtree violation|unsuitable certificate purpose", said), said


def forged(state, name, usage, purpose):
    """What OpenSSL says to a certificate that somebody with the authority's key made."""
    authority = x509.load_pem_x509_certificate((state / "ca.crt").read_bytes())
    key = serialization.load_pem_private_key((state / "ca.key").read_bytes(), None)
    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")])
    builder = x509.CertificateBuilder(authority.subject, subject, key.public_key(), x509.random_serial_number(), now - datetime.timedelta(1), now + datetime.timedelta(90))
    builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    path = state / "forged.crt"
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    try:
        return subprocess.run(["openssl", "verify", "-purpose", purpose, "-CAfile", state / "ca.crt", path], capture_output=True, text=True, check=False)
    finally:
        path.unlink()


def test_an_authority_of_an_older_version_is_kept_and_its_operator_told(porthole, state):
    """Devices trust it; a new one behind their back would lock them all out."""
    authority, key = certificate("Porthole on older 123456")
    key = serialization.load_pem_private_key(key.encode(), None)
    old = authority, key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    state.mkdir(mode=0o700, parents=True)
    for name, text in zip(("ca.crt", "ca.key"), old):
        (state / name).write_text(text)
        (state / name).chmod(0o600)
    relay = porthole(CAMERA, api={"tls": "auto"})
    assert (state / "ca.crt").read_text() == old[0] and tls(relay)["authority"]["servers_only"] is False
    assert "the authority may vouch for more than servers" in relay.log() and f"remove {state}" in relay.log()


def test_a_new_host_name_brings_a_new_certificate_of_the_same_authority(porthole, state):
    relay = porthole(CAMERA, api={"tls": "auto"})
    authority, first = (state / "ca.crt").read_text(), served(relay, state / "ca.crt")
    relay.stop()
    relay = porthole(CAMERA, api={"tls": "auto"})
    assert served(relay, state / "ca.crt") == first, "kept across restarts"
    relay.stop()
    relay = porthole(CAMERA, api={"tls": "auto", "hosts": ["kitchen.lan", "cameras.example.org"]})
    second = served(relay, state / "ca.crt")
    assert (state / "ca.crt").read_text() == authority
    assert names(second) - names(first) == {"kitchen.lan"} and second.serial_number != first.serial_number
    assert get(relay, "/api", state / "ca.crt", host="kitchen.lan")[0] == 200
    # a public name that was not there when the authority was made is outside of what it may vouch for
    assert tls(relay)["left_out"] == ["cameras.example.org"]
    assert "the certificate leaves out cameras.example.org" in relay.log()


def test_a_public_name_is_vouched_for_if_it_was_there_when_the_authority_was_made(porthole, state):
    relay = porthole(CAMERA, api={"tls": "auto", "hosts": ["cameras.example.org"]})
    assert get(relay, "/api", state / "ca.crt", host="cameras.example.org")[0] == 200
    with pytest.raises(ssl.SSLCertVerificationError, match="cameras.example.net"):
        get(relay, "/api", state / "ca.crt", host="cameras.example.net")


def test_damaged_and_loosened_files_are_put_right_or_spoken_of(porthole, state):
    relay = porthole(CAMERA, api={"tls": "auto"})
    relay.stop()
    (state / "server.key").write_text("nonsense")
    (state / "ca.key").chmod(0o644)
    relay = porthole(CAMERA, api={"tls": "auto"})
    assert get(relay, "/api", state / "ca.crt")[0] == 200
    assert stat.S_IMODE((state / "ca.key").stat().st_mode) == 0o600
    relay.stop()
    authority = (state / "ca.key").read_text()
    (state / "ca.key").write_text("nonsense")
    relay = porthole(CAMERA, api={"tls": "auto"})
    assert "damaged" in tls(relay)["error"] and (state / "ca.key").read_text() == "nonsense", "an authority is not thrown away"
    (state / "ca.key").write_text(authority)
    eventually(lambda: succeeds(lambda: get(relay, "/api", state / "ca.crt")[0] == 200), LOOKED, "mended without a restart")
    assert tls(relay)["error"] is None


def test_without_a_place_for_the_authority_http_works_and_the_error_says_what_to_do(porthole, monkeypatch):
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    relay = porthole(CAMERA, api={"tls": "auto"})
    status = json.loads(relay.get("/api/status")[2])
    assert "STATE_DIRECTORY" in status["tls"]["error"] and any("STATE_DIRECTORY" in problem for problem in status["problems"])
    assert "no HTTPS: api.tls: auto needs a place" in relay.log()
    with pytest.raises((ssl.SSLError, OSError)):
        served(relay)
    assert relay.get("/ca.crt")[0] == 404
    assert relay.get("/api")[0] == 200


def test_the_authority_is_kept_beside_the_configuration_file(porthole, tmp_path, monkeypatch):
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/porthole.yaml").write_text("api: {tls: auto}\n")
    relay = porthole(CAMERA, arguments=["-c", "etc/porthole.yaml"])
    assert get(relay, "/api", tmp_path / "etc/porthole-tls/ca.crt")[0] == 200


def test_an_address_that_appears_while_it_runs_is_in_the_next_certificate_and_open_connections_stay(state, tmp_path):
    with linked() as (here, there):
        relay = Relay(tmp_path, CAMERA, prefix=here.prefix, address="10.77.42.1", api={"tls": "auto", "listen": ":8443"})
        relay.http_port = 8443
        relay.start()
        try:
            ask = ["curl", "-sSf", "--cacert", str(state / "ca.crt"), "-o", "/dev/null", "-w", "%{num_connects}"]
            there.run(*ask, "https://10.77.42.1:8443/api")
            script = "import socket, ssl, sys; c = ssl.create_default_context(cafile=sys.argv[1]); s = c.wrap_socket(socket.create_connection(('10.77.42.1', 8443)), server_hostname='10.77.42.1')\n"
            script += "for _ in sys.stdin: s.sendall(b'GET /api HTTP/1.1\\r\\nHost: 10.77.42.1\\r\\n\\r\\n'); print(s.recv(4096)[:12].decode(), flush=True)"
            command = [*there.prefix, sys.executable, "-c", script, str(state / "ca.crt")]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as old:
                old.stdin.write("\n")
                assert old.stdout.readline() == "HTTP/1.1 200\n"
                here.run("ip", "address", "add", "10.77.42.3/24", "dev", "wire0")
                eventually(lambda: succeeds(lambda: there.run(*ask, "https://10.77.42.3:8443/api")), LOOKED, "the new address is in the certificate")
                there.run(*ask, "https://10.77.42.1:8443/api")
                old.stdin.write("\n")
                assert old.stdout.readline() == "HTTP/1.1 200\n"
                old.stdin.close()
            assert relay.log().count("https authority=") == 1 and "certificate made, names or addresses changed" in relay.log()
        finally:
            relay.stop()


def test_strangers_get_no_handshake(state, tmp_path):
    with linked("203.0.113.1", "203.0.113.2") as (here, there):
        relay = Relay(tmp_path, CAMERA, prefix=here.prefix, address="203.0.113.1", api={"tls": "auto", "hosts": ["203.0.113.1"], "allow": ["203.0.113.1"]}).start()
        try:
            ask = ["curl", "-sS", "--cacert", str(state / "ca.crt")]
            answer = subprocess.run([*there.prefix, *ask, f"https://203.0.113.1:{relay.http_port}/api"], capture_output=True, text=True, check=False)
            assert answer.returncode == 35 and not answer.stdout, answer
            assert "403" in there.run(*ask, "-o", "/dev/null", "-w", "%{http_code}", f"http://203.0.113.1:{relay.http_port}/api").stdout
            assert '"porthole"' in here.run(*ask, f"https://203.0.113.1:{relay.http_port}/api").stdout
        finally:
            relay.stop()


@pytest.mark.skipif(not glob.glob("/usr/lib/*/faketime/libfaketime.so.1"), reason="needs faketime")
def test_a_board_that_wakes_up_in_1970_makes_certificates_that_hold_today(porthole, state):
    library = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")[0]

    def at(date):
        return ["env", f"LD_PRELOAD={library}", f"FAKETIME=@{date}", "FAKETIME_DONT_FAKE_MONOTONIC=1"]

    relay = porthole(CAMERA, api={"tls": "auto"}, prefix=at("1970-01-01 00:00:30"))
    first = served(relay, state / "ca.crt")  # Python's own clock is right, and takes it
    relay.stop()
    relay = porthole(CAMERA, api={"tls": "auto"}, prefix=at("1970-01-01 00:00:40"))
    assert served(relay, state / "ca.crt") == first
    relay.stop()
    relay = porthole(CAMERA, api={"tls": "auto"}, prefix=at("2041-06-01 00:00:00"))
    later = served(relay)
    assert later.not_valid_before_utc.year == 2041 and later.issuer == first.issuer
    relay.stop()
    relay = porthole(CAMERA, api={"tls": "auto"}, prefix=at("2041-12-01 00:00:00"))
    assert served(relay) == later
    relay.stop()
    relay = porthole(CAMERA, api={"tls": "auto"})
    assert served(relay, state / "ca.crt") != later, "the clock was ahead when it was made"


# ---- certificates of one's own


@pytest.mark.parametrize("form", ["path", "PEM"])
def test_a_certificate_of_ones_own_is_a_path_or_the_text_itself(porthole, tmp_path, form):
    public, private = certificate("relay.lan")
    (tmp_path / "own.crt").write_text(public)
    (tmp_path / "own.key").write_text(private)
    given = {"path": ("own.crt", "own.key"), "PEM": (public, private)}[form]
    port = free_port()
    relay = porthole(CAMERA, api={"tls_cert": given[0], "tls_key": given[1], "tls_listen": f"127.0.0.1:{port}"})
    for each in (port, relay.http_port):
        assert get(relay, "/api", tmp_path / "own.crt", host="relay.lan", port=each)[0] == 200
    assert relay.get("/ca.crt")[0] == 404 and tls(relay)["authority"] is None and tls(relay)["port"] == port
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        plain.sendall(b"GET /api HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = plain.recv(4096).decode()
    assert answer.startswith("HTTP/1.1 400 ") and "https://" in answer, "the other port speaks HTTPS only, and says so"
    assert private.splitlines()[2] not in relay.log()


def test_https_alone_is_possible(porthole, state):
    port = free_port()
    relay = Relay(state.parent.parent, CAMERA, api={"tls": "auto", "listen": "", "tls_listen": f"127.0.0.1:{port}"})
    relay.config["api"]["listen"] = ""
    relay._answers = lambda: "tls listen" in relay.log()
    relay.start()
    try:
        assert get(relay, "/api", state / "ca.crt", port=port)[0] == 200
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", relay.http_port), timeout=1)
        for asked in ([f"https://127.0.0.1:{port}"], ["-c", f"{{api: {{listen: '', tls: auto, tls_listen: '127.0.0.1:{port}'}}}}"]):
            told = subprocess.run([BINARY, "doctor", *asked], cwd=state.parent, capture_output=True, text=True, timeout=20, check=False)
            assert told.returncode == 0 and f"https://127.0.0.1:{port}/" in told.stdout, told
    finally:
        relay.stop()


def test_a_renewed_certificate_is_taken_without_a_restart_and_open_connections_stay(porthole, tmp_path):
    for name, text in zip(("own.crt", "own.key"), certificate("relay.lan")):
        (tmp_path / name).write_text(text)
    relay = porthole(CAMERA, api={"tls_cert": "own.crt", "tls_key": "own.key"})
    first = served(relay)
    context = trust(tmp_path / "own.crt")
    with socket.create_connection((relay.address, relay.http_port), timeout=10) as plain, context.wrap_socket(plain, server_hostname="relay.lan") as old:
        ask = lambda: old.sendall(b"GET /api HTTP/1.1\r\nHost: localhost\r\n\r\n") or old.recv(4096)
        assert ask().startswith(b"HTTP/1.1 200 ")
        public, private = certificate("relay.lan")
        (tmp_path / "own.crt").write_text(public)  # half of it is there: the old one stays
        eventually(lambda: served(relay) == first and "the certificate stays as it was: api.tls_key" in relay.log(), LOOKED, "half of a pair is noticed")
        assert served(relay) == first
        (tmp_path / "own.key").write_text(private)
        renewed = x509.load_pem_x509_certificate(public.encode())
        assert renewed != first
        eventually(lambda: served(relay) == renewed, LOOKED, "the whole pair is taken")
        assert tls(relay)["error"] is None
        assert ask().startswith(b"HTTP/1.1 200 ")


def test_a_broken_certificate_never_stops_http_and_is_taken_once_it_is_mended(porthole, tmp_path):
    relay = porthole(CAMERA, api={"tls_cert": "own.crt", "tls_key": "own.key"})
    assert relay.get("/api")[0] == 200
    assert re.search(r"ERR .*no HTTPS: api\.tls_cert: own\.crt can't be read", relay.log())
    assert "own.crt" in tls(relay)["error"] and tls(relay)["names"] is None
    with pytest.raises((ssl.SSLError, OSError)):
        served(relay)
    for name, text in zip(("own.crt", "own.key"), certificate("relay.lan")):
        (tmp_path / name).write_text(text)
    eventually(lambda: succeeds(lambda: get(relay, "/api", tmp_path / "own.crt", host="relay.lan")[0] == 200), LOOKED, "the mended certificate is taken")


def test_a_tls_port_that_is_taken_leaves_http_alone(porthole, state):
    with socket.create_server(("127.0.0.1", 0)) as other:
        relay = porthole(CAMERA, api={"tls": "auto", "tls_listen": f"127.0.0.1:{other.getsockname()[1]}"})
        assert relay.get("/api")[0] == 200
        assert "no HTTPS: api.tls_listen" in relay.log()
        assert get(relay, "/api", state / "ca.crt")[0] == 200, "it is spoken on the other port all the same"


@pytest.mark.parametrize(
    ("yaml", "complaint"),
    [
        ("api:\n  tls_cert: own.crt\n", "x.yaml:2:3: api.tls_cert: has no effect without api.tls_key"),
        ("api:\n  tls_cert: own.crt\n  tls_key: gone.key\n", "x.yaml:3:3: api.tls_key: gone.key can't be read: No such file"),
        ("api:\n  tls_cert: own.key\n  tls_key: own.key\n", "x.yaml:2:3: api.tls_cert: holds no certificate"),
        ("api:\n  tls_cert: own.crt\n  tls_key: other.key\n", "x.yaml:3:3: api.tls_key: is the key of another certificate"),
        ("api:\n  tls_listen: ':8443'\n", "x.yaml:2:3: api.tls_listen: there is no certificate for it"),
        ("api:\n  tls: auto\n  tls_listen: '127.0.0.1:1984'\n", "x.yaml:3:3: api.tls_listen: clashes with api.listen"),
        ("api:\n  tls: yes\n", "x.yaml:2:8: api.tls: expected auto or off"),
    ],
)
def test_check_names_key_and_line_of_what_is_wrong_with_https(tmp_path, yaml, complaint):
    for name, text in zip(("own.crt", "own.key", "other.crt", "other.key"), certificate("a.lan") + certificate("b.lan")):
        (tmp_path / name).write_text(text)
    (tmp_path / "x.yaml").write_text(yaml)
    checked = subprocess.run([BINARY, "check", "x.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 1 and complaint in checked.stderr, checked.stderr
    assert "PRIVATE" not in checked.stderr


# ---- the gate


def test_the_rules_of_the_gate_hold_over_tls_and_forwarded_fields_are_not_believed(porthole, state):
    relay = porthole(CAMERA, api={"tls": "auto"})
    ask = lambda **headers: get(relay, "/api/streams", state / "ca.crt", headers={name.replace("_", "-"): value for name, value in headers.items()})[0]
    assert ask() == 200
    assert ask(Host="evil.example") == 421
    assert ask(Host="evil.example", X_Forwarded_Host="localhost", Forwarded="host=localhost") == 421
    assert ask(Origin="https://evil.example") == 403
    assert ask(Origin=f"https://localhost:{relay.http_port}") == 200
    assert ask(X_Forwarded_For="8.8.8.8", X_Forwarded_Proto="http") == 200
    big = get(relay, "/?" + "x" * 17000, state / "ca.crt")
    assert big[0] == 431


def test_slow_handshakes_hold_one_connection_each_and_lose_it_in_time(porthole, state):
    relay = porthole(CAMERA, api={"tls": "auto"})
    started = time.monotonic()
    slow = []
    hello = b"\x16\x03\x01\x02\x00\x01"  # a record of 512 bytes begins, and goes no further
    try:
        for number in range(CONNECTIONS - 2):
            slow.append(socket.create_connection((relay.address, relay.http_port), timeout=10))
            slow[-1].sendall(hello if number % 2 else b"\x16")
        assert get(relay, "/api", state / "ca.crt")[0] == 200
        assert relay.get("/api")[0] == 200
        time.sleep(0.5)  # until the relay has seen that these two are gone
        for _ in range(2):
            slow.append(socket.create_connection((relay.address, relay.http_port), timeout=10))
        time.sleep(0.2)
        status, _, text = relay.get("/api")
        assert status == 503 and "connections" in text, "one slot for each, and no more than that"
        for connection in slow:
            connection.settimeout(HANDSHAKE_SECONDS + 2)
            while connection.recv(100):
                pass  # a TLS alert, perhaps
        assert HANDSHAKE_SECONDS - 1 < time.monotonic() - started < HANDSHAKE_SECONDS + 2
        assert get(relay, "/api", state / "ca.crt")[0] == 200
    finally:
        for connection in slow:
            connection.close()


def test_a_client_that_drips_its_handshake_is_cut_off_too(porthole, state):
    relay = porthole(CAMERA, api={"tls": "auto"})
    started = time.monotonic()
    with socket.create_connection((relay.address, relay.http_port), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01\x04\x00\x01\x00\x03\xfc\x03\x03")
        with pytest.raises(OSError):
            while time.monotonic() - started < HANDSHAKE_SECONDS + 3:
                connection.sendall(b"\0")
                time.sleep(0.2)
    assert time.monotonic() - started < HANDSHAKE_SECONDS + 2


def test_garbage_behind_the_first_byte_of_tls_harms_nobody(porthole, state):
    relay = porthole(CAMERA, api={"tls": "auto"})
    before = resident_kib(relay)
    noise = os.urandom(4096)
    for garbage in [b"\x16" + noise, b"\x16\x03\x01\xff\xff" + b"\0" * 70000, b"\x16\x03\x01\x00\x00" * 1000, b"\x16\x03\x03\x00\x04\x01\xff\xff\xff" + noise] * 20:
        with socket.create_connection((relay.address, relay.http_port), timeout=10) as connection:
            try:
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
            except OSError:
                pass
    assert get(relay, "/api", state / "ca.crt")[0] == 200 and relay.get("/api")[0] == 200
    assert resident_kib(relay) - before < 2048


def test_what_connections_over_tls_take_is_bounded_and_given_back(porthole, state):
    relay = porthole(CAMERA, api={"tls": "auto"})
    context = trust(state / "ca.crt")
    get(relay, "/", None, context=context)
    before = resident_kib(relay)
    held = []
    for _ in range(50):
        secure = context.wrap_socket(socket.create_connection((relay.address, relay.http_port), timeout=10), server_hostname="localhost")
        secure.sendall(b"GET /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n")
        held.append(secure)
    for secure in held:
        assert secure.recv(16384).startswith(b"HTTP/1.1 200 ")
    grown = resident_kib(relay) - before
    assert grown < 50 * 64, f"{grown / 50} KiB for each connection"
    for secure in held:
        secure.close()
    for _ in range(3):
        get(relay, "/", None, context=context)
    assert resident_kib(relay) - before < 50 * 64


# ---- browsers


def test_a_browser_that_trusts_the_authority_has_a_secure_context_and_plays_over_wss_and_whep(porthole, state, trusting):
    relay = porthole(CAMERA, api={"tls": "auto", "hosts": [INSECURE_NAME]})
    open_page = trusting(state / "ca.crt")
    page = open_page()
    page.goto(f"http://{INSECURE_NAME}:{relay.http_port}/")
    assert page.evaluate("[isSecureContext, Boolean(navigator.mediaDevices)]") == [False, False], "over HTTP it is none"
    for host in (INSECURE_NAME, "localhost", "127.0.0.1"):
        page.goto(f"https://{host}:{relay.http_port}/")
        until(page, "window.porthole?.state === 'listed'", 5000)
        assert page.evaluate("[isSecureContext, Boolean(navigator.mediaDevices?.getUserMedia)]") == [True, True], host
    assert page.evaluate("navigator.mediaDevices.getUserMedia({ video: true, audio: true }).then((media) => media.getTracks().length)") == 2
    for dialect in ("whep", "webrtc/offer"):
        view(page, Secure(relay, INSECURE_NAME), dialect=dialect)
        assert_counter_rises(page, seconds=1, fps=15, video="seen.video")
    page.goto(f"https://{INSECURE_NAME}:{relay.http_port}/stream.html?src=cam")
    wait_until_playing(page)


def test_a_browser_that_does_not_know_the_authority_is_warned(porthole, state, trusting):
    relay = porthole(CAMERA, api={"tls": "auto"})
    page = trusting(None)()
    with pytest.raises(Exception, match="ERR_CERT_AUTHORITY_INVALID"):
        page.goto(f"https://localhost:{relay.http_port}/")


def test_a_phone_s_camera_is_published_over_https_and_watched(porthole, state, trusting):
    relay = porthole({"door": None}, api={"tls": "auto", "hosts": [INSECURE_NAME]})
    open_page = trusting(state / "ca.crt")
    publisher, viewer = open_page(), open_page()
    publisher.goto(f"https://{INSECURE_NAME}:{relay.http_port}/publish.html?dst=door&media=camera+microphone")
    wait_until_playing(publisher)
    viewer.goto(f"https://localhost:{relay.http_port}/stream.html?src=door")
    wait_until_playing(viewer)
    until(viewer, "porthole.stats.codec === 'H264' && porthole.stats.audioCodec === 'opus'", 5000)


def test_the_page_about_trust_leads_from_http_to_https(porthole, state, trusting):
    relay = porthole(CAMERA, api={"tls": "auto", "hosts": [INSECURE_NAME]})
    page = trusting(state / "ca.crt")()
    page.goto(f"http://{INSECURE_NAME}:{relay.http_port}/publish.html?dst=door")
    page.click("#trust a")
    until(page, "window.porthole?.state === 'shown'", 5000)
    text = page.text_content("main")
    assert tls(relay)["authority"]["fingerprint"] in text and INSECURE_NAME in text
    assert page.evaluate("document.querySelectorAll('details[open]').length") == 1, "the steps of this device are open"
    page.click("#open")
    page.wait_for_url(f"https://{INSECURE_NAME}:{relay.http_port}/")
    assert page.evaluate("isSecureContext")


def test_the_page_about_trust_says_what_to_do_where_there_is_no_https(porthole, page):
    relay = porthole(CAMERA)
    page.goto(relay.url + "/trust.html")
    until(page, "window.porthole?.state === 'shown'", 5000)
    assert "tls: auto" in page.text_content("#say") and not page.is_visible("#steps")


def programs_links(page, address):
    """`{title: text}` of the links page, and what it says about programs."""
    page.goto(f"{address}/links.html?src=cam")
    until(page, "window.porthole?.state === 'listed'", 5000)
    if page.is_visible("#address"):
        page.select_option("#address", f"{address}/")
    titles = page.locator(".rows .name").all_text_contents()
    said = page.locator("section > p.notice, section > p.quiet").all_text_contents()
    return dict(zip(titles, page.locator(".rows .link").all_text_contents(), strict=True)), said


def test_programs_are_given_http_by_a_page_that_came_by_the_relays_own_authority(porthole, state, trusting):
    """They do not know the authority, and refuse the address of the browser."""
    relay = porthole(CAMERA, api={"tls": "auto"})
    links, said = programs_links(trusting(state / "ca.crt")(), f"https://localhost:{relay.http_port}")
    plain = f"http://localhost:{relay.http_port}/"
    for program in ("WHEP", "WHIP", "OBS Studio", "Home Assistant", "Fluidd", "Mainsail"):
        assert links[program].startswith(plain), (program, links[program])
    assert links["WebSocket"].startswith(f"ws://localhost:{relay.http_port}/") and links["go2rtc"].startswith(f"webrtc:{plain}")
    for page in ("Player page", "Camera and microphone"):
        assert links[page].startswith(f"https://localhost:{relay.http_port}/"), (page, links[page])
    assert any("Over HTTP" in line for line in said)
    told = subprocess.run(shlex.split(links["curl, is it live?"]), capture_output=True, text=True, check=True)
    assert "producers" in told.stdout


def test_where_http_does_not_listen_the_links_say_how_programs_come_to_trust_the_relay(tmp_path, state, trusting):
    relay = Relay(tmp_path, CAMERA, api={"tls": "auto", "listen": "", "tls_listen": f"127.0.0.1:{free_port()}"})
    port = int(relay.config["api"]["tls_listen"].rsplit(":", 1)[1])
    relay._answers = lambda: (state / "ca.crt").exists() and "tls listen" in relay.log()
    relay.start()
    try:
        links, said = programs_links(trusting(state / "ca.crt")(), f"https://localhost:{port}")
    finally:
        relay.stop()
    assert links["WHEP"].startswith(f"https://localhost:{port}/")
    assert sum("until they trust its authority" in line for line in said) == 3, said
