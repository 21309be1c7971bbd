COMMENT ON COLUMN targets.secret_hosts IS NULL;
ALTER TABLE targets DROP COLUMN egress_inside;
