-- How the latest run of each account ended that counts for a trial of logic: an
-- account counts once, however often it runs. `runs`, `failures` and so on of
-- logic_canaries are the sums. The engine's upkeep forgets those of trials that
-- have ended.
CREATE TABLE logic_canary_accounts (
    canary_id bigint NOT NULL REFERENCES logic_canaries (id) ON DELETE CASCADE,
    subject_id bigint NOT NULL,
    failed boolean NOT NULL,
    PRIMARY KEY (canary_id, subject_id)
);
-- Trials of targets that were deleted went on.
DELETE FROM logic_canaries c USING targets t WHERE t.id = c.target_id AND t.deleted_at IS NOT NULL;
