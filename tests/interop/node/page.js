// What a browser does for a page of another origin that calls by gRPC-Web: asks first
// whether the page may, and calls, with Node.js's `fetch`. The library for the page is left
// out. Prints what it sees, one line each. `node page.js PORT`.
'use strict';
const { create, fromBinary, toBinary } = require('@bufbuild/protobuf');
const { TestService, STREAM } = require('./testing.js');

const fail = (error) => { console.error(error); process.exit(1); };
setTimeout(() => fail('it takes too long'), 30000).unref();

const { parent, name, input, output } = TestService.method.streamingOutputCall;
const url = `http://127.0.0.1:${process.argv[2]}/${parent.typeName}/${name}`;
const show = ({ status, headers }, names) =>
  console.log(status, names.map((header) => headers.get(header) || '-').join(' | '));

async function main() {
  const origin = 'http://shop.example';
  const may = ['access-control-allow-origin', 'access-control-allow-methods',
    'access-control-allow-headers', 'access-control-max-age'];
  const asks = { 'access-control-request-method': 'POST',
    'access-control-request-headers': 'content-type,x-grpc-web' };
  for (const from of [origin, 'http://else.example']) {
    show(await fetch(url, { method: 'OPTIONS', headers: { origin: from, ...asks } }), may);
  }

  const message = Buffer.from(toBinary(input, create(input, STREAM)));
  const frame = Buffer.concat([Buffer.alloc(5), message]);
  frame.writeUInt32BE(message.length, 1);
  const answer = await fetch(url, {
    method: 'POST',
    headers: { origin, 'content-type': 'application/grpc-web-text', 'x-grpc-web': '1' },
    body: frame.toString('base64'),
  });
  show(answer, ['content-type', 'access-control-allow-origin']);
  // Groups of four letters, each padded where its piece ended there.
  const groups = (await answer.text()).match(/.{1,4}/g);
  let body = Buffer.concat(groups.map((group) => Buffer.from(group, 'base64')));
  while (body.length > 0) {
    const [flags, rest] = [body[0], body.subarray(5)];
    const content = rest.subarray(0, body.readUInt32BE(1));
    console.log(flags, flags & 0x80 ? JSON.stringify(content.toString())
      : fromBinary(output, content).payload.body.length);
    body = rest.subarray(content.length);
  }
}
main().then(() => process.exit(0), fail);
