-- The guard against mass removal. A column that is NULL means the instance's
-- own setting.
ALTER TABLE targets
    ADD COLUMN guard_count integer CHECK (guard_count >= 0),
    ADD COLUMN guard_percent integer CHECK (guard_percent BETWEEN 0 AND 100);

-- Removals that wait for a person. `open` rows past expires_at count as
-- expired; nothing has to run for that.
CREATE TABLE held (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target_id bigint NOT NULL,
    trigger text NOT NULL,
    -- How many were held in all, what the guard would have let pass, and what
    -- the target held at that time.
    count bigint NOT NULL,
    allowed bigint NOT NULL,
    present bigint NOT NULL,
    -- Removals that follow the first ones join them; those of a sweep or an
    -- import, which were counted beforehand, are a lot of their own.
    grows boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'rejected')),
    decided_by text,
    decided_at timestamptz
);
CREATE INDEX held_target ON held (target_id, id);

-- NULL: not known to be a removal. `due`: is one, to be judged when claimed.
-- `held`: waits for a person, due_at is infinity. `cleared`: may run.
ALTER TABLE pending
    ADD COLUMN departure text CHECK (departure IN ('due', 'held', 'cleared')),
    ADD COLUMN held_id bigint,
    ADD CHECK (departure <> 'held' OR held_id IS NOT NULL);
CREATE INDEX pending_departures ON pending (target_id) WHERE departure = 'due';
CREATE INDEX pending_held ON pending (held_id, subject_id) WHERE departure = 'held';

-- How many removals the sweep makes, NULL until it was judged; the lot that
-- holds them.
ALTER TABLE sweeps
    ADD COLUMN departures bigint,
    ADD COLUMN held_id bigint;

-- Removals that passed unasked, in steps of a sixtieth of the guard's window.
CREATE TABLE guard_released (
    target_id bigint NOT NULL,
    step timestamptz NOT NULL,
    released bigint NOT NULL,
    PRIMARY KEY (target_id, step)
);
