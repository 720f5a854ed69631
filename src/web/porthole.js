// Plays a Porthole stream in a <video>, or publishes to one:
//
//   const player = new PortholePlayer(document.querySelector('video'), { src: 'printer' });
//   player.addEventListener('state', () => console.log(player.state, player.reason));
//   player.start();
//
// States: stopped, connecting, waiting (connected, no picture), playing, failed (tries again by itself).

const GATHER_MS = 50; // an offer waits no longer for the browser's own candidates; the rest trickle
const ANSWER_MS = 25000; // the relay may have to dial the camera first
const CONNECT_MS = 12000; // from answer to connected
const INTERRUPTED_MS = 4000; // a Wi-Fi hiccup shorter than this is not a reconnect
const STALL_MS = 3000; // no new frame for so long is worth a word
const BACKOFF_MS = [1000, 2000, 4000, 8000, 10000];
const POLL_MS = 1000;
const SESSION_MS = 1900;

/** What a candidate line says: `{protocol, address, type}`. */
function parseCandidate(line) {
  const [, , protocol = '', , ip = '', port = '', , type = ''] = line.replace(/^a=/, '').split(' ');
  return { protocol: protocol.toLowerCase(), ip, port, address: ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`, type };
}

// The relay writes the servers of its configuration into the page, in the form of Link fields (RFC 9725, 4.6).
const iceServers = [...document.querySelectorAll('meta[name="ice-server"]')].flatMap(({ content }) => {
  const url = content.match(/^<([^>]+)>/)?.[1];
  const word = (name) => content.match(new RegExp(`; ${name}="((?:[^"\\\\]|\\\\.)*)"`))?.[1].replace(/\\(.)/g, '$1');
  const login = word('username');
  return url ? [{ urls: url, ...(login && { username: login, credential: word('credential') }) }] : [];
});

const isCandidate = (line) => /^a=candidate:/.test(line);

class Peer extends EventTarget {
  #pc = null;
  #socket = null;
  #location = null; // the session's resource, once the relay named it
  #etag = null;
  #timers = new Set();
  #listening = null;
  #attempts = 0;
  #failure = '';
  #last = {};
  #askedAt = 0;

  constructor(options) {
    super();
    /** `src` or `dst`; `ws`: signal over the WebSocket; `tcp`: no UDP; `inspect`: ask for the relay's view too. */
    this.options = options;
    this.state = 'stopped';
    /** Why the state is as it is, in words for the person who looks at the page. */
    this.reason = '';
    /** See `summarise`. */
    this.stats = {};
    /** The relay's view of this session, with `inspect`. */
    this.session = null;
    /** Addresses that the relay offered. */
    this.offered = [];
    this.retryAt = 0;
    this.connectedAt = 0;
  }

