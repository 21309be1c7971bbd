-- Which target waits for which other one of its store.
CREATE TABLE target_dependencies (
    target_id bigint NOT NULL REFERENCES targets (id) ON DELETE CASCADE,
    needs_id bigint NOT NULL REFERENCES targets (id) ON DELETE CASCADE,
    PRIMARY KEY (target_id, needs_id),
    CHECK (target_id <> needs_id)
);
CREATE INDEX target_dependencies_needs ON target_dependencies (needs_id);

-- Work that waits for other targets: due_at is infinity while it does, and a
-- claim forgets both.
ALTER TABLE pending
    ADD COLUMN blocked_by bigint[],
    ADD COLUMN blocked_at timestamptz;
CREATE INDEX pending_blocked ON pending (target_id, blocked_at) WHERE blocked_by IS NOT NULL;

-- Logic has said `provisioned`, and the subject was not removed since. Unlike
-- `present` it is not true of a first run that failed halfway.
ALTER TABLE provision_state ADD COLUMN provisioned boolean NOT NULL DEFAULT false;
UPDATE provision_state SET provisioned = true WHERE present AND (status = 'provisioned' OR done_version > 0);
