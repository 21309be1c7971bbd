ALTER TABLE targets DROP COLUMN secret_hosts;
