// Connect's client, as it speaks gRPC-Web in Node.js, over the version of HTTP that is
// named. Prints what it sees, one line each. `node connect.js PORT 1.1|2`.
'use strict';
const { createClient } = require('@connectrpc/connect');
const { createGrpcWebTransport } = require('@connectrpc/connect-node');
const { TestService, METADATA, UNARY, EMPTY, FAILS, STREAM, BREAKS } = require('./testing.js');

const [port, httpVersion] = process.argv.slice(2);
const fail = (error) => { console.error(error); process.exit(1); };
setTimeout(() => fail('it takes too long'), 30000).unref();

const transport = createGrpcWebTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion });
const client = createClient(TestService, transport);

// Has one call say what comes of it: `each` gets what prints a message.
async function told(title, each) {
  const say = (line) => console.log(`${title} ${line}`);
  const options = {
    headers: METADATA,
    onHeader: (headers) => say(`header ${headers.get('x-grpc-test-echo-initial')}`),
    onTrailer: (trailers) => say(`trailer ${trailers.get('x-grpc-test-echo-trailing-bin')}`),
  };
  try {
    await each((message) => say(`data ${message.payload.body.length}`), options);
    say('end');
  } catch (error) {
    const trailing = error.metadata.get('x-grpc-test-echo-trailing-bin');
    say(`error ${error.code} ${JSON.stringify(error.rawMessage)} ${trailing}`);
  }
}

async function main() {
  for (const [title, request] of [['unary', UNARY], ['empty', EMPTY], ['fails', FAILS]]) {
    await told(title, async (say, options) => say(await client.unaryCall(request, options)));
  }
  for (const [title, request] of [['stream', STREAM], ['breaks', BREAKS]]) {
    await told(title, async (say, options) => {
      for await (const message of client.streamingOutputCall(request, options)) say(message);
    });
  }
}
main().then(() => process.exit(0), fail);
