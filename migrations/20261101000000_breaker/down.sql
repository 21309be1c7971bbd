ALTER TABLE targets
    DROP COLUMN resumes,
    DROP COLUMN breaker;
