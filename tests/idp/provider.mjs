// The authorization server: oidc-provider, set up for the tests.

import Provider, { errors } from 'oidc-provider';

/** The machine-to-machine client: client credentials. */
export const SERVICE = { client_id: 'pets-service', client_secret: 'pets-service-secret' };

/** The application a person uses: authorization code and refresh. Its redirect URI is never visited. */
export const APP = {
  client_id: 'pets-app',
  client_secret: 'pets-app-secret',
  redirect_uri: 'https://app.example.test/callback',
};

/** The form of the access tokens for each protected resource (RFC 8707). */
const RESOURCES = {
  'https://api.example.test': 'jwt',
  'https://other.example.test': 'jwt',
  'https://opaque.example.test': 'opaque',
};

const RESOURCE_SCOPES = 'read:pets write:pets';

/**
 * Request headers in which a token request says how its access token is to be made. They travel with
 * the request, so that requests of parallel tests cannot disturb each other.
 */
export const WANTED_ALG = 'x-wanted-alg';
export const WANTED_TTL = 'x-wanted-ttl';

/** A Provider that signs with `keys`; everything that must outlive a rotation of keys is handed in. */
export function createProvider({ issuer, keys, storage, cookieKeys }) {
  const provider = new Provider(issuer, {
    adapter: storage,
    clients: [serviceClient(), appClient()],
    cookies: { keys: cookieKeys },
    jwks: { keys },
    scopes: ['openid', 'offline_access'],
    findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    extraTokenClaims: () => ({ department: 'veterinary' }),
    rotateRefreshToken: true,
    ttl: LIFETIMES,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo: describeResource },
    },
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  return provider;
}

function serviceClient() {
  return {
    ...SERVICE,
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
  };
}

function appClient() {
  const { redirect_uri: redirectUri, ...credentials } = APP;
  return {
    ...credentials,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    redirect_uris: [redirectUri],
  };
}

/** In seconds. Access tokens live as long as the request wants; the others are longer than any test run. */
const LIFETIMES = {
  AccessToken: wantedLifetime,
  ClientCredentials: wantedLifetime,
  Grant: 3600,
  IdToken: 600,
  Interaction: 600,
  RefreshToken: 3600,
  Session: 3600,
};

function wantedLifetime(ctx) {
  return Number(ctx.get(WANTED_TTL) || 600);
}

function describeResource(ctx, resource) {
  const accessTokenFormat = RESOURCES[resource];
  if (!accessTokenFormat) throw new errors.InvalidTarget(`unknown resource ${resource}`);
  return {
    scope: RESOURCE_SCOPES,
    audience: resource,
    accessTokenFormat,
    jwt: { sign: { alg: ctx.get(WANTED_ALG) || 'RS256' } },
  };
}
