use super::*;
use crate::domain::status::ErrorClass::{Auth, Logic, Permanent, RateLimited, Transient};
use chrono::TimeDelta;
use proptest::prelude::*;

const CAP: u32 = 8;
const BASIS: Basis = Basis { version: 1, logic_version: Some(1), resumes: 0 };

/// A breaker with a clock and runs under way.
struct World {
    breaker: Breaker,
    now: DateTime<Utc>,
    running: Vec<Ticket>,
    next_subject: i64,
}

impl World {
    fn new() -> Self {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Self { breaker: Breaker::new(CAP, Timing::default(), now), now, running: Vec::new(), next_subject: 0 }
    }

    fn pass(&mut self, millis: i64) {
        self.now += TimeDelta::milliseconds(millis);
    }

    /// Starts a run if the breaker lets it.
    fn start(&mut self) -> bool {
        let allowed = (self.running.len() as u32) < self.breaker.allowance(self.now);
        if allowed {
            self.running.push(self.breaker.start());
        }
        allowed
    }

    fn finish(&mut self, subject: i64, class: Option<ErrorClass>, retry_after: Option<u64>) -> Effect {
        let ticket = self.running.remove(0);
        let retry_after = retry_after.map(Duration::from_secs);
        let subject = SubjectId(subject);
        let end = End {
            slower: None,
            subject,
            class,
            neutral: false,
            retry_after,
            message: "the sink answered 503\nat x",
        };
        self.breaker.ended(ticket, &end, self.now)
    }

    /// A run ends well in which the remote asked to go slower.
    fn finish_slower(&mut self, subject: i64, slower: u64) -> Effect {
        let (ticket, slower) = (self.running.remove(0), Some(Duration::from_secs(slower)));
        let subject = SubjectId(subject);
        let end = End { slower, subject, class: None, neutral: false, retry_after: None, message: "" };
        self.breaker.ended(ticket, &end, self.now)
    }

    /// A run of a fresh subject, from start to end.
    fn run(&mut self, class: Option<ErrorClass>) -> Effect {
        assert!(self.start(), "{:?}", self.breaker.view());
        self.next_subject += 1;
        self.finish(self.next_subject, class, None)
    }

    fn state(&self) -> BreakerState {
        self.breaker.view().state
    }

    /// Goes to the next probe.
    fn wait(&mut self) -> Duration {
        let wait = self.breaker.wait(self.now);
        self.now += TimeDelta::from_std(wait).unwrap();
        wait
    }
}

#[test]
fn a_refusal_of_the_credentials_opens_at_once_and_costs_nobody_an_attempt() {
    let mut world = World::new();
    while world.start() {}
    for number in 0..CAP {
        let effect = world.finish(i64::from(number), Some(Auth), None);
        assert!(effect.give_back);
        assert_eq!(effect.changed, number == 0);
    }
    assert!(!world.start());
    let reason = world.breaker.view().reason.unwrap();
    assert_eq!(
        reason,
        "quarantined since 08:00:00 UTC: the credentials were refused with `the sink answered 503`; \
         next probe at 08:00:05 UTC"
    );
}

