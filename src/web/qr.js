// QR codes (ISO/IEC 18004): bytes, error correction level L, the smallest of the 40 versions that takes them.
// `encode('https://…')` gives the rows of dark modules; `draw('https://…')` an <svg>, with the quiet zone.

const QUIET = 4; // modules of margin, clause 9.1
// Level L of table 9: error correction codewords of a block, and blocks, by version.
const CORRECTION = [7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28, 28, 28, 30, 30, 26, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30];
const BLOCKS = [1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8, 8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16, 17, 18, 19, 19, 20, 21, 22, 24, 25];
const MASKS = [
  (x, y) => (x + y) % 2, (x, y) => y % 2, (x) => x % 3, (x, y) => (x + y) % 3, (x, y) => ((x / 3 | 0) + (y / 2 | 0)) % 2,
  (x, y) => ((x * y) % 2) + ((x * y) % 3), (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2, (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2,
];

/** Codewords of a version, data and correction together: modules that are no pattern, in bytes. */
function capacity(version) {
  let modules = (16 * version + 128) * version + 64;
  if (version > 1) {
    const alignments = Math.floor(version / 7) + 2;
    modules -= (25 * alignments - 10) * alignments - 55;
    if (version > 6) modules -= 36;
  }
  return modules >> 3;
}

const dataCodewords = (version) => capacity(version) - CORRECTION[version - 1] * BLOCKS[version - 1];

// GF(256) with x^8 + x^4 + x^3 + x^2 + 1
const EXP = new Uint8Array(512);
const LOG = new Uint8Array(256);
for (let i = 0, x = 1; i < 255; i++, x = (x << 1) ^ (x > 127 ? 0x11d : 0)) {
  EXP[i] = EXP[i + 255] = x;
  LOG[x] = i;
}
const multiply = (a, b) => (a && b ? EXP[LOG[a] + LOG[b]] : 0);

/** Remainder of the data divided by the generator polynomial of that degree. */
function correction(data, degree) {
  let generator = [1];
  for (let i = 0; i < degree; i++) {
    generator = [...generator, 0].map((value, k) => value ^ (k ? multiply(generator[k - 1], EXP[i]) : 0));
  }
  const rest = new Array(degree).fill(0);
  for (const byte of data) {
    const factor = byte ^ rest.shift();
    rest.push(0);
    for (let i = 0; i < degree; i++) rest[i] ^= multiply(generator[i + 1], factor);
  }
  return rest;
}

/** Header, bytes and padding in blocks, each with its correction, interleaved. */
function codewords(bytes, version) {
  const bits = [];
  const put = (value, length) => { for (let i = length - 1; i >= 0; i--) bits.push((value >> i) & 1); };
  put(4, 4);
  put(bytes.length, version < 10 ? 8 : 16);
  bytes.forEach((byte) => put(byte, 8));
  const room = dataCodewords(version) * 8;
  put(0, Math.min(4, room - bits.length));
  while (bits.length % 8) bits.push(0);
  for (let pad = 0xec; bits.length < room; pad ^= 0xec ^ 0x11) put(pad, 8);
  const data = Array.from({ length: room / 8 }, (_, i) => bits.slice(8 * i, 8 * i + 8).reduce((value, bit) => 2 * value + bit, 0));
  const blocks = BLOCKS[version - 1];
  const short = Math.floor(data.length / blocks);
  const longs = data.length % blocks;
  const parts = [];
  for (let i = 0, at = 0; i < blocks; i++) {
    const length = short + (i >= blocks - longs ? 1 : 0);
    parts.push(data.slice(at, (at += length)));
  }
  const checks = parts.map((part) => correction(part, CORRECTION[version - 1]));
  const weave = (lists) => Array.from({ length: Math.max(...lists.map((list) => list.length)) }, (_, i) => lists.map((list) => list[i])).flat().filter((byte) => byte !== undefined);
  return [...weave(parts), ...weave(checks)];
}

function alignments(version) {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2;
  const step = version === 32 ? 26 : Math.ceil((version * 4 + 4) / (count * 2 - 2)) * 2;
  return [6, ...Array.from({ length: count - 1 }, (_, i) => version * 4 + 10 - (count - 2 - i) * step)];
}

/** BCH code of the format and version information. */
function bch(value, polynomial, degree) {
  let rest = value << degree;
  for (let i = 31 - degree; i >= 0; i--) if ((rest >> (i + degree)) & 1) rest ^= polynomial << i;
  return (value << degree) | rest;
}

class Modules {
  constructor(version) {
    this.version = version;
    this.size = version * 4 + 17;
    this.dark = Array.from({ length: this.size }, () => new Array(this.size).fill(false));
    this.fixed = Array.from({ length: this.size }, () => new Array(this.size).fill(false));
  }

  set(x, y, dark) {
    if (x < 0 || y < 0 || x >= this.size || y >= this.size) return;
    this.dark[y][x] = Boolean(dark);
    this.fixed[y][x] = true;
  }

  patterns() {
    const { size, version } = this;
    for (let i = 0; i < size; i++) {
      this.set(6, i, i % 2 === 0);
      this.set(i, 6, i % 2 === 0);
    }
    for (const [cx, cy] of [[3, 3], [size - 4, 3], [3, size - 4]]) {
      for (let dy = -4; dy <= 4; dy++) {
        for (let dx = -4; dx <= 4; dx++) {
          const ring = Math.max(Math.abs(dx), Math.abs(dy));
          this.set(cx + dx, cy + dy, ring !== 2 && ring !== 4);
        }
      }
    }
    const centres = alignments(version);
    for (const cy of centres) {
      for (const cx of centres) {
        if ((cx === 6 && (cy === 6 || cy === size - 7)) || (cx === size - 7 && cy === 6)) continue;
        for (let dy = -2; dy <= 2; dy++) {
          for (let dx = -2; dx <= 2; dx++) this.set(cx + dx, cy + dy, Math.max(Math.abs(dx), Math.abs(dy)) !== 1);
        }
      }
    }
    if (version > 6) {
      const code = bch(version, 0x1f25, 12);
      for (let i = 0; i < 18; i++) {
        const [a, b] = [size - 11 + (i % 3), Math.floor(i / 3)];
        this.set(a, b, (code >> i) & 1);
        this.set(b, a, (code >> i) & 1);
      }
    }
    this.format(0);
  }

  /** Level L and the mask, twice. */
  format(mask) {
    const code = bch(8 | mask, 0x537, 10) ^ 0x5412;
    const bit = (i) => (code >> i) & 1;
    const { size } = this;
    for (let i = 0; i < 15; i++) {
      const near = i < 6 ? [8, i] : i < 8 ? [8, i + 1] : i === 8 ? [7, 8] : [14 - i, 8];
      this.set(...near, bit(i));
      this.set(...(i < 8 ? [size - 1 - i, 8] : [8, size - 15 + i]), bit(i));
    }
    this.set(8, size - 8, true);
  }

  /** Two columns at a time, from the right, up and down in turn. */
  place(bytes) {
    let at = 0;
    let up = true;
    for (let right = this.size - 1; right > 0; right -= 2, up = !up) {
      if (right === 6) right = 5;
      for (let i = 0; i < this.size; i++) {
        const y = up ? this.size - 1 - i : i;
        for (const x of [right, right - 1]) {
          if (this.fixed[y][x]) continue;
          this.dark[y][x] = at < bytes.length * 8 && Boolean((bytes[at >> 3] >> (7 - (at & 7))) & 1);
          at++;
        }
      }
    }
  }

  flip(mask) {
    for (let y = 0; y < this.size; y++) {
      for (let x = 0; x < this.size; x++) if (!this.fixed[y][x] && MASKS[mask](x, y) === 0) this.dark[y][x] = !this.dark[y][x];
    }
  }

  /** How hard the symbol is to read (clause 7.8.3): runs, blocks, what looks like a finder, imbalance. */
  penalty() {
    const { dark, size } = this;
    let sum = 0;
    const lines = [...dark, ...dark.map((_, i) => dark.map((row) => row[i]))];
    for (const line of lines) {
      const text = line.map(Number).join('');
      for (const run of text.match(/0{5,}|1{5,}/g) ?? []) sum += run.length - 2;
      for (let at = 0; at <= size - 11; at++) if (/^(0000)?1011101(0000)?$/.test(text.slice(at, at + 11))) sum += 40;
    }
    for (let y = 1; y < size; y++) {
      for (let x = 1; x < size; x++) if (dark[y][x] === dark[y][x - 1] && dark[y][x] === dark[y - 1][x] && dark[y][x] === dark[y - 1][x - 1]) sum += 3;
    }
    const share = dark.flat().filter(Boolean).length / size ** 2;
    return sum + 10 * Math.floor(Math.abs(share - 0.5) * 20);
  }
}

/** Rows of booleans, true for dark; null if the text is too long for any version (2,953 bytes). */
export function encode(text) {
  const bytes = new TextEncoder().encode(text);
  const fits = (version) => 4 + (version < 10 ? 8 : 16) + bytes.length * 8 <= dataCodewords(version) * 8;
  const version = Array.from({ length: 40 }, (_, i) => i + 1).find(fits);
  if (!version) return null;
  const symbol = new Modules(version);
  symbol.patterns();
  symbol.place(codewords(bytes, version));
  let best = { mask: 0, penalty: Infinity };
  for (let mask = 0; mask < 8; mask++) {
    symbol.flip(mask);
    symbol.format(mask);
    const penalty = symbol.penalty();
    if (penalty < best.penalty) best = { mask, penalty };
    symbol.flip(mask);
  }
  symbol.flip(best.mask);
  symbol.format(best.mask);
  return symbol.dark;
}

/** The code as an <svg> with a white ground; null as above. */
export function draw(text) {
  const rows = encode(text);
  if (!rows) return null;
  const make = (tag, attributes) => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const side = rows.length + 2 * QUIET;
  const svg = make('svg', { viewBox: `0 0 ${side} ${side}`, role: 'img', 'aria-label': 'QR code', 'shape-rendering': 'crispEdges' });
  let path = '';
  rows.forEach((row, y) => row.forEach((dark, x) => {
    if (dark) path += `M${x + QUIET} ${y + QUIET}h1v1h-1z`;
  }));
  svg.append(make('rect', { width: side, height: side, fill: '#fff' }), make('path', { d: path, fill: '#000' }));
  return svg;
}
