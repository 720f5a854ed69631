"""gst_view.py URL FRAMES: views by WHEP with webrtcbin, prints the counter of each decoded frame on a line."""

import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parent.parent)]
import gst  # noqa: E402
import picture  # noqa: E402
from gst import Gst, GstWebRTC  # noqa: E402

SECONDS = 30
url, frames = sys.argv[1], int(sys.argv[2])
pipeline = Gst.Pipeline.new()
webrtc = Gst.ElementFactory.make("webrtcbin")
webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
pipeline.add(webrtc)
caps = Gst.Caps.from_string("application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000,packetization-mode=(string)1,rtcp-fb-nack=true,rtcp-fb-nack-pli=true")
webrtc.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, caps)
peer = gst.Peer(pipeline, webrtc, url)
seen = []


def frame(sink):
    sample = sink.emit("pull-sample")
    caps = sample.get_caps().get_structure(0)
    width, height = caps.get_value("width"), caps.get_value("height")
    ok, data = sample.get_buffer().map(Gst.MapFlags.READ)
    if ok:
        seen.append(picture.read(data.data, width, height, len(data.data) // height))
        sample.get_buffer().unmap(data)
        print(seen[-1], flush=True)
    if len(seen) >= frames:
        peer.loop.quit()
    return Gst.FlowReturn.OK


def pad_added(_, pad):
    if pad.get_direction() != Gst.PadDirection.SRC:
        return
    chain = "rtph264depay ! h264parse ! avdec_h264 ! videoconvert ! video/x-raw,format=GRAY8 ! appsink name=sink emit-signals=true sync=false"
    decoder = Gst.parse_bin_from_description(chain, True)
    pipeline.add(decoder)
    decoder.get_by_name("sink").connect("new-sample", frame)
    decoder.sync_state_with_parent()
    pad.link(decoder.get_static_pad("sink"))


webrtc.connect("pad-added", pad_added)
peer.run(SECONDS)
sys.exit(0 if len(seen) >= frames else gst.fail(f"{len(seen)} frames in {SECONDS} s"))
