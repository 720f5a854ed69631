// A WebTorrent tracker as people run it, on loopback: node tracker.js PORT. Prints "listening" when it does.
import Server from 'bittorrent-tracker/server';

const server = new Server({ http: false, udp: false, ws: true, stats: false });
server.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
server.on('warning', (warning) => console.error(`warning: ${warning.message}`));
server.on('listening', () => console.log('listening'));
server.listen(Number(process.argv[2]), '127.0.0.1');
