// One stream with everything known about its connection. In a frame of another page: the player alone.
// ?src=NAME  &mode=ws|whep|tcp|ws,tcp (also webrtc/tcp)  &media=video (no sound)  &crosshair  &rotate=90  &mirror  &flip
import './porthole.js';
import { remember } from './remember.js';

const query = new URLSearchParams(location.search);
if (query.has('dst') && !query.has('src')) location.replace(`publish.html${location.search}`);
else if (query.getAll('src').length > 1) location.replace(`wall.html${location.search}`);

const $ = (id) => document.getElementById(id);
const src = query.get('src') ?? '';
const modes = (query.get('mode') ?? '').split(/[^a-z]+/);
const media = query.get('media');
const framed = self !== top;
document.documentElement.classList.toggle('framed', framed);

const player = document.createElement('porthole-player');
const set = (name, on) => on && player.setAttribute(name, on === true ? '' : on);
set('src', src);
set('signal', ['ws', 'whep'].find((mode) => modes.includes(mode)));
set('tcp', modes.includes('tcp'));
set('silent', Boolean(media) && !media.includes('audio'));
set('inspect', !framed);
set('pause-hidden', framed);
for (const name of ['crosshair', 'rotate', 'mirror', 'flip']) set(name, query.has(name) && (query.get(name) || true));
window.porthole = player;

const WORDS = { stopped: 'stopped', connecting: 'connecting', waiting: 'waiting', playing: 'live', failed: 'no picture' };

function showState() {
  const { state } = player;
  $('pill').className = `pill ${state === 'playing' ? 'live' : state === 'failed' ? 'failing' : 'waiting'}`;
  $('pill').textContent = WORDS[state];
}

const ms = (value) => (value >= 0 ? `${value.toFixed(1)} ms` : '');
const count = (value) => value?.toLocaleString() ?? '';
const share = (part, whole) => (whole ? ` (${((100 * part) / whole).toFixed(2)} %)` : '');
const place = (end) => (end ? `${end.address} (${end.type})` : '');

function showFigures() {
  const s = player.stats;
  const relay = player.session;
  const seconds = Math.ceil((player.retryAt - Date.now()) / 1000);
  const rows = [
    ['Codec', [s.codec, s.audioCodec].filter(Boolean).join(' · ')],
    ['Picture', s.width ? `${s.width} × ${s.height}${s.fps ? `, ${Math.round(s.fps)} per second` : ''}` : ''],
    ['Bit rate', s.kbps === undefined ? '' : `${count(s.kbps)} kbit/s`],
    ['Packets lost', s.packets === undefined ? '' : `${count(s.lost)} of ${count(s.packets + s.lost)}${share(s.lost, s.packets + s.lost)}`],
    ['Sent again', s.recovered === undefined ? '' : `${count(s.recovered)}, asked ${count(s.nacks)} times`],
    ['Frames', s.codec ? `${count(s.frames)} decoded, ${count(s.dropped ?? 0)} dropped` : ''],
    ['Jitter', ms(s.jitterMs)],
    ['Round trip', ms(s.rttMs)],
    ['Path', s.protocol ? `${s.protocol.toUpperCase()}, ${place(s.local)} → ${place(s.remote)}` : ''],
    ['Relay offers', player.offered.map((c) => `${c.protocol} ${c.address}`).join(', ')],
    ['Relay says', relay ? [
      relay.state,
      relay.path && `${relay.path.protocol} ${relay.path.remote}`,
      relay.sent && `${count(relay.sent.packets)} packets sent, ${count(relay.sent.retransmitted)} again`,
      relay.reason,
    ].filter(Boolean).join(' · ') : ''],
    ['Signalling', player.signalling && `${player.signalling}${player.hasAttribute('tcp') ? ', TCP only' : ''}`],
    ['Next try', player.state === 'failed' && seconds > 0 ? `in ${seconds} s` : ''],
  ];
  const list = $('figures');
  rows.forEach(([name, value], i) => {
    let row = list.children[i];
    if (!row) {
      row = document.createElement('div');
      row.append(document.createElement('dt'), document.createElement('dd'));
      row.firstChild.textContent = name;
      list.append(row);
    }
    row.hidden = !value;
    if (row.lastChild.textContent !== value) row.lastChild.textContent = value;
  });
}

player.addEventListener('state', showState);
document.addEventListener('keydown', (event) => player.handleKey(event));
setInterval(showFigures, 1000);
$('stage').append(player);
remember(player, src);
$('links').href = `links.html?src=${encodeURIComponent(src)}`;
if (src) {
  document.title = `${src} · Porthole`;
  $('name').textContent = src;
} else {
  $('name').textContent = 'The address names no stream: it should end in ?src=NAME.';
  $('links').hidden = $('pill').hidden = true;
}
showFigures();
