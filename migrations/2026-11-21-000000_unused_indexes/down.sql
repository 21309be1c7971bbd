CREATE INDEX pending_subject ON pending (subject_id);
CREATE INDEX provision_state_subject ON provision_state (subject_id);
