-- What hosts run: logic bundled with its packages, named by its hash. Several
-- versions may run the same; rows never change.
CREATE TABLE logic_artefacts (
    id text PRIMARY KEY,
    code text NOT NULL,
    source_map text,
    -- What was bundled: name, version, licence, hash, size.
    packages jsonb NOT NULL DEFAULT '[]',
    -- Which exact packages were chosen, so that the same are chosen again.
    lock jsonb NOT NULL DEFAULT 'null',
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Code of before was run as it was written.
INSERT INTO logic_artefacts (id, code)
SELECT DISTINCT encode(sha256(convert_to(code, 'UTF8')), 'hex'), code FROM logic_versions;

ALTER TABLE logic_drafts
    ADD COLUMN language text NOT NULL DEFAULT 'javascript' CHECK (language IN ('javascript', 'typescript')),
    -- NULL until the draft was built and loaded: it is no version yet.
    ADD COLUMN artefact text REFERENCES logic_artefacts (id),
    -- What was found while it was built and tried.
    ADD COLUMN report jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN saved_by text NOT NULL DEFAULT '';

ALTER TABLE logic_versions
    ADD COLUMN language text NOT NULL DEFAULT 'javascript' CHECK (language IN ('javascript', 'typescript')),
    ADD COLUMN artefact text REFERENCES logic_artefacts (id),
    ADD COLUMN report jsonb NOT NULL DEFAULT '{}',
    -- Why it was published.
    ADD COLUMN note text NOT NULL DEFAULT '',
    -- The version whose logic it is again.
    ADD COLUMN restores integer;
UPDATE logic_versions SET artefact = encode(sha256(convert_to(code, 'UTF8')), 'hex');
ALTER TABLE logic_versions ALTER COLUMN artefact SET NOT NULL;
CREATE INDEX logic_drafts_artefact ON logic_drafts (artefact);
CREATE INDEX logic_versions_artefact ON logic_versions (artefact);

-- A version that some subjects run first. At most one a target is running; the
-- others are history.
CREATE TABLE logic_canaries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target_id bigint NOT NULL REFERENCES targets (id) ON DELETE CASCADE,
    version integer NOT NULL,
    -- The version that all others run meanwhile.
    base_version integer NOT NULL,
    -- Either these subjects, or this many in a hundred.
    subjects bigint[],
    percent integer CHECK (percent BETWEEN 1 AND 99),
    -- It is rolled back when more in a hundred of its runs fail, once there
    -- were so many.
    max_failure_percent integer NOT NULL CHECK (max_failure_percent BETWEEN 0 AND 100),
    min_runs integer NOT NULL CHECK (min_runs > 0),
    runs bigint NOT NULL DEFAULT 0,
    failures bigint NOT NULL DEFAULT 0,
    base_runs bigint NOT NULL DEFAULT 0,
    base_failures bigint NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'promoted', 'rolledBack')),
    started_by text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_by text,
    ended_at timestamptz,
    reason text NOT NULL DEFAULT '',
    CHECK ((subjects IS NULL) <> (percent IS NULL))
);
CREATE UNIQUE INDEX logic_canaries_running ON logic_canaries (target_id) WHERE state = 'running';
CREATE INDEX logic_canaries_target ON logic_canaries (target_id, id);
