ALTER TABLE provision_state
    DROP COLUMN kills,
    DROP COLUMN kills_version,
    DROP COLUMN kills_logic,
    DROP COLUMN kills_reason;
