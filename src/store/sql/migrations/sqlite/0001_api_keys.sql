-- API keys of tower-resource-server, for SQLite 3.38 and later. May be run by hand, and more than once:
--     sqlite3 keys.sqlite < 0001_api_keys.sql
-- Times are milliseconds since 1970-01-01 00:00:00 UTC. Of a key nothing is kept but its SHA-256 digest.

CREATE TABLE IF NOT EXISTS tower_resource_server_api_keys (
    id           TEXT    NOT NULL PRIMARY KEY,
    digest       BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    owner        TEXT    NOT NULL,
    name         TEXT,
    start        TEXT,
    scopes       TEXT    NOT NULL DEFAULT '',    -- words between spaces
    created_at   INTEGER,
    not_before   INTEGER,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER,
    uses         INTEGER NOT NULL DEFAULT 0 CHECK (uses >= 0),
    limited      INTEGER NOT NULL DEFAULT 0 CHECK (limited >= 0),
    refused      INTEGER NOT NULL DEFAULT 0 CHECK (refused >= 0),
    rotated_to   TEXT,
    rotated_from TEXT,
    plan         TEXT,
    metadata     TEXT    NOT NULL DEFAULT '{}',  -- a JSON object of strings
    revision     INTEGER NOT NULL DEFAULT 0 CHECK (revision >= 0)
) STRICT;

CREATE INDEX IF NOT EXISTS tower_resource_server_api_keys_of_owner
    ON tower_resource_server_api_keys (owner, id);
