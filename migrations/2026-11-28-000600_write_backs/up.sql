-- Who wrote which attribute back, and how often that changed hands: two targets
-- that write one attribute would go on for ever. An entry goes when somebody else
-- changes that attribute.
ALTER TABLE subjects
    ADD COLUMN writers jsonb NOT NULL DEFAULT '{}',
    -- Write-backs are told apart by a minute from here on; NULL when somebody else
    -- has changed the account since.
    ADD COLUMN write_backs_until timestamptz;
