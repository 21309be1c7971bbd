DROP TABLE dry_runs;
