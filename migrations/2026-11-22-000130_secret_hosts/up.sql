-- Where each secret of a target may go, like `egress_allow`, by the secret's
-- name. One without an entry goes wherever the target may go.
ALTER TABLE targets ADD COLUMN secret_hosts jsonb NOT NULL DEFAULT '{}';
