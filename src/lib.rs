//! `provisiond` keeps accounts in external systems equal to an identity store.
//!
//! The modules, in reading order. A module uses only what its line names;
//! `tests/it/architecture.rs` proves it.
//!
//! | module | holds | may use |
//! |---|---|---|
//! | [`domain`] | subjects, targets, filter, status, responses, ids; pure | nothing |
//! | [`plan`] | what to do with a subject, backoff, guards; pure | domain |
//! | [`config`] | one struct per concern; TOML, environment, `*_FILE` | domain, security |
//! | [`security`] | secrets, sealing, tokens, roles | domain |
//! | [`storage`] | Diesel: one file per table family, the queue, the embedded PostgreSQL | domain, plan, security |
//! | [`js`] | the JavaScript host process and its protocol | domain |
//! | [`egress`] | the only way out to external systems | domain, security |
//! | [`modules`] | what logic imports by name: `provisiond`, `provisiond:mapping`; TypeScript | nothing |
//! | [`logic`] | drafts, packages, bundling, checks, published versions | domain, config, storage, security, js, modules |
//! | [`observe`] | logging, health | domain |
//! | [`engine`] | supervisor, targets, workers, mailboxes, timer, completer, sweeps; logic on trial | domain, plan, storage, security, js, egress, observe |
//! | [`http`] | the server, problem+json, extractors, paging, queues | domain, security, storage, observe |
//! | [`api`] | the admin REST API, a file per resource | http, domain, plan, storage, security, logic, engine |
//! | [`cli`] | the command line | app and what it wires |
//! | [`app`] | the composition root | everything |
//!
//! Invariants: what a caller was told is durable, work included, in one
//! transaction; actors are caches and PostgreSQL is the truth; one run per
//! (target, subject) at a time; a completion whose fence is stale writes
//! nothing; blocking Diesel stays behind [`storage::Db::run`]; secrets never
//! reach the JavaScript process. There is deliberately no JavaScript in the
//! daemon's own process, no polling loop and no queue in memory.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod egress;
pub mod engine;
pub mod http;
pub mod js;
pub mod logic;
pub mod modules;
pub mod observe;
pub mod plan;
pub mod security;
pub mod storage;
