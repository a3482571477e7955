// A client on stock grpc-js: node grpc_js_client.js MODULES PROTO_FOLDER ADDRESS PIXELS
// MODULES is the folder node_modules, PIXELS a JSON list. Prints one JSON object.
'use strict';

const path = require('path');

const [modules, protos, address, pixels] = process.argv.slice(2);
const grpc = require(path.join(modules, '@grpc', 'grpc-js'));
const loader = require(path.join(modules, '@grpc', 'proto-loader'));

function load(file) {
  const definition = loader.loadSync(file, {includeDirs: [protos], keepCase: true, longs: Number,
                                            enums: String, oneofs: true});
  return grpc.loadPackageDefinition(definition);
}

function make(Client) {
  return new Client(address, grpc.credentials.createInsecure());
}

function call(client, method, request) {
  return new Promise((resolve) => {
    client[method](request, {deadline: Date.now() + 30000}, (error, response) => {
      resolve(error ? {code: error.code, details: error.details} : {code: 0, response});
    });
  });
}

// A method by its path, with no bytes.
function callPath(client, method) {
  return new Promise((resolve) => {
    client.makeUnaryRequest(method, (bytes) => bytes, (bytes) => bytes, Buffer.alloc(0),
                            new grpc.Metadata(), {deadline: Date.now() + 30000},
                            (error) => resolve({code: error ? error.code : 0,
                                                details: error ? error.details : ''}));
  });
}

function reflect(version) {
  const client = make(
      load(`grpc/reflection/${version}/reflection.proto`).grpc.reflection[version].ServerReflection);
  return new Promise((resolve) => {
    const stream = client.ServerReflectionInfo({deadline: Date.now() + 30000});
    stream.on('data', (answer) => {
      stream.end();
      resolve(answer.list_services_response.service.map((service) => service.name));
    });
    stream.on('error', (error) => resolve({code: error.code, details: error.details}));
    stream.write({list_services: '*'});
  });
}

async function main() {
  const inference = make(load('inference/grpc_service.proto').inference.GRPCInferenceService);
  const health = make(load('grpc/health/v1/health.proto').grpc.health.v1.Health);
  const values = JSON.parse(pixels);
  const request = {
    model_name: 'teacher',
    inputs: [{name: 'inputs', datatype: 'FP32', shape: [values.length / 64, 1, 8, 8]}],
    raw_input_contents: [Buffer.from(new Float32Array(values).buffer)]
  };
  const answer = await call(inference, 'ModelInfer', request);
  const spoiled = {...request, raw_input_contents: [Buffer.from(request.raw_input_contents[0])]};
  spoiled.raw_input_contents[0].writeFloatLE(NaN, 0);
  const top = {
    ...request,
    outputs: [{name: 'soft_targets', parameters: {classification: {int64_param: 2}}}],
    raw_input_contents: [],
    inputs: [{...request.inputs[0], contents: {fp32_contents: values}}]
  };
  const classes = await call(inference, 'ModelInfer', top);
  console.log(JSON.stringify({
    metadata: (await call(inference, 'ServerMetadata', {})).response,
    config: (await call(inference, 'ModelConfig', {name: 'teacher'})).response.config,
    soft_targets: Array.from(new Float32Array(
        Uint8Array.from(answer.response.raw_output_contents[0]).buffer)),
    classes: classes.response.outputs[0].contents.bytes_contents.map((text) => text.toString()),
    spoiled: await call(inference, 'ModelInfer', spoiled),
    health: await call(health, 'Check', {service: 'inference.GRPCInferenceService'}),
    no_health: await call(health, 'Check', {service: 'no.Service'}),
    unknown: await callPath(inference, '/inference.GRPCInferenceService/RepositoryIndex'),
    elsewhere: await callPath(inference, '/distillery.v1.CoordinatorService/ListRuns'),
    reflection: await reflect('v1'),
    older_reflection: await reflect('v1alpha')
  }));
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
