//! An explicit-state model of the lease protocol.
//!
//! It holds what `docs/protocol.md` says of propose, claim, heartbeat, reap, finish, hand-back, cancel,
//! close, relay, rebuild and reconcile, with guards and their deadline, and lets workers crash, freeze
//! and be cut off from either store, Redis forget everything, and commits go unanswered. The invariants
//! hold in every state; take a clause away and one of them does not.
//!
//! A worker that runs does its next step at once; a freeze is what makes it slow, so each delay is a
//! fault. So are commits without an answer and a relay that stalls between reading and pushing.
//!
//! Left out: losses are not counted (the number of faults bounds them), a delay is over at once, control
//! messages are always lost (heartbeats bring the same), and rebuild and reconciliation are one step.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![allow(clippy::print_stdout, reason = "the size of a state space belongs to the result")]

#[allow(unreachable_pub, reason = "parts of one test binary")]
mod model {
    pub mod action;
    pub mod database;
    pub mod queue;
    pub mod scene;
    pub mod settling;
    pub mod state;
    pub mod worker;
}

use std::collections::BTreeSet;

use model::{
    action::Action,
    scene::{Clause, Scene},
    state::{Stage, State, Status},
};
use stateright::{Checker, HasDiscoveries, Model, Property};

const LIMIT: &str = "I1: no claim passes the limit of a host";
const ONE_LEASE: &str = "I2: a user has one lease at most";
const ONE_CHILD: &str = "I2: a user has one living child at most";
const EPOCH: &str = "I3: epochs only grow";
const ONE_END: &str = "I4: an end state is written once";
const SETTLES: &str = "I5: with faults over, everything comes to its end";
const CANCELLED: &str = "a cancelled migration is not claimed again";

fn count(scene: &Scene, user: u8, holds: impl Fn(usize) -> bool) -> usize {
    scene.ids().filter(|m| scene.user(*m) == user && holds(*m)).count()
}

fn one_lease(scene: &Scene, state: &State) -> bool {
    scene.migrations.iter().all(|(user, _)| count(scene, *user, |m| state.leases[m].is_some()) <= 1)
}

fn one_child(scene: &Scene, state: &State) -> bool {
    let children = |user| state.workers.iter().map(|w| count(scene, user, |m| w.children[m])).sum::<usize>();
    scene.migrations.iter().all(|(user, _)| children(*user) <= 1)
}

/// A worker still has the result of a claim that somebody else has taken back.
fn late_result(scene: &Scene, state: &State) -> bool {
    let late = |m: usize| {
        let tasks = state.workers.iter().map(|worker| worker.tasks[m]);
        tasks.into_iter().any(|task| task.stage == Stage::Done && task.epoch < state.rows[m].epoch)
    };
    scene.ids().any(late)
}

