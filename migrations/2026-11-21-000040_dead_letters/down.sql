DELETE FROM sweeps WHERE kind = 'deadletters';
ALTER TABLE sweeps DROP CONSTRAINT sweeps_kind_check;
ALTER TABLE sweeps ADD CONSTRAINT sweeps_kind_check CHECK (kind IN ('force', 'reconcile'));
ALTER TABLE sweeps DROP COLUMN selection;
DROP INDEX provision_state_fingerprint;
DROP INDEX provision_state_dead;
ALTER TABLE provision_state DROP COLUMN cleared_version, DROP COLUMN fingerprint;
