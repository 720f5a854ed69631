// Sends this device's camera, microphone or screen to a stream.
// ?dst=NAME  &media=camera+microphone|display+speaker|camera|… starts at once where the browser allows it.
import { PortholePublisher } from './porthole.js';

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const dst = query.get('dst') ?? '';
const wanted = (query.get('media') ?? '').split(/[^a-z]+/).filter(Boolean);
const modes = (query.get('mode') ?? '').split(/[^a-z]+/);
const WORDS = { stopped: 'stopped', connecting: 'connecting', waiting: 'waiting', playing: 'sending', failed: 'not sending' };
let publisher = null;
window.porthole = { state: 'stopped' };

function say(text) {
  $('over').textContent = text;
  $('stage').classList.toggle('playing', !text);
}

function showState() {
  const { state, reason } = publisher;
  $('pill').textContent = WORDS[state];
  $('pill').className = `pill ${state === 'playing' ? 'live' : state === 'failed' ? 'failing' : 'waiting'}`;
  say(reason || (state === 'connecting' ? 'Connecting…' : ''));
}

function showFigures() {
  const s = publisher.stats;
  $('figures').textContent = s.codec
    ? [s.codec, s.width && `${s.width} × ${s.height}`, `${s.kbps} kbit/s`, s.protocol?.toUpperCase(), s.remote?.address].filter(Boolean).join(' · ') : '';
}

async function capture(media) {
  if (media.includes('display')) {
    return navigator.mediaDevices.getDisplayMedia({ video: true, audio: media.includes('speaker') });
  }
  const facing = { facingMode: { ideal: 'environment' } };
  return navigator.mediaDevices.getUserMedia({
    video: media.includes('camera') && { ...facing, width: { ideal: 1280 }, height: { ideal: 720 } },
    audio: media.includes('microphone'),
  });
}

function stop() {
  publisher?.stop();
  publisher?.media.getTracks().forEach((track) => track.stop());
  $('video').srcObject = null;
  $('stop').hidden = true;
  $('camera').hidden = $('display').hidden = false;
  $('figures').textContent = '';
  say('Stopped.');
}

async function send(media) {
  say('Asking the browser for its camera…');
  let stream;
  try {
    stream = await capture(media);
  } catch (error) {
    const denied = error.name === 'NotAllowedError';
    say(denied ? 'The browser refused: allow this page to use the camera, then press the button again.'
      : error.name === 'NotFoundError' ? 'This device has no such camera or microphone.' : `The camera could not be opened: ${error.message}`);
    return;
  }
  $('video').srcObject = stream;
  stream.getTracks().forEach((track) => track.addEventListener('ended', stop));
  publisher = window.porthole = new PortholePublisher(stream, { dst, ws: modes.includes('ws'), tcp: modes.includes('tcp') });
  publisher.addEventListener('state', showState);
  publisher.addEventListener('stats', showFigures);
  $('camera').hidden = $('display').hidden = true;
  $('stop').hidden = false;
  publisher.start();
}

$('stop').addEventListener('click', stop);
$('camera').addEventListener('click', () => send(['camera', 'microphone']));
$('display').addEventListener('click', () => send(['display', 'speaker']));

$('name').textContent = dst ? `Send to ${dst}` : 'Send';
document.title = `${dst} · Porthole`;
if (!dst) {
  say('The address names no stream: it should end in ?dst=NAME.');
  $('camera').hidden = $('display').hidden = true;
} else if (!isSecureContext || !navigator.mediaDevices) {
  say(`This page was opened as ${location.origin}, which is not a secure context, and browsers give a camera or screen to secure pages only. Open it over https:// (a reverse proxy with a certificate in front of the relay will do), or on the relay’s own machine as http://localhost:${location.port || 80}/.`);
  $('camera').hidden = $('display').hidden = true;
  window.porthole = { state: 'insecure' };
} else {
  $('display').hidden = !navigator.mediaDevices.getDisplayMedia;
  say('Choose what to send.');
  if (wanted.includes('camera') || wanted.includes('microphone')) send(wanted);
  else if (wanted.includes('display')) say('Press “Send screen”: browsers show the choice of screens only after a tap.');
}
