-- Names that subjects have given up, by a rename or by being deleted. A target
-- may hold one still: then whoever has the name now waits there.
CREATE TABLE former_names (
    store_id bigint NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
    field text NOT NULL CHECK (field IN ('userName', 'externalId')),
    -- User names are folded as their unique index folds them.
    name text NOT NULL,
    subject_id bigint NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    -- The first version of the subject without the name.
    version bigint NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store_id, field, name, subject_id)
);
CREATE INDEX former_names_subject ON former_names (subject_id);

-- What the subject had given up by this version the target does not hold any
-- more: it has taken the names of the version, or holds nothing.
ALTER TABLE provision_state ADD COLUMN taken_version bigint NOT NULL DEFAULT 0;
UPDATE provision_state SET taken_version = done_version WHERE status = 'provisioned' OR NOT present;

-- Remote ids may be longer than an index takes.
CREATE INDEX provision_state_remote ON provision_state (target_id, hashtextextended(remote_id, 0))
    WHERE remote_id IS NOT NULL;

INSERT INTO former_names (store_id, field, name, subject_id, version)
SELECT s.store_id, n.field, n.name, s.id, s.version
FROM subjects s
CROSS JOIN LATERAL (VALUES ('userName', lower(s.user_name COLLATE "C")), ('externalId', s.external_id)) AS n(field, name)
WHERE s.kind = 'account' AND s.deleted_at IS NOT NULL AND n.name IS NOT NULL
    AND EXISTS (SELECT FROM targets t JOIN provision_state st ON st.target_id = t.id AND st.subject_id = s.id
        WHERE t.store_id = s.store_id AND st.present);

-- Another subject that the row waits for, at the same target; due_at is infinity
-- while it does. blocked_at says of every row that waits since when it does.
ALTER TABLE pending ADD COLUMN waits_for bigint;
CREATE INDEX pending_waiting ON pending (target_id, waits_for) WHERE waits_for IS NOT NULL;
CREATE INDEX pending_parked ON pending (target_id, blocked_at) WHERE blocked_at IS NOT NULL;
DROP INDEX pending_blocked;
