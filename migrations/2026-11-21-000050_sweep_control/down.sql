UPDATE pending SET priority = 2 WHERE priority = 3;
ALTER TABLE pending DROP COLUMN sweep_id;
DROP INDEX sweeps_target;
DROP INDEX sweeps_open;
UPDATE sweeps SET finished_at = coalesce(finished_at, now()), cancelled = true WHERE state = 'cancelling';
CREATE INDEX sweeps_open ON sweeps (target_id, id) WHERE finished_at IS NULL;
ALTER TABLE sweeps DROP COLUMN removed, DROP COLUMN step, DROP COLUMN state;
