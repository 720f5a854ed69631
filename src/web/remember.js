// What a viewer chose for a stream (rotation, mirror, flip, crosshair, loudness) stays with this browser.

const KEPT = ['rotate', 'mirror', 'flip', 'crosshair'];
const keyOf = (name) => `porthole:${name}`;

/** Gives a player what was chosen before; what its attributes say already goes first. */
export function recall(player, name) {
  try {
    const kept = JSON.parse(localStorage.getItem(keyOf(name))) ?? {};
    for (const attribute of KEPT) {
      if (typeof kept[attribute] === 'string' && !player.hasAttribute(attribute)) player.setAttribute(attribute, kept[attribute]);
    }
    return kept.volume >= 0 && kept.volume <= 1 ? kept.volume : 1;
  } catch {
    return 1; // a frame without storage remembers nothing
  }
}

/** Recalls, and keeps what is chosen from now on. The player must be in the page. */
export function remember(player, name) {
  player.video.volume = recall(player, name);
  const keep = () => {
    const kept = { volume: player.video.volume };
    for (const attribute of KEPT) kept[attribute] = player.getAttribute(attribute);
    try {
      localStorage.setItem(keyOf(name), JSON.stringify(kept));
    } catch {
      // see above
    }
  };
  new MutationObserver(keep).observe(player, { attributeFilter: KEPT });
  player.video.addEventListener('volumechange', keep);
}
