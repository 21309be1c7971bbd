-- Earlier releases cannot open what was sealed with its version: these secrets
-- have to be set again.
DELETE FROM target_secrets WHERE version > 0;
ALTER TABLE target_secrets DROP COLUMN version;
