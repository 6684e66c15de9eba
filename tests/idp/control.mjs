// The control server: plain HTTP with JSON answers, by which a test asks for tokens and new keys.

import assert from 'node:assert';
import { json } from 'node:stream/consumers';

import { FLOWS } from './flows.mjs';
import { ALGORITHMS } from './keys.mjs';

const DEFAULTS = {
  grant: 'client_credentials',
  alg: 'RS256',
  scope: 'read:pets write:pets',
  resource: 'https://api.example.test',
  ttl: 600,
};

/** A request handler for node:http. `rotateKeys` gives the kids of the new keys. */
export function createControl({ issuer, rotateKeys }) {
  const routes = {
    'POST /token': async (request) => obtainToken(issuer, await json(request)),
    'POST /rotate': async () => ({ kids: await rotateKeys() }),
  };
  return async (request, response) => {
    const route = routes[`${request.method} ${request.url}`];
    if (!route) return send(response, 404, { error: `no such endpoint: ${request.method} ${request.url}` });
    try {
      return send(response, 200, await route(request));
    } catch (error) {
      return send(response, 500, { error: error.message });
    }
  };
}

async function obtainToken(issuer, request) {
  const { grant, ...wanted } = { ...DEFAULTS, ...request };
  checkRequest(grant, wanted);
  return FLOWS[grant](issuer, wanted);
}

// A misspelt request must not silently give a token other than the one the test is about.
function checkRequest(grant, wanted) {
  const unknown = Object.keys(wanted).filter((name) => !(name in DEFAULTS));
  assert.ok(unknown.length === 0, `unknown members: ${unknown}`);
  assert.ok(Object.hasOwn(FLOWS, grant), `unknown grant: ${grant}`);
  assert.ok(ALGORITHMS.includes(wanted.alg), `unknown alg: ${wanted.alg}`);
  assert.ok(Number.isInteger(wanted.ttl) && wanted.ttl > 0, `not a lifetime in seconds: ${wanted.ttl}`);
}

function send(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
