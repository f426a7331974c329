// A WebSocket client that says all that the protocol knows, and prints what it sees,
// one line each. `node talk.js PORT`. Ends with 1 when anything is amiss.
'use strict';
const { createHash, randomFillSync } = require('crypto');
const WebSocket = require('ws');

const url = `ws://127.0.0.1:${process.argv[2]}/talk?a=b`;
const fail = (error) => { console.error(error); process.exit(1); };
setTimeout(() => fail('it takes too long'), 30000).unref();

// A connection whose events are taken one after the other.
async function connect(options) {
  const socket = new WebSocket(url, ['chat', 'other'], options);
  const events = [];
  let wake = () => {};
  const push = (event) => { events.push(event); wake(); };
  socket.on('message', (data, isBinary) => push({ kind: isBinary ? 'binary' : 'text', data }));
  socket.on('pong', (data) => push({ kind: 'pong', data }));
  socket.on('close', (code, reason) => push({ kind: 'close', code, reason: reason.toString() }));
  socket.on('error', fail);
  await new Promise((opened) => socket.once('open', opened));
  const next = async () => {
    while (events.length === 0) await new Promise((woken) => { wake = woken; });
    return events.shift();
  };
  return { socket, next };
}

const digest = (data) => createHash('sha256').update(data).digest('hex');
const show = ({ kind, data }) => console.log(`${kind} ${data}`);

async function talk(options) {
  const { socket, next } = await connect(options);
  console.log(`open ${socket.protocol} ${socket.extensions}`);
  show(await next());

  socket.send('grüß dich');
  show(await next());
  socket.send('');
  show(await next());
  for (const part of ['one ', 'message ', 'in ']) socket.send(part, { fin: false });
  // A control frame may stand between the fragments of a message.
  socket.ping('in between');
  socket.send('parts', { fin: true });
  show(await next());
  show(await next());

  socket.send('ping');
  show(await next());

  // One frame, and many, each larger than any buffer on the way.
  const large = randomFillSync(Buffer.alloc(5 << 20));
  socket.send(large);
  const back = await next();
  console.log(`${back.kind} ${back.data.length} ${digest(back.data) === digest(large)}`);
  for (let at = 0; at < large.length; at += 1 << 20) {
    socket.send(large.subarray(at, at + (1 << 20)), { fin: at + (1 << 20) === large.length });
  }
  const again = await next();
  console.log(`${again.kind} ${again.data.length} ${digest(again.data) === digest(large)}`);

  // All at once, answered in order.
  for (let number = 0; number < 1000; number += 1) socket.send(String(number));
  let ordered = true;
  for (let number = 0; number < 1000; number += 1) {
    ordered = String((await next()).data) === String(number) && ordered;
  }
  console.log(`ordered ${ordered}`);
  return { socket, next };
}

async function main() {
  const plain = await talk({ perMessageDeflate: false });
  plain.socket.send('close');
  const theirs = await plain.next();
  console.log(`${theirs.kind} ${theirs.code} ${theirs.reason}`);

  const mine = await connect({ perMessageDeflate: { threshold: 0 } });
  console.log(`open ${mine.socket.extensions}`);
  show(await mine.next());
  mine.socket.send('squeeze '.repeat(1 << 17));
  const squeezed = await mine.next();
  console.log(`${squeezed.kind} ${squeezed.data.length}`);
  mine.socket.close(4002, 'enough');
  const closed = await mine.next();
  console.log(`${closed.kind} ${closed.code} ${closed.reason}`);

  // Broken off without a word: the other side must learn of it.
  const broken = await connect({});
  show(await broken.next());
  broken.socket.terminate();
  const gone = await broken.next();
  console.log(`${gone.kind} ${gone.code} ${gone.reason}`);
}
main().then(() => process.exit(0), fail);
