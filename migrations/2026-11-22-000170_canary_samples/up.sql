-- A share of few accounts is kept as the accounts that it came to, beside the share.
ALTER TABLE logic_canaries DROP CONSTRAINT logic_canaries_check;
ALTER TABLE logic_canaries ADD CONSTRAINT logic_canaries_share CHECK (subjects IS NOT NULL OR percent IS NOT NULL);
