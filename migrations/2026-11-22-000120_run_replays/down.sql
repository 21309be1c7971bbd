DROP TABLE run_replays;
