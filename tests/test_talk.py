"""A viewer's microphone reaches the camera, through one relay and through two."""

from browser import until
from cameras import producer

TALK = """
async ({ base, src }) => {
  const video = document.createElement('video');
  Object.assign(video, { muted: true, autoplay: true, playsInline: true });
  document.body.replaceChildren(video);
  const pc = new RTCPeerConnection();
  const seen = (window.seen = { video, pc, connectedAt: 0, firstAt: 0 });
  video.srcObject = new MediaStream();
  pc.addEventListener('track', ({ track }) => video.srcObject.addTrack(track));
  pc.addEventListener('connectionstatechange', () => { if (pc.connectionState === 'connected') seen.connectedAt = performance.now(); });
  video.requestVideoFrameCallback(() => { seen.firstAt = performance.now(); });
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  pc.addTransceiver('video', { direction: 'recvonly' });
  pc.addTransceiver(microphone.getAudioTracks()[0], { direction: 'sendrecv' });
  await pc.setLocalDescription();
  const response = await fetch(`${base}/api/webrtc?src=${src}`, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp });
  const sdp = await response.text();
  if (!response.ok) throw new Error(`${response.status}: ${sdp}`);
  await pc.setRemoteDescription({ type: 'answer', sdp });
}
"""


def talk(page, relay):
    page.goto(relay.url + "/publish.html")
    page.evaluate(TALK, {"base": relay.url, "src": "cam"})
    until(page, "seen.firstAt > 0 && seen.connectedAt > 0", 10000)


def test_the_camera_hears_who_watches_it(porthole, page, cameras):
    cameras.tell("intercom", audio="pcmu")
    relay = porthole({"cam": cameras.url("go2rtc", "intercom")})
    talk(page, relay)
    cameras.wait("heard", "intercom", 8)
    assert any(media.startswith("audio, sendonly, ") and "PCMU" in media for media in producer(relay)["medias"]), producer(relay)


def test_the_camera_hears_through_two_relays(porthole, page, cameras):
    cameras.tell("far", audio="pcmu")
    near = porthole({"cam": cameras.url("go2rtc", "far")})
    relay = porthole({"cam": f"webrtc:{near.url.replace('http', 'ws')}/api/ws?src=cam"})
    talk(page, relay)
    cameras.wait("heard", "far", 8)
