//! Every derivative of the safe crate is the slope of what it belongs to, by all methods.

mod numbers;

use numbers::{assert_close, dot, in_f32, pairwise_ranks, random, slopes};
use rank_relax::*;

const N: usize = 23;

/// 0.5 between neighbours on average, so that at strength 1 every item feels others.
fn values(seed: u32) -> Vec<f64> {
    random(N, seed).into_iter().map(|x| 6.0 * x).collect()
}

/// Two lists.
fn pair(lists: &[f64]) -> View<'_, f64> {
    View::new(lists, &[2, N]).unwrap()
}

/// Those without kinks.
const SMOOTH: [Method; 3] = [Method::Sigmoid, Method::Gaussian, Method::Cauchy];

#[test]
fn ranks_are_pairwise_sums() {
    let x = values(1);
    let ranks = soft_rank(&x, &Options::new(0.7)).unwrap();
    assert_close(&ranks, &pairwise_ranks(&x, 0.7), 1e-13);
}

#[test]
fn rank_gradients_are_slopes_by_every_method() {
    let (x, grad) = (values(2), random(N, 3));
    for method in Method::ALL {
        let options = Options::new(0.05).method(method);
        let gradient = soft_rank_gradient(&x, &grad, &options).unwrap();
        let expected = slopes(&x, |x| dot(&grad, &soft_rank(x, &options).unwrap()));
        // Laplace has a kink between every two items.
        let tolerance = if method == Method::Laplace { 1e-6 } else { 1e-9 };
        assert_close(&gradient, &expected, tolerance);
        assert!(gradient.iter().any(|slope| slope.abs() > 1e-4));
    }
}

#[test]
fn second_derivatives_of_ranks_are_slopes_of_the_first() {
    let (x, grad, along) = (values(4), random(N, 5), random(N, 6));
    for method in SMOOTH {
        let options = Options::new(1.0).method(method);
        let second =
            soft_rank_derivative(&x, &[(&grad).into(), (&along).into()], &options).unwrap();
        let expected =
            slopes(&x, |x| dot(&along, &soft_rank_gradient(x, &grad, &options).unwrap()));
        // <along, D(grad)> has the gradient D(grad, along), by symmetry.
        assert_close(&second, &expected, 1e-8);
    }
}

#[test]
fn a_derivative_along_nothing_is_the_rank_less_one_half() {
    let x = values(7);
    let ranks = soft_rank(&x, &Options::default()).unwrap();
    let centered = soft_rank_derivative(&x, &[], &Options::default()).unwrap();
    let expected: Vec<_> = ranks.iter().map(|rank| rank - 0.5).collect();
    assert_close(&centered, &expected, 1e-14);
}

#[test]
fn gradients_of_the_loss_are_slopes_for_hard_and_soft_targets() {
    let (p, t) = ([values(8), values(9)].concat(), [values(10), values(11)].concat());
    let grad = [1.0, -2.0];
    let options = Options::new(0.8);

    let loss = SpearmanLoss::with_hard_targets(pair(&p), pair(&t), &options).unwrap();
    let hard = |p: &[f64]| dot(&grad, &spearman_loss(pair(p), pair(&t), &options).unwrap());
    assert_eq!(loss.losses(), spearman_loss(pair(&p), pair(&t), &options).unwrap());
    assert_close(&loss.gradient(&grad).unwrap(), &slopes(&p, hard), 1e-9);

    let loss = SpearmanLoss::with_soft_targets(pair(&p), pair(&t), &options).unwrap();
    let soft = |p: &[f64], t: &[f64]| {
        let loss = SpearmanLoss::with_soft_targets(pair(p), pair(t), &options).unwrap();
        dot(&grad, loss.losses())
    };
    assert_close(&loss.gradient(&grad).unwrap(), &slopes(&p, |p| soft(p, &t)), 1e-9);
    assert_close(&loss.gradient_of_targets(&grad).unwrap(), &slopes(&t, |t| soft(&p, t)), 1e-9);
}

#[test]
fn products_with_the_jacobian_of_a_sort_are_slopes_both_ways() {
    let (x, grad) = (values(12), random(N, 13));
    for method in Method::ALL {
        let options = Options::new(0.2).method(method);
        let sorted = SoftSort::new(&x, &options).unwrap();
        assert_eq!(sorted.values(), soft_sort(&x, &options).unwrap());
        let of_values = |x: &[f64]| dot(&grad, &soft_sort(x, &options).unwrap());
        let gradient = sorted.gradient(&grad).unwrap();
        let tolerance = if method == Method::Laplace { 1e-5 } else { 1e-8 };
        assert_close(&gradient, &slopes(&x, of_values), tolerance);
        // <grad, J along> = <J' grad, along>
        let along = random(N, 14);
        let tangent = sorted.tangent(&along).unwrap();
        assert!((dot(&grad, &tangent) - dot(&gradient, &along)).abs() < 1e-9);
    }
}

