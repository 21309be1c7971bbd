DROP TABLE logic_canaries;
ALTER TABLE logic_versions
    DROP COLUMN language, DROP COLUMN artefact, DROP COLUMN report, DROP COLUMN note, DROP COLUMN restores;
ALTER TABLE logic_drafts
    DROP COLUMN language, DROP COLUMN artefact, DROP COLUMN report, DROP COLUMN saved_by;
DROP TABLE logic_artefacts;
