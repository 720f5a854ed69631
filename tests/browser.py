"""How tests look at pages that play: the relay's own, and a foreign client's."""

import time

from relay import PATIENCE

# A viewer as other people's pages write it, in each signalling dialect.
VIEWER = """
async ({ dialect, base, src, tcp }) => {
  const video = document.createElement('video');
  Object.assign(video, { muted: true, autoplay: true, playsInline: true });
  document.body.replaceChildren(video);
  const pc = new RTCPeerConnection();
  const seen = (window.seen = { video, pc, connectedAt: 0, firstAt: 0, error: null, types: [] });
  const media = new MediaStream();
  video.srcObject = media;
  pc.addEventListener('track', ({ track }) => media.addTrack(track));
  pc.addEventListener('connectionstatechange', () => {
    if (pc.connectionState === 'connected') seen.connectedAt ||= performance.now();
  });
  video.requestVideoFrameCallback((now) => { seen.firstAt = performance.now(); });
  pc.addTransceiver('video', { direction: 'recvonly' });
  pc.addTransceiver('audio', { direction: 'recvonly' });
  const usable = (line) => !tcp || / tcp /i.test(line);
  const strip = (sdp) => sdp.split('\\r\\n').filter((line) => !line.startsWith('a=candidate:') || usable(line)).join('\\r\\n');
  if (dialect === 'whep' || dialect === 'json') {
    await pc.setLocalDescription();
    const sdp = strip(pc.localDescription.sdp);
    const request = dialect === 'whep' ? ['application/sdp', sdp] : ['application/json', JSON.stringify({ type: 'offer', sdp })];
    const response = await fetch(`${base}/api/webrtc?src=${src}`, { method: 'POST', headers: { 'Content-Type': request[0] }, body: request[1] });
    const text = await response.text();
    if (!response.ok) throw new Error(`${response.status}: ${text}`);
    seen.location = response.headers.get('Location');
    await pc.setRemoteDescription({ type: 'answer', sdp: strip(dialect === 'whep' ? text : JSON.parse(text).sdp) });
    return;
  }
  const socket = new WebSocket(`${base.replace('http', 'ws')}/api/ws?src=${src}`);
  const send = (type, value) => socket.send(JSON.stringify({ type, value }));
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = () => reject(new Error('no WebSocket')); });
  pc.onicecandidate = ({ candidate }) => { if (!candidate || usable(candidate.candidate)) send('webrtc/candidate', candidate?.candidate ?? ''); };
  const done = new Promise((resolve, reject) => {
    socket.onmessage = async ({ data }) => {
      const { type, value } = JSON.parse(data);
      seen.types.push(type);
      if (type === 'webrtc/answer') resolve(await pc.setRemoteDescription({ type: 'answer', sdp: strip(value) }));
      else if (type === 'webrtc') resolve(await pc.setRemoteDescription({ type: 'answer', sdp: strip(value.sdp) }));
      else if (type === 'webrtc/candidate') { if (usable(value) && pc.signalingState !== 'closed') pc.addIceCandidate({ candidate: value, sdpMid: '0' }); }
      else if (type === 'error') reject(new Error(value));
    };
  });
  await pc.setLocalDescription();
  const sdp = strip(pc.localDescription.sdp);
  if (dialect === 'webrtc/offer') send('webrtc/offer', sdp);
  else send('webrtc', { type: 'offer', sdp, ice_servers: [] });
  await done;
}
"""

PAIR = """
async (pc) => {
  const report = await pc.getStats();
  for (const s of report.values()) {
    if (s.type === 'transport' && s.selectedCandidatePairId) {
      const pair = report.get(s.selectedCandidatePairId);
      return { local: report.get(pair.localCandidateId).protocol, remote: report.get(pair.remoteCandidateId).protocol };
    }
  }
  return null;
}
"""

PLAYING_MS = 10000


def until(page, expression, milliseconds):
    """Waits for an expression to be true in the page. (Playwright's own way needs a page that allows eval.)"""
    milliseconds *= PATIENCE
    end = time.monotonic() + milliseconds / 1000
    while not page.evaluate(f"Boolean({expression})"):
        if time.monotonic() > end:
            state = page.evaluate("JSON.stringify([window.porthole?.state, window.porthole?.reason, window.porthole?.offered, window.seen?.pc.connectionState])")
            raise AssertionError(f"not within {milliseconds} ms: {expression}; state, reason, addresses, connection: {state}")
        page.wait_for_timeout(20)


def view(page, relay, dialect="whep", src="cam", tcp=False):
    """Opens a blank page of the relay's origin and plays in it like a foreign client; returns when a picture came."""
    page.goto(relay.url + "/publish.html")  # a page of this origin that connects to nothing
    page.evaluate(VIEWER, {"dialect": dialect, "base": relay.url, "src": src, "tcp": tcp})
    until(page, "seen.firstAt > 0 && seen.connectedAt > 0", PLAYING_MS)


def protocol(page, pc="seen.pc"):
    pair = page.evaluate(f"({PAIR})({pc})")
    assert pair and pair["local"] == pair["remote"], pair
    return pair["local"]


def wait_until_playing(page, timeout=PLAYING_MS):
    """The relay's own page shows a moving picture."""
    until(page, "window.porthole?.state === 'playing'", timeout)


WINDOWS = 4


def assert_counter_rises(page, seconds=1.5, fps=10, video="document.querySelector('video')"):
    """Every frame of the given time carries a readable counter, each higher than the one before; returns them.

    At least half of the frames that were sent are shown: a relay that drops more does it all the time, while a machine that
    is busy with other tests shows few of them at times, so it may take the best of some windows."""
    counters = []
    for _ in range(WINDOWS):
        window = page.evaluate(f"collectCounters({video}, {seconds})")
        counters += window
        assert None not in counters, counters
        assert all(b > a for a, b in zip(counters, counters[1:])), counters
        if len(window) >= seconds * fps / 2:
            return window
    raise AssertionError(f"{len(counters)} frames in {WINDOWS * seconds} s, of {fps} a second: {counters}")
