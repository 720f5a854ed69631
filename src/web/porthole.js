// <porthole-player src="printer">: plays a stream of a Porthole relay in any page. docs/viewing.md lists its attributes,
// properties, events and keys. One module, no build step: <script type="module" src="…/porthole.js"></script>

const GATHER_MS = 50; // an offer waits no longer for the browser's own candidates; the rest trickle
const ANSWER_MS = 25000; // the relay may have to dial the camera first
const CONNECT_MS = 12000; // from answer to connected
const INTERRUPTED_MS = 4000; // a Wi-Fi hiccup shorter than this is not a reconnect
const STALL_MS = 3000; // without a new frame
const BACKOFF_MS = [1000, 2000, 4000, 8000, 10000];
const JITTER = 0.25; // of a step, so that viewers do not all come back at once
const POLL_MS = 1000;
const SESSION_MS = 1900;
const DOCTOR_MS = 3000; // how often the doctor is asked while there is no picture
const SIDE_MS = 1500; // questions beside the offer
const HIDDEN_MS = 2000;
const IDLE_MS = 3000; // controls go when the pointer rests
const MICROPHONE_MS = 20000; // after the last word
const OWN_MS = 800;
const BUSY = 'Somebody else is talking now.';

const OWN = new URL('.', import.meta.url);

function parseCandidate(line) {
  const [, , protocol = '', , ip = '', port = '', , type = ''] = line.replace(/^a=/, '').split(' ');
  return { protocol: protocol.toLowerCase(), ip, port, address: ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`, type };
}

function serversOf(links) {
  return [...links.matchAll(/<([^>]+)>((?:; [\w-]+="(?:[^"\\]|\\.)*")*)/g)].map(([, urls, more]) => {
    const word = (name) => more.match(new RegExp(`; ${name}="((?:[^"\\\\]|\\\\.)*)"`))?.[1].replace(/\\(.)/g, '$1');
    const login = word('username');
    return { urls, ...(login && { username: login, credential: word('credential') }) };
  });
}

const askedServers = new Map();
/** The relay writes STUN and TURN servers into its own pages; other pages ask once. */
function iceServers(relay) {
  if (new URL('.', document.baseURI).href === relay.href) {
    return [...document.querySelectorAll('meta[name="ice-server"]')].flatMap(({ content }) => serversOf(content));
  }
  if (!askedServers.has(relay.href)) {
    askedServers.set(relay.href, fetch(new URL('api/webrtc', relay), { method: 'OPTIONS', signal: AbortSignal.timeout(SIDE_MS) })
      .then((response) => serversOf(response.headers.get('Link') ?? '')).catch(() => (askedServers.delete(relay.href), [])));
  }
  return askedServers.get(relay.href);
}

const reports = new Map();
function doctorOf(relay) {
  const known = reports.get(relay.href);
  if (known && performance.now() - known.at < SESSION_MS) return known.report;
  const report = fetch(new URL('api/doctor', relay), { signal: AbortSignal.timeout(SIDE_MS), cache: 'no-store' })
    .then((response) => (response.ok ? response.json() : null)).catch(() => null);
  reports.set(relay.href, { at: performance.now(), report });
  return report;
}

/** Relays behind proxies that pass no WebSocket. */
const withoutSocket = new Set();

const isCandidate = (line) => /^a=candidate:/.test(line);

/** A connection that repairs itself; its heirs say what it carries. */
export class Peer extends EventTarget {
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
  #doctorAt = 0;

