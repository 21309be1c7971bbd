DROP TABLE logic_canary_accounts;
