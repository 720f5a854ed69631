// Every address of one stream, ready to copy, or to scan with a phone. ?src=NAME
import { draw } from './qr.js';

const $ = (id) => document.getElementById(id);
const src = new URLSearchParams(location.search).get('src') ?? '';
const here = new URL('.', location.href);
const SAID_MS = 2500;
const ASK_MS = 5000;

/** An element with texts and elements in it. */
function make(tag, className, ...parts) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...parts);
  return element;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** `[heading, [[title, text, what it is for, is it a page]]]`, for a relay whose pages are below `base`; what is no page
 *  of the relay's asks below `programs`. */
export function linksOf(name, base, programs = base) {
  const part = encodeURIComponent(name);
  const page = (file, query, below = base) => `${below}${file}?${query}`;
  const whep = `${programs}${part}/whep`;
  const whip = `${programs}${part}/whip`;
  const frame = (text) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  const stream = page('stream.html', `src=${part}`);
  const socket = `${programs.replace(/^http/, 'ws')}api/ws?src=${part}`;
  return [
    ['Watch', [
      ['Player page', stream, 'Watch in any browser, with sound, full screen and snapshots.', true],
      ['Player page, sound and all', page('webrtc.html', `src=${part}&media=video+audio`), 'The same under the address that go2rtc gives it.', true],
      ['Player page with microphone', page('webrtc.html', `src=${part}&media=video+audio+microphone`), 'Shows the button to talk where the stream takes sound; microphones work over HTTPS only.', true],
      ['Wall', page('wall.html', `src=${part}`), 'Add more &src= to see several streams at once.', true],
      ['Frame for your own page', `<iframe src="${frame(stream)}" allow="autoplay; fullscreen; picture-in-picture; microphone" width="640" height="360"></iframe>`, 'Works in pages of the same host, whatever their port, and of those that api.origin lists.'],
      ['Player for your own page', `<script type="module" src="${frame(base)}porthole.js"></script>\n<porthole-player src="${frame(name)}"></porthole-player>`, 'The element alone, with attributes, events and figures of its own.'],
    ]],
    ['Send to it', [
      ['Camera and microphone', page('publish.html', `dst=${part}&media=camera+microphone`), 'Turns a phone or a laptop into the camera of this stream; browsers allow it over HTTPS only.', true],
      ['Camera alone', page('publish.html', `dst=${part}&media=camera`), 'The same without sound.', true],
      ['Screen and its sound', page('publish.html', `dst=${part}&media=display+speaker`), 'Shows a screen, a window or a tab to all viewers.', true],
      ['Microphone alone', page('publish.html', `dst=${part}&media=microphone`), 'Sound without a picture, to listen to a room.', true],
    ]],
    ['Programs', [
      ['WHEP', whep, 'Where players that speak WHEP watch.'],
      ['WHIP', whip, 'Where programs that speak WHIP publish.'],
      ['WebSocket', socket, 'Offers and candidates as go2rtc’s clients send them.'],
      ['OBS Studio', whip, 'Settings, Stream: service WHIP, this as server, no token; H.264 without B-frames, Opus.'],
    ]],
    ['Printers and homes', [
      ['Home Assistant', programs, 'The URL of the go2rtc integration; its name for this stream is the same as here.'],
      ['Fluidd', page('stream.html', `src=${part}`, programs), 'Camera with stream type “WebRTC (go2rtc)”, or “HTTP page” to have the player with its buttons.'],
      ['Mainsail', `${programs}api/ws?src=${part}`, 'Webcam with service “WebRTC (go2rtc)”.'],
      ['Mainsail and Fluidd by WHEP', `${programs}${part}`, 'Webcam with service “WebRTC (MediaMTX)”; passes through their own web server, too.'],
      ['go2rtc', `webrtc:${programs}api/webrtc?src=${part}`, 'Source of a stream in another go2rtc or relay.'],
    ]],
    ['Command lines', [
      ['FFmpeg, publish', `ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000 -c:v libx264 -profile:v baseline -pix_fmt yuv420p -preset ultrafast -tune zerolatency -g 60 -b:v 2M -c:a libopus -ac 2 -f whip ${quoted(whip)}`,
        'Sends a test picture; put your own source in place of both -i. FFmpeg 8 or later.'],
      ['GStreamer, watch', `gst-launch-1.0 whepsrc whep-endpoint=${quoted(whep)} video-caps='application/x-rtp,media=video,encoding-name=H264,payload=102,clock-rate=90000' ! application/x-rtp,media=video ! rtph264depay ! h264parse ! avdec_h264 ! videoconvert ! autovideosink`,
        'Opens a window with the picture. The plugin webrtchttp of gst-plugins-rs has whepsrc.'],
      ['GStreamer, publish', `gst-launch-1.0 videotestsrc is-live=true ! video/x-raw,width=1280,height=720,framerate=30/1 ! videoconvert ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=2000 key-int-max=60 ! video/x-h264,profile=constrained-baseline ! rtph264pay config-interval=-1 aggregate-mode=zero-latency ! application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000 ! whipsink whip-endpoint=${quoted(whip)}`,
        'Sends a test picture; put your own source in place of videotestsrc. The plugin webrtchttp has whipsink.'],
      ['curl, is it live?', `curl -s ${quoted(`${programs}api/streams?src=${part}`)}`, 'Who sends, who watches, and the last error, as JSON.'],
    ]],
  ];
}

