// What a share link opens, on the publisher's page: watches, or sends. #share=NAME&key=SECRET&tr=wss://…  &stun=HOST:PORT
// &media=camera+microphone|display+speaker sends. pwd= instead of key= is go2rtc's version.
import { ShareSocket, read } from './share.js';

const $ = (id) => document.getElementById(id);
const WORDS = { stopped: 'stopped', connecting: 'connecting', waiting: 'waiting', playing: 'live', failed: 'no picture' };
const NO_WAY = 'From outside, the relay needs a STUN or TURN server (webrtc.ice_servers in its configuration), or a forwarded port.';

function refuse(reason) {
  $('over').textContent = reason;
  window.porthole = { state: 'refused', reason };
}

function watch(src, options) {
  document.title = $('name').textContent = src;
  const player = (window.porthole = document.createElement('porthole-player'));
  player.options = options;
  player.setAttribute('src', src);
  const way = Object.assign(document.createElement('p'), { className: 'notice', textContent: NO_WAY, hidden: true });
  player.addEventListener('state', () => {
    const { state, reason } = player;
    $('pill').className = `pill ${state === 'playing' ? 'live' : state === 'failed' ? 'failing' : 'waiting'}`;
    $('pill').textContent = WORDS[state];
    way.hidden = !reason.includes('The relay offered');
  });
  document.addEventListener('keydown', (event) => player.handleKey(event));
  $('stage').replaceChildren(player);
  $('stage').after(way);
  player.shadowRoot.querySelector('#doctor').remove();
}

/** Does what the link says; where it is for sending, answers what the page needs: `{name, media, options}`. */
export function open() {
  addEventListener('hashchange', () => location.reload());
  $('choice').hidden = true;
  const back = document.querySelector('.back');
  back.replaceWith(back.firstChild); // out of a visitor's reach
  const share = read(location.hash);
  if (!share) return refuse('This link is not whole: behind its # belong a share, its key and a tracker. Copy it again, to the last letter.');
  if (!crypto.subtle) return refuse(`This page was opened as ${location.origin}, and browsers open sealed links over HTTPS only: put https:// in front.`);
  // as the relay writes its own servers into a page
  for (const server of share.stun) document.head.append(Object.assign(document.createElement('meta'), { name: 'ice-server', content: `<stun:${server}>` }));
  const options = { signal: 'ws', talk: false, socket: () => new ShareSocket(share) };
  const { name, media } = share;
  if (!/camera|microphone|display/.test(media)) return watch(name, options);
  $('choice').hidden = false;
  return { name, media, options };
}
