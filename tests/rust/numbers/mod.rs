//! Values and the sums that answers are compared with.

/// Numbers in [-1, 1) that are the same everywhere.
pub fn random(count: usize, seed: u32) -> Vec<f64> {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 23) - 1.0
    };
    (0..count).map(|_| next()).collect()
}

#[allow(dead_code)] // each file of tests includes this one, and not all need everything
pub fn in_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// The soft ranks by "sigmoid", by their definition.
#[allow(dead_code)]
pub fn pairwise_ranks(x: &[f64], strength: f64) -> Vec<f64> {
    let rank = |i: usize| {
        let others = (0..x.len()).filter(|&j| j != i);
        let sum: f64 = others.map(|j| 1.0 / (1.0 + (strength * (x[j] - x[i])).exp())).sum();
        sum / (x.len() - 1) as f64
    };
    (0..x.len()).map(rank).collect()
}

#[allow(dead_code)]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The slopes of a function of a list, by differences of fourth order.
#[allow(dead_code)]
pub fn slopes(x: &[f64], function: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let step = 1e-3;
    let at = |i: usize, steps: f64| {
        let mut moved = x.to_vec();
        moved[i] += steps * step;
        function(&moved)
    };
    (0..x.len())
        .map(|i| (8.0 * (at(i, 1.0) - at(i, -1.0)) - (at(i, 2.0) - at(i, -2.0))) / (12.0 * step))
        .collect()
}

#[allow(dead_code)]
pub fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance,
            "item {i}: {found} is not within {tolerance} of {expected}"
        );
    }
}
