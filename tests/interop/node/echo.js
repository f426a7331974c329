// A WebSocket server that sends back what it gets. `node echo.js PORT`. The message
// "close" makes it end the connection with a code of its own; "ping" makes it ping, and say
// what came back.
'use strict';
const { WebSocketServer } = require('ws');

const server = new WebSocketServer({
  host: '127.0.0.1', port: Number(process.argv[2]), perMessageDeflate: { threshold: 0 },
});
server.on('connection', (socket, request) => {
  socket.send(`${request.url} ${request.headers['sec-websocket-protocol'] || 'none'}`);
  socket.on('message', (data, isBinary) => {
    const text = isBinary ? '' : data.toString();
    if (text === 'close') {
      socket.close(4001, 'as you wish');
    } else if (text === 'ping') {
      socket.once('pong', (back) => socket.send(`pong ${back}`));
      socket.ping('are you there');
    } else {
      socket.send(data, { binary: isBinary });
    }
  });
  socket.on('close', (code, reason) => console.log(`closed ${code} ${reason}`));
});
