// The grants, run over HTTP against the issuer the way a client application runs them.

import assert from 'node:assert';
import { createHash, randomBytes } from 'node:crypto';

import { Browser } from './browser.mjs';
import { APP, SERVICE, WANTED_ALG, WANTED_TTL } from './provider.mjs';

const USER = { login: 'user_1', password: 'any password will do' };

/**
 * Each flow takes the issuer and what is wanted: `{ scope, resource, alg, ttl }`. An empty scope or
 * resource is left out of the requests.
 */
export const FLOWS = {
  client_credentials: clientCredentials,
  authorization_code: authorizationCode,
  refresh_token: refreshToken,
};

async function clientCredentials(issuer, wanted) {
  const server = await discover(issuer);
  const { scope, resource } = wanted;
  const parameters = { grant_type: 'client_credentials', scope, resource };
  return answer(await requestToken(server, SERVICE, wanted, parameters), SERVICE);
}

async function authorizationCode(issuer, wanted) {
  const server = await discover(issuer);
  return answer(await signIn(server, wanted), APP);
}

async function refreshToken(issuer, wanted) {
  const server = await discover(issuer);
  // OpenID Connect Core, section 11: offline access is given only on the consent screen.
  const offline = { ...wanted, scope: `offline_access ${wanted.scope}` };
  const first = await signIn(server, offline, { prompt: 'consent' });
  const second = await requestToken(server, APP, wanted, {
    grant_type: 'refresh_token',
    refresh_token: first.refresh_token,
    resource: wanted.resource,
  });
  assert.ok(second.refresh_token, 'the refresh gave no new refresh token');
  assert.ok(second.refresh_token !== first.refresh_token, 'the refresh token was not rotated');
  assert.ok(second.access_token !== first.access_token, 'the refresh gave the same access token');
  return { ...answer(second, APP), rotated: true };
}

/** RFC 6749, section 4.1, with PKCE (RFC 7636): a person signs in and consents; the tokens are returned. */
async function signIn(server, wanted, extraParameters = {}) {
  const verifier = randomBytes(32).toString('base64url');
  const { resource } = wanted;
  // `openid` stays out of the access token. Without it a request for no scope at all would be denied.
  const scope = `openid ${wanted.scope}`.trim();
  const code = await authorize(server, { scope, resource, ...extraParameters }, verifier);
  return requestToken(server, APP, wanted, {
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: APP.redirect_uri,
    resource,
  });
}

async function authorize(server, parameters, verifier) {
  const state = randomBytes(16).toString('base64url');
  const url = new URL(server.authorization_endpoint);
  url.search = form({
    ...parameters,
    response_type: 'code',
    client_id: APP.client_id,
    redirect_uri: APP.redirect_uri,
    state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  const callback = (await new Browser().travel(url, APP.redirect_uri, USER)).searchParams;
  assert.ok(!callback.has('error'), `sign-in refused: ${callback}`);
  assert.ok(callback.get('state') === state, 'the state came back changed');
  assert.ok(callback.get('iss') === server.issuer, 'another issuer answered (RFC 9207)');
  return callback.get('code');
}

async function requestToken(server, client, { alg, ttl }, parameters) {
  const response = await fetch(server.token_endpoint, {
    method: 'POST',
    headers: { authorization: basic(client), [WANTED_ALG]: alg, [WANTED_TTL]: String(ttl) },
    body: form(parameters),
  });
  return readJson(response);
}

async function discover(issuer) {
  const server = await readJson(await fetch(`${issuer}/.well-known/openid-configuration`));
  assert.ok(server.issuer === issuer, 'the metadata name another issuer');
  return server;
}

async function readJson(response) {
  const text = await response.text();
  assert.ok(response.ok, `${response.url} answered ${response.status}: ${text}`);
  return JSON.parse(text);
}

function answer(tokens, client) {
  const { access_token, token_type, scope } = tokens;
  // After a sign-in without scopes the server answers an empty string, after client credentials nothing.
  return { access_token, token_type, scope: scope || undefined, client_id: client.client_id };
}

/** RFC 6749, section 2.3.1. Ids and secrets here need no form-encoding. */
function basic({ client_id: id, client_secret: secret }) {
  return `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
}

function form(parameters) {
  const present = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '');
  return new URLSearchParams(present);
}
