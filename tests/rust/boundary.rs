//! What the two doors for Rust cost beside the kernel: `measure` runs this and kernel_alone.cpp,
//! which has the same lists.

use std::hint::black_box;
use std::time::Instant;

use rank_relax::{soft_rank, Options};
use rank_relax_sys as sys;

/// Nanoseconds a call, of the best of many rounds.
fn best(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 200;
    let round = |_| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    (0..200).map(round).fold(f64::INFINITY, f64::min)
}

fn main() {
    for n in [10, 1000] {
        let x: Vec<f64> = (0..n).map(|i| f64::from(i * 7919 % 1009) / 100.0).collect();
        let options = Options::new(1.0);
        let safe = best(|| drop(soft_rank(black_box(&x), &options).unwrap()));

        let mut ranks = vec![0.0; x.len()];
        let mut shape = [i64::from(n)];
        let mut tensor = |data: *mut f64| sys::rank_relax_tensor {
            data: data.cast(),
            device: sys::rank_relax_device { type_: 1, id: 0 },
            ndim: 1,
            dtype: sys::rank_relax_dtype { code: 2, bits: 64, lanes: 1 },
            shape: shape.as_mut_ptr(),
            strides: std::ptr::null_mut(),
            byte_offset: 0,
        };
        let (input, output) = (tensor(x.as_ptr().cast_mut()), tensor(ranks.as_mut_ptr()));
        let raw = best(|| {
            let status = unsafe {
                sys::rank_relax_soft_rank(&input, &sys::RANK_RELAX_OPTIONS, black_box(&output))
            };
            assert_eq!(status, sys::RANK_RELAX_OK);
        });
        println!("n = {n}: rank-relax-sys {raw:.0} ns, rank-relax {safe:.0} ns");
    }
}
