//! The ranges that a loop gives to the library: they cover everything once, and are long enough.

use std::ffi::c_void;
use std::sync::Mutex;
use std::thread;

use super::{Loop, Spread, Threads, Work};

unsafe extern "C" fn note(ranges: *mut c_void, begin: i64, end: i64) {
    let ranges = unsafe { &*ranges.cast::<Mutex<Vec<(i64, i64)>>>() };
    ranges.lock().unwrap().push((begin, end));
}

fn ranges_of(spread: &dyn Spread, count: i64, grain: i64) -> Vec<(i64, i64)> {
    let ranges = Mutex::new(Vec::new());
    let work = Work { run: note, work: std::ptr::from_ref(&ranges).cast_mut().cast() };
    let this = Loop::new(spread);
    this.run(count, grain, &work);
    this.resume();
    let mut ranges = ranges.into_inner().unwrap();
    ranges.sort_unstable();
    ranges
}

/// Asks for each part twice, from threads of its own, and for others; but never for the first.
struct Careless;

impl Spread for Careless {
    fn parts(&self) -> usize {
        7
    }
    fn spread(&self, parts: usize, part: &(dyn Fn(usize) + Sync)) {
        thread::scope(|scope| {
            for i in (1..parts + 3).chain(1..parts) {
                scope.spawn(move || part(i));
            }
        });
    }
}

#[test]
fn ranges_cover_everything_once_and_are_no_shorter_than_the_grain() {
    for spread in [&Threads(1) as &dyn Spread, &Threads(3), &Threads(usize::MAX), &Careless] {
        for count in [0, 1, 2, 5, 64, 1000] {
            for grain in [-1, 0, 1, 3, 63, 64, 65, 5000] {
                if spread.parts() == usize::MAX && count > 5 * grain.max(1) {
                    continue; // too many threads
                }
                let ranges = ranges_of(spread, count, grain);
                let mut next = 0;
                for &(begin, end) in &ranges {
                    assert_eq!(begin, next, "{count} by {grain}");
                    assert!(end > begin);
                    next = end;
                }
                assert_eq!(next, count);
                let all_but_last = ranges.iter().rev().skip(1);
                assert!(all_but_last.clone().all(|(begin, end)| end - begin >= grain));
                assert!(ranges.len() <= spread.parts().max(1));
            }
        }
    }
}
