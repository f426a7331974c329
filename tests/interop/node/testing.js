// What gRPC's interoperability tests call, as far as the clients here do: the service
// grpc.testing.TestService, described by hand, because nothing here generates code.
'use strict';
const { create, createFileRegistry } = require('@bufbuild/protobuf');
const { FileDescriptorProtoSchema, FieldDescriptorProto_Label: Label,
  FieldDescriptorProto_Type: Type } = require('@bufbuild/protobuf/wkt');

const field = (name, number, type, typeName) => ({ name, number, type: Type[type],
  label: Label.OPTIONAL, typeName: typeName && `.grpc.testing.${typeName}` });
const many = (one) => ({ ...one, label: Label.REPEATED });
const registry = createFileRegistry(create(FileDescriptorProtoSchema, {
  name: 'grpc/testing/test.proto',
  package: 'grpc.testing',
  syntax: 'proto3',
  messageType: [
    { name: 'Payload', field: [field('body', 2, 'BYTES')] },
    { name: 'EchoStatus', field: [field('code', 1, 'INT32'), field('message', 2, 'STRING')] },
    { name: 'SimpleRequest', field: [field('response_size', 2, 'INT32'),
      field('payload', 3, 'MESSAGE', 'Payload'),
      field('response_status', 7, 'MESSAGE', 'EchoStatus')] },
    { name: 'SimpleResponse', field: [field('payload', 1, 'MESSAGE', 'Payload')] },
    { name: 'ResponseParameters', field: [field('size', 1, 'INT32'),
      field('interval_us', 2, 'INT32')] },
    { name: 'StreamingOutputCallRequest',
      field: [many(field('response_parameters', 2, 'MESSAGE', 'ResponseParameters'))] },
    { name: 'StreamingOutputCallResponse', field: [field('payload', 1, 'MESSAGE', 'Payload')] },
  ],
  service: [{ name: 'TestService', method: [
    { name: 'UnaryCall', inputType: '.grpc.testing.SimpleRequest',
      outputType: '.grpc.testing.SimpleResponse' },
    { name: 'StreamingOutputCall', inputType: '.grpc.testing.StreamingOutputCallRequest',
      outputType: '.grpc.testing.StreamingOutputCallResponse', serverStreaming: true },
  ] }],
}), () => undefined);

exports.TestService = registry.getService('grpc.testing.TestService');

// What every client asks: what is sent with it, and what the server makes of it.
exports.METADATA = { 'x-grpc-test-echo-initial': 'first words',
  'x-grpc-test-echo-trailing-bin': Buffer.from('last words').toString('base64') };
exports.UNARY = { responseSize: 100000, payload: { body: new Uint8Array(50000) } };
exports.EMPTY = { responseSize: 0 };
exports.FAILS = { responseStatus: { code: 9, message: 'not ready: 50%, grüße ☺\n' } };
// Of lengths that base64 pads in each way there is, and one over several frames of HTTP/2.
exports.STREAM = { responseParameters: [1, 2, 3, 70000, 0].map(
  (size) => ({ size, intervalUs: 1000 })) };
exports.BREAKS = { responseParameters: [{ size: 7 }, { size: -1 }] };
