//! What lists may be: views at any strides, masked, one behind the other, of any type; and what is
//! refused, with the library's sentence.

mod numbers;

use std::ffi::CStr;

use numbers::{in_f32, random};
use rank_relax::*;

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn columns_are_lists_without_a_copy() {
    let table = random(40 * 3, 1);
    let columns = View::strided(&table, 0, &[3, 40], &[1, 3]).unwrap();
    let copied: Vec<f64> = (0..3 * 40).map(|i| table[i % 40 * 3 + i / 40]).collect();
    let rows = View::new(&copied, &[3, 40]).unwrap();
    let options = Options::new(3.0);
    let (a, b) = (soft_rank(columns, &options).unwrap(), soft_rank(rows, &options).unwrap());
    assert_eq!(bits(&a), bits(&b));
    let targets = random(3 * 40, 2);
    let targets = View::new(&targets, &[3, 40]).unwrap();
    let gradient = |p| {
        let loss = SpearmanLoss::with_hard_targets(p, targets, &options).unwrap();
        loss.gradient(&[1.0, 2.0, 3.0]).unwrap()
    };
    assert_eq!(bits(&gradient(columns)), bits(&gradient(rows)));
}

#[test]
fn strides_may_be_negative_and_zero() {
    let x = random(10, 3);
    let reversed = View::strided(&x, 9, &[10], &[-1]).unwrap();
    let mut expected = soft_rank(&x, &Options::default()).unwrap();
    expected.reverse();
    let ranks = soft_rank(reversed, &Options::default()).unwrap();
    numbers::assert_close(&ranks, &expected, 1e-15);
    let repeated = View::strided(&x, 0, &[4, 10], &[0, 1]).unwrap();
    let ranks = soft_rank(repeated, &Options::default()).unwrap();
    assert_eq!(ranks, soft_rank(&x, &Options::default()).unwrap().repeat(4));
}

#[test]
fn gradients_are_taken_at_negative_strides() {
    let (p, t, along) = (random(2 * 10, 9), random(2 * 10, 10), random(2 * 10, 11));
    let backwards = |data| View::strided(data, 19, &[2, 10], &[-10, -1]).unwrap();
    let turned = |data: &[f64]| data.iter().rev().copied().collect::<Vec<_>>();
    let copies = [turned(&p), turned(&t), turned(&along)];
    let [of_p, of_t, of_along] = [0, 1, 2].map(|i| View::new(&copies[i], &[2, 10]).unwrap());
    let options = Options::new(2.0);
    let gradient = |x, grad| soft_rank_gradient(x, grad, &options).unwrap();
    assert_eq!(gradient(backwards(&p), backwards(&along)), gradient(of_p, of_along));
    let gradients = |p, t| {
        let loss = SpearmanLoss::with_soft_targets(p, t, &options).unwrap();
        let grad = [1.0, -2.0];
        [loss.gradient(&grad).unwrap(), loss.gradient_of_targets(&grad).unwrap()]
    };
    assert_eq!(gradients(backwards(&p), backwards(&t)), gradients(of_p, of_t));
    let counts = |t, x| soft_count_gradients(&Points::new(t, x), &copies[2], &options).unwrap();
    assert_eq!(counts(backwards(&p), backwards(&t)), counts(of_p, of_t));
}

