//! How fast the worker reads and writes the words of doveadm. The goal for logs is 200 MB/s; `loadtest/run micro`
//! reports the same beside it.

mod workload;

use divan::{Bencher, black_box, counter::BytesCount};
use workload::{Dovecot, Filling};

fn main() {
    divan::main();
}

fn bench_reading(bencher: Bencher<'_, '_>, log: &[u8]) {
    bencher.counter(BytesCount::of_slice(log)).bench(|| workload::read(black_box(log)));
}

/// 20,000 mails of one sync.
#[divan::bench(args = [Dovecot::V23, Dovecot::V24])]
fn read_mail_log(bencher: Bencher<'_, '_>, version: Dovecot) {
    bench_reading(bencher, &workload::log_of(version, 20_000));
}

#[divan::bench]
fn read_errors(bencher: Bencher<'_, '_>) {
    bench_reading(bencher, &workload::errors_of(2_000));
}

#[divan::bench]
fn compile_template(bencher: Bencher<'_, '_>) {
    let filling = Filling::new();
    bencher.bench(|| black_box(&filling).compile());
}

#[divan::bench]
fn fill_template(bencher: Bencher<'_, '_>) {
    let filling = Filling::new();
    bencher.bench(|| black_box(&filling).fill());
}

#[divan::bench]
fn judge_refusal() -> impl Sized {
    workload::judge_refusal()
}
