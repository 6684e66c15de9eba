-- API keys of tower-resource-server, for PostgreSQL 12 and later. May be run by hand, and more than once:
--     psql --single-transaction -v ON_ERROR_STOP=1 -f 0001_api_keys.sql
-- Everything is made in the first schema of the search path.
-- Times are milliseconds since 1970-01-01 00:00:00 UTC. Of a key nothing is kept but its SHA-256 digest.

CREATE TABLE IF NOT EXISTS tower_resource_server_api_keys (
    id           TEXT   COLLATE "C" PRIMARY KEY,
    digest       BYTEA  NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    owner        TEXT   NOT NULL,
    name         TEXT,
    start        TEXT,
    scopes       TEXT   NOT NULL DEFAULT '',    -- words between spaces
    created_at   BIGINT,
    not_before   BIGINT,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    last_used_at BIGINT,
    uses         BIGINT NOT NULL DEFAULT 0 CHECK (uses >= 0),
    limited      BIGINT NOT NULL DEFAULT 0 CHECK (limited >= 0),
    refused      BIGINT NOT NULL DEFAULT 0 CHECK (refused >= 0),
    rotated_to   TEXT,
    rotated_from TEXT,
    plan         TEXT,
    metadata     TEXT   NOT NULL DEFAULT '{}',  -- a JSON object of strings
    revision     BIGINT NOT NULL DEFAULT 0 CHECK (revision >= 0)
);

CREATE INDEX IF NOT EXISTS tower_resource_server_api_keys_of_owner
    ON tower_resource_server_api_keys (owner, id);

-- Whoever changes a key, by whatever program, tells all that listen: the payload is the digest in hexadecimal, and the empty
-- text says that any key may have changed. Channels belong to the database and not to a schema; to hear of a digest that is
-- in another schema's table does no harm.
CREATE OR REPLACE FUNCTION tower_resource_server_tell_of_api_key() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM pg_catalog.pg_notify('tower_resource_server_api_keys', '');
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        PERFORM pg_catalog.pg_notify('tower_resource_server_api_keys', pg_catalog.encode(OLD.digest, 'hex'));
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM pg_catalog.pg_notify('tower_resource_server_api_keys', pg_catalog.encode(NEW.digest, 'hex'));
    END IF;
    RETURN NULL;
END
$$;

DROP TRIGGER IF EXISTS tower_resource_server_tell_of_coming_and_going ON tower_resource_server_api_keys;
CREATE TRIGGER tower_resource_server_tell_of_coming_and_going
    AFTER INSERT OR DELETE ON tower_resource_server_api_keys
    FOR EACH ROW EXECUTE FUNCTION tower_resource_server_tell_of_api_key();

-- Uses are counted all the time and change no decision: uses, limited, refused and last_used_at are not in the list.
DROP TRIGGER IF EXISTS tower_resource_server_tell_of_change ON tower_resource_server_api_keys;
CREATE TRIGGER tower_resource_server_tell_of_change
    AFTER UPDATE ON tower_resource_server_api_keys
    FOR EACH ROW
    WHEN ((OLD.id, OLD.digest, OLD.owner, OLD.name, OLD.start, OLD.scopes, OLD.created_at, OLD.not_before,
           OLD.expires_at, OLD.revoked_at, OLD.rotated_to, OLD.rotated_from, OLD.plan, OLD.metadata, OLD.revision)
        IS DISTINCT FROM
          (NEW.id, NEW.digest, NEW.owner, NEW.name, NEW.start, NEW.scopes, NEW.created_at, NEW.not_before,
           NEW.expires_at, NEW.revoked_at, NEW.rotated_to, NEW.rotated_from, NEW.plan, NEW.metadata, NEW.revision))
    EXECUTE FUNCTION tower_resource_server_tell_of_api_key();

DROP TRIGGER IF EXISTS tower_resource_server_tell_of_truncation ON tower_resource_server_api_keys;
CREATE TRIGGER tower_resource_server_tell_of_truncation
    AFTER TRUNCATE ON tower_resource_server_api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION tower_resource_server_tell_of_api_key();