#[test]
fn a_view_stays_within_its_slice() {
    let x = [0.0; 12];
    for (first, shape, strides) in [
        (0, &[13][..], &[1][..]),
        (1, &[12], &[1]),
        (12, &[1], &[1]),
        (0, &[2], &[-1]),
        (0, &[3, 4], &[4, 2]),
        (0, &[2, 2], &[isize::MAX, isize::MAX]),
        (11, &[2, 2], &[isize::MIN, isize::MAX]),
        (usize::MAX, &[1], &[1]),
        (0, &[3], &[1, 1]),
        (0, &[usize::MAX, 2], &[0, 0]),
        (0, &[1, 1, 1, 1, 1, 1, 1, 1, 1], &[0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        let view = View::strided(&x, first, shape, strides);
        let error = view.expect_err("outside");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    View::strided(&x, 11, &[3, 4], &[-4, -1]).unwrap();
    View::strided(&x, 0, &[5, 12], &[0, 1]).unwrap();
    View::strided(&x, usize::MAX, &[3, 0], &[isize::MAX, 1]).unwrap();
    let error = View::new(&x, &[3, 5]).unwrap_err();
    assert_eq!(error.to_string(), "shape [3, 5] must be of as many items as there are, 12");
}

#[test]
fn more_than_memory_holds_is_an_error() {
    let x = [0.5];
    let huge = View::strided(&x, 0, &[1 << 30, 1 << 25], &[0, 0]).unwrap();
    let error = soft_rank(huge, &Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
}

#[test]
fn gradients_of_more_than_memory_holds_are_an_error() {
    let x = [0.5];
    let points = View::new(&[], &[1 << 20, 0]).unwrap();
    let huge = View::strided(&x, 0, &[1 << 20, 1 << 30], &[0, 0]).unwrap();
    let error = soft_count_gradients(&Points::new(points, huge), &[], &Options::default());
    assert_eq!(error.unwrap_err().kind(), ErrorKind::OutOfMemory);
}

#[test]
fn masked_items_do_not_count() {
    let x = random(30, 4);
    let mask: Vec<bool> = (0..30).map(|i| i % 3 != 0).collect();
    let counted: Vec<f64> = (0..30).filter(|i| i % 3 != 0).map(|i| x[i]).collect();
    let of_masked = soft_rank(&x, &Options::new(2.0).mask(&mask)).unwrap();
    let of_counted = soft_rank(&counted, &Options::new(2.0)).unwrap();
    let kept: Vec<f64> = (0..30).filter(|i| i % 3 != 0).map(|i| of_masked[i]).collect();
    numbers::assert_close(&kept, &of_counted, 1e-14);
    assert!((0..30).step_by(3).all(|i| of_masked[i] == 0.0));
}

#[test]
fn lists_of_any_lengths_are_as_each_alone() {
    let (x, t) = (random(20, 5), random(20, 6));
    let offsets = [0, 7, 7, 8, 20];
    let options = Options::new(2.0);
    let ragged = options.offsets(&offsets);
    let loss = SpearmanLoss::with_soft_targets(&x, &t, &ragged).unwrap();
    let gradient = loss.gradient(&[1.0, 1.0, 1.0, -2.0]).unwrap();
    let of_targets = loss.gradient_of_targets(&[1.0, 1.0, 1.0, -2.0]).unwrap();
    let quantiles = soft_quantile(&x, &[0.25, 0.5], &ragged).unwrap();
    let sorted = soft_sort(&x, &ragged).unwrap();
    let chosen = soft_topk(&x, &[2.0, 0.0, 1.0, 3.0], &ragged).unwrap();
    assert_eq!((loss.losses().len(), quantiles.len()), (4, 8));
    for (list, grad) in [(0, 1.0), (2, 1.0), (3, -2.0)] {
        let items = offsets[list] as usize..offsets[list + 1] as usize;
        let (x, t) = (&x[items.clone()], &t[items.clone()]);
        let alone = SpearmanLoss::with_soft_targets(x, t, &options).unwrap();
        assert_eq!(loss.losses()[list], alone.losses()[0]);
        assert_eq!(gradient[items.clone()], alone.gradient(&[grad]).unwrap());
        assert_eq!(of_targets[items.clone()], alone.gradient_of_targets(&[grad]).unwrap());
        let k = [2.0, 0.0, 1.0, 3.0][list];
        assert_eq!(chosen[items.clone()], soft_topk(x, &k, &options).unwrap());
        assert_eq!(sorted[items], soft_sort(x, &options).unwrap());
        let of_list = soft_quantile(x, &[0.25, 0.5], &options).unwrap();
        assert_eq!(quantiles[2 * list..][..2], of_list);
    }
}

#[test]
fn masks_with_offsets_are_those_of_each_list() {
    let (x, t) = (random(20, 12), random(20, 13));
    let mask: Vec<bool> = (0..20).map(|i| i % 3 != 0).collect();
    let offsets = [0, 7, 7, 20];
    let options = Options::new(2.0);
    let ragged = options.offsets(&offsets).mask(&mask);
    let loss = SpearmanLoss::with_soft_targets(&x, &t, &ragged).unwrap();
    let gradient = loss.gradient(&[1.0, 1.0, -2.0]).unwrap();
    for (list, grad) in [(0, 1.0), (2, -2.0)] {
        let items = offsets[list] as usize..offsets[list + 1] as usize;
        let masked = options.mask(&mask[items.clone()]);
        let (x, t) = (&x[items.clone()], &t[items.clone()]);
        let alone = SpearmanLoss::with_soft_targets(x, t, &masked).unwrap();
        assert_eq!(loss.losses()[list], alone.losses()[0]);
        assert_eq!(gradient[items], alone.gradient(&[grad]).unwrap());
    }
}

#[test]
fn targets_may_be_of_any_real_type() {
    let p = random(4, 7);
    let loss = |losses: Result<Vec<f64>>| losses.unwrap()[0];
    let options = Options::new(5.0);
    let expected = loss(spearman_loss(&p, &[1.0, 0.0, 1.0, 0.0], &options));
    assert_eq!(loss(spearman_loss(&p, &[true, false, true, false], &options)), expected);
    assert_eq!(loss(spearman_loss(&p, &[u64::MAX, 0, u64::MAX, 0], &options)), expected);
    assert_eq!(loss(spearman_loss(&p, &[0_i8, -9, 0, -9], &options)), expected);
    assert_eq!(loss(spearman_loss(&p, &[2_u16, 1, 2, 1], &options)), expected);
    let halves = [F16(0x3c00), F16(0x8000), F16(0x3c00), F16(0)]; // 1, -0, 1, 0
    assert_eq!(loss(spearman_loss(&p, &halves, &options)), expected);
}

#[test]
fn halves_are_ranked_in_single_precision() {
    let x = in_f32(&random(50, 8));
    let halves: Vec<BF16> = x.iter().map(|x| BF16((x.to_bits() >> 16) as u16)).collect();
    let singles: Vec<f32> = halves.iter().map(|x| f32::from_bits(u32::from(x.0) << 16)).collect();
    let ranks = soft_rank(&halves, &Options::new(4.0)).unwrap();
    let expected = soft_rank(&singles, &Options::new(4.0)).unwrap();
    for (rank, expected) in ranks.iter().zip(expected) {
        let rank = f32::from_bits(u32::from(rank.0) << 16);
        assert!((rank - expected).abs() <= expected / 256.0);
    }
    // 0, 1, 2 in IEEE halves, whose hard ranks are 0, 1/2 and 1.
    let ranks = soft_rank(&[F16(0), F16(0x3c00), F16(0x4000)], &Options::new(1e4)).unwrap();
    assert_eq!(ranks, [F16(0), F16(0x3800), F16(0x3c00)]);
}

#[test]
fn no_items_have_no_ranks() {
    assert_eq!(soft_rank::<f64>(&[], &Options::default()).unwrap(), []);
    let none = View::<f32>::new(&[], &[0, 5]).unwrap();
    assert_eq!(soft_sort(none, &Options::default()).unwrap(), []);
}

#[test]
fn every_method_of_the_library_is_here() {
    let names = unsafe { CStr::from_ptr(rank_relax_sys::rank_relax_methods()) };
    let ours: Vec<_> = Method::ALL.iter().map(|method| format!("'{}'", method.name())).collect();
    assert_eq!(names.to_str().unwrap(), ours.join(", "));
    assert_eq!(Method::Kl.max_order(), 8);
}

#[test]
fn errors_are_the_sentences_of_the_library() {
    let refused = |result: Result<Vec<f64>>, sentence: &str| {
        let error = result.expect_err(sentence);
        assert_eq!(error.to_string(), sentence);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    };
    let x = [1.0, 2.0];
    let default = Options::default();
    refused(
        soft_rank(&x, &Options::new(-1.0)),
        "soft_rank: regularization_strength must be positive and finite, got -1; larger is closer to \
         the hard ranks",
    );
    refused(
        spearman_loss(&x, &[1, 2, 3], &default),
        "spearman_loss: targets must have the shape of predictions, [2], got [3]",
    );
    refused(
        soft_topk(&x, &1.0, &default.method(Method::L2)),
        "soft_topk: method must be one of 'sigmoid', 'gaussian', 'laplace', 'cauchy', got 'l2'",
    );
    for result in [
        soft_rank(&x, &default.mask(&[true])),
        soft_rank(&x, &default.offsets(&[0, 3])),
        soft_rank(&x, &default.offsets(&[])),
        soft_rank(View::from(&1.0), &default),
        soft_rank_gradient(&x, &[1.0], &default),
        soft_rank_derivative(&x, &[View::from(&x); 40], &default),
        soft_count(&Points::new(&x, &x).order(99), &default),
        soft_count(&Points::new(&x, &x).point_offsets(&[0, 2]), &default),
    ] {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let loss = SpearmanLoss::with_hard_targets(&x, &x, &default).unwrap();
    assert!(loss.gradient_of_targets(&[1.0]).is_err());
    assert!(loss.gradient(&[1.0, 2.0]).is_err());
    let sorted = SoftSort::new(&x, &default).unwrap();
    assert!(sorted.gradient(&[1.0]).is_err());
}
