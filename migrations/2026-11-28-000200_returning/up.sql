-- Lines of an import that wait for a user name which another account still has;
-- gone with a crash, as is the import.
CREATE UNLOGGED TABLE import_waiting (
    import_id bigint NOT NULL,
    -- Of the line, from 1.
    number bigint NOT NULL,
    -- The account that it is about; NULL when that is new.
    account_id bigint,
    -- As the line gives it.
    external_id text,
    -- The name that it waits for, its ASCII letters in lower case.
    user_name text NOT NULL,
    -- The record that it holds.
    draft text NOT NULL,
    PRIMARY KEY (import_id, number)
);

-- Deleted subjects that come back are what they were.
ALTER TABLE stores ADD COLUMN restore_on_return boolean NOT NULL DEFAULT true;
ALTER TABLE subjects ADD COLUMN restored_at timestamptz;
CREATE INDEX subjects_deleted ON subjects (store_id, kind, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX subjects_deleted_external_id ON subjects (store_id, kind, external_id, deleted_at)
    WHERE deleted_at IS NOT NULL AND external_id IS NOT NULL;
