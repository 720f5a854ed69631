// The list of streams, with a silent live picture for those in view.
import './porthole.js';
import { recall } from './remember.js';

const REFRESH_MS = 2000;
const PREVIEWS = 4; // decoders are scarce on phones
const list = document.getElementById('streams');
const template = document.getElementById('card');
const cards = new Map();

const HINTS = { idle: 'Starts when somebody watches.', waiting: 'Nobody sends to this stream yet.' };
const WORDS = { waiting: 'waiting for a publisher' };

/** What is known about a stream, in one line. */
function describe({ state, producers, last_error: error }) {
  if (state !== 'live') return error || HINTS[state] || '';
  const medias = (producers ?? []).flatMap((producer) => producer.medias ?? []);
  return medias.map((media) => media.split(', ').slice(2).join(', ')).join(' · ');
}

class Card {
  constructor(name) {
    this.name = name;
    this.root = document.importNode(template.content.firstElementChild, true);
    const part = (selector) => this.root.querySelector(selector);
    this.pill = part('.pill');
    this.detail = part('.detail');
    this.viewers = part('.viewers');
    this.publish = part('.publish');
    part('.name').textContent = name;
    part('.card').href = `stream.html?src=${encodeURIComponent(name)}`;
    this.publish.href = `publish.html?dst=${encodeURIComponent(name)}`;
    part('.links').href = `links.html?src=${encodeURIComponent(name)}`;
    this.player = part('porthole-player');
    recall(this.player, name);
    this.player.addEventListener('state', () => this.root.classList.toggle('playing', this.player.state === 'playing'));
    this.inView = false;
  }

  update(stream) {
    this.playable = stream.state !== 'waiting';
    const state = stream.state === 'idle' && stream.last_error ? 'failing' : stream.state;
    this.pill.className = `pill ${state}`;
    this.pill.textContent = WORDS[state] ?? state;
    this.detail.textContent = describe(stream);
    const viewers = stream.consumers?.length ?? 0;
    this.viewers.textContent = viewers === 1 ? '1 viewer' : `${viewers} viewers`;
    this.publish.hidden = this.playable;
  }

  play(on) {
    if (on && !this.player.src) this.player.src = this.name;
    else if (on) this.player.start();
    else if (this.player.src) this.player.stop();
  }
}

const watch = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const card = [...cards.values()].find((c) => c.root === target);
    if (card) card.inView = isIntersecting;
  }
  choosePreviews();
});

function choosePreviews() {
  let free = document.hidden ? 0 : PREVIEWS;
  for (const card of cards.values()) {
    card.play(card.inView && card.playable && free-- > 0);
  }
}

function show(streams) {
  const names = Object.keys(streams);
  for (const [name, card] of cards) {
    if (Object.hasOwn(streams, name)) continue;
    watch.unobserve(card.root);
    card.root.remove();
    cards.delete(name);
  }
  for (const name of names) {
    if (!cards.has(name)) {
      const card = new Card(name);
      cards.set(name, card);
      list.append(card.root);
      watch.observe(card.root);
    }
    cards.get(name).update(streams[name]);
  }
  choosePreviews();
  document.getElementById('empty').hidden = names.length > 0;
  document.getElementById('summary').textContent = names.length === 1 ? '1 stream' : `${names.length} streams`;
  window.porthole = { state: 'listed', streams, players: [...cards.values()].map((c) => c.player) };
}

/** What the relay cannot do for its viewers, such as listening on a port that is taken. */
function showProblems(problems) {
  const notice = document.getElementById('problems');
  const items = problems.map((problem) => Object.assign(document.createElement('li'), { textContent: problem }));
  // said aloud by screen readers, so only when it is news
  if (items.map((item) => item.textContent).join() !== [...notice.children].map((item) => item.textContent).join()) {
    notice.replaceChildren(...items);
  }
  notice.hidden = items.length === 0;
}

async function ask(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(5000), cache: 'no-store' });
  if (!response.ok) throw new Error((await response.text()).trim() || `The relay answered ${response.status}.`);
  return response.json();
}

async function refresh() {
  const trouble = document.getElementById('trouble');
  try {
    const [streams, status] = await Promise.all([ask('api/streams'), ask('api/status')]);
    show(streams);
    showProblems(status.problems);
    trouble.hidden = true;
  } catch (error) {
    trouble.textContent = error instanceof TypeError || error.name === 'TimeoutError'
      ? `The relay does not answer at ${location.host}. Trying again…` : error.message;
    trouble.hidden = false;
  }
}

document.addEventListener('visibilitychange', () => {
  choosePreviews();
  if (!document.hidden) refresh();
});
for (;;) {
  if (!document.hidden) await refresh();
  await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
}
