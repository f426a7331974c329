// The client of npm's `grpc-web`, as a page would use it: over XMLHttpRequest, in the form
// that is named. Prints what it sees, one line each. `node grpc_web.js PORT text|binary`.
'use strict';
global.XMLHttpRequest = require('xhr2');
const { create, fromBinary, toBinary } = require('@bufbuild/protobuf');
const { GrpcWebClientBase, MethodDescriptor, MethodType } = require('grpc-web');
const { TestService, METADATA, UNARY, EMPTY, FAILS, STREAM, BREAKS } = require('./testing.js');

const [port, format] = process.argv.slice(2);
const fail = (error) => { console.error(error); process.exit(1); };
setTimeout(() => fail('it takes too long'), 30000).unref();

const client = new GrpcWebClientBase({ format });
const call = ({ parent, name, input, output, methodKind }, type) => [
  `http://127.0.0.1:${port}/${parent.typeName}/${name}`,
  new MethodDescriptor(`/${parent.typeName}/${name}`, type, Object, Object,
    (message) => toBinary(input, message), (bytes) => fromBinary(output, bytes)),
];
const { unaryCall, streamingOutputCall } = TestService.method;

// Has one call say what came of it, when its stream has ended; `start` gets what takes the
// answer to a unary call.
const told = (title, start) => new Promise((done) => {
  const messages = [];
  const said = {};
  const stream = start((error, message) => {
    if (error) said.error = error;
    else messages.push(message.payload.body.length);
  });
  stream.on('data', (message) => messages.push(message.payload.body.length));
  for (const kind of ['metadata', 'status', 'error']) {
    stream.on(kind, (value) => { said[kind] = value; });
  }
  stream.on('end', () => {
    const { metadata, status, error } = said;
    console.log(`${title} data [${messages}]`);
    console.log(`${title} metadata ${metadata['x-grpc-test-echo-initial']} ${
      status.metadata['x-grpc-test-echo-trailing-bin']}`);
    console.log(`${title} status ${status.code} ${JSON.stringify(status.details)}`);
    if (error) console.log(`${title} error ${error.code} ${JSON.stringify(error.message)}`);
    done();
  });
});

async function main() {
  for (const [title, fields] of [['unary', UNARY], ['empty', EMPTY], ['fails', FAILS]]) {
    const [url, descriptor] = call(unaryCall, MethodType.UNARY);
    const request = create(unaryCall.input, fields);
    await told(title, (take) => client.rpcCall(url, request, METADATA, descriptor, take));
  }
  for (const [title, fields] of [['stream', STREAM], ['breaks', BREAKS]]) {
    const [url, descriptor] = call(streamingOutputCall, MethodType.SERVER_STREAMING);
    const request = create(streamingOutputCall.input, fields);
    await told(title, () => client.serverStreaming(url, request, METADATA, descriptor));
  }
}
main().then(() => process.exit(0), fail);
