-- Everything is found by target and subject together. Each claim and each
-- completion paid for these two.
DROP INDEX pending_subject;
DROP INDEX provision_state_subject;
