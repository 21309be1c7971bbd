UPDATE logic_canaries SET percent = NULL WHERE subjects IS NOT NULL;
ALTER TABLE logic_canaries DROP CONSTRAINT logic_canaries_share;
ALTER TABLE logic_canaries ADD CONSTRAINT logic_canaries_check CHECK ((subjects IS NULL) <> (percent IS NULL));
