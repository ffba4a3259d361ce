//! Real mail: users a second through the fleet over those of `xargs -P` running the same commands, and beside them
//! what people use today.

mod bare;
mod commands;
mod peers;
mod points;
mod shell;
mod stage;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use self::{
    bare::Bare,
    commands::Commands,
    peers::Peer,
    points::{Plan, Point},
    stage::{Mailboxes, Stage},
};
use crate::{
    plot::{self, Labels, Scale, Series},
    rate::{Samples, per_second},
    report::{Report, version_of},
};

/// The goal: fleet over bare.
const GOAL: f64 = 0.95;
/// First sync, then the same users again.
const PASSES: [&str; 2] = ["first", "unchanged"];

/// Rates of both sides for one pass, in users a second, and where a thread's time went, in milliseconds a user.
#[derive(Debug, Default)]
struct Sides {
    bare: Samples,
    fleet: Samples,
    ratio: Samples,
    bare_slot: Samples,
    fleet_slot: Samples,
    beside_commands: Samples,
}

/// What one side took for each pass.
type Took = [Duration; 2];

/// Everything that is needed to measure a point.
struct Field {
    stage: Stage,
    bare: Bare,
    mailboxes: Vec<Mailboxes>,
}

/// Measures every point, both sides in turn, then the peers.
pub(crate) async fn measure(data: &Path, quick: bool, reports: &Path, report: &mut Report) -> Result<()> {
    let plan = Plan::new(quick);
    // Before anything is measured: what is missing is told at once.
    let versions = [version_of("dovecot", &["--version"])?, version_of("mbsync", &["--version"])?].join("; ");
    let stage = Stage::start(data).await?;
    let commands = stage.commands().await?;
    let mut mailboxes = Vec::new();
    for kind in plan.kinds {
        let begun = Instant::now();
        mailboxes.push(stage.fill(kind.name, kind.users, kind.mails).await?);
        println!(
            "{} users with {} mails made in {:.0} s",
            kind.users,
            kind.mails,
            begun.elapsed().as_secs_f64()
        );
    }
    let field = Field { bare: Bare::new(&stage, &commands)?, stage, mailboxes };
    explain(&commands, &plan, &versions, report);
    let mut measured = Vec::new();
    for point in &plan.points {
        measured.push((*point, field.measure(*point, &plan).await?));
    }
    let row_of = |(point, sides): &(Point, [Sides; 2])| {
        sides.iter().zip(PASSES).map(|(sides, pass)| field.row(*point, pass, sides)).collect::<Vec<_>>()
    };
    let rows: Vec<_> = measured.iter().flat_map(row_of).collect();
    field.draw(&measured, reports)?;
    report.line("## Fleet beside bare\n");
    report.line(&format!("![Fleet over bare by threads]({PLOT})\n"));
    report.table(&HEAD, &rows);
    report.line(
        "`ms bare`, `ms fleet`: time of one of the slots that run at a time, for a user. `ms beside`: of a migration, \
         the time from its claim to its end in which no command ran and no guard of one (to within 2 ms).\n",
    );
    report.why(&rows, WHY);
    field.measure_peers(&commands, &plan, report).await
}

/// Why the goal may be missed, as far as it is known, and what was tried.
const WHY: &str = "without latency, both processor cores are busy all the time with either side, and the fleet has more \
    to do. Of a profile of 32 threads, an eighth of the fleet's time is its own: guards, which kill a command should \
    the worker be gone or the lease be over, 6 %; the worker, which reads and counts what the command logs, 3 %; \
    MariaDB 2 %, Redis and the scheduler 1 %; this machine is also theirs. A few users in a quick pass also wait some \
    tens of milliseconds for the first claim. With 20 ms to the source, as from another data centre, waiting for it \
    takes most of the time on either side. Tried and kept: guards are a small program of their own, which takes 0.7 ms \
    of a processor to start where the worker's takes 1.5 (`/bin/true`: 0.45), two of them for each command; the log is \
    read several times as fast; results that come together are recorded together; a claim has four round trips where \
    it had ten. Not tried: one guard for all commands of a migration (three starts of eight less, about 2 %).";

/// The plot beside the report.
const PLOT: &str = "mail.svg";

const HEAD: [&str; 12] = [
    "users × mails",
    "latency",
    "threads",
    "users moved",
    "pass",
    "bare /s",
    "fleet /s",
    "fleet ÷ bare",
    "goal 0.95",
    "ms bare",
    "ms fleet",
    "ms beside",
];

fn explain(commands: &Commands, plan: &Plan, versions: &str, report: &mut Report) {
    report.line(&format!(
        "{versions}. One scheduler, one worker, MariaDB with `innodb_flush_log_at_trx_commit=1`, Redis, a source Dovecot behind a \
         proxy that lengthens each round trip by `latency`, a target Dovecot with mdbox; all on the disk of the \
         project, on one machine. Both sides go through the proxy.\n\n\
         Fleet: from before one bulk submit of all users to the last `stopped` in the journal; the worker has \
         `threads` threads. Bare: `xargs -P threads`, a shell for each user, the same commands, as a worker recorded \
         them, with the password in a file instead of a memfd, their output to `/dev/null`, without guards, deadlines, \
         records or a check of what they count. Medians of alternating rounds, {}, with the spread; before each first \
         pass the users' mail on the target is removed, `unchanged` is the same users again. The commands:\n",
        plan.rounds_shown(),
    ));
    for line in commands.shown() {
        report.line(&format!("- {line}"));
    }
    report.line("");
}

