"""gst_publish.py URL SECONDS [grain] [reordered]: publishes a counter as H.264 by WHIP with webrtcbin, in packets of up to 1,400 bytes. `reordered`: with B-frames."""

import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parent.parent)]
import gst  # noqa: E402
import picture  # noqa: E402
from gst import Gst, GstWebRTC  # noqa: E402

FPS = 15
url, seconds = sys.argv[1], int(sys.argv[2])
tuned, profile = ("bframes=2 b-adapt=false", "main") if "reordered" in sys.argv[3:] else ("tune=zerolatency", "constrained-baseline")
pipeline = Gst.parse_launch(
    f"appsrc name=source format=time is-live=true do-timestamp=true caps=video/x-raw,format=GRAY8,width=640,height=360,framerate={FPS}/1"
    f" ! videoconvert ! video/x-raw,format=I420 ! x264enc {tuned} speed-preset=ultrafast bitrate=1000 key-int-max=30"
    f" ! video/x-h264,profile={profile} ! rtph264pay config-interval=-1 aggregate-mode=zero-latency"
    " ! application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000"
    " ! webrtcbin name=webrtc bundle-policy=max-bundle"
)
webrtc = pipeline.get_by_name("webrtc")
webrtc.emit("get-transceiver", 0).set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
source = pipeline.get_by_name("source")
number = 0


def push():
    global number
    number += 1
    source.emit("push-buffer", Gst.Buffer.new_wrapped(picture.draw(number, grain="grain" in sys.argv[3:])))
    return True


gst.GLib.timeout_add(1000 // FPS, push)
gst.Peer(pipeline, webrtc, url).run(seconds)
