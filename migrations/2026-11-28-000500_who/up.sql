-- Who did it: a name may be given to another token later, so the token's id is
-- kept beside it, and where the request came from. NULL: before this was kept, or
-- by the daemon itself.
ALTER TABLE logic_drafts
    ADD COLUMN saved_by_token bigint,
    ADD COLUMN saved_by_address text;
ALTER TABLE logic_versions
    ADD COLUMN published_by_token bigint,
    ADD COLUMN published_by_address text;
ALTER TABLE logic_canaries
    ADD COLUMN started_by_token bigint,
    ADD COLUMN started_by_address text,
    ADD COLUMN ended_by_token bigint,
    ADD COLUMN ended_by_address text;
ALTER TABLE held
    ADD COLUMN decided_by_token bigint,
    ADD COLUMN decided_by_address text;
