//! An explicit-state model of the lease protocol.
//!
//! It holds what `docs/protocol.md` says of propose, claim, heartbeat, reap, finish, hand-back, cancel,
//! close, relay, rebuild and reconcile, with guards and their deadline, and lets workers crash, freeze
//! and be cut off from either store, Redis forget everything, and commits go unanswered. The invariants
//! hold in every state; take a clause away and one of them does not.
//!
//! Left out: losses are not counted (the number of faults bounds them), a delay is over at once, control
//! messages are always lost (heartbeats bring the same), and rebuild and reconciliation are one step.

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
    state::{Life, Slot, Stage, State, Status},
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
        ]
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Walks the whole state space.
fn holds(scene: Scene) {
    let started = std::time::Instant::now();
    let checker = scene.checker().threads(threads()).spawn_bfs().join();
    checker.assert_properties();
    println!("{} states in {:?}", checker.unique_state_count(), started.elapsed());
}

#[test]
fn f00() { holds(Scene::new(&[(0, 0), (1, 0)], 0, 0)); }
#[test]
fn f01() { holds(Scene::new(&[(0, 0), (1, 0)], 0, 1)); }
#[test]
fn f10() { holds(Scene::new(&[(0, 0), (1, 0)], 1, 0)); }
#[test]
fn f11() { holds(Scene::new(&[(0, 0), (1, 0)], 1, 1)); }
#[test]
fn f20() { holds(Scene::new(&[(0, 0), (1, 0)], 2, 0)); }
