// Reads the code rows of the test camera from an ImageData: browser canvas, or any {width, height, data} of RGBA.
// The layout of the rows is described in src/source/test/code.rs.
//
//   context.drawImage(video, 0, 0, canvas.width, canvas.height);
//   const seen = readCounter(context.getImageData(0, 0, canvas.width, canvas.height));
//   // {frame: 1234, clock: ms since 1970 modulo 2^32}, or null if there is no whole code in the picture
//   const latencyMs = (Date.now() - seen.clock) >>> 0;
function readCounter(image) {
  const COLUMNS = 40, ROW_HEIGHT = 2 / 45;

  // Mean brightness of up to 3x3 samples around the middle of a block.
  const brightness = (row, column) => {
    const x = Math.floor((column + 0.5) / COLUMNS * image.width);
    const y = Math.floor((row + 0.5) * ROW_HEIGHT * image.height);
    const reach = image.width >= COLUMNS * 6 ? 1 : 0;
    let sum = 0, count = 0;
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) {
        const at = 4 * ((y + dy) * image.width + x + dx);
        sum += image.data[at] + image.data[at + 1] + image.data[at + 2];
        count += 3;
      }
    }
    return sum / count;
  };

  const readRow = (row) => {
    const blocks = Array.from({length: COLUMNS}, (_, column) => brightness(row, column));
    // The sync blocks 1 0 1 0 tell what white and black look like here.
    const white = Math.min(blocks[0], blocks[2]), black = Math.max(blocks[1], blocks[3]);
    if (white - black < 40) return null;
    const bits = blocks.map((block) => (block > (white + black) / 2 ? 1 : 0));
    const number = bits.slice(4, 36).reduce((value, bit) => value * 2 + bit, 0);
    const check = bits.slice(36).reduce((value, bit) => value * 2 + bit, 0);
    let expected = 0b1010;
    for (let nibble = 0; nibble < 8; nibble++) expected ^= (number >>> (4 * nibble)) & 15;
    return check === expected ? number : null;
  };

  const frame = readRow(0), clock = readRow(1);
  return frame === null || clock === null ? null : {frame, clock};
}

if (typeof module !== "undefined") module.exports = {readCounter};
