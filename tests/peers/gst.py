"""What both GStreamer peers share: one webrtcbin that offers, over HTTP, without trickle. Runs on Debian's python3."""

import sys
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

Gst.init(None)


def fail(text):
    print(text, file=sys.stderr, flush=True)
    sys.exit(1)


class Peer:
    """Offers when it is ready, posts the complete offer to `url`, takes the answer."""

    def __init__(self, pipeline, webrtc, url):
        self.pipeline, self.webrtc, self.url = pipeline, webrtc, url
        self.loop = GLib.MainLoop()
        self.posted = False
        webrtc.connect("on-negotiation-needed", self.offer)
        webrtc.connect("notify::ice-gathering-state", lambda *_: GLib.idle_add(self.post))
        bus = pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _, message: fail(f"GStreamer: {message.parse_error()}"))

    def offer(self, webrtc):
        webrtc.emit("create-offer", None, Gst.Promise.new_with_change_func(self.offered, None))

    def offered(self, promise, _):
        reply = promise.get_reply()  # owns the offer
        self.webrtc.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

    def post(self):
        state = self.webrtc.get_property("ice-gathering-state")
        if self.posted or state != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            return False
        self.posted = True
        sdp = self.webrtc.get_property("local-description").sdp.as_text()
        request = urllib.request.Request(self.url, data=sdp.encode(), method="POST", headers={"Content-Type": "application/sdp"})
        try:
            with urllib.request.urlopen(request, timeout=15) as response:
                if response.status != 201:
                    fail(f"the relay answered {response.status}")
                text = response.read()
        except urllib.error.HTTPError as error:
            fail(f"the relay answered {error.code}: {error.read().decode()}")
        _, message = GstSdp.SDPMessage.new()
        GstSdp.sdp_message_parse_buffer(text, message)
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self.webrtc.emit("set-remote-description", answer, Gst.Promise.new())
        return False

    def run(self, seconds):
        GLib.timeout_add_seconds(seconds, self.loop.quit)
        self.pipeline.set_state(Gst.State.PLAYING)
        try:
            self.loop.run()
        finally:
            self.pipeline.set_state(Gst.State.NULL)
