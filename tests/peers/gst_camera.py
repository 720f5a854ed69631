"""gst_camera.py PORT VP8|H265 [grain]: a camera that WHEP viewers call, made of GStreamer's webrtcbin: a counter, encoded as it is told, in packets of up to 1,400 bytes.

Says "ready" once its door is open, and each description that it hears and gives as JSON on a line of its own."""

import http.server
import json
import pathlib
import sys
import threading

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parent.parent)]
import gst  # noqa: E402
import picture  # noqa: E402
from gst import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

FPS = 15
WIDTH, HEIGHT = 320, 240
ENCODERS = {
    "VP8": "vp8enc deadline=1 cpu-used=8 target-bitrate=1000000 keyframe-max-dist=30 ! rtpvp8pay",
    "H265": "x265enc tune=zerolatency speed-preset=ultrafast bitrate=1000 key-int-max=30 ! rtph265pay config-interval=-1 aggregate-mode=zero-latency",
}
port, codec, grain = int(sys.argv[1]), sys.argv[2], "grain" in sys.argv[3:]


class Session:
    """One viewer's; everything of it happens on the main loop but the wait of the HTTP thread."""

    def __init__(self, offer):
        self.offer, self.answer, self.done = offer, None, threading.Event()
        self.number, self.ended = 0, False

    def start(self):
        _, message = GstSdp.SDPMessage.new()
        GstSdp.sdp_message_parse_buffer(self.offer, message)
        self.pipeline = Gst.parse_launch(
            f"appsrc name=source format=time is-live=true do-timestamp=true caps=video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT},framerate={FPS}/1"
            f" ! videoconvert ! video/x-raw,format=I420 ! {ENCODERS[codec]}"
            f" ! application/x-rtp,media=video,encoding-name={codec},payload={self.payload(message)},clock-rate=90000 ! webrtcbin name=webrtc bundle-policy=max-bundle"
        )
        self.webrtc, self.source = self.pipeline.get_by_name("webrtc"), self.pipeline.get_by_name("source")
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _, message: print(f"GStreamer: {message.parse_error()}", file=sys.stderr, flush=True))
        self.webrtc.emit("get-transceiver", 0).set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        self.pipeline.set_state(Gst.State.PLAYING)
        offer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.OFFER, message)
        self.webrtc.emit("set-remote-description", offer, Gst.Promise.new_with_change_func(self.heard, None))
        GLib.timeout_add(1000 // FPS, self.push)
        GLib.timeout_add(20, self.gathered)
        return False

    def payload(self, message):
        """The number that the viewer has given the codec."""
        attributes = [media.get_attribute(n) for media in [message.get_media(0)] for n in range(media.attributes_len())]
        return next(each.value.split()[0] for each in attributes if each.key == "rtpmap" and f" {codec}/" in each.value)

    def heard(self, promise, _):
        self.webrtc.emit("create-answer", None, Gst.Promise.new_with_change_func(self.answered, None))

    def answered(self, promise, _):
        reply = promise.get_reply()  # owns the answer
        self.webrtc.emit("set-local-description", reply.get_value("answer"), Gst.Promise.new())

    def gathered(self):
        """Looked at again and again: the property's own notice comes from another thread, at times before anybody listens."""
        local = self.webrtc.get_property("local-description")
        if local is None or self.webrtc.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            return not self.ended
        self.answer = local.sdp.as_text()
        print(json.dumps({"offer": self.offer.decode(), "answer": self.answer}), flush=True)
        self.done.set()
        return False

    def push(self):
        self.number += 1
        self.source.emit("push-buffer", Gst.Buffer.new_wrapped(picture.draw(self.number, WIDTH, HEIGHT, grain)))
        return not self.ended

    def end(self):
        self.ended = True
        self.pipeline.set_state(Gst.State.NULL)
        return False


class Door(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sessions = []

    def do_POST(self):
        session = Session(self.rfile.read(int(self.headers["Content-Length"])))
        self.sessions.append(session)
        GLib.idle_add(session.start)
        if not session.done.wait(10):
            return self.say(500, "no answer came about")
        return self.say(201, session.answer, Location=f"/session/{len(self.sessions)}")

    def do_DELETE(self):
        number = int(self.path.rsplit("/", 1)[1])
        GLib.idle_add(self.sessions[number - 1].end)
        self.say(200, "")

    def say(self, status, text, **headers):
        self.send_response(status)
        for name, value in {"Content-Type": "application/sdp", "Content-Length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("", port), Door)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("ready", flush=True)
GLib.MainLoop().run()