let saidUntil = 0;
function say(text) {
  $('said').textContent = text;
  clearTimeout(saidUntil);
  saidUntil = setTimeout(() => { $('said').textContent = ''; }, SAID_MS);
}

/** Browsers lend the clipboard to secure pages; the others select the text and copy it the old way. */
async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const range = document.createRange();
    range.selectNodeContents(from);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    if (!document.execCommand('copy')) return say('The browser refuses: the text is selected, copy it yourself.');
    getSelection().removeAllRanges();
  }
  say('Copied.');
}

function openCode(title, text) {
  $('code-title').textContent = title;
  $('code-text').textContent = text;
  $('code-picture').replaceChildren(draw(text) ?? make('p', '', 'Too long for a QR code.'));
  $('code').showModal();
}

function row([title, text, purpose, isPage]) {
  const code = make('code', '', text);
  const button = (word, action) => {
    const element = make('button', '', word);
    element.type = 'button';
    element.setAttribute('aria-label', `${word}: ${title}`);
    element.addEventListener('click', action);
    return element;
  };
  const shown = isPage ? Object.assign(make('a', '', code), { href: text }) : code;
  return make('li', 'case',
    make('div', 'line', make('strong', 'name', title), make('span', 'buttons', button('Copy', () => copy(text, code)), button('QR code', () => openCode(title, text)))),
    make('p', 'link', shown),
    make('p', 'quiet', purpose));
}

const KINDS = [
  ['src', 'Link to watch', 'Whoever has it sees this stream, wherever they are, until you end it.'],
  ['dst', 'Link to send', 'Whoever has it can be this stream’s camera, wherever they are, until you end it.'],
];
const FILES = 'webtorrent.html and webtorrent.js, share.js, publish.js, porthole.js, style.css, icon.svg';

/** Share links of this stream, and buttons to make and end them. */
async function showShares(base) {
  const ask = (kind, method) => fetch(`api/webtorrent?${kind}=${encodeURIComponent(src)}`, { method, cache: 'no-store', signal: AbortSignal.timeout(ASK_MS) });
  const rows = [];
  for (const [kind, title, purpose] of KINDS) {
    const response = await ask(kind, 'GET');
    const change = (word, method) => {
      const button = make('button', '', word);
      button.type = 'button';
      button.setAttribute('aria-label', `${word}: ${title}`);
      button.addEventListener('click', async () => {
        const changed = await ask(kind, method);
        if (!changed.ok) say((await changed.text()).trim());
        showShares(base);
      });
      return button;
    };
    if (response.ok) {
      const item = row([title, base + (await response.json()).link, purpose, true]);
      item.querySelector('.buttons').append(change('End', 'DELETE'));
      rows.push(item);
    } else {
      const text = (await response.text()).trim();
      if (text.startsWith('share links are off')) return $('shares').replaceChildren(make('p', 'quiet', `For people outside of this network, ${text}`));
      rows.push(make('li', 'case', make('div', 'line', make('strong', 'name', title), make('span', 'buttons', change('Make one', 'POST'))), make('p', 'quiet', purpose)));
    }
  }
  const list = await fetch('api/webtorrent', { cache: 'no-store', signal: AbortSignal.timeout(ASK_MS) });
  const troubles = list.ok ? (await list.json()).trackers.flatMap(({ error }) => (error ? make('p', 'notice', `A tracker, which passes on visitors’ calls, is of no use now: ${error}`) : [])) : [];
  $('shares').replaceChildren(make('h2', '', 'From outside'), ...troubles, make('ul', 'rows', ...rows),
    make('p', 'quiet', `The picture needs no open port, but a visitor’s browser has to load the page itself: where this address does not reach them, put ${FILES} of this relay on any HTTPS web space, and what stands behind the # after webtorrent.html there.`));
}

