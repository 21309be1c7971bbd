DROP INDEX subjects_deleted_external_id;
DROP INDEX subjects_deleted;
ALTER TABLE subjects DROP COLUMN restored_at;
ALTER TABLE stores DROP COLUMN restore_on_return;
DROP TABLE import_waiting;
