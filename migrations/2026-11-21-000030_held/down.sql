-- What is held becomes ordinary due work that nobody may have approved, so it
-- is dropped: the next force or sync finds it again.
DELETE FROM pending WHERE departure = 'held';
DROP TABLE guard_released;
ALTER TABLE sweeps DROP COLUMN departures, DROP COLUMN held_id;
DROP INDEX pending_held;
DROP INDEX pending_departures;
ALTER TABLE pending DROP COLUMN departure, DROP COLUMN held_id;
DROP TABLE held;
ALTER TABLE targets DROP COLUMN guard_count, DROP COLUMN guard_percent;