#[test]
fn products_with_the_jacobian_of_quantiles_are_slopes_both_ways() {
    let (x, grad) = ([values(15), values(16)].concat(), random(2 * 3, 17));
    let levels = [0.1, 0.5, 0.77];
    for method in SMOOTH {
        let options = Options::new(1.0).method(method);
        let of = SoftQuantile::new(pair(&x), &levels, &options).unwrap();
        assert_eq!(of.quantiles(), soft_quantile(pair(&x), &levels, &options).unwrap());
        let quantiles = |x: &[f64]| dot(&grad, &soft_quantile(pair(x), &levels, &options).unwrap());
        let gradient = of.gradient(&grad).unwrap();
        assert_close(&gradient, &slopes(&x, quantiles), 1e-8);
        let along = random(2 * N, 18);
        let tangent = of.tangent(pair(&along)).unwrap();
        assert!((dot(&grad, &tangent) - dot(&gradient, &along)).abs() < 1e-9);
    }
}

#[test]
fn products_with_the_jacobian_of_a_top_k_mask_are_slopes() {
    let (x, grad) = (values(19), random(N, 20));
    for method in SMOOTH {
        let options = Options::new(1.0).method(method);
        let of = SoftTopk::new(&x, &4.5, &options).unwrap();
        assert_eq!(of.chosen(), soft_topk(&x, &4.5, &options).unwrap());
        assert!((of.chosen().iter().sum::<f64>() - 4.5).abs() < 1e-9);
        let chosen = |x: &[f64]| dot(&grad, &soft_topk(x, &4.5, &options).unwrap());
        assert_close(&of.gradient(&grad).unwrap(), &slopes(&x, chosen), 1e-8);
    }
}

#[test]
fn counts_are_sums_over_pairs() {
    let (t, x, w) = (random(5, 21), random(7, 22), random(2 * 7, 23));
    let points = Points::new(&t, &x).weights(View::new(&w, &[2, 7]).unwrap());
    let counts = soft_count(&points, &Options::new(2.0)).unwrap();
    let sigmoid = |d: f64| 1.0 / (1.0 + (-2.0 * d).exp());
    let expected: Vec<f64> = (0..2 * 5)
        .map(|i| (0..7).map(|j| w[i / 5 * 7 + j] * sigmoid(t[i % 5] - x[j])).sum())
        .collect();
    assert_close(&counts, &expected, 1e-13);
}

/// Of two lists, of five points and seven values.
fn three_sums<'a>(
    t: &'a [f64],
    x: &'a [f64],
    w: &'a [f64],
    keys: Option<[View<'a, i64>; 2]>,
) -> Points<'a, f64> {
    let (t, x) = (View::new(t, &[2, 5]).unwrap(), View::new(x, &[2, 7]).unwrap());
    let points = Points::new(t, x).weights(View::new(w, &[2, 3, 7]).unwrap());
    keys.map_or(points, |[of_values, of_points]| points.keys(of_values, of_points))
}

#[test]
fn gradients_of_counts_are_slopes_of_every_order() {
    let (t, x, w) = (random(2 * 5, 24), random(2 * 7, 25), random(2 * 3 * 7, 26));
    let grad = random(2 * 3 * 5, 27);
    let mut mask = [true; 2 * 7];
    mask[3] = false;
    let keys_of_values: Vec<i64> = (0..14).map(|j| j % 4).collect();
    let keys_of_points: Vec<i64> = (0..10).map(|i| i % 5).collect();
    let keys = [
        View::new(&keys_of_values, &[2, 7]).unwrap(),
        View::new(&keys_of_points, &[2, 5]).unwrap(),
    ];
    for (order, keyed) in [(-1, false), (0, false), (1, false), (0, true), (2, true)] {
        let options = Options::new(1.5).mask(View::new(&mask, &[2, 7]).unwrap());
        let keys = keyed.then_some(keys);
        let sum = |t: &[f64], x: &[f64], w: &[f64]| {
            dot(&grad, &soft_count(&three_sums(t, x, w, keys).order(order), &options).unwrap())
        };
        let points = three_sums(&t, &x, &w, keys).order(order);
        let gradients = soft_count_gradients(&points, &grad, &options).unwrap();
        assert_close(&gradients.points, &slopes(&t, |t| sum(t, &x, &w)), 1e-8);
        assert_close(&gradients.values, &slopes(&x, |x| sum(&t, x, &w)), 1e-8);
        assert_close(&gradients.weights, &slopes(&w, |w| sum(&t, &x, w)), 1e-8);
        assert_eq!(gradients.values[3], 0.0, "a masked value has no gradient");
    }
}

