// What the authorization server remembers: sessions, grants, codes, refresh tokens.
//
// The library's own in-memory adapter belongs to one Provider. A rotation of keys builds a new
// Provider, so the storage has to live outside of it for sessions and refresh tokens to survive.
// Nothing is ever evicted: the Provider judges expiry by the payload, and a test run is short.

/** One storage, as the factory of adapters (one for each model) that oidc-provider asks for. */
export function createStorage() {
  const records = new Map();
  return (model) => new Adapter(model, records);
}

class Adapter {
  constructor(model, records) {
    this.model = model;
    this.records = records;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload) {
    this.records.set(this.key(id), payload);
  }

  async find(id) {
    return this.records.get(this.key(id));
  }

  async findByUid(uid) {
    return this.findWhere((payload) => payload.uid === uid);
  }

  async findByUserCode(userCode) {
    return this.findWhere((payload) => payload.userCode === userCode);
  }

  async consume(id) {
    this.records.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.records.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, payload] of this.records) {
      if (payload.grantId === grantId) this.records.delete(key);
    }
  }

  findWhere(matches) {
    for (const [key, payload] of this.records) {
      if (key.startsWith(`${this.model}:`) && matches(payload)) return payload;
    }
    return undefined;
  }
}
