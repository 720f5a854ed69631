"""Ways to the relay that lead through somebody else's address: a tunnel, routers on both sides."""

import pathlib
import re
import subprocess

import pytest

from browser import assert_counter_rises
from namespaces import run
from relay import eventually, free_port
from star import LINK, NO_MEDIA, RELAY, ask, play

PEERS = pathlib.Path(__file__).parent / "peers"

TUNNEL_PORT = 9555
NO_UDP = """
table inet streams {
  chain forward {
    type filter hook forward priority 0;
    meta l4proto udp drop
  }
}
"""
# a home's router: everything inside leaves with its outer address, one port leads inside
ROUTER = """
table inet nat {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    iifname != "wire1" meta l4proto { tcp, udp } th dport OUTER dnat ip to 10.77.51.2:MEDIA
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    iifname "wire1" masquerade
  }
}
table inet filter {
  chain forward {
    type filter hook forward priority 0;
    ip daddr 10.77.51.2 tcp dport HTTP accept
    ip daddr 10.77.51.2 ct status dnat accept
    ip daddr 10.77.51.2 ct state established accept
    ip daddr 10.77.51.2 drop
  }
}
"""
# the viewer's own router: every connection gets another port, and nothing comes in that nobody asked for
NAT = """
table inet nat {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "wire" masquerade random
  }
}
table inet filter {
  chain forward {
    type filter hook forward priority 0; policy drop;
    iifname "inner" accept
    ct state established,related accept
  }
}
"""


def pair(page):
    """The relay's end of the pair in use, as the browser sees it."""
    return page.evaluate(
        """async () => { const r = await seen.pc.getStats(); for (const s of r.values()) if (s.type === 'transport')
           return r.get(r.get(s.selectedCandidatePairId).remoteCandidateId); }"""
    )


@pytest.mark.timeout(120)
def test_a_viewer_plays_through_a_tcp_tunnel_on_another_host_and_port(porthole, new_page, star):
    webrtc = {"candidates": [f"10.77.53.2:{TUNNEL_PORT}"]}
    relay = porthole({"cam": "test:?fps=15"}, prefix=star.within("relay"), address="10.77.51.2", webrtc=webrtc)
    star.background("turn", "socat", f"TCP-LISTEN:{TUNNEL_PORT},fork,reuseaddr,nodelay", f"TCP:10.77.51.2:{relay.media_port},nodelay")
    eventually(lambda: star.listens("turn", TUNNEL_PORT), 5, "the tunnel is open")
    star.filter(NO_MEDIA.replace("HTTP", str(relay.http_port)))
    star.filter(NO_UDP)
    page = new_page(star.chromium())
    play(page, relay, "whep")
    assert_counter_rises(page, seconds=2, fps=15, video="seen.video")
    remote = pair(page)
    assert (remote["address"], remote["port"], remote["protocol"]) == ("10.77.53.2", TUNNEL_PORT, "tcp"), remote
    assert ask(star, relay, "/api/streams?src=cam")["consumers"][0]["protocol"] == "http+tcp"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("side", ["viewer", "home"], ids=["in-the-open", "behind-a-NAT"])
def test_a_viewer_outside_plays_through_the_forwarded_port_of_a_router(porthole, new_page, star, side):
    star.coturn()  # a STUN server on the Internet
    if side == "home":
        star.behind("viewer", "home", "192.168.77")
        star.filter(NAT, "viewer")
    outer = free_port()
    webrtc = {"candidates": [f"stun:{outer}"], "ice_servers": [{"urls": ["stun:10.77.53.2:3478"]}]}
    relay = porthole({"cam": "test:?fps=15"}, prefix=star.within("relay"), address="10.77.51.2", webrtc=webrtc)
    rules = {"OUTER": outer, "MEDIA": relay.media_port, "HTTP": relay.http_port}
    star.filter(re.sub("OUTER|MEDIA|HTTP", lambda found: str(rules[found[0]]), ROUTER))
    found = lambda: [entry["address"] for entry in ask(star, relay, "/api/status")["public"]]  # noqa: E731
    # the first look went out before there was a router; a new one is taken when somebody asks for the picture
    page = new_page(star.chromium(side))
    eventually(found, 10, "a public address")
    run(*star.within("relay"), "ip", "address", "add", "10.77.51.3/24", "dev", LINK)
    eventually(lambda: found()[0].startswith("10.77.53.1:"), 20, "the router's outer address")
    play(page, relay, "whep")
    assert_counter_rises(page, seconds=2, fps=15, video="seen.video")
    remote = pair(page)
    assert (remote["address"], remote["port"], remote["protocol"]) == ("10.77.53.1", outer, "udp"), remote


@pytest.mark.timeout(120)
@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_every_picture_passes_a_tunnel_that_is_too_narrow_for_the_camera_s_packets(porthole, new_page, star, codec):
    star.sides["middle"].ip("link", "set", f"{LINK}2", "mtu", "1280")
    port = free_port()
    relay = porthole({"cam": f"webrtc:http://{RELAY}:{port}/whep" if codec == "VP8" else None}, prefix=star.within("relay"), address=RELAY)
    peer = {"VP8": ["gst_camera.py", str(port), "VP8"], "H264": ["gst_publish.py", f"{relay.url}/api/webrtc?dst=cam", "60"]}[codec]
    # libnice never ends to gather candidates from an address that is not settled yet
    addresses = lambda: run(*star.within("relay"), "ip", "address", "show", "dev", LINK).stdout  # noqa: E731
    eventually(lambda: "inet6 fe80" in addresses() and "tentative" not in addresses(), 10, "the addresses are settled")
    with subprocess.Popen([*star.within("relay"), "/usr/bin/python3", PEERS / peer[0], *peer[1:], "grain"], stdout=subprocess.PIPE, text=True) as process:
        try:
            if codec == "VP8":
                assert process.stdout.readline() == "ready\n"
            page = new_page(star.chromium())
            play(page, relay, "whep")
            counters = page.evaluate("collectCounters(seen.video, 3)")
        finally:
            process.kill()
    assert len(counters) > 20 and None not in counters, counters
    assert all(b == a + 1 for a, b in zip(counters, counters[1:])), counters
