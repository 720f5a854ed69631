// Why is there no picture? The findings of /api/doctor, the verdicts first. Everything shown is text, never markup.

const REFRESH_MS = 3000;
const RECENT_MS = 600000; // what is older is history, not trouble
const $ = (id) => document.getElementById(id);
const open = new Set(); // details that the reader opened stay open

/** An element with texts and elements in it. */
function make(tag, className, ...parts) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...parts.filter((part) => part !== null && part !== undefined && part !== ''));
  return element;
}

function span(ms) {
  if (ms === null || ms === undefined) return '';
  if (ms < 1000) return `${ms} ms`;
  if (ms < 120000) return `${Math.floor(ms / 1000)} s`;
  if (ms < 7200000) return `${Math.floor(ms / 60000)} min`;
  return `${Math.floor(ms / 3600000)} h`;
}

/** The same verdict, whoever has it and however long it lasts. */
const keyOf = (verdict) => `${verdict.code} ${verdict.sentence.replace(/ \([^)]*\)/, '')}`;

let summed = new Map(); // what stands at the top of the page, with its remedy

/** Below the top of the page a verdict does without the remedy that stands there. */
const verdictOf = (verdict, full = false) => verdict && make('div', 'verdict',
  make('p', 'what', make('strong', 'code', verdict.code), ` ${verdict.sentence}`),
  full || !summed.has(keyOf(verdict)) ? make('p', 'remedy', verdict.remedy) : null);

/** `[name, value]` rows; a value is a text or a list of lines. Rows without a value are left out. */
function figures(rows) {
  const list = make('dl', 'figures one');
  for (const [name, value] of rows) {
    const lines = (Array.isArray(value) ? value : [value]).filter((line) => line !== '' && line !== null && line !== undefined);
    if (lines.length) list.append(make('div', '', make('dt', '', name), make('dd', '', ...lines.map((line) => make('div', '', `${line}`)))));
  }
  return list;
}

function details(key, title, ...content) {
  const element = make('details', '', make('summary', '', title), ...content);
  element.open = open.has(key);
  element.addEventListener('toggle', () => (element.open ? open.add(key) : open.delete(key)));
  return element;
}

const plural = (n, word) => `${n} ${word}${n === 1 ? '' : 's'}`;

function machineCard(machine, version) {
  const kept = machine.advertised.addresses.filter((a) => !a.advertised);
  return make('div', 'case', figures([
    ['Relay', `Porthole ${version}, running for ${span(machine.uptime_s * 1000)}, ${machine.sessions} of at most ${plural(machine.max_sessions, 'session')}`],
    ['Listens at', machine.listen],
    ['Advertises', machine.advertised.candidates.length ? machine.advertised.candidates : 'nothing'],
    ['Keeps back', kept.map((a) => `${a.ip} (${a.interface}): ${a.removed_by}${a.setting ? `. Setting: ${a.setting}` : ''}`)],
    ['Problems', machine.problems],
  ]), ...machine.verdicts.map((verdict) => verdictOf(verdict)));
}

function streamCard(stream) {
  const state = stream.state === 'idle' && stream.last_error ? 'failing' : stream.state;
  return make('div', 'case',
    make('div', 'line',
      make('a', 'name', stream.name),
      make('span', `pill ${state}`, state)),
    make('p', 'quiet', [stream.video, plural(stream.viewers, 'viewer'), ...stream.sources].filter(Boolean).join(' · ')),
    verdictOf(stream.verdict));
}

const PHASES = { checking: 'looking for a way', handshaking: 'agreeing on keys', connected: 'connected', refused: 'refused' };

function mediaLine(media) {
  const track = media.track;
  return [
    media.codec ? `${media.kind} ${media.codec}` : `${media.kind}: no common codec (takes ${media.offered.join(', ')})`,
    `${media.packets.toLocaleString()} packets`,
    media.retransmitted ? `${media.retransmitted.toLocaleString()} sent again` : '',
    media.loss_percent >= 0.05 ? `${media.loss_percent.toFixed(1)} % lost` : '',
    track.last_packet_ms === null ? 'nothing from the source' : '',
    media.kind === 'video' && track.last_keyframe_ms !== null ? `keyframe ${span(track.last_keyframe_ms)} ago` : '',
    media.kind === 'video' && track.last_keyframe_ms === null ? 'no keyframe yet' : '',
  ].filter(Boolean).join(', ');
}