const BROWSERS = ['Watch', 'Send to it'];
let tls = null; // what the relay says of its HTTPS

/** The relay's own authority is one that people made their browsers trust; programs know nothing of it. */
function programsOf(base) {
  const url = new URL(base);
  if (url.protocol !== 'https:' || !tls?.authority || !tls.http_port) return base;
  url.protocol = 'http:';
  url.port = tls.http_port;
  return url.href;
}

function aboutTrust(base) {
  if (!base.startsWith('https:') || !tls?.authority) return [];
  if (programsOf(base) !== base) return [make('p', 'quiet', 'Over HTTP: programs do not know this relay’s authority.')];
  const how = Object.assign(make('a', '', 'give it to them, or to their machine'), { href: 'trust.html' });
  return [make('p', 'notice', 'This relay speaks HTTPS only, and programs refuse it until they trust its authority: ', how, '.')];
}

function show(base) {
  const all = linksOf(src, base, programsOf(base));
  const first = all[0][1][0];
  const code = draw(first[1]);
  const scan = make('section', 'scan', make('div', 'picture', code ?? make('p', '', 'Too long for a QR code.')),
    make('div', '', make('h2', '', 'On your phone'), make('p', '', 'Scan this to watch there. The phone must be in the same network as the relay.')));
  const sections = all.map(([heading, links]) => make('section', '', make('h2', '', heading), ...(BROWSERS.includes(heading) ? [] : aboutTrust(base)),
    make('ul', 'rows', ...links.map(row))));
  $('sections').replaceChildren(scan, ...sections);
  showShares(base).catch(() => $('shares').replaceChildren());
}

const bracket = (ip) => (ip.includes(':') ? `[${ip}]` : ip);

/** The relay's other addresses, for a page that was opened where it runs, say. */
async function otherHosts() {
  const response = await fetch('api/status', { signal: AbortSignal.timeout(5000), cache: 'no-store' });
  const { addresses, ...status } = await response.json();
  ({ tls } = status);
  return addresses.filter(({ told, ip }) => told && !/^(127\.|::1$|fe80:|169\.254\.)/.test(ip)).map(({ ip }) => bracket(ip));
}

async function start() {
  const select = $('address');
  const add = (base) => {
    if (![...select.options].some((option) => option.value === base)) select.append(Object.assign(document.createElement('option'), { value: base, textContent: new URL(base).host }));
  };
  add(here.href);
  select.addEventListener('change', () => show(select.value));
  show(here.href);
  try {
    for (const host of await otherHosts()) {
      const url = new URL(here);
      url.hostname = host;
      if (here.pathname === '/') add(url.href);
    }
    // a link to "localhost" is no use to any other device
    if (/^(localhost|127\.|\[::1\])/.test(here.hostname) && select.options.length > 1) select.selectedIndex = 1;
    show(select.value);
  } catch {
    // the address of this page is there
  }
  $('address-line').hidden = select.options.length < 2;
  window.porthole = { state: 'listed', links: linksOf(src, select.value, programsOf(select.value)) };
}

if (src) {
  $('name').textContent = `Links of ${src}`;
  document.title = `Links of ${src} · Porthole`;
  $('watch').href = `stream.html?src=${encodeURIComponent(src)}`;
  start();
} else {
  $('trouble').textContent = 'The address names no stream: it should end in ?src=NAME.';
  $('trouble').hidden = false;
  $('watch').hidden = $('address-line').hidden = true;
}