  start() {
    if (this.state !== 'stopped') return;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    addEventListener('pagehide', () => {
      this.stop();
      addEventListener('pageshow', () => this.start(), { once: true });
    }, { signal });
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden && this.state === 'failed') this.retry();
    }, { signal });
    this.retry();
  }

  stop() {
    this.#listening?.abort();
    this.#hangUp();
    this.#attempts = 0;
    this.#failure = '';
    this.#set('stopped', '');
  }

  /** Connects now instead of when the back-off ends. */
  async retry() {
    this.#hangUp();
    // why the last try failed stays readable during the next one
    this.#set('connecting', this.#failure);
    if (!('RTCPeerConnection' in globalThis)) {
      this.#set('failed', 'This browser has no WebRTC, or an extension switched it off.');
      return;
    }
    const pc = (this.#pc = new RTCPeerConnection({ iceServers }));
    const current = () => pc === this.#pc;
    try {
      await this.prepare(pc);
      await pc.setLocalDescription(await pc.createOffer());
      if (!current()) return;
      await (this.options.ws ? this.#signalBySocket(pc, current) : this.#signalByHttp(pc, current));
    } catch (error) {
      if (current()) this.#fail(error.message);
      return;
    }
    if (!current()) return;
    if (!this.offered.length && !this.options.ws) return this.#unreachable(pc);
    this.#set('connecting', this.#failure || 'Looking for a path to the relay…');
    for (const { sender } of pc.getTransceivers()) {
      const transport = sender.transport;
      // the relay says goodbye by closing DTLS; the connection's own state does not show that everywhere
      transport?.addEventListener('statechange', () => {
        if (current() && transport.state === 'closed') this.#fail('The relay ended the session.');
      });
    }
    pc.addEventListener('connectionstatechange', () => current() && this.#connectionChanged(pc));
    this.#connectionChanged(pc);
    this.#later(CONNECT_MS, () => this.connectedAt || this.#unreachable(pc));
    this.#poll(pc);
  }

  #connectionChanged(pc) {
    switch (pc.connectionState) {
      case 'connected':
        this.connectedAt ||= performance.now();
        this.#failure = '';
        this.#socket?.close();
        this.#socket = null;
        if (this.state !== 'playing') this.#set('waiting', this.waitingText());
        break;
      case 'disconnected':
        this.#set('waiting', 'The connection is interrupted, waiting for it to come back.');
        this.#later(INTERRUPTED_MS, () => pc.connectionState === 'disconnected' && this.#fail('The connection to the relay broke.'));
        break;
      case 'failed':
        if (this.connectedAt) this.#fail('The connection to the relay broke.');
        else this.#unreachable(pc);
        break;
    }
  }

  #url(path) {
    const url = new URL(path, document.baseURI);
    const { src, dst } = this.options;
    url.searchParams.set(dst ? 'dst' : 'src', dst ?? src);
    return url;
  }

  #usable(line) {
    return !this.options.tcp || parseCandidate(line).protocol === 'tcp';
  }

  /** Worth a message of its own: the relay never dials a browser's active TCP candidate. */
  #worthTelling(candidate) {
    return candidate?.candidate && !this.options.tcp && !/ tcptype active/.test(candidate.candidate);
  }

  /** Drops what this connection must not use; remembers what the relay offers. */
  #filter(sdp, theirs) {
    const lines = sdp.split(/\r?\n/).filter((line) => !isCandidate(line) || this.#usable(line));
    if (theirs) lines.filter(isCandidate).forEach((line) => this.#remember(line));
    return lines.join('\r\n');
  }

  #remember(line) {
    const candidate = parseCandidate(line);
    if (!this.offered.some((c) => c.protocol === candidate.protocol && c.address === candidate.address)) this.offered.push(candidate);
  }

  #accept(pc, sdp) {
    return pc.setRemoteDescription({ type: 'answer', sdp: this.#filter(sdp, true) });
  }

  // WHEP and WHIP: RFC 9725 and draft-ietf-wish-whep, trickling with PATCH (RFC 8840).
  async #signalByHttp(pc, current) {
    let late = null; // candidates that the offer could not hold
    let trickling = 0;
    const trickle = () => {
      trickling = 0;
      const lines = late?.splice(0) ?? [];
      if (!lines.length || !this.#location || !current()) return;
      const line = (start) => pc.localDescription.sdp.match(new RegExp(`^${start}.*`, 'm'))?.[0].trim();
      const body = [line('a=ice-ufrag:'), line('a=ice-pwd:'), line('m='), line('a=mid:'), ...lines, ''];
      const headers = { 'Content-Type': 'application/trickle-ice-sdpfrag' };
      if (this.#etag) headers['If-Match'] = this.#etag;
      fetch(this.#location, { method: 'PATCH', headers, body: body.join('\r\n') }).catch(() => {});
    };
    const queue = (line) => {
      late.push(line);
      trickling ||= setTimeout(trickle, GATHER_MS);
    };
    pc.addEventListener('icecandidate', ({ candidate }) => {
      if (late && this.#worthTelling(candidate)) queue(`a=${candidate.candidate}`);
    });
    await new Promise((resolve) => {
      setTimeout(resolve, GATHER_MS);
      pc.addEventListener('icegatheringstatechange', () => pc.iceGatheringState === 'complete' && resolve());
    });
    const body = this.#filter(pc.localDescription.sdp, false);
    late = [];
    let response, text;
    try {
      const headers = { 'Content-Type': 'application/sdp' };
      response = await fetch(this.#url('api/webrtc'), { method: 'POST', headers, body, signal: AbortSignal.timeout(ANSWER_MS) });
      text = await response.text();
    } catch (error) {
      throw new Error(error.name === 'TimeoutError'
        ? `The relay did not answer within ${ANSWER_MS / 1000} seconds.`
        : `The relay does not answer at ${location.host}. Is it running, and is this device on its network?`);
    }
    if (!response.ok) throw new Error(text.trim() || `The relay answered ${response.status} ${response.statusText}.`);
    const resource = response.headers.get('Location');
    const session = resource && new URL(resource, response.url);
    if (!current()) {
      if (session) fetch(session, { method: 'DELETE', keepalive: true }).catch(() => {});
      return;
    }
    this.#location = session;
    this.#etag = response.headers.get('ETag');
    await this.#accept(pc, text);
    if (late.length) trickle();
  }

  // The WebSocket dialect `webrtc/offer`.
  #signalBySocket(pc, current) {
    const url = this.#url('api/ws');
    url.protocol = url.protocol.replace('http', 'ws');
    return new Promise((resolve, reject) => {
      const socket = (this.#socket = new WebSocket(url));
      const queued = [];
      const send = (type, value) => {
        const message = JSON.stringify({ type, value });
        if (socket.readyState === WebSocket.OPEN) socket.send(message);
        else queued.push(message);
      };
      send('webrtc/offer', this.#filter(pc.localDescription.sdp, false));
      pc.addEventListener('icecandidate', ({ candidate }) => {
        if (this.#worthTelling(candidate)) send('webrtc/candidate', candidate.candidate);
      });
      socket.onopen = () => queued.splice(0).forEach((message) => socket.send(message));
      socket.onmessage = ({ data }) => {
        if (!current() || typeof data !== 'string') return;
        const { type, value } = JSON.parse(data);
        if (type === 'webrtc/answer') {
          this.#accept(pc, value).then(resolve, reject);
        } else if (type === 'webrtc/candidate' && value && this.#usable(value)) {
          this.#remember(value);
          pc.addIceCandidate({ candidate: value, sdpMid: '0' }).catch(() => {});
        } else if (type === 'error') {
          reject(new Error(String(value).replace(/^webrtc\/offer: /, '')));
        }
      };
      socket.onclose = () => reject(new Error(`The relay does not answer at ${url.host}, or refused the WebSocket.`));
      this.#later(ANSWER_MS, () => reject(new Error(`The relay did not answer within ${ANSWER_MS / 1000} seconds.`)));
    });
  }

  /** Says why no pair of addresses worked, and what the reader can look at. */
  async #unreachable(pc) {
    if (!this.offered.length) {
      this.#fail(this.options.tcp
        ? 'The relay offered no TCP address: its webrtc.listen allows UDP only.'
        : 'The relay offered no address for the picture: look at webrtc.listen and webrtc.filters in its configuration.');
      return;
    }
    const report = pc.connectionState === 'closed' ? [] : await pc.getStats();
    if (pc !== this.#pc) return;
    const local = new Set();
    report.forEach((s) => {
      if (s.type === 'local-candidate') local.add(s.address?.endsWith('.local') ? 'an address that the browser hides' : s.address ?? s.ip);
    });
    const list = (candidates) => candidates.map((c) => `${c.protocol} ${c.address}`).join(', ');
    const ports = [...new Set(this.offered.map((c) => c.port))].join(', ');
    const host = location.hostname.replace(/^\[|\]$/g, '');
    const literal = /^[\d.]+$|:/.test(host) && !/^127\.|^::1$/.test(host);
    const parts = [
      'The page loads, but the picture’s own connection to the relay fails.',
      `The relay offered ${list(this.offered)}; this browser tried from ${[...local].filter(Boolean).join(', ') || 'no address at all'}.`,
    ];
    if (literal && !this.offered.some((c) => c.ip === host)) {
      parts.push(`This page came from ${host}, which the relay does not know as its own: add "${host}:${this.offered[0].port}" to webrtc.candidates in its configuration.`);
    } else {
      parts.push(`Does a firewall block port ${ports} (${this.options.tcp ? 'TCP' : 'UDP and TCP'}) between the two, or a VPN or guest Wi-Fi keep them apart?`);
    }
    if (this.session?.reason) parts.push(`The relay says: ${this.session.reason}`);
    this.#fail(parts.join(' '));
  }

  #fail(reason) {
    this.#hangUp();
    const delay = BACKOFF_MS[Math.min(this.#attempts++, BACKOFF_MS.length - 1)];
    this.retryAt = Date.now() + delay;
    this.#later(delay, () => this.retry());
    this.#failure = reason;
    this.#set('failed', reason);
  }

  #hangUp() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    const pc = this.#pc;
    this.#pc = null;
    pc?.close();
    this.#socket?.close();
    this.#socket = null;
    if (this.#location) fetch(this.#location, { method: 'DELETE', keepalive: true }).catch(() => {});
    this.#location = this.#etag = null;
    this.#last = {};
    this.stats = {};
    this.session = null;
    this.offered = [];
    this.retryAt = this.connectedAt = 0;
  }

  #later(ms, action) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, ms);
    this.#timers.add(timer);
  }

  #set(state, reason) {
    if (this.state === state && this.reason === reason) return;
    this.state = state;
    this.reason = reason;
    this.dispatchEvent(new Event('state'));
  }

  /** A picture moves: by frame callback at once, by the figures at the latest. */
  moving() {
    if (!this.#pc || this.state === 'playing') return;
    this.#attempts = 0;
    this.#set('playing', '');
  }

  /** The session's id as `/api/session` takes it. */
  get id() {
    return this.#location && (this.#location.searchParams.get('id') ?? this.#location.pathname.split('/').pop());
  }

  async #poll(pc) {
    const current = () => pc === this.#pc;
    try {
      const now = performance.now();
      const report = await pc.getStats();
      if (!current()) return;
      const last = this.#last;
      const stats = summarise(report, this.options.dst ? 'outbound-rtp' : 'inbound-rtp');
      const seconds = (now - last.at) / 1000;
      stats.kbps = seconds > 0 ? Math.round(((stats.bytes - last.bytes) * 8) / seconds / 1000) : 0;
      const moved = stats.frames > (last.frames ?? 0);
      const movedAt = moved ? now : last.movedAt ?? now;
      this.#last = { at: now, bytes: stats.bytes, frames: stats.frames, movedAt };
      this.stats = stats;
      if (pc.connectionState === 'connected') {
        if (moved) this.moving();
        else if (this.state === 'playing' && now - movedAt > STALL_MS) this.#set('waiting', this.waitingText(true));
        else if (this.state === 'waiting') this.#set('waiting', this.waitingText(stats.frames > 0));
      }
      if (this.options.inspect && this.id && now - this.#askedAt > SESSION_MS) {
        this.#askedAt = now;
        const url = new URL(`api/session?id=${encodeURIComponent(this.id)}`, document.baseURI);
        fetch(url).then((r) => (r.ok ? r.json() : null)).then((session) => {
          if (current()) this.session = session;
        }).catch(() => {});
      }
      this.dispatchEvent(new Event('stats'));
    } catch {
      // a connection that closes meanwhile has no figures
    }
    if (current()) this.#later(POLL_MS, () => this.#poll(pc));
  }
}

/** The figures that a person asks for, out of getStats. */
function summarise(report, type) {
  const s = { frames: 0, bytes: 0 };
  let pair;
  report.forEach((r) => {
    if (r.type === type) {
      s.bytes += r.bytesReceived ?? r.bytesSent ?? 0;
      const codec = report.get(r.codecId);
      const name = codec && codec.mimeType.split('/')[1];
      if (r.kind === 'audio') {
        s.audioCodec = name;
        return;
      }
      s.codec = name;
      s.width = r.frameWidth;
      s.height = r.frameHeight;
      s.fps = r.framesPerSecond;
      s.frames = r.framesDecoded ?? r.framesSent ?? 0;
      s.dropped = r.framesDropped;
      s.packets = r.packetsReceived ?? r.packetsSent;
      s.lost = r.packetsLost;
      s.recovered = r.retransmittedPacketsReceived ?? r.retransmittedPacketsSent;
      s.nacks = r.nackCount;
      s.jitterMs = r.jitter * 1000;
    } else if (r.type === 'transport' && r.selectedCandidatePairId) {
      pair = report.get(r.selectedCandidatePairId);
    } else if (r.type === 'candidate-pair' && !pair && (r.selected || (r.nominated && r.state === 'succeeded'))) {
      pair = r;
    }
  });
  if (pair) {
    const end = (id) => {
      const c = report.get(id) ?? {};
      const ip = c.address ?? c.ip ?? '';
      return { type: c.candidateType, protocol: c.protocol, address: ip ? `${ip.includes(':') ? `[${ip}]` : ip}:${c.port}` : 'hidden by the browser' };
    };
    s.rttMs = pair.currentRoundTripTime * 1000;
    s.local = end(pair.localCandidateId);
    s.remote = end(pair.remoteCandidateId);
    s.protocol = s.remote.protocol ?? s.local.protocol;
  }
  return s;
}

/** Plays a stream in a <video>: `new PortholePlayer(video, { src, audio, ws, tcp, inspect })`. */
export class PortholePlayer extends Peer {
  constructor(video, options) {
    super({ audio: true, ...options });
    this.video = video;
    /** The browser wants a tap before it plays even a silent picture (a phone that saves power). */
    this.blocked = false;
  }

  async prepare(pc) {
    const media = new MediaStream();
    pc.addTransceiver('video', { direction: 'recvonly' });
    if (this.options.audio) pc.addTransceiver('audio', { direction: 'recvonly' });
    pc.addEventListener('track', ({ track }) => {
      media.addTrack(track);
      if (this.video.srcObject === media) return;
      this.video.srcObject = media; // not earlier: a reconnect keeps the last picture until here
      this.video.requestVideoFrameCallback?.(() => media === this.video.srcObject && this.moving());
      this.play();
    });
  }

  play() {
    this.video.play().then(() => { this.blocked = false; }, (error) => {
      this.blocked = error.name === 'NotAllowedError';
      if (this.blocked) this.dispatchEvent(new Event('state'));
    });
  }

  stop() {
    super.stop();
    this.video.srcObject = null;
  }

  waitingText(seen) {
    if (this.session?.reason) return `Connected: ${this.session.reason}.`;
    return seen ? 'The picture stands still: connected, waiting for the camera.' : 'Connected, waiting for the camera’s picture.';
  }
}

/** Sends tracks of a MediaStream to a stream: `new PortholePublisher(media, { dst, ws, tcp, inspect })`. */
export class PortholePublisher extends Peer {
  constructor(media, options) {
    super(options);
    this.media = media;
  }

  async prepare(pc) {
    for (const track of this.media.getTracks()) {
      const transceiver = pc.addTransceiver(track, { direction: 'sendonly', streams: [this.media] });
      if (track.kind !== 'video') continue;
      // H.264 first: what every viewer, and every recorder behind the relay, can play
      const codecs = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
      const h264 = (c) => /h264/i.test(c.mimeType);
      transceiver.setCodecPreferences?.([...codecs.filter(h264), ...codecs.filter((c) => !h264(c))]);
    }
  }

  waitingText() {
    return 'Connected, no picture leaves this browser yet.';
  }
}