#[test]
fn failures_slow_then_open_and_probes_come_later_and_later() {
    let mut world = World::new();
    for _ in 0..19 {
        assert!(!world.run(Some(Transient)).changed);
    }
    assert!(world.run(Some(Transient)).changed);
    assert_eq!((world.state(), world.breaker.allowance(world.now)), (BreakerState::Slowed, 1));
    for _ in 0..4 {
        assert!(!world.run(Some(Transient)).give_back);
    }
    assert!(world.run(Some(Transient)).give_back);
    let mut waits = Vec::new();
    for _ in 0..9 {
        assert_eq!(world.state(), BreakerState::Open);
        waits.push(world.wait().as_secs());
        assert!(world.run(Some(Transient)).give_back);
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
    world.wait();
    world.run(None);
    assert_eq!(world.state(), BreakerState::Closed);
    assert_eq!(world.breaker.allowance(world.now), 1);
    let limits: Vec<u32> = (0..7).map(|_| (world.run(None), world.breaker.allowance(world.now)).1).collect();
    assert_eq!(limits, [2, 2, 4, 4, 4, 4, 8]);
}

#[test]
fn a_slowed_target_that_mends_is_closed() {
    let mut world = World::new();
    for _ in 0..20 {
        world.run(Some(Transient));
    }
    for _ in 0..10 {
        world.run(None);
    }
    assert_eq!(world.state(), BreakerState::Closed);
}

#[test]
fn rate_limits_halve_once_a_round_and_hold() {
    let mut world = World::new();
    while world.start() {}
    for number in 0..CAP {
        world.finish(i64::from(number), Some(RateLimited), Some(2));
    }
    assert_eq!((world.breaker.view().concurrency, world.breaker.allowance(world.now)), (4, 0));
    assert_eq!(world.wait(), Duration::from_secs(2));
    for _ in 0..22 {
        world.run(None);
    }
    assert_eq!(world.breaker.allowance(world.now), CAP);
}

#[test]
fn a_run_that_went_well_may_have_been_asked_to_go_slower() {
    let mut world = World::new();
    while world.start() {}
    for number in 0..CAP {
        world.finish_slower(i64::from(number), 3);
    }
    assert_eq!((world.breaker.view().concurrency, world.breaker.allowance(world.now)), (4, 0));
    assert_eq!((world.state(), world.wait()), (BreakerState::Closed, Duration::from_secs(3)));
    assert!(world.start());
    world.finish_slower(9, 0);
    assert_eq!((world.breaker.view().concurrency, world.breaker.allowance(world.now)), (2, 2));
}

#[test]
fn one_account_that_is_refused_does_not_stop_the_others_twice() {
    let mut world = World::new();
    world.run(Some(Auth));
    world.wait();
    world.run(None);
    for _ in 0..30 {
        world.run(None);
        assert!(!world.run(Some(Auth)).give_back);
        world.run(None);
        world.run(None);
    }
    assert_eq!(world.state(), BreakerState::Closed);
    world.run(Some(Auth));
    world.run(Some(Auth));
    assert!(world.run(Some(Auth)).give_back);
}

#[test]
fn broken_logic_is_quarantined_too_but_not_some_of_it() {
    let mut world = World::new();
    for number in 0..100 {
        world.run(if number % 5 == 0 { None } else { Some(Logic) });
    }
    assert_eq!(world.state(), BreakerState::Closed);
    for _ in 0..60 {
        world.run(Some(Logic));
        if world.state() == BreakerState::Open {
            return;
        }
    }
    panic!("{:?}", world.breaker.view());
}

#[test]
fn a_person_gets_a_probe_at_once() {
    let mut world = World::new();
    world.start();
    world.run(Some(Auth));
    world.breaker.reset(false, world.now);
    assert!(world.finish(9, Some(Auth), None).give_back, "began before the person came");
    assert_eq!(world.state(), BreakerState::Probing);
    world.run(None);
    assert_eq!(world.state(), BreakerState::Closed);
}

#[test]
fn a_person_does_not_break_what_the_system_asked_for() {
    for (other_settings, allowed) in [(false, 0), (true, CAP / 2)] {
        let mut world = World::new();
        world.start();
        world.finish(1, Some(RateLimited), Some(60));
        let until = world.breaker.view().held_until;
        assert_eq!(until, Some(world.now + TimeDelta::seconds(60)));
        world.breaker.reset(other_settings, world.now);
        assert_eq!(world.breaker.allowance(world.now), allowed);
        assert_eq!(world.breaker.view().held_until, until.filter(|_| !other_settings));
        world.pass(60_000);
        assert_eq!(world.breaker.allowance(world.now), CAP / 2);
    }
}

#[test]
fn nor_does_a_person_who_comes_before_a_restart() {
    let mut world = World::new();
    world.start();
    world.finish(1, Some(RateLimited), Some(60));
    let saved = world.breaker.saved(BASIS).unwrap();
    let resumed = Basis { resumes: 1, ..BASIS };
    let mut restored = Breaker::restore(CAP, Timing::default(), &saved, resumed, world.now);
    assert_eq!(restored.allowance(world.now), 0);
    let edited = Basis { version: 2, ..BASIS };
    let mut restored = Breaker::restore(CAP, Timing::default(), &saved, edited, world.now);
    assert_eq!(restored.allowance(world.now), CAP / 2);
}

#[derive(Debug, Clone)]
enum Step {
    Pass(i64),
    Start,
    Finish(i64, Option<ErrorClass>, Option<u64>),
    Reset(bool),
    Restart,
    Cap(u32),
}

fn steps(classes: &'static [Option<ErrorClass>]) -> impl Strategy<Value = Vec<Step>> {
    let finish =
        (0_i64..60, proptest::sample::select(classes), proptest::option::weighted(0.1, 0_u64..5_000));
    let step = prop_oneof![
        4 => (-10_000_i64..120_000).prop_map(Step::Pass),
        20 => Just(Step::Start),
        20 => finish.prop_map(|(subject, class, wait)| Step::Finish(subject, class, wait)),
        1 => any::<bool>().prop_map(Step::Reset),
        1 => Just(Step::Restart),
        1 => (1_u32..12).prop_map(Step::Cap),
    ];
    prop::collection::vec(step, 0..300)
}

fn apply(world: &mut World, step: Step) -> Option<Effect> {
    match step {
        Step::Pass(millis) => world.pass(millis),
        Step::Start => drop(world.start()),
        Step::Finish(subject, class, wait) if !world.running.is_empty() => {
            return Some(world.finish(subject, class, wait));
        }
        Step::Finish(..) => {}
        Step::Reset(other) => world.breaker.reset(other, world.now),
        Step::Cap(cap) => world.breaker.set_cap(cap),
        Step::Restart => {
            let cap = world.breaker.view().cap;
            world.running.clear();
            world.breaker = match world.breaker.saved(BASIS) {
                Some(saved) => {
                    let text = serde_json::to_string(&saved).unwrap();
                    let saved = serde_json::from_str(&text).unwrap();
                    Breaker::restore(cap, Timing::default(), &saved, BASIS, world.now)
                }
                None => Breaker::new(cap, Timing::default(), world.now),
            };
        }
    }
    None
}

const ALL: &[Option<ErrorClass>] =
    &[None, None, None, Some(Transient), Some(RateLimited), Some(Auth), Some(Permanent), Some(Logic)];
const BENIGN: &[Option<ErrorClass>] = &[None, Some(Permanent)];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Quarantine lets one run through at a time, the cap is never passed,
    /// attempts are given back in quarantine only and for failures only, and a
    /// target that is well from some time on gets all of its work again.
    #[test]
    fn whatever_happens(steps in steps(ALL)) {
        let mut world = World::new();
        for step in steps {
            let quarantined = world.breaker.is_quarantined();
            let (before, starts) = (world.running.len(), matches!(step, Step::Start));
            let fails = matches!(step, Step::Finish(_, Some(_), _));
            let effect = apply(&mut world, step);
            if starts && world.running.len() > before {
                prop_assert!(!quarantined || before == 0);
                prop_assert!(world.running.len() as u32 <= world.breaker.view().cap);
            }
            if effect.is_some_and(|effect| effect.give_back) {
                prop_assert!(fails && world.breaker.is_quarantined());
            }
            let view = world.breaker.view();
            prop_assert!(view.concurrency <= view.cap);
            prop_assert_eq!(view.state != BreakerState::Closed, view.reason.is_some()
                && view.state != BreakerState::Closed);
        }
        world.running.clear();
        for _ in 0..200 {
            if world.breaker.allowance(world.now) == 0 {
                let wait = world.wait();
                prop_assert!(wait <= Duration::from_secs(900) && !wait.is_zero());
            } else {
                world.run(None);
            }
        }
        prop_assert_eq!(world.state(), BreakerState::Closed);
        let cap = world.breaker.view().cap;
        prop_assert_eq!(world.breaker.allowance(world.now), cap);
    }

    /// Permanent failures are the accounts' own.
    #[test]
    fn permanent_failures_never_trip(steps in steps(BENIGN)) {
        let mut world = World::new();
        for step in steps {
            apply(&mut world, step);
            prop_assert_eq!(world.state(), BreakerState::Closed);
        }
    }

    /// One account cannot trip it, however often it is tried.
    #[test]
    fn one_subject_never_trips(others in 0_usize..4, tries in 1_usize..200, gap in 0_i64..100_000) {
        let mut world = World::new();
        for number in 0..tries {
            world.pass(gap);
            world.start();
            world.finish(-1, Some(Transient), None);
            for _ in 0..others.min(number) {
                world.run(None);
            }
            prop_assert_eq!(world.state(), BreakerState::Closed);
        }
    }
}