  constructor(options) {
    super();
    /** `src` or `dst`; the others as the element's attributes; `socket()` stands in for the relay's WebSocket. */
    this.options = options;
    this.relay = new URL(options.relay ?? OWN, document.baseURI);
    this.state = 'stopped';
    this.reason = '';
    this.verdict = null;
    this.signalling = '';
    this.stats = {};
    this.session = null;
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

  async retry() {
    this.#hangUp();
    // why the last try failed stays readable during the next one
    this.#set('connecting', this.#failure);
    if (!('RTCPeerConnection' in globalThis)) {
      this.#set('failed', 'This browser has no WebRTC, or an extension switched it off.');
      return;
    }
    const pc = (this.#pc = new RTCPeerConnection());
    const current = () => pc === this.#pc;
    try {
      const servers = await iceServers(this.relay);
      if (!current()) return;
      if (servers.length) pc.setConfiguration({ iceServers: servers });
      await this.prepare(pc);
      if (!current()) return;
      await this.#describe(pc);
      if (!current()) return;
      await this.#signal(pc, current);
    } catch (error) {
      if (!current()) return;
      if (error.taken) this.#fail(error.message);
      else this.#explain(pc, error.message);
      return;
    }
    if (!current()) return;
    if (!this.offered.length && this.signalling === 'WHEP') return this.#unreachable(pc);
    this.#set('connecting', this.#failure || 'Looking for a path to the relay…');
    for (const { sender } of pc.getTransceivers()) {
      const transport = sender.transport;
      // the relay's goodbye; the connection's own state does not show it everywhere
      transport?.addEventListener('statechange', () => {
        if (current() && transport.state === 'closed') this.#ended(pc);
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
        this.endSignalling();
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

  async #signal(pc, current) {
    const { signal } = this.options;
    if (signal !== 'whep' && !(withoutSocket.has(this.relay.href) && signal !== 'ws')) {
      this.signalling = 'WebSocket';
      if (await this.#signalBySocket(pc, current)) return;
      if (!current()) return;
      if (signal === 'ws') throw new Error(`The relay does not answer at ${this.relay.host}, or refused the WebSocket.`);
    }
    const fallen = this.signalling;
    this.signalling = 'WHEP';
    await this.#signalByHttp(pc, current);
    if (fallen && this.#location) withoutSocket.add(this.relay.href);
  }

  #url(path) {
    const url = new URL(path, this.relay);
    const { src, dst } = this.options;
    url.searchParams.set(dst ? 'dst' : 'src', dst ?? src);
    return url;
  }

  #usable(line) {
    return !this.options.tcp || parseCandidate(line).protocol === 'tcp';
  }

  /** The relay never dials a browser's active TCP candidate. */
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

  /** Makes our offer. A player hears both channels only if its own description says so (RFC 7587). */
  async #describe(pc) {
    const { type, sdp } = await pc.createOffer();
    const opus = this.options.dst ? null : sdp.match(/^a=rtpmap:(\d+) opus\//im);
    const fmtp = opus && new RegExp(`^(a=fmtp:${opus[1]} (?!.*\\bstereo=).*?)(\r?)$`, 'gm');
    await pc.setLocalDescription({ type, sdp: fmtp ? sdp.replace(fmtp, '$1;stereo=1$2') : sdp });
  }

  #accept(pc, sdp) {
    return pc.setRemoteDescription({ type: 'answer', sdp: this.#filter(sdp, true) });
  }

  // WHEP and WHIP (RFC 9725), trickling by PATCH (RFC 8840)
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
        : `The relay does not answer at ${this.relay.host}. Is it running, and is this device on its network?`);
    }
    if (!response.ok) throw this.#refused(text.trim() || `The relay answered ${response.status} ${response.statusText}.`);
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

  // The WebSocket dialect `webrtc/offer`. False: no WebSocket came about.
  #signalBySocket(pc, current) {
    const url = this.#url('api/ws');
    url.protocol = url.protocol.replace('http', 'ws');
    return new Promise((resolve, reject) => {
      const socket = (this.#socket = this.options.socket?.() ?? new WebSocket(url));
      const queued = [];
      let opened = false;
      const send = (type, value, session) => {
        const message = JSON.stringify({ type, value, session });
        if (opened) socket.send(message);
        else queued.push(message);
      };
      send('webrtc/offer', this.#filter(pc.localDescription.sdp, false), this.id);
      pc.onicecandidate = ({ candidate }) => {
        if (this.#worthTelling(candidate)) send('webrtc/candidate', candidate.candidate);
      };
      socket.onopen = () => {
        opened = true;
        queued.splice(0).forEach((message) => socket.send(message));
      };
      socket.onmessage = ({ data }) => {
        if (!current() || typeof data !== 'string') return;
        const { type, value, session } = JSON.parse(data);
        if (type === 'webrtc/answer') {
          if (session) this.#location = new URL(`api/webrtc?id=${encodeURIComponent(session)}`, this.relay);
          this.#accept(pc, value).then(() => resolve(true), reject);
        } else if (type === 'webrtc/candidate' && value && this.#usable(value)) {
          this.#remember(value);
          pc.addIceCandidate({ candidate: value, sdpMid: '0' }).catch(() => {});
        } else if (type === 'webrtc/talk') {
          this.dispatchEvent(new CustomEvent('turn', { detail: value }));
        } else if (type === 'error') {
          reject(this.#refused(String(value).replace(/^webrtc\/offer: /, '')));
        }
      };
      socket.onclose = () => (opened ? reject(new Error('The relay closed the WebSocket before it answered.')) : resolve(false));
      this.#later(ANSWER_MS, () => reject(new Error(`The relay did not answer within ${ANSWER_MS / 1000} seconds.`)));
    });
  }

  /** A publisher that was replaced does not come back: the two would go on for ever. */
  async #ended(pc) {
    if (this.options.dst) {
      reports.delete(this.relay.href);
      const report = await doctorOf(this.relay);
      if (pc !== this.#pc) return;
      if (report?.past.some(({ id, replaced }) => replaced && id && this.id?.startsWith(id))) {
        this.stop();
        this.#set('stopped', 'Somebody else sends to this stream now and has replaced this page.');
        return;
      }
    }
    this.#fail('The relay ended the session.');
  }

  #refusal(text) {
    if (!/^stream not found$/i.test(text)) return text;
    return `Stream not found: this relay has none named “${this.options.dst ?? this.options.src}”. Its list of streams shows those it has; a new one goes under streams: in its configuration.`;
  }

  #refused(text) {
    const taken = /^somebody else publishes/i.test(text);
    return Object.assign(new Error(taken ? 'Somebody else sends to this stream. This page tries again until they have stopped.' : this.#refusal(text)), { taken });
  }

  async #diagnose(refused) {
    const report = !this.options.socket && await doctorOf(this.relay);
    if (!report) return null;
    const name = this.options.dst ?? this.options.src;
    const mine = ({ id }) => id && this.id?.startsWith(id);
    const turnedAway = (past) => refused && past.phase === 'refused' && past.stream.name === name && past.ago_ms < DOCTOR_MS;
    return [...report.sessions, ...report.past].find(mine)?.verdict ?? report.past.find(turnedAway)?.verdict
      ?? report.streams.find((stream) => stream.name === name)?.verdict ?? report.machine.verdicts[0] ?? null;
  }

  async #explain(pc, text, refused = true) {
    const verdict = await this.#diagnose(refused);
    if (pc !== this.#pc) return;
    this.#fail(verdict ? `${verdict.sentence} ${verdict.remedy}` : text, verdict);
  }

  async #unreachable(pc) {
    if (!this.offered.length) {
      this.#explain(pc, this.options.tcp
        ? 'The relay offers no TCP address: its webrtc.listen allows UDP only.'
        : 'The relay offers no address for the picture: look at webrtc.listen and webrtc.filters in its configuration.', false);
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
    const host = this.relay.hostname.replace(/^\[|\]$/g, '');
    const literal = /^[\d.]+$|:/.test(host) && !/^127\.|^::1$/.test(host);
    const parts = [
      'The page loads, but the picture’s own connection to the relay fails.',
      `The relay offered ${list(this.offered)}; this browser tried from ${[...local].filter(Boolean).join(', ') || 'no address at all'}.`,
    ];
    if (literal && !this.offered.some((c) => c.ip === host)) {
      parts.push(`The relay does not know ${host} as its own address: add "${host}:${this.offered[0].port}" to webrtc.candidates in its configuration.`);
    } else {
      parts.push(`Does a firewall block port ${ports} (${this.options.tcp ? 'TCP' : 'UDP and TCP'}) between the two, or a VPN or guest Wi-Fi keep them apart?`);
    }
    if (this.session?.reason) parts.push(`The relay says: ${this.session.reason}`);
    this.#explain(pc, parts.join(' '), false);
  }

  #fail(reason, verdict = null) {
    this.#hangUp();
    this.verdict = verdict;
    const step = BACKOFF_MS[Math.min(this.#attempts++, BACKOFF_MS.length - 1)];
    const delay = step * (1 + JITTER * (2 * Math.random() - 1));
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
    this.endSignalling();
    if (this.#location) fetch(this.#location, { method: 'DELETE', keepalive: true }).catch(() => {});
    this.#location = this.#etag = null;
    this.#last = {};
    this.stats = {};
    this.session = this.verdict = null;
    this.offered = [];
    this.retryAt = this.connectedAt = 0;
  }

  endSignalling() {
    this.#socket?.close();
    this.#socket = null;
  }

  /** Another offer in this session; its WebSocket stays open. False: none came about. */
  async offerAgain() {
    const pc = this.#pc;
    let done = false;
    if (!pc || this.signalling !== 'WebSocket') return done;
    try {
      await this.#describe(pc);
      return (done = await this.#signalBySocket(pc, () => pc === this.#pc));
    } finally {
      if (!done) await pc.setLocalDescription({ type: 'rollback' }).catch(() => {});
    }
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
    this.verdict = null;
    this.#set('playing', '');
  }

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
        if (this.state === 'waiting' && now - Math.max(this.connectedAt, this.#doctorAt) > DOCTOR_MS) {
          this.#doctorAt = now;
          this.#diagnose(false).then((verdict) => {
            if (!current() || this.state !== 'waiting') return;
            this.verdict = verdict;
            this.#set('waiting', this.waitingText());
          });
        }
      }
      if (this.options.inspect && this.id && now - this.#askedAt > SESSION_MS) {
        this.#askedAt = now;
        const url = new URL(`api/session?id=${encodeURIComponent(this.id)}`, this.relay);
        fetch(url).then((r) => (r.ok ? r.json() : null)).then((session) => {
          if (current()) this.session = session;
        }).catch(() => {});
      }
      this.dispatchEvent(new Event('stats'));
    } catch {
      // it closed meanwhile
    }
    if (current()) this.#later(POLL_MS, () => this.#poll(pc));
  }
}

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

export class PortholePlayer extends Peer {
  #voice = null; // the transceiver of sound
  #both = false; // from the first offer on
  #microphone = null;
  #silence = 0;
  #said = 0;

  constructor(video, options) {
    super({ audio: true, ...options });
    this.video = video;
    /** The browser wants a tap before it plays even a silent picture (a phone that saves power). */
    this.blocked = false;
    /** What the relay says about the stream's ear: `{available, busy}`; null where it has none. */
    this.talk = null;
    this.talking = false;
  }

  async prepare(pc) {
    const media = new MediaStream();
    pc.addTransceiver('video', { direction: 'recvonly' });
    if (this.options.audio) this.#voice = pc.addTransceiver('audio', { direction: this.#both ? 'sendrecv' : 'recvonly' });
    pc.addEventListener('track', ({ track }) => {
      media.addTrack(track);
      if (this.video.srcObject === media) return;
      this.video.srcObject = media; // not earlier: a reconnect keeps the last picture until here
      this.video.requestVideoFrameCallback?.(() => media === this.video.srcObject && this.moving());
      this.play();
    });
  }

  /** The figures may tell of a decoded picture before the video has it. */
  moving() {
    if (this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) super.moving();
  }

  play() {
    this.video.play().then(() => { this.blocked = false; }, (error) => {
      this.blocked = error.name === 'NotAllowedError';
      if (this.blocked) this.dispatchEvent(new Event('state'));
    });
  }

  stop() {
    this.stopTalking();
    clearTimeout(this.#silence);
    this.#microphone?.stop();
    this.#microphone = null;
    super.stop();
  }

  async askTalk() {
    if (!this.options.audio || !this.options.talk) return;
    const url = new URL(`api/streams?src=${encodeURIComponent(this.options.src)}`, this.relay);
    this.talk = await fetch(url, { signal: AbortSignal.timeout(SIDE_MS), cache: 'no-store' })
      .then((response) => (response.ok ? response.json() : null)).then((stream) => stream?.talk ?? null).catch(() => null);
  }

  /** The error says why not. */
  async startTalking() {
    if (this.talking) return;
    this.talking = true;
    try {
      const whep = this.signalling === 'WHEP'; // a WebSocket tells who talks
      if (whep) await this.askTalk();
      // for a moment after its last word the relay counts this page's own
      if (whep && this.talk?.busy && Date.now() - this.#said > OWN_MS) throw new Error(BUSY);
      clearTimeout(this.#silence);
      this.#microphone ??= await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } })
        .then((stream) => stream.getAudioTracks()[0], (error) => {
          throw new Error(error.name === 'NotAllowedError' ? 'Allow this page to use the microphone.' : 'This device has no microphone that the browser can open.');
        });
      if (!this.talking) return;
      this.#voice.direction = 'sendrecv';
      const sends = () => this.#voice.currentDirection?.startsWith('send');
      if (!(await this.offerAgain()) && !sends()) {
        this.#both = true;
        await this.retry();
      }
      if (!sends()) throw new Error('The relay takes no sound from this page now.');
      if (this.talking) await this.#voice.sender.replaceTrack(this.#microphone);
      else this.endSignalling();
    } catch (error) {
      this.talking = false;
      throw error;
    }
  }

  stopTalking() {
    if (!this.talking) return;
    this.talking = false;
    this.#said = Date.now();
    if (this.#voice.sender.track) {
      this.#voice.sender.replaceTrack(null).catch(() => {});
      this.endSignalling();
    }
    this.#silence = setTimeout(() => {
      this.#microphone?.stop();
      this.#microphone = null;
    }, MICROPHONE_MS);
  }

  waitingText(seen) {
    if (this.verdict) return `${this.verdict.sentence} ${this.verdict.remedy}`;
    if (this.session?.reason) return `Connected: ${this.session.reason}.`;
    return seen ? 'The picture stands still: connected, waiting for the camera.' : 'Connected, waiting for the camera’s picture.';
  }
}

const SVG = 'http://www.w3.org/2000/svg';
const ICONS = {
  stop: 'M6 5h4v14H6zM14 5h4v14h-4z',
  start: 'M7 4v16l13-8z',
  loud: 'M4 9v6h4l5 5V4L8 9zM16 8a5 5 0 0 1 0 8M18.5 5a9 9 0 0 1 0 14',
  mute: 'M4 9v6h4l5 5V4L8 9zM16 9l6 6M22 9l-6 6',
  talk: 'M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM6 11a6 6 0 0 0 12 0M12 17v4',
  snapshot: 'M4 7h4l2-3h4l2 3h4v12H4zM12 9.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z',
  view: 'M5 12a7 7 0 1 0 14 0a7 7 0 1 0-14 0M12 2v7M12 15v7M2 12h7M15 12h7',
  pip: 'M3 5h18v14H3zM12 12h7v5h-7z',
  full: 'M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5',
};

const STYLE = `
:host { display: block; position: relative; overflow: hidden; width: 100%; aspect-ratio: var(--ratio, 1.7778); background: #0c171b; color: #e6eef0; font: 15px/1.4 system-ui, sans-serif; container-type: size; border-radius: inherit; }
:host([hidden]) { display: none; }
:host(:focus-visible), button:focus-visible, a:focus-visible, input:focus-visible { outline: 3px solid #e0b25c; outline-offset: -3px; }
[hidden] { display: none !important; }
#picture { position: absolute; inset: 0; margin: auto; width: min(100cqw, 100cqh * var(--ratio, 1.7778)); aspect-ratio: var(--ratio, 1.7778); container-type: size; }
#turn { position: absolute; left: 50%; top: 50%; width: 100cqw; height: 100cqh; transform: translate(-50%, -50%) scale(var(--x, 1), var(--y, 1)) rotate(var(--turn, 0deg)); }
#turn.side { width: 100cqh; height: 100cqw; }
::slotted(video) { display: block; width: 100%; height: 100%; object-fit: contain; }
#cross { position: absolute; inset: 0; pointer-events: none; }
#cross i { position: absolute; background: var(--crosshair, #ff5b4d); }
#cross .v { left: var(--cx, 50%); top: 0; bottom: 0; width: 1px; } #cross .h { top: var(--cy, 50%); left: 0; right: 0; height: 1px; }
#cross b { position: absolute; left: var(--cx, 50%); top: var(--cy, 50%); width: 12cqh; aspect-ratio: 1; border: 1.5px solid var(--crosshair, #ff5b4d); border-radius: 50%; transform: translate(-50%, -50%); cursor: move; touch-action: none; pointer-events: auto; }
#say { position: absolute; inset: 0; display: grid; place-content: safe center; justify-items: center; gap: .6rem; padding: .6rem 1rem 3.2rem; overflow: auto; text-align: center; background: #060c0fb3; overflow-wrap: anywhere; }
#say p { margin: 0; max-width: 44rem; }
:host([bare]) #say { font-size: .875rem; padding-bottom: .6rem; }
button, a { font: inherit; color: inherit; }
button { display: grid; place-items: center; min-width: 2.75rem; height: 2.75rem; padding: 0; border: 0; border-radius: .5rem; background: none; cursor: pointer; }
button:hover { background: #ffffff26; }
button[aria-pressed=true] { background: #57c4d4; color: #06242a; }
#talk[aria-pressed=true] { background: #d8402f; color: #fff; }
.word { padding: 0 1rem; background: #0b7285; color: #fff; font-weight: 600; border-radius: .6rem; }
.word:hover { background: #095c6b; }
#say a { color: #7fd6e2; padding: .4rem; }
#sound { position: absolute; top: .6rem; right: .6rem; }
svg { width: 1.5rem; height: 1.5rem; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
#bar { position: absolute; inset: auto 0 0; display: flex; align-items: center; padding: 1.5rem .3rem .2rem; background: linear-gradient(#0000, #000000b8); }
#bar input { width: 5rem; accent-color: #57c4d4; }
#bar .space { flex: 1; }
:host(.idle) #bar:not(:focus-within) { opacity: 0; pointer-events: none; }
#panel { position: absolute; right: .4rem; bottom: 3.6rem; max-width: calc(100% - .8rem); max-height: calc(100% - 4rem); overflow: auto; padding: .4rem; background: #0c171bf2; border: 1px solid #ffffff33; border-radius: .6rem; }
#panel p { margin: .4rem .5rem; max-width: 26rem; } #panel a { color: #7fd6e2; }
#panel .choices { display: flex; flex-wrap: wrap; gap: .3rem; } #panel button { padding: 0 .75rem; }
dl { margin: .4rem .5rem; display: grid; grid-template-columns: auto 1fr; gap: 0 .8rem; } dd { margin: 0; }
@container (max-width: 27rem) { #bar input, #pip { display: none; } #say { font-size: .85rem; gap: .4rem; } }
@container (max-width: 17rem) { #snapshot, #view { display: none; } }
`;

/** Texts become text nodes. */
function el(tag, attributes = {}, ...children) {
  const element = tag === 'svg' || tag === 'path' ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== undefined) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children);
  return element;
}

const icon = (name) => el('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' }, el('path', { d: ICONS[name] }));
const show = (element, on) => { if (element.hidden === on) element.hidden = !on; };
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

const KEYS = 'Space: stop or start|M: sound|↑ ↓: louder, quieter|F: full screen|P: picture in picture|S: snapshot|C: crosshair|Shift and arrows: move it|R: rotate|X: mirror|Y: flip|T: hold to talk|?: this list';

export class PortholeElement extends HTMLElement {
  static observedAttributes = ['src', 'relay', 'signal', 'tcp', 'silent', 'bare', 'rotate', 'mirror', 'flip', 'crosshair'];
  #player = null;
  #parts = {};
  #life = null; // ends what listens beyond the element
  #timers = {};
  #away = false; // hung up because nobody can see it
  #stopped = false; // by the viewer
  #trouble = false; // a next try hides nothing

  static {
    const none = { state: 'stopped', reason: '', verdict: null, stats: {}, session: null, offered: [], talk: null, retryAt: 0, signalling: '' };
    for (const name of Object.keys(none)) Object.defineProperty(this.prototype, name, { get() { return (this.#player ?? none)[name]; } });
  }

  get video() { return this.#parts.video; }
  get src() { return this.getAttribute('src') ?? ''; }
  set src(name) { this.setAttribute('src', name); }

  connectedCallback() {
    if (!this.shadowRoot) this.#build();
    this.#life = new AbortController();
    const { signal } = this.#life;
    const seen = { page: !document.hidden, view: true };
    const look = () => {
      if (!this.hasAttribute('pause-hidden')) return;
      clearTimeout(this.#timers.hidden);
      const visible = seen.page && seen.view;
      const pip = document.pictureInPictureElement === this.video;
      if (!visible && !pip) this.#timers.hidden = setTimeout(() => this.#leave(true), HIDDEN_MS);
      else this.#leave(false);
    };
    document.addEventListener('visibilitychange', () => { seen.page = !document.hidden; look(); }, { signal });
    const observer = new IntersectionObserver(([entry]) => { seen.view = entry.isIntersecting; look(); });
    observer.observe(this);
    signal.addEventListener('abort', () => observer.disconnect());
    document.addEventListener('fullscreenchange', () => this.#showButtons(), { signal });
    this.#turn();
    this.#restart();
  }

  disconnectedCallback() {
    this.#life?.abort();
    Object.values(this.#timers).forEach(clearTimeout);
    this.#player?.stop();
    this.#player = null;
  }

  attributeChangedCallback(name) {
    if (!this.#life || this.#life.signal.aborted) return;
    if (['rotate', 'mirror', 'flip', 'crosshair'].includes(name)) this.#turn();
    else this.#restart();
  }

  start() {
    this.#stopped = this.#away = false;
    this.#player?.start();
  }

  stop() {
    this.#stopped = true;
    this.#player?.stop();
  }

  retry() {
    this.#player?.retry();
  }

  async snapshot() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width) throw new Error('There is no picture yet.');
    const angle = this.#angle();
    const canvas = angle % 180 ? el('canvas', { width: height, height: width }) : el('canvas', { width, height });
    const context = canvas.getContext('2d');
    context.translate(canvas.width / 2, canvas.height / 2);
    context.scale(this.hasAttribute('mirror') ? -1 : 1, this.hasAttribute('flip') ? -1 : 1);
    context.rotate((angle * Math.PI) / 180);
    context.drawImage(this.video, -width / 2, -height / 2);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
    this.dispatchEvent(new CustomEvent('snapshot', { detail: blob }));
    return blob;
  }

  handleKey(event) {
    const { key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || this.hasAttribute('bare')) return;
    const from = event.composedPath()[0];
    const own = from?.matches?.('input, select, textarea, [contenteditable]');
    const pressed = from?.matches?.('button, a, summary');
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    let action = null;
    if (arrows && event.shiftKey && this.hasAttribute('crosshair')) action = () => this.#moveCross(...arrows);
    else if (arrows && arrows[1] && !own && !event.shiftKey) action = () => this.#loudness(this.video.volume - arrows[1] * 0.1);
    else if (!own && !(pressed && key === ' ')) {
      action = {
        ' ': () => this.#pause(), m: () => this.#mute(), f: () => this.#full(), p: () => this.#pip(), s: () => this.#save(), c: () => this.toggleAttribute('crosshair'),
        r: () => this.#rotate(), x: () => this.toggleAttribute('mirror'), y: () => this.toggleAttribute('flip'), t: () => event.repeat || this.#talk(true), '?': () => this.#panel('keys'),
      }[key.toLowerCase()];
    }
    if (!action && key === 'Escape' && !this.#parts.panel.hidden) action = () => this.#panel('');
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    this.#wake();
    action();
  }

  #build() {
    const p = this.#parts;
    const root = this.attachShadow({ mode: 'open' });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    // for the page to reach and style
    p.video = this.querySelector('video') ?? this.appendChild(el('video'));
    Object.assign(p.video, { muted: true, autoplay: true, playsInline: true });
    p.video.setAttribute('playsinline', '');
    p.cross = el('div', { id: 'cross', 'aria-hidden': 'true' }, el('i', { class: 'v' }), el('i', { class: 'h' }), (p.ring = el('b')));
    p.over = el('span', { id: 'over' });
    p.doctor = el('a', { id: 'doctor', target: self === top ? false : '_blank' }, 'What the doctor says');
    p.again = el('button', { id: 'again', class: 'word' }, 'Try now');
    p.start = el('button', { id: 'start', class: 'word' }, 'Start');
    p.say = el('div', { id: 'say' }, el('p', { role: 'status' }, p.over), p.start, p.again, p.doctor);
    const button = (name, label, action) => {
      p[name] = el('button', { id: name }, icon(name));
      this.#label(name, label);
      if (action) p[name].addEventListener('click', action);
      return p[name];
    };
    p.volume = el('input', { id: 'volume', type: 'range', min: 0, max: 1, step: 0.05, 'aria-label': 'Volume' });
    p.sound = el('button', { id: 'sound', class: 'word' }, 'Tap for sound');
    p.bar = el('div', { id: 'bar', role: 'toolbar', 'aria-label': 'Player' },
      button('stop', 'Stop (Space)', () => this.#pause()), button('mute', 'Sound on (M)', () => this.#mute()), p.volume,
      el('span', { class: 'space' }), button('talk', 'Hold to talk (T)'), button('snapshot', 'Snapshot (S)', () => this.#save()),
      button('view', 'Crosshair, rotation and keys', () => this.#panel('view')), button('pip', 'Picture in picture (P)', () => this.#pip()), button('full', 'Full screen (F)', () => this.#full()));
    p.panel = el('div', { id: 'panel', role: 'status', hidden: true });
    p.turn = el('div', { id: 'turn' }, el('slot'));
    p.picture = el('div', { id: 'picture' }, p.turn, p.cross);
    root.append(p.picture, p.say, p.bar, p.panel, p.sound);
    p.sound.addEventListener('click', () => this.#mute());
    p.start.addEventListener('click', () => (this.#player?.blocked ? this.#player.play() : this.#pause()));
    p.again.addEventListener('click', () => this.retry());
    p.volume.addEventListener('input', () => this.#loudness(Number(p.volume.value)));
    p.video.addEventListener('volumechange', () => this.#showButtons());
    p.video.addEventListener('resize', () => this.#turn());
    p.video.addEventListener('click', () => this.#player?.blocked && this.#player.play());
    p.talk.addEventListener('pointerdown', (event) => { event.preventDefault(); p.talk.setPointerCapture(event.pointerId); this.#talk(true); });
    for (const end of ['lostpointercapture', 'blur']) p.talk.addEventListener(end, () => this.#talk(false));
    p.talk.addEventListener('keydown', (event) => [' ', 'Enter'].includes(event.key) && !event.repeat && this.#talk(true));
    p.talk.addEventListener('keyup', (event) => [' ', 'Enter'].includes(event.key) && this.#talk(false));
    p.ring.addEventListener('pointerdown', (event) => p.ring.setPointerCapture(event.pointerId));
    p.ring.addEventListener('pointermove', (event) => {
      if (!p.ring.hasPointerCapture(event.pointerId)) return;
      const box = p.picture.getBoundingClientRect();
      this.#placeCross((100 * (event.clientX - box.left)) / box.width, (100 * (event.clientY - box.top)) / box.height);
    });
    this.addEventListener('keydown', (event) => this.handleKey(event));
    this.addEventListener('keyup', (event) => event.key.toLowerCase() === 't' && this.#talk(false));
    for (const type of ['pointermove', 'pointerdown', 'focusin']) this.addEventListener(type, () => this.#wake());
    this.addEventListener('dblclick', (event) => event.composedPath()[0] === p.video && !this.hasAttribute('bare') && this.#full());
  }

  #restart() {
    this.#player?.stop();
    const bare = this.hasAttribute('bare');
    const { src } = this;
    this.setAttribute('role', 'group');
    this.setAttribute('aria-label', `Live picture of ${src}`);
    if (bare) this.removeAttribute('tabindex');
    else this.tabIndex = 0;
    this.#parts.video.disablePictureInPicture = bare;
    this.#player = new PortholePlayer(this.#parts.video, {
      src, relay: this.getAttribute('relay') ?? OWN, signal: this.getAttribute('signal'), tcp: this.hasAttribute('tcp'),
      audio: !this.hasAttribute('silent'), talk: !bare, inspect: this.hasAttribute('inspect'), ...this.options,
    });
    let asked;
    this.#player.addEventListener('turn', ({ detail }) => this.#panel(detail === 'busy' && 'note', BUSY));
    this.#parts.doctor.href = new URL('doctor.html', this.#player.relay);
    this.#player.addEventListener('state', () => { this.#show(); this.dispatchEvent(new Event('state')); });
    this.#player.addEventListener('stats', () => {
      this.#showButtons();
      const { state } = this;
      if (state !== asked || Math.random() < (this.talk?.available ? 0.25 : 0.03)) this.#player.askTalk();
      asked = state;
      this.dispatchEvent(new Event('stats'));
    });
    if (src && !this.#stopped && !this.#away) this.#player.start();
    this.#show();
  }

  #leave(away) {
    if (this.#away === away) return;
    this.#away = away;
    if (away) this.#player?.stop();
    else if (!this.#stopped && this.src) this.#player?.start();
  }

  #label(name, label) {
    const button = this.#parts[name];
    if (button.title === label) return;
    button.title = label;
    button.setAttribute('aria-label', label.replace(/ \(.*/, ''));
  }

  #show() {
    const { state, reason, blocked } = this.#player;
    const p = this.#parts;
    if (state === 'failed') this.#player.stopTalking();
    this.#trouble = state === 'failed' || (this.#trouble && state !== 'playing' && state !== 'stopped');
    const bare = this.hasAttribute('bare');
    const idle = bare ? '' : !this.src ? 'No stream is named.' : this.#away ? 'Paused while out of sight.' : 'Stopped.';
    const text = blocked ? 'Tap the picture to start it.' : reason || { connecting: 'Connecting…', stopped: idle }[state] || '';
    if (p.over.textContent !== text) p.over.textContent = text;
    show(p.say, Boolean(text));
    show(p.start, !bare && (blocked || (state === 'stopped' && Boolean(this.src))));
    show(p.again, !bare && state === 'failed');
    show(p.doctor, !bare && this.#trouble);
    this.#showButtons();
  }

  #showButtons() {
    const p = this.#parts;
    const bare = this.hasAttribute('bare');
    const { muted } = p.video;
    const sound = Boolean(this.stats.audioCodec);
    const playing = this.state === 'playing';
    show(p.bar, !bare);
    show(p.cross, this.hasAttribute('crosshair'));
    show(p.sound, !bare && sound && muted && playing);
    show(p.mute, sound);
    show(p.volume, sound && !muted);
    show(p.snapshot, p.video.videoWidth > 0);
    show(p.pip, Boolean(document.pictureInPictureEnabled && p.video.requestPictureInPicture));
    show(p.full, Boolean(document.fullscreenEnabled || p.video.webkitEnterFullscreen));
    show(p.talk, Boolean(this.talk?.available));
    this.#face('stop', this.state === 'stopped' ? 'start' : 'stop', this.state === 'stopped' ? 'Start (Space)' : 'Stop (Space)');
    this.#face('mute', muted ? 'mute' : 'loud', muted ? 'Sound on (M)' : 'Sound off (M)');
    this.#label('full', document.fullscreenElement === this ? 'Leave full screen (F)' : 'Full screen (F)');
    p.talk.setAttribute('aria-pressed', Boolean(this.#player?.talking));
    this.#label('talk', this.talk?.busy && !this.#player.talking ? 'Somebody else is talking (T)' : 'Hold to talk (T)');
    if (Number(p.volume.value) !== p.video.volume) p.volume.value = p.video.volume;
  }

  #face(name, picture, label) {
    this.#label(name, label);
    const path = this.#parts[name].querySelector('path');
    if (path.getAttribute('d') !== ICONS[picture]) path.setAttribute('d', ICONS[picture]);
  }

  #wake() {
    this.classList.remove('idle');
    clearTimeout(this.#timers.idle);
    this.#timers.idle = setTimeout(() => {
      if (this.state === 'playing' && this.#parts.panel.hidden) this.classList.add('idle');
    }, IDLE_MS);
  }

  #pause() {
    if (this.state === 'stopped') this.start();
    else this.stop();
  }

  #mute() {
    this.video.muted = !this.video.muted;
    this.#player?.play();
  }

  #loudness(volume) {
    this.video.volume = clamp(volume, 0, 1);
    this.video.muted = this.video.volume === 0;
  }

  #full() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.requestFullscreen) this.requestFullscreen().catch(() => {});
    else this.video.webkitEnterFullscreen?.(); // iPhones know only the video itself
  }

  #pip() {
    if (document.pictureInPictureElement) document.exitPictureInPicture();
    else this.video.requestPictureInPicture?.().catch(() => {});
  }

  async #save() {
    try {
      const url = URL.createObjectURL(await this.snapshot());
      const name = this.src.replace(/[^\p{L}\p{N}._-]+/gu, '_').slice(0, 60) || 'snapshot';
      el('a', { href: url, download: `${name}-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}.png` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    } catch (error) {
      this.#panel('note', error.message);
    }
  }

  async #talk(on) {
    if (!this.talk?.available || on === this.#player.talking) return;
    if (!on) {
      this.#player.stopTalking();
    } else if (!isSecureContext) {
      this.#panel('insecure');
    } else {
      await this.#player.startTalking().catch((error) => this.#panel('note', error.message));
    }
    this.#showButtons();
  }

  #panel(kind, text) {
    const { panel } = this.#parts;
    const close = !kind || (!panel.hidden && panel.dataset.kind === kind && kind !== 'note');
    panel.dataset.kind = kind;
    const choice = (label, on, action) => {
      const button = el('button', { 'aria-pressed': `${on}` }, label);
      button.addEventListener('click', () => { action(); panel.hidden = true; this.#panel('view'); });
      return button;
    };
    const content = {
      view: () => [el('div', { class: 'choices' },
        ...['Crosshair', 'Mirror', 'Flip'].map((label) => choice(label, this.hasAttribute(label), () => this.toggleAttribute(label.toLowerCase()))),
        choice(`Rotate${this.#angle() ? ` ${this.#angle()}°` : ''}`, this.#angle() > 0, () => this.#rotate()),
        choice('Keys', false, () => setTimeout(() => this.#panel('keys'))))],
      keys: () => [el('dl', {}, ...KEYS.split('|').flatMap((line) => line.split(': ').map((word, i) => el(i ? 'dd' : 'dt', {}, word))))],
      insecure: () => {
        const { relay } = this.#player;
        return [el('p', {}, `The microphone is missing because this page came from ${location.origin}, and browsers give a microphone to pages over HTTPS only. With “api: {tls: auto}” in its configuration the relay speaks HTTPS.`),
          el('p', {}, el('a', { href: new URL('trust.html', relay), target: '_blank' }, 'How to trust its certificate'))];
      },
      note: () => [el('p', {}, text)],
    }[kind];
    panel.replaceChildren(...(close ? [] : content()));
    panel.hidden = close;
    if (!close) this.#wake();
  }

  #angle() {
    return (((Math.round(Number(this.getAttribute('rotate')) / 90) * 90 || 0) % 360) + 360) % 360;
  }

  #rotate() {
    this.setAttribute('rotate', (this.#angle() + 90) % 360);
  }

  #cross() {
    const [x, y] = (this.getAttribute('crosshair') || '50,50').split(',').map(Number);
    return [x >= 0 && x <= 100 ? x : 50, y >= 0 && y <= 100 ? y : 50];
  }

  #moveCross(x, y) {
    const at = this.#cross();
    this.#placeCross(at[0] + x, at[1] + y);
  }

  #placeCross(x, y) {
    this.setAttribute('crosshair', [x, y].map((value) => clamp(value, 0, 100).toFixed(1)).join());
  }

  #turn() {
    const { video, turn, picture } = this.#parts;
    const angle = this.#angle();
    const side = angle % 180 !== 0;
    const { videoWidth: width, videoHeight: height } = video;
    turn.classList.toggle('side', side);
    turn.style.setProperty('--turn', `${angle}deg`);
    turn.style.setProperty('--x', this.hasAttribute('mirror') ? -1 : 1);
    turn.style.setProperty('--y', this.hasAttribute('flip') ? -1 : 1);
    const ratio = width ? width / height : 16 / 9;
    this.style.setProperty('--ratio', (side ? 1 / ratio : ratio).toFixed(4));
    const [x, y] = this.#cross();
    picture.style.setProperty('--cx', `${x}%`);
    picture.style.setProperty('--cy', `${y}%`);
    this.#showButtons();
  }
}

if (!customElements.get('porthole-player')) customElements.define('porthole-player', PortholeElement);
