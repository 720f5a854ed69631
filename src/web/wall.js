// Many streams at once. ?src=a&src=b chooses and orders them; without it, all.
// Tiles are as large as the window allows without scrolling, down to a size at which one still sees something; those out
// of sight hang up. Behind a slow connection, or where the browser asks to save data, a tile starts when it is tapped.
// Where the browser or the relay has room for fewer than are in sight, the others say so, and a tap changes places.
import './porthole.js';
import { recall } from './remember.js';

const REFRESH_MS = 5000;
const LEAST = 260; // narrowest tile in CSS pixels, but never wider than the window
const GAP = 8;
const CAPTION = 34;
const MOST = matchMedia('(pointer: coarse)').matches ? 36 : 72; // Chromium gives a page 40 players on Android, 75 elsewhere
const AT_ONCE = 6; // on their way to a picture: the relay bounds what one address has unfinished
const TURN_MS = 3000; // by then a tile on its way holds up no other
const FULL_MS = 30000; // so long a relay that was full is asked for no more
const query = new URLSearchParams(location.search);
const chosen = [...new Set(query.getAll('src').filter(Boolean))];
const tcp = (query.get('mode') ?? '').split(/[^a-z]+/).includes('tcp');
const { connection } = navigator;
const thrifty = Boolean(connection?.saveData || /2g$/.test(connection?.effectiveType ?? ''));
const $ = (id) => document.getElementById(id);
const wall = $('wall');
const tiles = new Map();
let touches = 0;
let room = null; // of a relay that is full: {most, why, until}
let changed = 0; // when tiles changed places: the relay may still count the one that left

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;

class Tile {
  constructor(name) {
    this.name = name;
    this.inView = false;
    this.playable = true;
    this.wanted = !thrifty;
    this.on = false;
    this.next = false; // once others have their picture
    this.startedAt = 0;
    this.touched = 0;
    this.told = ''; // about the stream
    this.held = ''; // why another one plays instead
    this.player = document.createElement('porthole-player');
    for (const attribute of ['bare', 'silent', ...(tcp ? ['tcp'] : [])]) this.player.setAttribute(attribute, '');
    recall(this.player, name);
    this.link = document.createElement('a');
    this.link.href = `stream.html?src=${encodeURIComponent(name)}`;
    this.pill = document.createElement('span');
    this.pill.className = 'dot';
    const title = document.createElement('span');
    title.className = 'name';
    title.textContent = name;
    const caption = document.createElement('span');
    caption.className = 'caption';
    caption.append(this.pill, title);
    this.hint = document.createElement('span');
    this.hint.className = 'hint';
    this.link.append(this.player, this.hint, caption);
    this.root = document.createElement('li');
    this.root.append(this.link);
    this.player.addEventListener('state', () => {
      this.pill.dataset.state = this.player.state;
      if (this.player.state === 'failed') this.refused(this.player.reason);
      soon();
    });
    this.link.addEventListener('click', (event) => {
      if (this.wanted && !this.held) return;
      event.preventDefault();
      this.wanted = true;
      this.touched = ++touches;
      changed = performance.now();
      if (room) room.most ||= 1;
      choose();
    });
  }

  refused(why) {
    const now = performance.now();
    if (!/\bsessions?\b/.test(why) || now - changed < TURN_MS) return;
    const most = [...tiles.values()].filter((tile) => tile.going).length;
    room = { most, why: sentence(why), until: now + FULL_MS };
    setTimeout(choose, FULL_MS + 1);
  }

  /** Has a session, or is about to. */
  get going() {
    return this.on && ['connecting', 'waiting', 'playing'].includes(this.player.state);
  }

  /** On its way to a picture, and not for long. */
  get starting() {
    return this.on && this.player.state === 'connecting' && performance.now() - this.startedAt < TURN_MS;
  }

  update(stream) {
    this.playable = Boolean(stream) && stream.state !== 'waiting';
    this.told = !stream ? 'There is no stream of this name.' : !this.playable ? 'Nobody sends to this stream yet.' : this.wanted ? '' : 'Tap to start';
  }

  say() {
    const text = this.told || (this.held ? `${this.held} Tap to play this one.` : this.next ? 'Connecting…' : '');
    if (this.hint.textContent !== text) this.hint.textContent = text;
  }