function sessionCard(session, key) {
  const { ice, dtls, advertised } = session;
  const ended = session.ago_ms !== undefined;
  const state = session.phase === 'connected' ? (ended && !session.verdict ? '' : session.verdict ? 'failing' : 'live') : session.verdict ? 'failing' : 'waiting';
  const word = ended ? (session.phase === 'refused' ? 'refused' : session.failed ? 'failed' : 'ended') : PHASES[session.phase];
  const when = ended ? `${span(session.ago_ms)} ago${session.times > 1 ? `, ${session.times} times` : ''}` : `for ${span(session.age_ms)}`;
  const rows = session.phase === 'refused' ? [] : [
    ['We offered', advertised.candidates.length ? advertised.candidates : 'nothing'],
    ['They offered', [...ice.remote.lines, ice.remote.lines.length ? '' : 'nothing yet']],
    ['Requests came', ice.arrivals.length ? ice.arrivals.map((a) => `${a.requests} at ${a.local}, the last ${span(a.last_ms)} ago`) : 'none'],
    ['Our checks', `${ice.checks} sent, ${ice.answers} answered`],
    ['Ways', ice.pairs.map((p) => `${p.selected ? '✓ ' : ''}${p.local} ↔ ${p.remote}: ${p.requests} in, ${p.checks} checks, ${p.answers} answers${p.rtt_ms === null ? '' : `, ${p.rtt_ms} ms`}`)],
    ['Keys', dtls.began_ms === null ? '' : `${dtls.took_ms === null ? 'not agreed' : `agreed in ${span(dtls.took_ms)}`}, ${dtls.sent} packets out, ${dtls.received} in`],
    ['Media', session.media.map(mediaLine)],
  ];
  return make('div', 'case',
    make('div', 'line',
      make('strong', 'name', `${session.publishes ? 'Publisher' : 'Viewer'} of ${session.stream.name}`),
      make('span', `pill ${state}`, word)),
    make('p', 'quiet', `${session.from} · ${when}`),
    verdictOf(session.verdict) || (session.reason ? make('p', 'reason', session.reason) : null),
    details(key, 'Details', figures([
      ['Session', session.id],
      ['Program', session.client],
      ['Door', session.door],
      ['End', session.reason],
      ...rows,
    ])));
}

const refusedCard = (refused) => make('div', 'case',
  make('p', 'quiet', `${plural(refused.times, 'time')}, the last ${span(refused.ago_ms)} ago`),
  verdictOf(refused.verdict));

function fill(id, cards, none) {
  $(id).hidden = !cards.length && !none;
  $(id).lastElementChild.replaceChildren(...(cards.length ? cards : [make('p', 'quiet', none ?? '')]));
}

/** Each verdict that is news, once, with how often it was given. */
function summary(report) {
  const seen = (summed = new Map());
  const add = (verdict, who) => {
    if (!verdict) return;
    const key = keyOf(verdict);
    if (!seen.has(key)) seen.set(key, { verdict, who: new Set() });
    if (who) seen.get(key).who.add(who);
  };
  report.machine.verdicts.forEach((verdict) => add(verdict));
  report.streams.forEach((stream) => add(stream.verdict));
  const host = (session) => session.from.replace(/:\d+$/, '');
  report.sessions.forEach((session) => add(session.verdict, host(session)));
  report.past.filter((past) => past.ago_ms < RECENT_MS).forEach((past) => add(past.verdict, host(past)));
  report.refused.filter((refused) => refused.ago_ms < RECENT_MS).forEach((refused) => add(refused.verdict));
  return [...seen.values()].map(({ verdict, who }) => {
    const box = verdictOf(verdict, true);
    if (who.size) box.append(make('p', 'quiet', `Seen with ${[...who].join(', ')}.`));
    return box;
  });
}

function show(report) {
  const found = summary(report);
  fill('found', found);
  $('pill').className = `pill ${report.healthy ? 'live' : 'failing'}`;
  $('pill').textContent = report.healthy ? 'nothing is wrong' : plural(found.length, 'finding');
  fill('machine', [machineCard(report.machine, report.version)]);
  fill('streams', report.streams.map(streamCard), 'There is no stream.');
  document.querySelectorAll('#streams a.name').forEach((link) => {
    link.href = `stream.html?src=${encodeURIComponent(link.textContent)}`;
  });
  fill('sessions', report.sessions.map((session) => sessionCard(session, session.id)), 'Nobody watches or publishes now.');
  fill('past', report.past.map((past) => sessionCard(past, past.id || `${past.from} ${past.reason}`)));
  fill('refused', report.refused.map(refusedCard));
  window.porthole = { state: 'examined', report };
}

async function refresh() {
  try {
    const clock = Math.floor(Date.now() / 1000);
    const response = await fetch(`api/doctor?clock=${clock}`, { signal: AbortSignal.timeout(5000), cache: 'no-store' });
    if (!response.ok) throw new Error((await response.text()).trim() || `The relay answered ${response.status}.`);
    show(await response.json());
    $('trouble').hidden = true;
  } catch (error) {
    $('trouble').textContent = error instanceof TypeError || error.name === 'TimeoutError'
      ? `The relay does not answer at ${location.host}. Trying again…` : error.message;
    $('trouble').hidden = false;
  }
}

/** A reader who selects text to copy it is not disturbed. */
const reading = () => document.hidden || !getSelection().isCollapsed;

document.addEventListener('visibilitychange', () => document.hidden || refresh());
await refresh();
for (;;) {
  await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
  if (!reading()) await refresh();
}