#[test]
fn gradients_of_counts_of_lists_of_any_lengths_are_slopes() {
    let (t, x, grad) = (random(6, 28), random(9, 29), random(6, 30));
    let options = Options::new(1.5).offsets(&[0, 2, 2, 9]);
    let sum = |t: &[f64], x: &[f64]| {
        let points = Points::new(t, x).point_offsets(&[0, 1, 2, 6]);
        dot(&grad, &soft_count(&points, &options).unwrap())
    };
    let points = Points::new(&t, &x).point_offsets(&[0, 1, 2, 6]);
    let gradients = soft_count_gradients(&points, &grad, &options).unwrap();
    assert_close(&gradients.points, &slopes(&t, |t| sum(t, &x)), 1e-8);
    assert_close(&gradients.values, &slopes(&x, |x| sum(&t, x)), 1e-8);
    // Without weights, their gradient is the same as with ones.
    let ones = [1.0; 9];
    let weighted = points.weights(View::new(&ones, &[1, 9]).unwrap());
    let expected = soft_count_gradients(&weighted, &grad, &options).unwrap();
    assert_eq!(gradients, expected);
}

/// Of three lists, of one, one and four points, and two, no and seven values.
fn ragged_sums<'a>(
    t: &'a [f64],
    x: &'a [f64],
    w: &'a [f64],
    keys: Option<[View<'a, i64>; 2]>,
) -> Points<'a, f64> {
    let weights = View::new(w, &[3, 9]).unwrap();
    let points = Points::new(t, x).weights(weights).point_offsets(&[0, 1, 2, 6]);
    keys.map_or(points, |[of_values, of_points]| points.keys(of_values, of_points))
}

#[test]
fn gradients_of_counts_with_masks_weights_and_keys_of_lists_of_any_lengths_are_slopes() {
    let (t, x, w) = (random(6, 33), random(9, 34), random(3 * 9, 35));
    let grad = random(3 * 6, 36);
    let mask: Vec<bool> = (0..9).map(|j| j % 4 != 1).collect();
    let keys_of_values: Vec<i64> = (0..9).map(|j| j % 4).collect();
    let keys_of_points: Vec<i64> = (0..6).map(|i| i % 5).collect();
    let options = Options::new(1.5).offsets(&[0, 2, 2, 9]).mask(&mask);
    let all_keys = [(&keys_of_values).into(), (&keys_of_points).into()];
    for (order, keyed) in [(-1, false), (0, false), (0, true), (1, true)] {
        let keys = keyed.then_some(all_keys);
        let points = ragged_sums(&t, &x, &w, keys).order(order);
        let sum = |t: &[f64], x: &[f64], w: &[f64]| {
            let points = ragged_sums(t, x, w, keys).order(order);
            dot(&grad, &soft_count(&points, &options).unwrap())
        };
        let gradients = soft_count_gradients(&points, &grad, &options).unwrap();
        assert_close(&gradients.points, &slopes(&t, |t| sum(t, &x, &w)), 1e-8);
        assert_close(&gradients.values, &slopes(&x, |x| sum(&t, x, &w)), 1e-8);
        assert_close(&gradients.weights, &slopes(&w, |w| sum(&t, &x, w)), 1e-8);
        assert!(gradients.values.iter().any(|slope| slope.abs() > 1e-3));
        assert_eq!(gradients.values[1], 0.0, "a masked value has no gradient");
    }
}

#[test]
fn counts_of_as_many_dimensions_as_there_may_be_have_gradients() {
    let (t, x, grad) = (random(3, 37), random(4, 38), random(3, 39));
    let many = |data, size| View::new(data, &[1, 1, 1, 1, 1, 1, 1, size]).unwrap();
    let options = Options::new(2.0);
    let expected = soft_count_gradients(&Points::new(&t, &x), &grad, &options).unwrap();
    let points = Points::new(many(&t, 3), many(&x, 4));
    assert_eq!(soft_count_gradients(&points, &grad, &options).unwrap(), expected);
}

#[test]
fn where_there_are_no_sums_their_gradients_are_none_or_zeros() {
    let (x, none) = ([0.5, 1.5], [0.0; 0]);
    let masked = Options::new(2.0).mask(&[true, false]);
    let gradients = soft_count_gradients(&Points::new(&none, &x), &none, &masked).unwrap();
    assert_eq!(gradients.values, [0.0; 2]);
    assert_eq!((gradients.points.len(), gradients.weights), (0, vec![0.0; 2]));
    let points = Points::new(&x, &none);
    let gradients = soft_count_gradients(&points, &[1.0, 2.0], &Options::new(2.0)).unwrap();
    assert_eq!(gradients.points, [0.0; 2]);
    assert_eq!((gradients.values.len(), gradients.weights.len()), (0, 0));
}

#[test]
fn single_precision_is_close_to_double() {
    let (x, grad) = (values(31), random(N, 32));
    let of_double = soft_rank_gradient(&x, &grad, &Options::default()).unwrap();
    let of_single = soft_rank_gradient(&in_f32(&x), &in_f32(&grad), &Options::default()).unwrap();
    let of_single: Vec<_> = of_single.into_iter().map(f64::from).collect();
    assert_close(&of_single, &of_double, 1e-6);
}
