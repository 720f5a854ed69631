"""Four networks around a router: the relay's, a viewer's, a TURN server's, and what passes between them."""

import contextlib
import json
import subprocess

from browser import VIEWER, until
from namespaces import named, run
from relay import eventually

LINK = "wire"
RELAY, VIEWER_SIDE, TURN_SIDE = "10.77.51.2", "10.77.52.2", "10.77.53.2"
RELAY6, VIEWER_SIDE6, TURN_SIDE6 = "fd77:51::2", "fd77:52::2", "fd77:53::2"
# coturn logs to files of its own and forks unless it is told otherwise
COTURN = """
listening-port=3478
listening-ip={ip}
relay-ip={ip}
min-port=50000
max-port=50099
fingerprint
lt-cred-mech
realm=example.org
user=user:s3cret
{tls}
no-dtls
no-cli
no-software-attribute
allow-loopback-peers
log-file=stdout
simple-log
pidfile={directory}/turnserver.pid
db={directory}/turndb
"""

# HTTP passes between viewer and relay; media has to go another way
NO_MEDIA = """
table inet filter {
  chain forward {
    type filter hook forward priority 0;
    ip saddr 10.77.51.2 ip daddr 10.77.52.2 tcp sport != HTTP drop
    ip saddr 10.77.52.2 ip daddr 10.77.51.2 tcp dport != HTTP drop
    ip saddr 10.77.51.2 ip daddr 10.77.52.2 meta l4proto udp drop
    ip saddr 10.77.52.2 ip daddr 10.77.51.2 meta l4proto udp drop
  }
}
"""

TURN = {"urls": ["turn:10.77.53.2:3478"], "username": "user", "credential": "s3cret"}
# a viewer that uses nothing but the TURN server
ONLY_RELAYED = VIEWER.replace("new RTCPeerConnection()", f"new RTCPeerConnection({{ iceTransportPolicy: 'relay', iceServers: {json.dumps([{**TURN, 'urls': TURN['urls'][0]}])} }})")
assert ONLY_RELAYED != VIEWER


class Star:
    """Network namespaces in a star: `middle` forwards between the others, each on a link of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.sides = {}
        self.made = contextlib.ExitStack()
        self.processes = []

    def build(self):
        names = ("middle", "relay", "viewer", "turn")
        self.sides.update(zip(names, self.made.enter_context(named(*names))))
        for number, side in enumerate(names[1:], 1):
            self.connect("middle", side, f"10.77.5{number}", f"{LINK}{number}")
        return self

    def connect(self, router, side, network, link):
        """A link from a router to a namespace behind it."""
        router, side = self.sides[router], self.sides[side]
        router.link(link, side, LINK)
        router.ip("address", "add", f"{network}.1/24", "dev", link)
        side.ip("address", "add", f"{network}.2/24", "dev", LINK)
        side.ip("route", "add", "default", "via", f"{network}.1")
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")

    def add_v6(self):
        """IPv6 beside IPv4, on all links."""
        middle = self.sides["middle"]
        middle.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        for number, side in enumerate(("relay", "viewer", "turn"), 1):
            middle.ip("address", "add", f"fd77:5{number}::1/64", "dev", f"{LINK}{number}", "nodad")
            self.sides[side].ip("address", "add", f"fd77:5{number}::2/64", "dev", LINK, "nodad")
            self.sides[side].ip("route", "add", "default", "via", f"fd77:5{number}::1")

    def behind(self, router, side, network):
        """One more namespace, behind one that becomes a router."""
        (self.sides[side],) = self.made.enter_context(named(side))
        self.connect(router, side, network, "inner")

    def within(self, side):
        return self.sides[side].prefix

    def filter(self, rules, side="middle"):
        self.sides[side].filter(rules)

    def background(self, side, *command, log="background.log"):
        output = open(self.directory / log, "wb")
        self.processes.append(subprocess.Popen([*self.within(side), *command], stdout=output, stderr=output, stdin=subprocess.DEVNULL))

    def listens(self, side, port, kind="t"):
        return f":{port} " in run(*self.within(side), "ss", f"-ln{kind}").stdout

    def coturn(self, *more, tls="no-tls"):
        config = self.directory / "turnserver.conf"
        config.write_text("\n".join([COTURN.format(ip=TURN_SIDE, directory=self.directory, tls=tls), *more]))
        self.background("turn", "turnserver", "-c", str(config), log="turnserver.log")
        eventually(lambda: self.listens("turn", 3478, "u"), 10, "coturn listens")

    def coturn_log(self):
        return (self.directory / "turnserver.log").read_text(errors="replace")

    def chromium(self, side="viewer"):
        return self.sides[side].chromium(self.directory)

    def end(self):
        for process in self.processes:
            process.terminate()
            process.wait(10)
        self.made.close()


def ask(star, relay, path):
    return json.loads(run(*star.within("relay"), "curl", "-sf", relay.url + path).stdout)


def play(page, relay, dialect, script=VIEWER):
    page.goto(relay.url + "/publish.html")
    page.evaluate(script, {"dialect": dialect, "base": relay.url, "src": "cam", "tcp": False})
    until(page, "seen.firstAt > 0 && seen.connectedAt > 0", 20000)
