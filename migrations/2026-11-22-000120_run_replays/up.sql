-- What a failed run needs to be run again offline, beside its row in the log:
-- a partition a day, so that it can go earlier than the log. A table of its own,
-- so that runs that went well cost nothing.
CREATE TABLE run_replays (
    target_id bigint NOT NULL,
    subject_id bigint NOT NULL,
    -- As in `runs`: one run per target and subject at a time.
    started_at timestamptz NOT NULL,
    -- `ctx` as logic saw it, with labels in place of secrets; not jsonb, which
    -- would change it.
    context text NOT NULL,
    rest jsonb NOT NULL,
    present_before boolean NOT NULL,
    wanted boolean NOT NULL,
    PRIMARY KEY (target_id, subject_id, started_at)
) PARTITION BY RANGE (started_at);
