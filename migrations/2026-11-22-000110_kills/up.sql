-- How often in a row a run has brought its host down, and which run: of that
-- version of the subject, by that logic, for that reason.
ALTER TABLE provision_state
    ADD COLUMN kills smallint NOT NULL DEFAULT 0,
    ADD COLUMN kills_version bigint,
    ADD COLUMN kills_logic integer,
    ADD COLUMN kills_reason text;
