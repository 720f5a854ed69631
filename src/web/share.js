// The visitor's side of a share link: one offer and one answer, sealed, by way of WebTorrent trackers. Two versions: our
// own, with a key for each direction, and go2rtc's.

const USUAL = 'wss://tracker.openwebtorrent.com'; // go2rtc's links leave it out
const MAX_TRACKERS = 4;
const REPEAT_MS = 5000; // a tracker may hand an offer to another visitor
const COPIES = 3; // of an offer, for as many peers as a tracker picks
const ALONE_MS = 6000; // with nobody else at any tracker for so long, nobody is there
const ANSWER_MS = 24000; // the relay may have to call the camera first
const QUIET_MS = 150; // without a further candidate an offer is whole
const QUIET_SERVER_MS = 700; // the same, where a server is asked for some
const WHOLE_MS = 3000; // at the latest
const ID_BYTES = 15; // 20 characters, as trackers want

const utf8 = (text) => new TextEncoder().encode(text);
const random = (length) => crypto.getRandomValues(new Uint8Array(length));
const base64 = (bytes) => btoa(Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join(''));
const url64 = (bytes) => base64(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const unbase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const sha256 = (text) => crypto.subtle.digest('SHA-256', utf8(text));

/** What a link's fragment says; null if something is missing. */
export function read(fragment) {
  const words = new URLSearchParams(fragment.replace(/^#/, ''));
  const name = words.get('share');
  const go2rtc = !words.has('key');
  const secret = words.get(go2rtc ? 'pwd' : 'key');
  const trackers = words.getAll('tr').filter((url) => /^wss?:/.test(url) && URL.canParse(url)).slice(0, MAX_TRACKERS);
  if (!trackers.length && go2rtc) trackers.push(USUAL);
  if (!name || !secret || !trackers.length) return null;
  return { name, secret, go2rtc, trackers, media: words.get('media') ?? '', stun: words.getAll('stun').filter((server) => /^[\w.:[\]-]+$/.test(server)) };
}

/** Seals one offer and opens its answer: `{ place, id, seal(sdp), open(sealedOffer, sealed) }`. */
async function ownLock({ name, secret }) {
  const base = await crypto.subtle.importKey('raw', utf8(secret), 'HKDF', false, ['deriveKey', 'deriveBits']);
  const use = (what) => ({ name: 'HKDF', hash: 'SHA-256', salt: utf8(name), info: utf8(`porthole share 1: ${what}`) });
  const key = (what, usage) => crypto.subtle.deriveKey(use(what), base, { name: 'AES-GCM', length: 256 }, false, [usage]);
  const id = url64(random(ID_BYTES));
  return {
    place: url64(await crypto.subtle.deriveBits(use('place'), base, ID_BYTES * 8)),
    id,
    async seal(sdp) {
      const iv = random(12);
      const message = utf8(JSON.stringify({ sdp, time: Math.floor(Date.now() / 1000) }));
      const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv, additionalData: utf8(`offer ${id}`) }, await key('offer', 'encrypt'), message);
      return base64([...iv, ...new Uint8Array(sealed)]);
    },
    async open(sealedOffer, sealed) {
      const bytes = unbase64(sealed);
      const additionalData = utf8(`answer ${id} ${sealedOffer}`);
      const message = await crypto.subtle.decrypt({ name: 'AES-GCM', iv: bytes.slice(0, 12), additionalData }, await key('answer', 'decrypt'), bytes.slice(12));
      return JSON.parse(new TextDecoder().decode(message));
    },
  };
}

/** Offer and answer have the same key and nonce there: a tracker that tries can do something with both. */
async function go2rtcLock({ name, secret }) {
  const id = (BigInt(Date.now()) * 1000000n).toString(36);
  const key = await crypto.subtle.importKey('raw', await sha256(`${id}:${secret}`), 'AES-GCM', false, ['encrypt', 'decrypt']);
  const way = { name: 'AES-GCM', iv: (await sha256(`${name}:${id}`)).slice(0, 12), additionalData: utf8(id) };
  return {
    place: base64(await sha256(name)),
    id,
    seal: async (sdp) => base64(await crypto.subtle.encrypt(way, key, utf8(sdp))),
    open: async (_, sealed) => ({ sdp: new TextDecoder().decode(await crypto.subtle.decrypt(way, key, unbase64(sealed))) }),
  };
}

/** Looks to a player like the relay's WebSocket, and takes offer and candidates to the relay by a share link. */
export class ShareSocket {
  #ended = new AbortController();
  #offer = '';
  #candidates = [];
  #timers = {};

  constructor(share) {
    this.share = share;
    setTimeout(() => this.onopen());
  }

  send(text) {
    const { type, value } = JSON.parse(text);
    const later = (name, ms) => {
      clearTimeout(this.#timers[name]);
      this.#timers[name] = setTimeout(() => this.#go(), ms);
    };
    if (type === 'webrtc/offer') {
      this.#offer = value;
      later('latest', WHOLE_MS);
    } else if (type === 'webrtc/candidate') {
      this.#candidates.push(`a=${value}\r\n`);
    }
    later('quiet', document.querySelector('meta[name="ice-server"]') ? QUIET_SERVER_MS : QUIET_MS);
  }

  close() {
    Object.values(this.#timers).forEach(clearTimeout);
    this.#ended.abort();
  }

  async #go() {
    Object.values(this.#timers).forEach(clearTimeout);
    const offer = this.#offer;
    this.#offer = '';
    if (!offer) return;
    // all media takes one way, so that of the first m-line
    const end = offer.indexOf('\r\nm=', offer.indexOf('\r\nm=') + 1) + 2;
    const [before, after] = end > 1 ? [offer.slice(0, end), offer.slice(end)] : [offer, ''];
    const tell = (type, said) => this.#ended.signal.aborted || this.onmessage({ data: JSON.stringify({ type, value: said }) });
    try {
      tell('webrtc/answer', await exchange(this.share, before + this.#candidates.join('') + after, this.#ended.signal));
    } catch (error) {
      tell('error', error.message);
    }
  }
}

/** Sends an offer to whoever has the link's other end, and answers its answer. Errors are sentences for people. */
async function exchange(share, sdp, signal) {
  const lock = await (share.go2rtc ? go2rtcLock : ownLock)(share);
  const sealed = await lock.seal(sdp);
  const offers = Array(COPIES).fill({ offer_id: lock.id, offer: { type: 'offer', sdp: sealed } });
  const announce = JSON.stringify({ action: 'announce', info_hash: lock.place, peer_id: url64(random(ID_BYTES)), offers, numwant: COPIES });
  const trackers = share.trackers.map((url) => ({ url, socket: null, alone: false, trouble: '' }));
  const ended = new AbortController();
  let timers = [];
  try {
    return await new Promise((resolve, reject) => {
      const fail = (text) => reject(new Error(text));
      const troubles = () => trackers.map(({ url, trouble }) => `${new URL(url).host}: ${trouble}`).join('; ');
      const lost = (tracker, trouble) => {
        tracker.trouble ||= trouble;
        if (trackers.every((each) => each.trouble)) fail(`No tracker of this link can be used (${troubles()}). Is this device on the Internet?`);
      };
      signal.addEventListener('abort', () => fail('Stopped.'));
      document.addEventListener('securitypolicyviolation', ({ blockedURI }) => {
        const tracker = trackers.find(({ url }) => url.startsWith(blockedURI.replace(/\/$/, '')));
        if (tracker) lost(tracker, 'this page is not allowed to speak to it; use that of the relay that the link is from');
      }, { signal: ended.signal });
      for (const tracker of trackers) {
        const socket = (tracker.socket = new WebSocket(tracker.url));
        socket.onopen = () => {
          socket.send(announce);
          timers.push(setInterval(() => socket.readyState === WebSocket.OPEN && socket.send(announce), REPEAT_MS));
        };
        socket.onclose = () => setTimeout(() => lost(tracker, 'no connection'));
        socket.onmessage = async ({ data }) => {
          try {
            const message = JSON.parse(data);
            if (message['failure reason']) return lost(tracker, `it refuses, ${String(message['failure reason']).slice(0, 160)}`);
            if ('incomplete' in message) tracker.alone = message.complete + message.incomplete <= 1;
            if (message.offer_id !== lock.id || typeof message.answer?.sdp !== 'string') return;
            const answer = await lock.open(sealed, message.answer.sdp);
            if (answer.error) fail(`The relay says: ${answer.error}`);
            else resolve(answer.sdp);
          } catch {
            // neither a tracker's message nor the relay's answer
          }
        };
      }
      const nobody = 'Nobody is there under this link. Is it whole, to the last letter of its password? The relay may be off or offline, too, or have ended the share.';
      timers.push(setTimeout(() => trackers.every(({ alone, trouble }) => alone || trouble) && fail(nobody), ALONE_MS));
      timers.push(setTimeout(() => fail(`No relay answered within ${ANSWER_MS / 1000} seconds. Is the link whole, to the last letter of its password? Is this device’s clock right?`), ANSWER_MS));
    });
  } finally {
    ended.abort();
    for (const timer of timers) clearTimeout(timer);
    for (const { socket } of trackers) {
      if (!socket) continue;
      socket.onclose = socket.onmessage = null;
      socket.close();
    }
  }
}
