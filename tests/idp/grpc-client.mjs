// A gRPC client that owes nothing to Rust: calls Health/Check once and prints what came of it.
//
//     node grpc-client.mjs HOST:PORT [BEARER_TOKEN]
//
// One line of JSON: {"code":16,"message":"…","www_authenticate":["…"],"status":null}. A refusal is a
// result like any other, so the exit status is 0 whatever the gRPC status is. Node joins headers of one
// name with a comma: several challenges in one block arrive as one string.

import { fileURLToPath } from 'node:url';

import { Metadata, credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const PATIENCE_MS = 10_000;

const [address, token] = process.argv.slice(2);
if (!address) {
  console.error('usage: node grpc-client.mjs HOST:PORT [BEARER_TOKEN]');
  process.exit(2);
}
console.log(JSON.stringify(await check(connect(address), token)));

function connect(target) {
  const proto = fileURLToPath(new URL('health.proto', import.meta.url));
  const definition = loadSync(proto, { enums: String, defaults: true });
  const { Health } = loadPackageDefinition(definition).grpc.health.v1;
  return new Health(target, credentials.createInsecure());
}

function check(client, bearer) {
  const metadata = new Metadata();
  if (bearer) metadata.set('authorization', `Bearer ${bearer}`);
  return new Promise((resolve) => {
    let answer = null;
    const challenges = [];
    const collectChallenges = (from) => challenges.push(...from.get('www-authenticate'));
    const options = { deadline: Date.now() + PATIENCE_MS };
    const call = client.Check({ service: '' }, metadata, options, (error, response) => {
      answer = response ?? null;
    });
    // Leading headers, if the answer has any beside its trailers.
    call.on('metadata', collectChallenges);
    // The status comes last, after the callback. With it come the trailers, or the only headers.
    call.on('status', ({ code, details, metadata: trailers }) => {
      collectChallenges(trailers);
      client.close();
      resolve({ code, message: details, www_authenticate: challenges, status: answer?.status ?? null });
    });
  });
}