  play(on) {
    if (on === this.on) return;
    this.on = on;
    if (!on) return this.player.stop();
    this.startedAt = performance.now();
    setTimeout(choose, TURN_MS + 1);
    if (this.player.src) this.player.start();
    else this.player.src = this.name;
  }
}

/** Who plays: what is in sight, what was tapped first, then from the top, as many as the browser and the relay have room
 *  for. A relay that is full is not asked to change who that is. */
function choose() {
  if (room && performance.now() > room.until) room = null;
  let free = document.hidden ? 0 : Math.min(MOST, room?.most ?? MOST);
  const full = room?.why ?? `This browser plays ${MOST} pictures at one time.`;
  const order = [...tiles.values()].sort((a, b) => b.touched - a.touched || (room ? b.going - a.going : 0));
  let ways = AT_ONCE - order.filter((tile) => tile.starting).length;
  for (const tile of order) {
    const may = tile.inView && tile.playable && tile.wanted;
    const fits = may && free-- > 0;
    tile.held = may && !fits && !document.hidden ? full : '';
    if (tile.told && tile.wanted && tile.playable) tile.told = '';
    tile.play(fits && (tile.on || ways-- > 0));
    tile.next = fits && !tile.on;
    tile.say();
  }
}

let due = false;
/** What a player tells while tiles change does not change them again at once. */
function soon() {
  if (due) return;
  due = true;
  queueMicrotask(() => {
    due = false;
    choose();
  });
}

const watch = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const tile = [...tiles.values()].find(({ root }) => root === target);
    if (tile) tile.inView = isIntersecting;
  }
  choose();
});

/** The number of columns that makes 16:9 tiles largest while all of them fit, or the most that stay large enough. */
function arrange() {
  const count = tiles.size;
  if (!count) return;
  const width = wall.clientWidth;
  const height = innerHeight - wall.getBoundingClientRect().top - scrollY - GAP;
  const most = Math.max(1, Math.floor((width + GAP) / (Math.min(LEAST, width) + GAP)));
  let best = { columns: Math.min(count, most), tile: 0 };
  for (let columns = 1; columns <= Math.min(count, most); columns++) {
    const rows = Math.ceil(count / columns);
    const tile = Math.min((width - GAP * (columns - 1)) / columns, ((height - GAP * (rows - 1)) / rows - CAPTION) * (16 / 9));
    if (tile >= Math.min(LEAST, width) && tile > best.tile) best = { columns, tile };
  }
  wall.style.setProperty('--columns', best.columns);
  wall.style.setProperty('--tile', best.tile ? `${Math.floor(best.tile)}px` : '1fr');
}

function show(streams) {
  const names = chosen.length ? chosen : Object.keys(streams);
  for (const [name, tile] of tiles) {
    if (names.includes(name)) continue;
    watch.unobserve(tile.root);
    tile.root.remove();
    tiles.delete(name);
  }
  for (const name of names) {
    if (tiles.has(name)) continue;
    const tile = new Tile(name);
    tiles.set(name, tile);
    wall.append(tile.root);
    watch.observe(tile.root);
  }
  for (const [name, tile] of tiles) tile.update(Object.hasOwn(streams, name) ? streams[name] : null);
  choose();
  arrange();
  $('empty').hidden = names.length > 0;
  $('empty').textContent = 'There is no stream yet: the list of streams says how to add one.';
  $('summary').textContent = `${names.length} stream${names.length === 1 ? '' : 's'}${thrifty ? ', tap one to start it' : ''}`;
  window.porthole = { state: 'listed', players: [...tiles.values()].map(({ player }) => player) };
}

async function refresh() {
  try {
    const response = await fetch('api/streams', { signal: AbortSignal.timeout(REFRESH_MS), cache: 'no-store' });
    if (!response.ok) throw new Error((await response.text()).trim() || `The relay answered ${response.status}.`);
    show(await response.json());
    $('trouble').hidden = true;
  } catch (error) {
    $('trouble').textContent = error instanceof TypeError || error.name === 'TimeoutError'
      ? `The relay does not answer at ${location.host}. Trying again…` : error.message;
    $('trouble').hidden = false;
  }
}

addEventListener('resize', arrange);
document.addEventListener('visibilitychange', choose);
for (;;) {
  if (!document.hidden) await refresh();
  await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
}
