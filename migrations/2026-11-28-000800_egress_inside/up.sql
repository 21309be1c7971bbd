-- Entries of `egress_allow` that were saved by somebody who may open what is not
-- public; the others open public addresses only.
ALTER TABLE targets ADD COLUMN egress_inside text[] NOT NULL DEFAULT '{}';
UPDATE targets SET egress_inside = egress_allow;
COMMENT ON COLUMN targets.secret_hosts IS 'By the name of the secret; one without an entry goes nowhere.';
