-- The whole first schema. Later migrations expand, then contract.

CREATE TABLE stores (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX stores_name ON stores (lower(name COLLATE "C"));

-- Accounts, groups, organizations and types. A deleted subject stays as a
-- tombstone: targets may still have to be told.
CREATE TABLE subjects (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store_id bigint NOT NULL REFERENCES stores (id),
    kind text NOT NULL CHECK (kind IN ('account', 'group', 'organization', 'type')),
    external_id text,
    user_name text,
    display_name text,
    status text NOT NULL DEFAULT 'active',
    attributes jsonb NOT NULL DEFAULT '{}',
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    CHECK ((kind = 'account') = (user_name IS NOT NULL)),
    CHECK (kind = 'account' OR display_name IS NOT NULL)
);
-- Names fold ASCII letters only, in the "C" collation, so that the index, the
-- filter in SQL and the filter in memory agree on every server.
CREATE UNIQUE INDEX subjects_user_name ON subjects (store_id, lower(user_name COLLATE "C"))
    WHERE deleted_at IS NULL AND kind = 'account';
CREATE UNIQUE INDEX subjects_external_id ON subjects (store_id, kind, external_id)
    WHERE deleted_at IS NULL AND external_id IS NOT NULL;
CREATE UNIQUE INDEX subjects_display_name ON subjects (store_id, kind, lower(display_name COLLATE "C"))
    WHERE deleted_at IS NULL AND kind <> 'account';
CREATE INDEX subjects_page ON subjects (store_id, kind, id);

CREATE TABLE memberships (
    container_id bigint NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    member_id bigint NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    role text NOT NULL DEFAULT 'member',
    valid_from timestamptz,
    valid_through timestamptz,
    PRIMARY KEY (member_id, container_id)
);
CREATE INDEX memberships_container ON memberships (container_id, member_id);

CREATE TABLE targets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store_id bigint NOT NULL REFERENCES stores (id),
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    enabled boolean NOT NULL DEFAULT false,
    mode text NOT NULL DEFAULT 'immediate' CHECK (mode IN ('immediate', 'manual', 'disabled')),
    paused boolean NOT NULL DEFAULT false,
    ordering integer NOT NULL DEFAULT 0,
    max_parallel_jobs integer NOT NULL DEFAULT 5 CHECK (max_parallel_jobs BETWEEN 1 AND 100),
    filter text NOT NULL DEFAULT '',
    egress_allow text[] NOT NULL DEFAULT '{}',
    config jsonb NOT NULL DEFAULT '{}',
    connection jsonb NOT NULL DEFAULT '{}',
    cpu_limit_ms integer NOT NULL DEFAULT 2000,
    wall_limit_ms integer NOT NULL DEFAULT 30000,
    heap_limit_mib integer NOT NULL DEFAULT 128,
    retry_attempts integer NOT NULL DEFAULT 11,
    retry_first_secs integer NOT NULL DEFAULT 5,
    retry_max_secs integer NOT NULL DEFAULT 36000,
    logic_version integer,
    version bigint NOT NULL DEFAULT 1,
    owner text,
    owner_epoch bigint NOT NULL DEFAULT 0,
    owner_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE UNIQUE INDEX targets_name ON targets (store_id, lower(name COLLATE "C")) WHERE deleted_at IS NULL;

-- Sealed with the master key; the plain text is never stored.
CREATE TABLE target_secrets (
    target_id bigint NOT NULL REFERENCES targets (id) ON DELETE CASCADE,
    name text NOT NULL,
    sealed bytea NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (target_id, name)
);

CREATE TABLE logic_drafts (
    target_id bigint PRIMARY KEY REFERENCES targets (id) ON DELETE CASCADE,
    code text NOT NULL,
    package_dependencies jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Published versions are immutable.
CREATE TABLE logic_versions (
    target_id bigint NOT NULL REFERENCES targets (id) ON DELETE CASCADE,
    version integer NOT NULL,
    code text NOT NULL,
    package_dependencies jsonb NOT NULL DEFAULT '{}',
    published_by text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (target_id, version)
);

CREATE SEQUENCE change_seq;
CREATE SEQUENCE fence_seq;

-- The hot queue: at most one row per (target, subject). due_at is schedule,
-- retry and lease expiry at once; owner is set while a node runs the row.
CREATE TABLE pending (
    target_id bigint NOT NULL,
    subject_id bigint NOT NULL,
    change_seq bigint NOT NULL DEFAULT nextval('change_seq'),
    due_at timestamptz NOT NULL DEFAULT now(),
    owner text,
    fence bigint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    reason text CHECK (reason = 'deprovision'),
    trigger text NOT NULL,
    priority smallint NOT NULL DEFAULT 1,
    changes text[] NOT NULL DEFAULT '{}',
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (target_id, subject_id)
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX pending_due ON pending (target_id, priority, due_at);
CREATE INDEX pending_subject ON pending (subject_id);

CREATE TABLE provision_state (
    target_id bigint NOT NULL,
    subject_id bigint NOT NULL,
    status text NOT NULL,
    -- The external system may hold something for this subject.
    present boolean NOT NULL DEFAULT false,
    in_scope boolean NOT NULL DEFAULT false,
    -- The newest subject version that a run has finished.
    done_version bigint NOT NULL DEFAULT 0,
    remote_id text,
    metadata jsonb,
    message text NOT NULL DEFAULT '',
    error_class text,
    dead boolean NOT NULL DEFAULT false,
    last_run_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (target_id, subject_id)
) WITH (fillfactor = 80);
CREATE INDEX provision_state_subject ON provision_state (subject_id);

-- The execution log, a partition a day; retention drops partitions.
CREATE TABLE runs (
    id bigint GENERATED BY DEFAULT AS IDENTITY,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    target_id bigint NOT NULL,
    subject_id bigint NOT NULL,
    subject_version bigint NOT NULL,
    reason text NOT NULL,
    trigger text NOT NULL,
    attempt integer NOT NULL,
    status_before text NOT NULL,
    status text NOT NULL,
    error_class text,
    message text NOT NULL,
    logic_version integer NOT NULL,
    log jsonb NOT NULL,
    exchanges jsonb NOT NULL,
    PRIMARY KEY (target_id, id, started_at)
) PARTITION BY RANGE (started_at);
CREATE INDEX runs_subject ON runs (subject_id, id);

-- Work over many subjects, advanced in keyset chunks.
CREATE TABLE sweeps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target_id bigint NOT NULL REFERENCES targets (id) ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('force', 'reconcile')),
    trigger text NOT NULL,
    cursor bigint NOT NULL DEFAULT 0,
    last_subject bigint NOT NULL,
    total bigint NOT NULL,
    enqueued bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    cancelled boolean NOT NULL DEFAULT false
);
CREATE INDEX sweeps_open ON sweeps (target_id, id) WHERE finished_at IS NULL;

-- Which subjects an import has named; gone with a crash, as is the import.
CREATE UNLOGGED TABLE import_seen (
    import_id bigint NOT NULL,
    subject_id bigint NOT NULL,
    PRIMARY KEY (import_id, subject_id)
);
CREATE SEQUENCE import_seq;

CREATE TABLE tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    role text NOT NULL,
    hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);

