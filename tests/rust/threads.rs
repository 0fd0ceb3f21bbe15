//! The loop over threads: the same bits on any, every part once, and panics that go round C++.

mod numbers;

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use numbers::random;
use rank_relax::*;

const LISTS: usize = 16;
const N: usize = 2048;

/// As many parts as it says, by a function.
struct By<F>(usize, F);

impl<F: Fn(usize, &(dyn Fn(usize) + Sync)) + Sync> Spread for By<F> {
    fn parts(&self) -> usize {
        self.0
    }
    fn spread(&self, parts: usize, part: &(dyn Fn(usize) + Sync)) {
        (self.1)(parts, part);
    }
}

fn gradient(options: &Options) -> Vec<f64> {
    let (p, t) = (random(LISTS * N, 1), random(LISTS * N, 2));
    let view = |data| View::new(data, &[LISTS, N]).unwrap();
    let loss = SpearmanLoss::with_soft_targets(view(&p), view(&t), options).unwrap();
    loss.gradient(&random(LISTS, 3)).unwrap()
}

#[test]
fn bits_do_not_depend_on_threads() {
    let options = Options::new(10.0);
    let expected = gradient(&options);
    for threads in [0, 2, 3, 1000] {
        assert!(gradient(&options.threads(threads)) == expected);
    }
}

#[test]
fn parts_are_done_once_whatever_a_spread_does() {
    let options = Options::new(10.0);
    let expected = gradient(&options);
    let calls = AtomicUsize::new(0);
    let nothing = By(4, |_, _: &(dyn Fn(usize) + Sync)| {
        calls.fetch_add(1, Ordering::Relaxed);
    });
    assert!(gradient(&options.spread(&nothing)) == expected);
    assert!(calls.load(Ordering::Relaxed) > 0, "the spread is asked");
    let twice = By(3, |parts, part: &(dyn Fn(usize) + Sync)| {
        thread::scope(|scope| {
            for i in (0..parts + 2).chain(0..parts) {
                scope.spawn(move || part(i));
            }
        });
    });
    assert!(gradient(&options.spread(&twice)) == expected);
    let none = By(0, |_, _: &(dyn Fn(usize) + Sync)| panic!("there is one part"));
    assert!(gradient(&options.spread(&none)) == expected);
}

#[test]
fn a_panic_arrives_when_the_library_has_returned() {
    let half_way = By(4, |_, part: &(dyn Fn(usize) + Sync)| {
        part(1);
        panic!("out of luck");
    });
    let options = Options::new(10.0).spread(&half_way);
    let payload = panic::catch_unwind(AssertUnwindSafe(|| gradient(&options))).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"out of luck"));
    // And the library is as it was.
    assert!(gradient(&Options::new(10.0).threads(2)) == gradient(&Options::new(10.0)));
}

#[test]
fn calls_may_be_made_from_many_threads() {
    let expected = gradient(&Options::new(10.0));
    thread::scope(|scope| {
        for i in 0..4 {
            let expected = &expected;
            scope.spawn(move || {
                let error = soft_rank(&[1.0], &Options::new(-f64::from(i) - 1.0)).unwrap_err();
                assert!(gradient(&Options::new(10.0).threads(2)) == *expected);
                assert!(error.to_string().contains(&format!("got -{};", i + 1)));
            });
        }
    });
}