impl Model for Scene {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(self.faults, self.orders)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.possible(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        Some(self.after(state, action)).filter(|next| next != state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(LIMIT, |_: &Self, state: &State| !state.broken.limit),
            Property::always(ONE_LEASE, one_lease),
            Property::always(ONE_CHILD, one_child),
            Property::always(EPOCH, |_: &Self, state: &State| !state.broken.epoch),
            Property::always(ONE_END, |_: &Self, state: &State| state.rows.iter().all(|row| row.ends <= 1)),
            Property::always(CANCELLED, |_: &Self, state: &State| !state.broken.cancel),
            Property::always(SETTLES, Scene::settles),
            Property::sometimes("all of it ends", |scene: &Self, state: &State| {
                scene.ids().all(|m| state.rows[m].status == Status::Ended)
            }),
            Property::sometimes("a result comes too late", late_result),
        ]
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Walks the whole state space.
fn holds(scene: Scene) {
    let checker = scene.checker().threads(threads()).spawn_bfs().join();
    checker.assert_properties();
    println!("{} states, {} steps", checker.unique_state_count(), checker.state_count());
}

/// Without a clause, a property fails, and in the way that is expected: by these steps among others.
fn fails(scene: Scene, property: &'static str, steps: &[fn(&Action) -> bool]) {
    let names = BTreeSet::from([property]);
    let checker = scene.checker().finish_when(HasDiscoveries::AllOf(names)).spawn_bfs().join();
    let path = checker.assert_any_discovery(property);
    let actions = path.into_actions();
    println!("{property}:\n{actions:#?}");
    let mut rest = actions.iter();
    assert!(steps.iter().all(|step| rest.any(step)), "another counterexample than expected: {actions:?}");
}

/// Two users on one host that allows one of them at a time.
const TWO_USERS: &[(u8, u8)] = &[(0, 0), (1, 0)];
/// One user who migrates again when the first migration has ended.
const ONE_USER_TWICE: &[(u8, u8)] = &[(0, 0), (0, 0)];
/// Two users, three migrations, two hosts.
const TWO_HOSTS: &[(u8, u8)] = &[(0, 0), (1, 1), (0, 1)];

#[test]
fn the_protocol_holds_for_one_migration_and_three_faults() {
    holds(Scene::new(&[(0, 0)], 3, 1));
}

#[test]
fn the_protocol_holds_for_two_users_and_two_faults() {
    holds(Scene::new(TWO_USERS, 2, 0));
}

#[test]
fn the_protocol_holds_for_two_users_an_order_and_a_fault() {
    holds(Scene::new(TWO_USERS, 1, 1));
}

#[test]
fn the_protocol_holds_for_a_user_who_comes_again() {
    holds(Scene::new(ONE_USER_TWICE, 1, 1));
}

#[test]
#[ignore = "takes minutes: cargo test --release -p dmf-shared --test model -- --ignored"]
fn the_protocol_holds_for_two_users_an_order_and_three_faults() {
    holds(Scene::new(TWO_USERS, 3, 1));
}

#[test]
#[ignore = "takes minutes: cargo test --release -p dmf-shared --test model -- --ignored"]
fn the_protocol_holds_for_three_migrations_and_two_faults() {
    holds(Scene::new(TWO_HOSTS, 2, 0));
}

#[test]
fn a_finish_needs_epoch_and_status() {
    let scene = Scene::new(TWO_USERS, 0, 1).without(Clause::FinishGuard);
    fails(scene, ONE_END, &[|a| matches!(a, Action::Close(_)), |a| matches!(a, Action::Record(..))]);
}

#[test]
fn children_need_a_guard() {
    let scene = Scene::new(TWO_USERS, 1, 0).without(Clause::GuardProcess);
    let lost = |a: &Action| matches!(a, Action::Freeze(_) | Action::Crash(_));
    fails(
        scene,
        ONE_CHILD,
        &[lost, |a| matches!(a, Action::Reap(_)), |a| matches!(a, Action::StartChild(..))],
    );
}

#[test]
fn the_reaper_needs_both_witnesses() {
    let scene = Scene::new(TWO_USERS, 1, 0).without(Clause::SecondWitness);
    let cut = |a: &Action| matches!(a, Action::CutDatabase(_));
    fails(
        scene,
        ONE_CHILD,
        &[cut, |a| matches!(a, Action::Reap(_)), |a| matches!(a, Action::StartChild(..))],
    );
}

#[test]
fn a_cancel_needs_its_flag() {
    let scene = Scene::new(TWO_USERS, 1, 1).without(Clause::CancelFlag);
    fails(scene, CANCELLED, &[|a| matches!(a, Action::Cancel(_)), |a| matches!(a, Action::Claim(..))]);
}

#[test]
fn rings_need_to_be_computed_again() {
    // The queue has forgotten a lease, so it proposes more than MariaDB allows, and the refusal takes
    // the host out of its ring for ever.
    let scene = Scene::new(TWO_USERS, 1, 0).without(Clause::RingRecompute);
    let fault =
        |a: &Action| matches!(a, Action::ClaimUnanswered(..) | Action::CutQueue(_) | Action::LoseQueue);
    fails(scene, SETTLES, &[fault, |a| matches!(a, Action::Propose(..))]);
}

#[test]
fn a_twin_needs_to_be_refused() {
    let scene = Scene::new(TWO_USERS, 1, 0).without(Clause::RefusalOfTwins);
    fails(scene, ONE_CHILD, &[|a| matches!(a, Action::Twin(_)), |a| matches!(a, Action::StartChild(..))]);
}
