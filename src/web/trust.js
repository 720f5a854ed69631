// How to get HTTPS: what the relay has of it, and how this device comes to trust it.
const $ = (id) => document.getElementById(id);
const day = (seconds) => new Date(seconds * 1000).toLocaleDateString();

function say(pill, text, bad = false) {
  $('pill').textContent = pill;
  $('pill').className = `pill ${pill === 'on' ? 'live' : bad ? 'failing' : ''}`;
  $('say').textContent = text;
  $('say').classList.toggle('bad', bad);
}

function facts(rows) {
  $('facts').replaceChildren(...rows.map(([name, value]) => {
    const row = document.createElement('div');
    row.append(Object.assign(document.createElement('dt'), { textContent: name }), Object.assign(document.createElement('dd'), { textContent: value }));
    return row;
  }));
}

/** The section of the device that reads this. Tablets of Apple say they are a Mac, and have fingers. */
function device() {
  const agent = navigator.userAgent;
  if (/iPhone|iPad/.test(agent) || (/Macintosh/.test(agent) && navigator.maxTouchPoints > 1)) return 'ios';
  if (/Android/.test(agent)) return 'android';
  if (/Firefox/.test(agent)) return 'firefox';
  return /Windows/.test(agent) ? 'windows' : /Macintosh/.test(agent) ? 'mac' : 'linux';
}

function show(tls) {
  if (!tls) {
    say('off', 'This relay speaks HTTP only. For HTTPS write “tls: auto” below “api:” in its configuration file and restart it; then this page says how devices come to trust it.');
    return;
  }
  if (!tls.names) {
    say('failing', `This relay should speak HTTPS and can’t: ${tls.error ?? 'it has no certificate'}`, true);
    return;
  }
  const secure = location.protocol === 'https:';
  const here = new URL(location.href);
  here.protocol = 'https:';
  if (!secure) here.port = tls.port;
  const address = `${here.origin}/`;
  $('open').textContent = $('open').href = address;
  if (!tls.authority) {
    say('on', `This relay speaks HTTPS with a certificate that its owner brought, for ${tls.names.join(', ')}. Open it as ${address}`);
    return;
  }
  const host = location.hostname.replace(/^\[|\]$/g, '');
  if (secure) say('on', 'This page came over HTTPS. If your browser did not warn, this device trusts the relay, and nothing is left to do.');
  else if (!tls.names.includes(host)) say('on', `HTTPS is on, but the certificate does not name “${host}”: use one of the names below, or add it to “api.hosts” in the configuration file.`, true);
  else say('on', 'HTTPS is on. Browsers give a camera, a microphone or a screen to pages over HTTPS only, once the device trusts the relay: three steps.');
  facts([
    ['Authority', tls.authority.name],
    ['SHA-256', tls.authority.fingerprint],
    ['Certificate', `until ${day(tls.not_after)}, made anew by itself`],
    ['Names', tls.names.join(', ')],
    ...(tls.authority.servers_only ? [] : [['Made by an older version', 'it may vouch for more than servers; the relay’s log says how to get a new one']]),
    ...(tls.left_out.length ? [['Left out', `${tls.left_out.join(', ')}: not local, and not known when the authority was made`]] : []),
  ]);
  $('steps').hidden = false;
  $(device()).open = true;
}

try {
  const response = await fetch('api/status', { cache: 'no-store' });
  show((await response.json()).tls);
  window.porthole = { state: 'shown' };
} catch {
  say('failing', `The relay does not answer at ${location.host}.`, true);
}
