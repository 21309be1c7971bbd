use std::time::Duration;

use super::*;
use crate::security::Secret;

fn env(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    let home = [("HOME".to_owned(), "/home/ada".to_owned())];
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).chain(home).collect()
}

/// Loads `text` from a file called `provisiond.toml`.
fn load(text: &str, variables: &[(&str, &str)], overrides: Overrides) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("provisiond.toml");
    std::fs::write(&path, text).unwrap();
    let shorten =
        |error: ConfigError| error.to_string().replace(&format!("{}/", directory.path().display()), "");
    Config::load(Some(&path), &env(variables), &overrides).map_err(shorten)
}

fn from_file(text: &str) -> Result<Config, String> {
    load(text, &[], Overrides::default())
}

fn from_env(variables: &[(&str, &str)]) -> Result<Config, String> {
    Config::load(None, &env(variables), &Overrides::default()).map_err(|error| error.to_string())
}

#[test]
fn everything_has_a_default() {
    let config = from_env(&[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8470");
    assert_eq!(config.server.drain, Duration::from_secs(30));
    let server = config.server;
    let timeouts = [server.head_timeout, server.body_timeout, server.write_timeout, server.idle_timeout];
    assert_eq!((server.max_connections, timeouts), (512, [10, 60, 30, 90].map(Duration::from_secs)));
    let (api_connections, engine_connections, read_timeout) = (4, 8, Duration::from_secs(10));
    let database = DatabaseConfig { url: None, api_connections, engine_connections, read_timeout };
    assert_eq!(config.database, database);
    assert_eq!(config.engine.run_again_floor, Duration::from_secs(10));
    assert_eq!(config.engine.poll_interval, Duration::from_secs(60));
    assert_eq!(config.engine.breaker_probe, Duration::from_secs(5));
    assert_eq!(config.engine.breaker_probe_longest, Duration::from_secs(600));
    assert_eq!(config.engine.node, None);
    assert_eq!(
        (config.limits.max_targets, config.limits.body, config.limits.import_line),
        (8, 1 << 20, 1 << 20)
    );
    assert_eq!((config.limits.deletion_guard_count, config.limits.deletion_guard_percent), (50, 5));
    assert_eq!(config.limits.log_retention_days, 30);
    assert_eq!(config.limits.replay_retention_days, 7);
    assert_eq!((config.security.master_key, config.security.sandbox), (None, Sandbox::Preferred));
}

#[test]
fn limits_of_connections_are_bounded_themselves() {
    let config = from_file("[server]\nmaxConnections = 16\nheadTimeout = \"100ms\"\n").unwrap();
    assert_eq!((config.server.max_connections, config.server.head_timeout), (16, Duration::from_millis(100)));
    for (key, value) in [
        ("maxConnections", "15"),
        ("maxConnections", "100001"),
        ("headTimeout", "\"99ms\""),
        ("bodyTimeout", "\"2h\""),
        ("writeTimeout", "\"0s\""),
        ("idleTimeout", "1"),
    ] {
        let error = from_file(&format!("[server]\n{key} = {value}\n")).unwrap_err();
        assert!(error.contains(&format!("server.{key}")) && error.contains("from"), "{error}");
    }
}

#[test]
fn lists_are_arrays_or_texts_with_commas() {
    let lists = |config: Config| (config.egress.allow, config.egress.deny);
    assert_eq!(lists(from_env(&[]).unwrap()), (vec![], vec![]));
    let file = "[egress]\nallow = [\"*.corp.example\", \"10.0.0.0/8:636\"]\ndeny = \"127.0.0.1\"\n";
    let expected =
        (vec!["*.corp.example".to_owned(), "10.0.0.0/8:636".to_owned()], vec!["127.0.0.1".to_owned()]);
    assert_eq!(lists(from_file(file).unwrap()), expected);
    let variables = [
        ("PROVISIOND_EGRESS_ALLOW", "*.corp.example, 10.0.0.0/8:636"),
        ("PROVISIOND_EGRESS_DENY", "127.0.0.1"),
    ];
    assert_eq!(lists(from_env(&variables).unwrap()), expected);
    let error = from_file("[egress]\ndeny = \"a.example,,b.example\"\n").unwrap_err();
    assert!(
        error.contains("egress.deny in provisiond.toml: must be hosts, addresses or networks"),
        "{error}"
    );
}

#[test]
fn the_sandbox_is_one_of_three_words() {
    let config = from_env(&[("PROVISIOND_SECURITY_SANDBOX", "required")]).unwrap();
    assert_eq!(config.security.sandbox, Sandbox::Required);
    let error = from_file("[security]\nsandbox = \"on\"\n").unwrap_err();
    assert!(error.contains("must be \"required\", \"preferred\" or \"off\""), "{error}");
}

#[test]
fn each_layer_goes_over_the_one_before() {
    let text = "[server]\nlisten = \"127.0.0.1:1\"\ndrain = \"1s\"\n[limits]\nmaxTargets = 3\n";
    let variables = [("PROVISIOND_SERVER_LISTEN", "127.0.0.1:2"), ("PROVISIOND_SERVER_DRAIN", "2s")];
    let overrides = Overrides { listen: Some("127.0.0.1:3".to_owned()), data_dir: Some("/srv/p".into()) };
    let config = load(text, &variables, overrides).unwrap();
    assert_eq!(config.server.listen.port(), 3);
    assert_eq!(config.server.drain, Duration::from_secs(2));
    assert_eq!(config.server.data_dir, Path::new("/srv/p"));
    assert_eq!(config.limits.max_targets, 3);
}

#[test]
fn rules_are_named_with_key_and_place() {
    assert_eq!(
        from_file("[engine]\nrunAgainFloor = 10\n").unwrap_err(),
        "engine.runAgainFloor in provisiond.toml: must be a duration such as \"10s\", from 1s to 1h"
    );
    assert_eq!(
        from_env(&[("PROVISIOND_LIMITS_DELETION_GUARD_PERCENT", "101")]).unwrap_err(),
        "limits.deletionGuardPercent in PROVISIOND_LIMITS_DELETION_GUARD_PERCENT: must be a number from 0 to 100"
    );
    let listen = Overrides { listen: Some("8470".to_owned()), data_dir: None };
    assert_eq!(
        load("", &[], listen).unwrap_err(),
        "server.listen in --listen: must be an address and port such as \"127.0.0.1:8470\""
    );
    assert_eq!(
        from_file(
            "[server]
dataDir = \"data\"
"
        )
        .unwrap_err(),
        "server.dataDir in provisiond.toml: must be an absolute path"
    );
}

#[test]
fn a_flag_may_be_relative_and_a_variable_empty() {
    let here = Overrides { listen: None, data_dir: Some("data".into()) };
    let config = load("", &[("DATABASE_URL", "")], here).unwrap();
    assert_eq!(config.server.data_dir, std::env::current_dir().unwrap().join("data"));
    assert_eq!(config.database.url, None);
}

#[test]
fn unknown_keys_are_refused() {
    assert_eq!(
        from_file("[engine]\nrunAgain = \"10s\"\n").unwrap_err(),
        "engine.runAgain in provisiond.toml: there is no such key; there are engine.node, engine.runAgainFloor, engine.pollInterval, engine.breakerProbe, engine.breakerProbeLongest"
    );
    let sections =
        "there are the sections [server], [database], [engine], [egress], [limits], [packages], [security]";
    for text in ["[motor]\n", "[motor]\nx = 1\n", "listen = 1\n", "server = 1\n"] {
        assert!(from_file(text).unwrap_err().ends_with(sections), "{text}");
    }
    let error = from_env(&[("PROVISIOND_ENGINE_POLL", "1s")]).unwrap_err();
    assert!(error.contains("there are PROVISIOND_ENGINE_NODE, PROVISIOND_ENGINE_RUN_AGAIN_FLOOR"), "{error}");
}

#[test]
fn variables_of_others_are_left_alone() {
    let variables = [
        ("PROVISIOND_URL", "x"),
        ("PROVISIOND_TOKEN", "x"),
        ("PROVISIOND_SERVICE_HOST", "x"),
        ("PROVISIOND_SERVER_PORT_8470_TCP_ADDR", "x"),
        ("PROVISIOND_SERVER_SERVICE_PORT", "x"),
    ];
    assert!(from_env(&variables).is_ok());
}

#[test]
fn secrets_come_from_variables_or_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("url");
    std::fs::write(&path, "postgres://u:p@h/d\n").unwrap();
    let path = path.to_str().unwrap();
    let url = |variables: &[_]| from_env(variables).map(|config| config.database.url);
    let expected = Ok(Some(Secret::new("postgres://u:p@h/d")));
    assert_eq!(url(&[("DATABASE_URL", "postgres://u:p@h/d")]), expected);
    assert_eq!(
        url(&[("PROVISIOND_DATABASE_URL", "postgres://u:p@h/d"), ("DATABASE_URL", "other")]),
        expected
    );
    assert_eq!(url(&[("PROVISIOND_DATABASE_URL_FILE", path)]), expected);
    assert_eq!(
        url(&[("PROVISIOND_DATABASE_URL", "x"), ("PROVISIOND_DATABASE_URL_FILE", path)]).unwrap_err(),
        "PROVISIOND_DATABASE_URL and PROVISIOND_DATABASE_URL_FILE are both set: set one of them"
    );
    let missing = url(&[("PROVISIOND_DATABASE_URL_FILE", "/nowhere/url")]).unwrap_err();
    assert!(
        missing.starts_with("/nowhere/url (from PROVISIOND_DATABASE_URL_FILE): No such file"),
        "{missing}"
    );
}

#[test]
fn nothing_that_is_printed_shows_a_secret() {
    let config = from_env(&[("DATABASE_URL", "postgres://u:hunter2@h/d")]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!from_env(&[("DATABASE_URL", "mysql://u:hunter2@h/d")]).unwrap_err().contains("hunter2"));
    assert!(!from_env(&[("PROVISIOND_SECURITY_MASTER_KEY", "hunter2")]).unwrap_err().contains("hunter2"));
    let broken = from_file("[database]\nurl = \"postgres://u:hunter2@h/d\n").unwrap_err();
    assert!(broken.starts_with("provisiond.toml: line 2: ") && !broken.contains("hunter2"), "{broken}");
}

#[test]
fn the_data_directory_follows_the_conventions() {
    let choose = |variables: &[(&str, &str)], as_root| {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        server::default_data_dir(&variables, as_root).map_err(|error| error.to_string())
    };
    assert_eq!(choose(&[], true), Ok("/var/lib/provisiond".into()));
    assert_eq!(choose(&[("HOME", "/home/ada")], false), Ok("/home/ada/.local/share/provisiond".into()));
    assert_eq!(choose(&[("HOME", "/h"), ("XDG_DATA_HOME", "/x")], false), Ok("/x/provisiond".into()));
    assert_eq!(choose(&[("STATE_DIRECTORY", "/var/lib/p:/other")], true), Ok("/var/lib/p".into()));
    assert_eq!(
        choose(&[], false).unwrap_err(),
        "server.dataDir in defaults: must be set, because neither XDG_DATA_HOME nor HOME is"
    );
}
