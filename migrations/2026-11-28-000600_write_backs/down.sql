ALTER TABLE subjects DROP COLUMN writers, DROP COLUMN write_backs_until;
