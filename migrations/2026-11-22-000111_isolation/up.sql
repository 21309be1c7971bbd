-- How many runs a host process takes at a time.
ALTER TABLE targets ADD COLUMN isolation text NOT NULL DEFAULT 'shared'
    CHECK (isolation IN ('shared', 'exclusive'));
