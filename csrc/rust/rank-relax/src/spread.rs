use std::any::Any;
use std::ffi::c_void;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rank_relax_sys as sys;

/// Spreads the work of one call over threads: a pool of the program's, for
/// [`Options::spread`](crate::Options::spread). Results have the same bits on any threads.
///
/// ```
/// use rank_relax::{soft_rank, Options, Spread};
///
/// struct Backwards; // one thread, but it begins at the end
///
/// impl Spread for Backwards {
///     fn parts(&self) -> usize {
///         3
///     }
///     fn spread(&self, parts: usize, part: &(dyn Fn(usize) + Sync)) {
///         (0..parts).rev().for_each(part);
///     }
/// }
///
/// let x: Vec<f32> = (0..10_000).map(|i| (i as f32).sin()).collect();
/// let ranks = soft_rank(&x, &Options::new(1.0).spread(&Backwards))?;
/// assert_eq!(ranks, soft_rank(&x, &Options::new(1.0))?);
/// # Ok::<(), rank_relax::Error>(())
/// ```
pub trait Spread: Sync {
    /// How many parts there should be, such as one for each thread.
    fn parts(&self) -> usize;

    /// Calls `part(i)` for each i below `parts`. A part is done once, whoever asks for it and how
    /// often; those that nobody has asked for are done on the calling thread when this returns. If
    /// it panics, the panic goes on when the library has returned.
    fn spread(&self, parts: usize, part: &(dyn Fn(usize) + Sync));
}

/// Threads of the standard library, started for the call.
pub(crate) struct Threads(pub usize);

impl Spread for Threads {
    fn parts(&self) -> usize {
        self.0
    }

    fn spread(&self, parts: usize, part: &(dyn Fn(usize) + Sync)) {
        thread::scope(|scope| {
            for i in 1..parts {
                // Where no more threads are to be had, the part is left to this one.
                let _ = thread::Builder::new().spawn_scoped(scope, move || part(i));
            }
            part(0);
        });
    }
}

/// What the library's loop is for the length of a call: behind `parallel_context`.
pub(crate) struct Loop<'a> {
    spread: &'a dyn Spread,
    parts: i64,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

struct Work {
    run: unsafe extern "C" fn(*mut c_void, i64, i64),
    work: *mut c_void,
}

// SAFETY: the library lets its work be run on any threads.
unsafe impl Sync for Work {}

impl Work {
    fn run(&self, begin: i64, end: i64) {
        // SAFETY: a range of those that the library gave out, and once.
        unsafe { (self.run)(self.work, begin, end) }
    }
}

impl<'a> Loop<'a> {
    pub fn new(spread: &'a dyn Spread) -> Self {
        Self {
            spread,
            parts: i64::try_from(spread.parts()).unwrap_or(i64::MAX).max(1),
            panic: Mutex::new(None),
        }
    }

    pub fn context(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// Panics as the caller's spread did, now that no frame of C++ is in between.
    pub fn resume(self) {
        let payload = self.panic.into_inner();
        if let Some(payload) = payload.unwrap_or_else(PoisonError::into_inner) {
            panic::resume_unwind(payload);
        }
    }

    fn run(&self, count: i64, grain: i64, work: &Work) {
        let even = count / self.parts + i64::from(count % self.parts > 0);
        let size = even.max(grain).max(1);
        let parts = count / size + i64::from(count % size > 0);
        let begun: Vec<AtomicBool> = (0..parts).map(|_| AtomicBool::new(false)).collect();
        let part = |i: usize| {
            // The library relies on every range being run, and once, which is not the caller's to
            // break.
            if begun.get(i).is_some_and(|part| !part.swap(true, Ordering::Relaxed)) {
                let begin = i as i64 * size;
                work.run(begin, count.min(begin.saturating_add(size)));
            }
        };
        if parts > 1 {
            let spread = AssertUnwindSafe(|| self.spread.spread(begun.len(), &part));
            if let Err(payload) = panic::catch_unwind(spread) {
                let mut first = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(payload);
            }
        }
        (0..begun.len()).for_each(part);
    }
}

/// The library's `rank_relax_parallel_for` over a [`Loop`]. A panic in here would abort: none may
/// unwind through C++.
pub(crate) unsafe extern "C" fn run_loop(
    context: *mut c_void,
    count: i64,
    grain: i64,
    run: sys::rank_relax_work,
    work: *mut c_void,
) {
    // SAFETY: `context` is that of the Loop which lives as long as the call.
    let this = unsafe { &*context.cast::<Loop>() };
    if let Some(run) = run {
        this.run(count, grain, &Work { run, work });
    }
}

#[cfg(test)]
#[path = "../../../../tests/rust/ranges.rs"]
mod ranges;
