DROP INDEX pending_parked;
DROP INDEX pending_waiting;
UPDATE pending SET due_at = now(), blocked_at = NULL WHERE waits_for IS NOT NULL AND due_at = 'infinity'
    AND departure IS DISTINCT FROM 'held';
ALTER TABLE pending DROP COLUMN waits_for;
CREATE INDEX pending_blocked ON pending (target_id, blocked_at) WHERE blocked_by IS NOT NULL;
DROP INDEX provision_state_remote;
ALTER TABLE provision_state DROP COLUMN taken_version;
DROP TABLE former_names;
