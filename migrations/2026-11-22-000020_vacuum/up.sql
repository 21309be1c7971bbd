-- A state changes with every run. The share of dead rows that starts a vacuum by
-- default is, in a large table, more than a day's work.
ALTER TABLE provision_state SET (autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
