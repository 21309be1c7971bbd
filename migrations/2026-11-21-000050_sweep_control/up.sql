-- Sweeps that can be paused, resumed and cancelled together with their work in
-- the queue.

ALTER TABLE sweeps
    ADD COLUMN state text NOT NULL DEFAULT 'running' CHECK (state IN
        ('running', 'finished', 'pausing', 'paused', 'resuming', 'cancelling', 'cancelled')),
    -- How far the pausing, resuming or cancelling is: the last subject.
    ADD COLUMN step bigint NOT NULL DEFAULT 0,
    -- Rows that were taken out of the queue again.
    ADD COLUMN removed bigint NOT NULL DEFAULT 0;
UPDATE sweeps SET state = CASE WHEN cancelled THEN 'cancelled' ELSE 'finished' END WHERE finished_at IS NOT NULL;
DROP INDEX sweeps_open;
CREATE INDEX sweeps_open ON sweeps (target_id, id) WHERE state IN ('running', 'pausing', 'paused', 'resuming', 'cancelling');
CREATE INDEX sweeps_target ON sweeps (target_id, id);

-- The sweep that is the only reason for the row. Not indexed: the queue is hot.
ALTER TABLE pending ADD COLUMN sweep_id bigint;
