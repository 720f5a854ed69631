// Many streams at once. ?src=a&src=b chooses and orders them; without it, all.
// Tiles are as large as the window allows without scrolling, down to a size at which one still sees something; those out
// of sight hang up. Behind a slow connection, or where the browser asks to save data, a tile starts when it is tapped.
import './porthole.js';
import { recall } from './remember.js';

const REFRESH_MS = 5000;
const LEAST = 260; // narrowest tile in CSS pixels, but never wider than the window
const GAP = 8;
const CAPTION = 34;
const MOST = 16; // decoders at work at one time
const query = new URLSearchParams(location.search);
const chosen = [...new Set(query.getAll('src').filter(Boolean))];
const tcp = (query.get('mode') ?? '').split(/[^a-z]+/).includes('tcp');
const { connection } = navigator;
const thrifty = Boolean(connection?.saveData || /2g$/.test(connection?.effectiveType ?? ''));
const $ = (id) => document.getElementById(id);
const wall = $('wall');
const tiles = new Map();

class Tile {
  constructor(name) {
    this.name = name;
    this.inView = false;
    this.playable = true;
    this.wanted = !thrifty;
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
    this.player.addEventListener('state', () => { this.pill.dataset.state = this.player.state; });
    this.link.addEventListener('click', (event) => {
      if (this.wanted) return;
      event.preventDefault();
      this.wanted = true;
      this.hint.textContent = '';
      choose();
    });
  }

  update(stream) {
    this.playable = Boolean(stream) && stream.state !== 'waiting';
    this.hint.textContent = !stream ? 'There is no stream of this name.' : !this.playable ? 'Nobody sends to this stream yet.' : this.wanted ? '' : 'Tap to start';
  }

  play(on) {
    if (on && !this.player.src) this.player.src = this.name;
    else if (on) this.player.start();
    else if (this.player.src) this.player.stop();
  }
}

/** Who plays: what is in sight, from the top, as many as a machine can decode. */
function choose() {
  let free = document.hidden ? 0 : MOST;
  for (const tile of tiles.values()) tile.play(tile.inView && tile.playable && tile.wanted && free-- > 0);
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
