// Signing keys of the authorization server, as private JWKs.

import { createPrivateKey, generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';

const generate = promisify(generateKeyPair);

const KINDS = {
  RS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};

export const ALGORITHMS = Object.keys(KINDS);

/** One fresh key for each algorithm. `generation` makes the kids differ from those of earlier sets. */
export async function generateKeys(generation) {
  return Promise.all(ALGORITHMS.map((alg) => generateJwk(alg, `${alg.toLowerCase()}-${generation}`)));
}

async function generateJwk(alg, kid) {
  const [type, options] = KINDS[alg];
  // By way of PEM: on Node 20 exporting a freshly generated key straight to a JWK can hang for ever.
  const { privateKey: pem } = await generate(type, {
    ...options,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return { ...createPrivateKey(pem).export({ format: 'jwk' }), alg, kid, use: 'sig' };
}
