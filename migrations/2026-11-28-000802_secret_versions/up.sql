-- Which value of the secret it is, also sealed in; 0 is one from before they were
-- counted.
ALTER TABLE target_secrets ADD COLUMN version bigint NOT NULL DEFAULT 0;
