-- Dead letters are grouped by what went wrong, and retried by a sweep that
-- knows which of them it was asked for.

ALTER TABLE provision_state
    ADD COLUMN fingerprint text,
    -- Of a removal that died: the version that the guard had let pass.
    ADD COLUMN cleared_version bigint;
-- Of failures from before, only the messages that are equal form a group.
UPDATE provision_state SET fingerprint = left(md5(coalesce(error_class, '') || message), 16) WHERE dead;
CREATE INDEX provision_state_dead ON provision_state (target_id, subject_id) WHERE dead;
CREATE INDEX provision_state_fingerprint ON provision_state (target_id, fingerprint, subject_id) WHERE dead;

ALTER TABLE sweeps ADD COLUMN selection jsonb;
ALTER TABLE sweeps DROP CONSTRAINT sweeps_kind_check;
ALTER TABLE sweeps ADD CONSTRAINT sweeps_kind_check CHECK (kind IN ('force', 'reconcile', 'deadletters'));
