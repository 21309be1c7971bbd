//! Logging.

/// Logs to standard error, at `info` unless `RUST_LOG` says otherwise.
pub fn start_logging() {
    let environment = env_logger::Env::default().default_filter_or("info");
    _ = env_logger::Builder::from_env(environment).format_timestamp_millis().try_init();
}
