// Sends this device's camera, microphone or screen to a stream, and plays what its viewers say.
// ?dst=NAME  &media=camera+microphone|display+speaker|camera|… starts at once where the browser allows it.  &mode=ws|whip|tcp
import { Peer } from './porthole.js';

const WATCH_MS = 2000;
const TALK_MS = 400; // a viewer that is silent for so long has let go
const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
// what a share link's page sends; null where it watches
const shared = location.pathname.endsWith('/webtorrent.html') && ((await import('./webtorrent.js')).open() ?? null);
const dst = shared?.name ?? query.get('dst') ?? '';
const wanted = (shared?.media ?? query.get('media') ?? '').split(/[^a-z]+/).filter(Boolean);
const modes = (query.get('mode') ?? '').split(/[^a-z]+/);
const WORDS = { stopped: 'stopped', connecting: 'connecting', waiting: 'waiting', playing: 'sending', failed: 'not sending' };
const WAITS = 'Somebody else sends to this stream. This page is connected and waits: its turn comes by itself when they have stopped.';
const NONE = 'none';
let publisher = null;
let media = null; // what was asked for, such as ['camera', 'microphone']
let awake = null;
window.porthole ??= { state: 'stopped' };

/** Sends tracks of a MediaStream: `new Publisher(stream, { dst, signal, tcp })`. */
class Publisher extends Peer {
  #senders = new Map();
  /** Receives what a viewer says. */
  ear = null;

  constructor(stream, options) {
    super(options);
    this.media = stream;
  }

