ALTER TABLE targets DROP COLUMN isolation;
