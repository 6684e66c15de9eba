// Starts the authorization server and its control server, each on a free port of the loopback
// interface, and says on one line of standard output where they are. It ends with its standard
// input, so that a test that was killed leaves nothing behind.

import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

import { createControl } from './control.mjs';
import { generateKeys } from './keys.mjs';
import { createProvider } from './provider.mjs';
import { createStorage } from './storage.mjs';

// Standard output belongs to the one line; oidc-provider writes notices with console.info.
console.info = console.error;
console.log = console.error;

process.stdin.resume();
process.stdin.once('end', () => process.exit(0));
process.stdin.once('close', () => process.exit(0));

const issuerServer = createServer((request, response) => handle(request, response));
const issuer = await listen(issuerServer);

const storage = createStorage();
const cookieKeys = [randomBytes(32).toString('base64url')];
let generation = 0;
let handle;
await rotateKeys();

const control = await listen(createServer(createControl({ issuer, rotateKeys })));
process.stdout.write(`${JSON.stringify({ issuer, control })}\n`);

/**
 * Replaces every signing key. A running Provider cannot change its keys: a new one over the same
 * storage takes its place at the same address.
 */
async function rotateKeys() {
  generation += 1;
  const keys = await generateKeys(generation);
  handle = createProvider({ issuer, keys, storage, cookieKeys }).callback();
  return keys.map((key) => key.kid);
}

function listen(server) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${server.address().port}`));
  });
}
