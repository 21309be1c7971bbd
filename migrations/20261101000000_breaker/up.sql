-- The breaker of a target that is not simply closed, written by the node that
-- owns the target. resumes counts what a person did: the owner sees it rise and
-- gives the target another chance.
ALTER TABLE targets
    ADD COLUMN breaker jsonb,
    ADD COLUMN resumes bigint NOT NULL DEFAULT 0;