  async prepare(pc) {
    this.#senders.clear();
    for (const track of this.media.getTracks()) {
      const direction = track.kind === 'audio' ? 'sendrecv' : 'sendonly';
      const transceiver = pc.addTransceiver(track, { direction, streams: [this.media] });
      this.#senders.set(track.kind, transceiver.sender);
      if (track.kind !== 'video') continue;
      // H.264 first: what every viewer, and every recorder behind the relay, can play
      const codecs = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
      const h264 = (c) => /h264/i.test(c.mimeType);
      transceiver.setCodecPreferences?.([...codecs.filter(h264), ...codecs.filter((c) => !h264(c))]);
    }
    if (!this.#senders.has('audio')) pc.addTransceiver('audio', { direction: 'recvonly' });
    this.ear = pc.getReceivers().find(({ track }) => track.kind === 'audio');
    pc.addEventListener('track', ({ track }) => {
      $('ear').srcObject = new MediaStream([track]);
      listen();
    });
  }

  /** Other devices on the same connection; a new one only where the kinds of tracks differ. */
  async exchange(stream) {
    this.media.getTracks().forEach((track) => track.stop());
    this.media = stream;
    const tracks = stream.getTracks();
    if (tracks.length !== this.#senders.size || !tracks.every(({ kind }) => this.#senders.has(kind))) return this.retry();
    await Promise.all(tracks.map((track) => this.#senders.get(track.kind).replaceTrack(track)));
  }

  waitingText() {
    if (this.verdict) return `${this.verdict.sentence} ${this.verdict.remedy}`;
    return this.media.getVideoTracks().length ? 'Connected, no picture leaves this browser yet.' : 'Connected, sending sound without a picture.';
  }
}

function say(text) {
  if ($('over').textContent !== text) $('over').textContent = text;
  $('stage').classList.toggle('playing', !text);
}

function showState() {
  const { reason } = publisher;
  // whoever's turn has not come sends pictures, which nobody gets
  const waits = publisher.state === 'playing' && publisher.session?.waits;
  const state = waits ? 'waiting' : publisher.state;
  if (state === 'stopped' && reason) {
    stop();
    say(reason);
    return;
  }
  $('pill').textContent = WORDS[state];
  $('pill').className = `pill ${state === 'playing' ? 'live' : state === 'failed' ? 'failing' : 'waiting'}`;
  say(waits ? WAITS : reason || (state === 'connecting' ? 'Connecting…' : ''));
}

/** Browsers let a page that uses the microphone play sound; one that sends a screen may need a tap. */
function listen() {
  $('ear').play().then(() => { $('listen').hidden = true; }, (error) => { $('listen').hidden = error.name !== 'NotAllowedError'; });
}

let spokenAt = 0;
function showTalk() {
  if (!publisher) return;
  const { timestamp = 0 } = publisher.ear?.getSynchronizationSources()[0] ?? {};
  $('talks').hidden = timestamp === spokenAt;
  spokenAt = timestamp;
}

let watchers = '';
function showFigures() {
  const s = publisher?.stats ?? {};
  const rows = [
    ['Watching', watchers],
    ['Agreed on', [s.codec, s.audioCodec].filter(Boolean).join(' · ')],
    ['Picture', s.width ? `${s.width} × ${s.height}${s.fps ? `, ${Math.round(s.fps)} per second` : ''}` : ''],
    ['Bit rate', s.kbps === undefined ? '' : `${s.kbps.toLocaleString()} kbit/s`],
    ['Sent again', s.recovered ? `${s.recovered.toLocaleString()} packets` : ''],
    ['Round trip', s.rttMs >= 0 ? `${s.rttMs.toFixed(1)} ms` : ''],
    ['Path', s.protocol ? `${s.protocol.toUpperCase()} to ${s.remote.address}` : ''],
    ['Signalling', s.protocol ? publisher.signalling.replace('WHEP', 'WHIP') : ''],
  ].filter(([, value]) => value);
  $('figures').replaceChildren(...rows.map(([name, value]) => {
    const row = document.createElement('div');
    row.append(document.createElement('dt'), document.createElement('dd'));
    row.firstChild.textContent = name;
    row.lastChild.textContent = value;
    return row;
  }));
}

async function countWatchers() {
  if (!publisher || document.hidden || shared) return;
  try {
    const response = await fetch(`api/streams?src=${encodeURIComponent(dst)}`, { signal: AbortSignal.timeout(WATCH_MS), cache: 'no-store' });
    const count = response.ok ? (await response.json()).consumers?.length ?? 0 : 0;
    watchers = response.ok ? `${count || 'nobody'}${count ? ` viewer${count === 1 ? '' : 's'}` : ''} now` : '';
  } catch {
    watchers = '';
  }
  showFigures();
}

async function capture() {
  if (media.includes('display')) {
    return navigator.mediaDevices.getDisplayMedia({ video: true, audio: media.includes('speaker') });
  }
  const [camera, microphone] = [$('cameras').value, $('microphones').value];
  const exactly = (id) => (id ? { deviceId: { exact: id } } : {});
  const facing = camera ? {} : { facingMode: { ideal: 'environment' } };
  return navigator.mediaDevices.getUserMedia({
    video: media.includes('camera') && camera !== NONE && { ...facing, ...exactly(camera), width: { ideal: 1280 }, height: { ideal: 720 } },
    audio: media.includes('microphone') && microphone !== NONE && (microphone ? exactly(microphone) : true),
  });
}

/** Devices have names only once the reader allowed one of them. */
async function listDevices() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  for (const [id, kind, word] of [['cameras', 'videoinput', 'camera'], ['microphones', 'audioinput', 'microphone']]) {
    const select = $(id);
    const kept = select.value;
    const option = (value, text) => Object.assign(document.createElement('option'), { value, textContent: text });
    const named = devices.filter((device) => device.kind === kind && device.deviceId && device.deviceId !== 'default');
    select.replaceChildren(option('', `Usual ${word}`), ...named.map((device, i) => option(device.deviceId, device.label || `${word} ${i + 1}`)), option(NONE, `No ${word}`));
    if ([...select.options].some(({ value }) => value === kept)) select.value = kept;
  }
}

function stop() {
  publisher?.stop();
  publisher?.media.getTracks().forEach((track) => track.stop());
  publisher = null;
  watchers = '';
  awake?.release().catch(() => {});
  awake = null;
  $('video').srcObject = $('ear').srcObject = null;
  $('stop').hidden = $('pickers').hidden = $('listen').hidden = $('talks').hidden = true;
  $('camera').hidden = false;
  $('display').hidden = !navigator.mediaDevices.getDisplayMedia;
  $('pill').textContent = WORDS.stopped;
  $('pill').className = 'pill';
  showFigures();
  say('Stopped.');
}

const TROUBLE = {
  NotAllowedError: 'The browser refused: allow this page to use the camera, then press the button again.',
  NotFoundError: 'This device has no such camera or microphone.',
  NotReadableError: 'The camera is used by another program: close that, then press the button again.',
  TypeError: 'There is neither a camera nor a microphone to send: choose one of them.',
};

/** The chosen devices as a MediaStream, shown in the preview; null if the browser gives none. */
async function open() {
  try {
    const stream = await capture();
    $('video').srcObject = stream;
    stream.getTracks().forEach((track) => track.addEventListener('ended', stop));
    return stream;
  } catch (error) {
    say(TROUBLE[error.name] ?? `The camera could not be opened: ${error.message}`);
    return null;
  }
}

async function send(choice) {
  media = choice;
  say('Asking the browser for its camera…');
  const stream = await open();
  if (!stream) return;
  publisher = window.porthole = new Publisher(stream, { dst, signal: modes.includes('ws') ? 'ws' : modes.includes('whip') ? 'whep' : null, tcp: modes.includes('tcp'), inspect: !shared, ...shared?.options });
  publisher.addEventListener('state', showState);
  publisher.addEventListener('stats', () => {
    showState();
    showFigures();
  });
  $('camera').hidden = $('display').hidden = true;
  $('stop').hidden = false;
  publisher.start();
  countWatchers();
  $('pickers').hidden = media.includes('display');
  if (!media.includes('display')) await listDevices();
  // a phone that sleeps sends nothing
  awake = await navigator.wakeLock?.request('screen').catch(() => null);
}

async function change() {
  if (!publisher) return;
  const stream = await open();
  if (stream) {
    await publisher.exchange(stream);
    showState();
  }
}

$('stop').addEventListener('click', stop);
$('camera').addEventListener('click', () => send(['camera', 'microphone']));
$('display').addEventListener('click', () => send(['display', 'speaker']));
$('cameras').addEventListener('change', change);
$('microphones').addEventListener('change', change);
$('listen').addEventListener('click', listen);
setInterval(countWatchers, WATCH_MS);
setInterval(showTalk, TALK_MS);

if (shared !== null) begin();

function begin() {
  $('name').textContent = dst ? `Send to ${dst}` : 'Send';
  document.title = `Send to ${dst} · Porthole`;
  if (!dst) {
    say('The address names no stream: it should end in ?dst=NAME.');
    $('choice').hidden = true;
  } else if (!isSecureContext || !navigator.mediaDevices) {
    say(`This page was opened as ${location.origin}, which is not a secure context, and browsers give a camera or screen to secure pages only. Open it over https://, or on the relay’s own machine as http://localhost:${location.port || 80}/.`);
    $('choice').hidden = true;
    $('trust').hidden = Boolean(shared);
    window.porthole = { state: 'insecure' };
  } else {
    $('display').hidden = !navigator.mediaDevices.getDisplayMedia;
    navigator.mediaDevices.addEventListener('devicechange', () => publisher && listDevices());
    say('Choose what to send.');
    if (wanted.includes('camera') || wanted.includes('microphone')) send(wanted);
    else if (wanted.includes('display')) say('Press “Send screen”: browsers show the choice of screens only after a tap.');
  }
}