impl Field {
    async fn measure(&self, point: Point, plan: &Plan) -> Result<[Sides; 2]> {
        let Self { stage, mailboxes, .. } = self;
        stage.set_latency(point.latency);
        stage.set_threads(point.threads).await?;
        let users = &mailboxes[point.kind].users[..point.users];
        let mut measured = <[Sides; 2]>::default();
        let (mut round, begun) = (0, Instant::now());
        while plan.goes_on(round, begun.elapsed()) {
            // Who goes first changes.
            let (bare, fleet) = if round % 2 == 0 {
                let bare = self.run_bare(point, users).await?;
                (bare, self.run_fleet(point, users).await?)
            } else {
                let fleet = self.run_fleet(point, users).await?;
                (self.run_bare(point, users).await?, fleet)
            };
            for (pass, sides) in measured.iter_mut().enumerate() {
                sides.add(point, bare[pass], fleet[pass]);
            }
            println!(
                "{}, {} ms, {} threads, round {round}: bare {:.2?}, fleet {:.2?}",
                mailboxes[point.kind].name,
                point.latency.as_millis(),
                point.threads,
                bare,
                fleet.map(|(took, _)| took),
            );
            round += 1;
        }
        stage.empty_target(users)?;
        Ok(measured)
    }

    async fn run_bare(&self, point: Point, users: &[String]) -> Result<Took> {
        self.stage.empty_target(users)?;
        let first = self.bare.run(&self.stage, users, point.threads).await?;
        self.check(point).await?;
        Ok([first, self.bare.run(&self.stage, users, point.threads).await?])
    }

    /// For each pass what it took, and of a migration what passed beside its commands.
    async fn run_fleet(&self, point: Point, users: &[String]) -> Result<[(Duration, Duration); 2]> {
        self.stage.empty_target(users)?;
        let first = self.stage.migrate(users).await?;
        self.check(point).await?;
        let unchanged = self.stage.migrate(users).await?;
        Ok([first, unchanged].map(|passed| (passed.took, passed.beside_commands)))
    }

    /// Looks at the mail of the last user that was moved.
    async fn check(&self, point: Point) -> Result<()> {
        self.stage.expect_mail(&self.mailboxes[point.kind], point.users - 1).await
    }

    /// The ratio by threads: a line for each kind of mailboxes, latency and pass.
    fn draw(&self, measured: &[(Point, [Sides; 2])], reports: &Path) -> Result<()> {
        let mut lines: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (point, sides) in measured {
            for (sides, pass) in sides.iter().zip(PASSES) {
                let kind = &self.mailboxes[point.kind].name;
                let name = format!("{kind}, {} ms, {pass}", point.latency.as_millis());
                let threads = f64::from(u32::try_from(point.threads)?);
                lines.entry(name).or_default().push((threads, sides.ratio.median()));
            }
        }
        let series: Vec<Series> = lines.into_iter().map(|(name, points)| Series { name, points }).collect();
        let labels = Labels { title: "Users a second, fleet over bare", x: "threads", y: "fleet ÷ bare" };
        plot::lines(&reports.join(PLOT), labels, (Scale::Logarithmic, Scale::Linear), &series)
    }

    fn row(&self, point: Point, pass: &str, sides: &Sides) -> Vec<String> {
        let met = if sides.ratio.median() >= GOAL { "met" } else { "**missed**" };
        vec![
            self.mailboxes[point.kind].name.clone(),
            format!("{} ms", point.latency.as_millis()),
            point.threads.to_string(),
            point.users.to_string(),
            pass.to_owned(),
            sides.bare.show(2),
            sides.fleet.show(2),
            sides.ratio.show(2),
            met.to_owned(),
            sides.bare_slot.show(0),
            sides.fleet_slot.show(0),
            sides.beside_commands.show(0),
        ]
    }

    async fn measure_peers(&self, commands: &Commands, plan: &Plan, report: &mut Report) -> Result<()> {
        let mut rows = Vec::new();
        // As many users as the point of eight threads moves.
        for point in plan.points.iter().filter(|point| point.threads == 8) {
            self.stage.set_latency(point.latency);
            let users = &self.mailboxes[point.kind].users[..point.users];
            let mut peers = vec![Peer::shell_loop(&self.stage, commands)?];
            for at_a_time in &plan.peers {
                peers.push(Peer::mbsync(&self.stage, *at_a_time)?);
            }
            for peer in peers {
                peer.begin(&self.stage, users)?;
                let mut rates = Vec::new();
                for _ in PASSES {
                    let took = peer.run(&self.stage, users).await?;
                    rates.push(format!("{:.2}", per_second(users.len() as u64, took)));
                }
                println!("{}: {} a second", peer.name(), rates.join(" and "));
                let name = self.mailboxes[point.kind].name.clone();
                let latency = format!("{} ms", point.latency.as_millis());
                rows.push([vec![name, latency, users.len().to_string(), peer.name()], rates].concat());
            }
        }
        report.line("## What people use today\n");
        report.line(
            "Users a second, one run each. The loop runs `doveadm backup` for one user after the other and counts \
             nothing. mbsync (isync) copies into maildirs with `FSync no`, and counts nothing.\n",
        );
        report.table(&["users × mails", "latency", "users moved", "tool", "first /s", "unchanged /s"], &rows);
        Ok(())
    }
}

impl Sides {
    fn add(&mut self, point: Point, bare: Duration, (fleet, beside): (Duration, Duration)) {
        let users = point.users as u64;
        let (bare_rate, fleet_rate) = (per_second(users, bare), per_second(users, fleet));
        self.bare.add(bare_rate);
        self.fleet.add(fleet_rate);
        self.ratio.add(fleet_rate / bare_rate);
        self.bare_slot.add(point.slot_ms(bare));
        self.fleet_slot.add(point.slot_ms(fleet));
        self.beside_commands.add(beside.as_secs_f64() * 1000.0);
    }
}
