UPDATE logic_drafts SET language = 'javascript' WHERE language IS NULL;
ALTER TABLE logic_drafts
    DROP CONSTRAINT logic_drafts_built,
    DROP COLUMN lock,
    ALTER COLUMN language SET DEFAULT 'javascript',
    ALTER COLUMN language SET NOT NULL;
