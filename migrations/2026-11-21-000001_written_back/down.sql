ALTER TABLE subjects DROP COLUMN written_back;
