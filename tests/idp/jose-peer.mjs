// A second implementation that judges and makes tokens: jose, on the cryptography of Node. One JSON value a line. The
// first line in is the setting; each further line asks to judge (`{"judge": [token, …]}`, answered by a reason or null
// for each) or to make tokens (`{"sign": [{alg, header, claims}, …]}`).

import { createInterface } from 'node:readline';
import { SignJWT, createLocalJWKSet, importPKCS8, jwtVerify } from 'jose';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const setting = JSON.parse((await lines.next()).value);
const secret = Buffer.from(setting.secret, 'base64url');
const privateKeys = Object.fromEntries(
  await Promise.all(
    Object.entries(setting.private).map(async ([alg, pem]) => [alg, await importPKCS8(pem, alg)]),
  ),
);

const rules = {
  audience: setting.audience,
  requiredClaims: ['iss', 'aud', 'exp'],
  clockTolerance: setting.leeway,
  currentDate: new Date(setting.now * 1000),
};
const published = { ...rules, issuer: setting.publicIssuer, algorithms: Object.keys(privateKeys) };
const shared = { ...rules, issuer: setting.sharedIssuer, algorithms: ['HS256', 'HS384', 'HS512'] };
const keys = createLocalJWKSet(setting.jwks);

/** Null if one of the two issuers vouches for the token; else why the one whose algorithm it names does not. */
async function judge(token) {
  try {
    await jwtVerify(token, keys, published);
    return null;
  } catch (error) {
    if (error.code !== 'ERR_JOSE_ALG_NOT_ALLOWED') return `${error.code ?? error.name}: ${error.message}`;
  }
  try {
    await jwtVerify(token, secret, shared);
    return null;
  } catch (error) {
    return `${error.code ?? error.name}: ${error.message}`;
  }
}

function sign({ alg, header, claims }) {
  return new SignJWT(claims).setProtectedHeader({ ...header, alg }).sign(privateKeys[alg] ?? secret);
}

for await (const line of lines) {
  const asked = JSON.parse(line);
  const answer = await Promise.all(asked.judge ? asked.judge.map(judge) : asked.sign.map(sign));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
