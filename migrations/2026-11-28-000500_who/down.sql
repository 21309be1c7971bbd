ALTER TABLE held DROP COLUMN decided_by_token, DROP COLUMN decided_by_address;
ALTER TABLE logic_canaries
    DROP COLUMN started_by_token, DROP COLUMN started_by_address,
    DROP COLUMN ended_by_token, DROP COLUMN ended_by_address;
ALTER TABLE logic_versions DROP COLUMN published_by_token, DROP COLUMN published_by_address;
ALTER TABLE logic_drafts DROP COLUMN saved_by_token, DROP COLUMN saved_by_address;
