-- Who wrote which attribute back, and how often that changed hands: two targets
-- that write one attribute would go on for ever. Empty when somebody else has
-- changed the account since.
ALTER TABLE subjects
    ADD COLUMN writers jsonb NOT NULL DEFAULT '{}',
    -- Write-backs are told apart by a minute from here on; NULL likewise.
    ADD COLUMN write_backs_until timestamptz;
