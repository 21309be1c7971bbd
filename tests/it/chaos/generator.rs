//! Changes accounts through REST, as fast as told, and remembers what was
//! acknowledged. What was not is looked up before the next change, so that the
//! ledger is the truth.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use super::ledger::{Account, Change};
use super::reach::{Outcome, Reach};

/// What generators share.
pub struct Work {
    pub reach: Reach,
    pub store: String,
    pub stop: AtomicBool,
    /// Some accounts get an attribute that their logic cannot stand.
    pub poison: AtomicBool,
    /// Acknowledged so far.
    pub changes: AtomicU64,
    /// Longest rest between two changes of a generator.
    pub pause: Duration,
    /// Accounts swap their names.
    pub swaps: bool,
}

/// One of several that change accounts side by side, each its own.
pub struct Generator {
    work: Arc<Work>,
    rng: StdRng,
    prefix: String,
    value: u64,
    accounts: Vec<Account>,
    /// Names that nobody bears any more.
    free: Vec<String>,
}

/// The ways in which logic can be poisoned.
const POISONS: [&str; 3] = ["loop", "never", "throw"];

impl Generator {
    pub fn new(work: Arc<Work>, seed: u64, number: usize) -> Self {
        let rng = StdRng::seed_from_u64(seed.wrapping_add(1 + number as u64));
        Self { work, rng, prefix: format!("g{number}"), value: 0, accounts: Vec::new(), free: Vec::new() }
    }

    /// Makes so many accounts, changes them until told to stop, leaves no
    /// poison behind.
    pub async fn run(mut self, accounts: usize) -> Vec<Account> {
        for _ in 0..accounts {
            self.create().await;
        }
        while !self.work.stop.load(Ordering::Relaxed) {
            self.step().await;
            let pause = self.rng.random_range(Duration::ZERO..=self.work.pause);
            tokio::time::sleep(pause).await;
        }
        for index in 0..self.accounts.len() {
            self.change(index, json!({ "poison": null })).await;
        }
        self.accounts
    }

    async fn step(&mut self) {
        let index = self.rng.random_range(0..self.accounts.len());
        match self.rng.random_range(0..100) {
            0..6 => self.create().await,
            6..12 => self.delete(index).await,
            12..16 => {
                let name = self.name();
                self.rename(index, name).await;
            }
            16..18 if self.work.swaps => self.swap(index).await,
            18..40 => {
                let member = !self.accounts[index].now().member;
                self.change(index, json!({ "member": member })).await;
            }
            40..48 if self.work.poison.load(Ordering::Relaxed) => {
                let poison = POISONS[self.rng.random_range(0..POISONS.len())];
                self.change(index, json!({ "poison": poison })).await;
            }
            _ => self.change(index, json!({})).await,
        }
    }

    /// Rather one that somebody had before.
    fn name(&mut self) -> String {
        self.value += 1;
        let known = if self.free.is_empty() { None } else { Some(self.rng.random_range(0..self.free.len())) };
        match known.filter(|_| self.rng.random_bool(0.8)) {
            Some(known) => self.free.swap_remove(known),
            None => format!("{}-{}", self.prefix, self.value),
        }
    }

    async fn create(&mut self) {
        let name = self.name();
        let attributes = json!({ "n": self.value, "member": self.rng.random_bool(0.5) });
        let body = json!({ "userName": name, "attributes": attributes });
        let asked = Instant::now();
        let path = format!("/stores/{}/accounts", self.work.store);
        let made = match self.work.reach.ask(Method::POST, &path, Some(body)).await {
            Outcome::Done(made) => made,
            Outcome::Gone => panic!("the store is gone"),
            Outcome::Unclear => {
                let list = self.work.reach.insist(&format!("{path}?userName={name}")).await.unwrap();
                let Some(made) = list["items"].get(0) else { return self.free.push(name) };
                made.clone()
            }
        };
        let id = made["id"].as_str().unwrap().to_owned();
        let changes = vec![seen(&made, asked)];
        self.accounts.push(Account { id, name, changes });
        self.count();
    }

    /// Sets attributes, and always a new `n`.
    async fn change(&mut self, index: usize, mut attributes: Value) {
        if self.accounts[index].now().deleted {
            return;
        }
        self.value += 1;
        attributes["n"] = json!(self.value);
        self.send(index, Method::PATCH, Some(json!({ "attributes": attributes }))).await;
    }

    async fn delete(&mut self, index: usize) {
        if !self.accounts[index].now().deleted {
            self.send(index, Method::DELETE, None).await;
            if self.accounts[index].now().deleted {
                self.free.push(self.accounts[index].name.clone());
            }
        }
    }

    /// Gives it a name that nobody bears.
    async fn rename(&mut self, index: usize, name: String) {
        if self.accounts[index].now().deleted {
            return self.free.push(name);
        }
        self.value += 1;
        let body = json!({ "userName": name, "attributes": { "n": self.value } });
        let before = self.accounts[index].now().version;
        self.send(index, Method::PATCH, Some(body)).await;
        let account = &mut self.accounts[index];
        let is_done = account.now().version != before;
        let freed = if is_done { std::mem::replace(&mut account.name, name) } else { name };
        self.free.push(freed);
    }

    /// Two exchange their names, by way of a third.
    async fn swap(&mut self, index: usize) {
        let other = self.rng.random_range(0..self.accounts.len());
        let living = |index: usize| !self.accounts[index].now().deleted;
        if index == other || !living(index) || !living(other) {
            return;
        }
        let (first, second) = (self.accounts[index].name.clone(), self.accounts[other].name.clone());
        let between = self.name();
        self.rename(index, between).await;
        for (index, name) in [(other, first), (index, second)] {
            if let Some(at) = self.free.iter().position(|free| *free == name) {
                let name = self.free.swap_remove(at);
                self.rename(index, name).await;
            }
        }
    }

    async fn send(&mut self, index: usize, method: Method, body: Option<Value>) {
        let asked = Instant::now();
        let path = format!("/accounts/{}", self.accounts[index].id);
        let deletes = method == Method::DELETE;
        let state = match self.work.reach.ask(method, &path, body).await {
            Outcome::Done(_) if deletes => None,
            Outcome::Done(state) => Some(state),
            Outcome::Gone => panic!("{path} is gone and nobody deleted it"),
            Outcome::Unclear => self.work.reach.insist(&path).await,
        };
        assert!(deletes || state.is_some(), "{path} is gone and nobody deleted it");
        self.note(index, state, asked);
    }

    /// `None`: the account is deleted.
    fn note(&mut self, index: usize, state: Option<Value>, asked: Instant) {
        let account = &mut self.accounts[index];
        let before = account.now();
        let after = match state {
            Some(state) => seen(&state, asked),
            None => Change {
                version: before.version + 1,
                deleted: true,
                asked,
                acknowledged: Instant::now(),
                ..before
            },
        };
        // An answer that was lost may stand for a change that was not made.
        if after.version != before.version {
            let next = before.version + 1;
            assert_eq!(after.version, next, "an acknowledged change of {} was lost", account.name);
            account.changes.push(after);
            self.count();
        }
    }

    fn count(&self) {
        self.work.changes.fetch_add(1, Ordering::Relaxed);
    }
}

fn seen(account: &Value, asked: Instant) -> Change {
    Change {
        version: account["version"].as_i64().unwrap(),
        value: account["attributes"]["n"].as_u64().unwrap(),
        member: account["attributes"]["member"].as_bool().unwrap(),
        deleted: false,
        asked,
        acknowledged: Instant::now(),
    }
}
