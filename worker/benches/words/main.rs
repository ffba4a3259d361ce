//! How fast the worker reads and writes the words of doveadm.

mod workload;

use divan::{Bencher, counter::BytesCount};

fn main() {
    divan::main();
}

/// 20,000 mails of one sync.
#[divan::bench]
fn read_mail_log(bencher: Bencher<'_, '_>) {
    let log = workload::log_of(20_000);
    bencher.counter(BytesCount::of_slice(&log[..])).bench(|| workload::read(divan::black_box(&log)));
}

#[divan::bench]
fn fill_template(bencher: Bencher<'_, '_>) {
    let filling = workload::Filling::new();
    bencher.bench(|| divan::black_box(&filling).fill());
}

#[divan::bench]
fn judge_refusal() -> impl Sized {
    workload::judge_refusal()
}
