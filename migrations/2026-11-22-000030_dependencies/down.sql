-- Work that waits would wait for ever.
UPDATE pending SET due_at = now() WHERE blocked_by IS NOT NULL AND owner IS NULL AND departure IS DISTINCT FROM 'held';
DROP INDEX pending_blocked;
ALTER TABLE provision_state DROP COLUMN provisioned;
ALTER TABLE pending DROP COLUMN blocked_by, DROP COLUMN blocked_at;
DROP TABLE target_dependencies;
