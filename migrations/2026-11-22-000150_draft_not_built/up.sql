-- A draft that was saved while the registry could not be reached: nobody knows
-- its language unless its author said it, and the packages that were chosen
-- before stay chosen.
ALTER TABLE logic_drafts
    ALTER COLUMN language DROP NOT NULL,
    ALTER COLUMN language DROP DEFAULT,
    -- Of a draft without an artefact, which has it otherwise.
    ADD COLUMN lock jsonb,
    ADD CONSTRAINT logic_drafts_built CHECK (artefact IS NULL OR language IS NOT NULL);
