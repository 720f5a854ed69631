// One stream with sound, full screen and everything known about its connection.
// ?src=NAME  &mode=ws|tcp|ws,tcp (also webrtc/tcp)  &media=video (no sound)
import { PortholePlayer } from './porthole.js';

const query = new URLSearchParams(location.search);
if (query.has('dst') && !query.has('src')) location.replace(`publish.html${location.search}`);

const $ = (id) => document.getElementById(id);
const src = query.get('src') ?? '';
const modes = (query.get('mode') ?? '').split(/[^a-z]+/);
const media = query.get('media');
const video = $('video');
const player = new PortholePlayer(video, {
  src,
  ws: modes.includes('ws'),
  tcp: modes.includes('tcp'),
  audio: !media || media.includes('audio'),
  inspect: true,
});
window.porthole = player;

const WORDS = { stopped: 'stopped', connecting: 'connecting', waiting: 'waiting', playing: 'live', failed: 'no picture' };

/** In trouble until a picture moves: a next try hides nothing. */
let trouble = false;
function troubled(state) {
  trouble = state === 'failed' || (trouble && state !== 'playing' && state !== 'stopped');
  return trouble;
}

function showState() {
  const { state, reason, blocked } = player;
  $('pill').className = `pill ${state === 'playing' ? 'live' : state === 'failed' ? 'failing' : 'waiting'}`;
  $('pill').textContent = WORDS[state];
  $('stage').classList.toggle('playing', state === 'playing' && !blocked);
  const text = blocked ? 'Tap the picture to start it.' : reason || (state === 'connecting' ? 'Connecting…' : '');
  if ($('over').textContent !== text) $('over').textContent = text;
  $('over').parentElement.hidden = !text;
  $('doctor').hidden = !troubled(state);
  showSound();
}

function showSound() {
  const audio = Boolean(player.stats.audioCodec);
  $('sound').hidden = !audio || !video.muted || player.state !== 'playing';
  $('mute').hidden = !audio || !$('sound').hidden;
  $('mute').textContent = video.muted ? 'Sound on' : 'Sound off';
}

function toggleSound() {
  video.muted = !video.muted;
  player.play();
  showSound();
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
    ['Signalling', `${player.options.ws ? 'WebSocket' : 'WHEP'}${player.options.tcp ? ', TCP only' : ''}`],
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
player.addEventListener('stats', showSound);
setInterval(showFigures, 1000);
$('sound').addEventListener('click', toggleSound);
$('mute').addEventListener('click', toggleSound);
video.addEventListener('click', () => player.blocked && player.play());
$('full').addEventListener('click', () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else if ($('stage').requestFullscreen) $('stage').requestFullscreen();
  else video.webkitEnterFullscreen?.(); // iPhones know only the video itself
});

if (src) {
  document.title = `${src} · Porthole`;
  $('name').textContent = src;
  player.start();
} else {
  $('over').textContent = 'The address names no stream: it should end in ?src=NAME.';
  $('pill').hidden = true;
}
showFigures();
