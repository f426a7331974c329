// A web server: says what it takes, one line a request, and answers with what it was
// asked: the method, the path, the body's length and trailers. `node web.js PORT`.
'use strict';
const http = require('http');

const server = http.createServer((request, response) => {
  let length = 0;
  const say = (end) => console.log(`${request.method} ${request.url} ${end}`);
  request.on('data', (piece) => { length += piece.length; });
  request.on('error', () => say('broken'));
  request.on('end', () => {
    say(200);
    const trailers = JSON.stringify(request.trailers);
    // Neither HTTP/1.0 nor an answer to HEAD has trailers.
    if (request.method === 'HEAD' || request.httpVersionMinor === 0) {
      response.writeHead(200, { 'Content-Length': 7 });
      response.end('no more');
      return;
    }
    response.writeHead(200, { Trailer: 'X-End' });
    response.write(`${request.method} ${request.url} ${length} ${trailers}\n`);
    response.addTrailers({ 'X-End': 'done' });
    response.end();
  });
});
server.on('clientError', (error, socket) => {
  console.log(`bad ${error.code}`);
  socket.destroy();
});
server.listen(Number(process.argv[2]), '127.0.0.1');