-- The instant, in microseconds since 1970, that a text names as an RFC 3339
-- dateTime or as a date (its midnight in UTC); NULL for any other text, never
-- an error. Filters in memory read times by the same rules (domain::filter::time).
CREATE FUNCTION filter_instant(value text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    part text[];
    first_of_month date;
    seconds bigint := 0;
    micros bigint := 0;
BEGIN
    IF length(value) NOT BETWEEN 10 AND 35 THEN
        RETURN NULL;
    END IF;
    part := regexp_match(value, '^([0-9]{4})-([0-9]{2})-([0-9]{2})'
        '(?:[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.]([0-9]{1,9}))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2})))?$');
    IF part IS NULL OR part[1]::int = 0 OR part[2]::int NOT BETWEEN 1 AND 12 OR part[3]::int = 0 THEN
        RETURN NULL;
    END IF;
    first_of_month := make_date(part[1]::int, part[2]::int, 1);
    IF part[3]::int > extract(day FROM first_of_month + interval '1 month' - interval '1 day') THEN
        RETURN NULL;
    END IF;
    IF part[4] IS NOT NULL THEN
        IF part[4]::int > 23 OR part[5]::int > 59 OR part[6]::int > 59 THEN
            RETURN NULL;
        END IF;
        seconds := part[4]::int * 3600 + part[5]::int * 60 + part[6]::int;
        micros := rpad(left(coalesce(part[7], ''), 6), 6, '0')::bigint;
    END IF;
    IF part[8] IS NOT NULL THEN
        IF part[9]::int > 23 OR part[10]::int > 59 THEN
            RETURN NULL;
        END IF;
        seconds := seconds - (part[8] || '1')::int * (part[9]::int * 3600 + part[10]::int * 60);
    END IF;
    seconds := seconds + (first_of_month - date '1970-01-01' + part[3]::int - 1)::bigint * 86400;
    micros := micros + seconds * 1000000;
    RETURN CASE WHEN micros BETWEEN -62135596800000000 AND 253402300799999999 THEN micros END;
END
$$;
