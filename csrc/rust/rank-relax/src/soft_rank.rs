use rank_relax_sys as sys;

use crate::error::Result;
use crate::item::{Float, Real};
use crate::options::Options;
use crate::view::{Output, View};

/// Soft ranks in [0, 1], row-major: 1/(n-1) Σ F(α (xᵢ - xⱼ)) over the other items that count. 0 where
/// masked, NaN where the item is.
///
/// ```
/// use rank_relax::{soft_rank, Options};
///
/// let ranks = soft_rank(&[0.3_f64, 2.0, -1.0], &Options::default())?;
/// assert!((ranks[0] - 0.4702).abs() < 1e-4);
/// # Ok::<(), rank_relax::Error>(())
/// ```
pub fn soft_rank<'a, T: Float>(input: impl Into<View<'a, T>>, options: &Options) -> Result<Vec<T>> {
    let input = input.into();
    let mut ranks = Output::new(input.shape())?;
    let (x, to) = (input.tensor(), ranks.tensor());
    // SAFETY: tensors of a view and an output that live as long as the call, as in all calls below.
    options.call(|options| unsafe { sys::rank_relax_soft_rank(&x, options, &to) })?;
    Ok(ranks.into_items())
}

/// The gradient with respect to the input of Σ `grad_ranks` · ranks. The Jacobian is symmetric: the
/// tangent of the ranks along a direction is the same product.
///
/// ```
/// use rank_relax::{soft_rank_gradient, Options};
///
/// let gradient = soft_rank_gradient(&[0.0, 1.0], &[1.0, 0.0], &Options::default())?;
/// let density = 1f64.exp() / (1.0 + 1f64.exp()).powi(2);
/// assert!((gradient[0] - density).abs() < 1e-15 && (gradient[1] + density).abs() < 1e-15);
/// # Ok::<(), rank_relax::Error>(())
/// ```
pub fn soft_rank_gradient<'a, T: Float>(
    input: impl Into<View<'a, T>>,
    grad_ranks: impl Into<View<'a, T>>,
    options: &Options,
) -> Result<Vec<T>> {
    soft_rank_derivative(input, &[grad_ranks.into()], options)
}

/// The derivative of the ranks along as many directions as are given, each of the shape of the input:
/// at most [`Method::max_order`](crate::Method::max_order). Along none, the rank less one half.
pub fn soft_rank_derivative<'a, T: Float>(
    input: impl Into<View<'a, T>>,
    directions: &[View<'a, T>],
    options: &Options,
) -> Result<Vec<T>> {
    let input = input.into();
    let mut output = Output::new(input.shape())?;
    let (x, to) = (input.tensor(), output.tensor());
    let along: Vec<_> = directions.iter().map(View::tensor).collect();
    let pointers: Vec<_> = along.iter().map(std::ptr::from_ref).collect();
    let order = i32::try_from(pointers.len()).unwrap_or(i32::MAX);
    options.call(|options| unsafe {
        sys::rank_relax_soft_rank_derivative(&x, pointers.as_ptr(), order, options, &to)
    })?;
    Ok(output.into_items())
}

/// What soft ranks tend to: the number of smaller items and half of the other equal ones, over n - 1 if
/// `normalize`. Of larger ones if `descending`. Items are compared as they are, integers and bools too;
/// strength and method have no say.
///
/// ```
/// use rank_relax::{hard_rank, Options};
///
/// let ranks = hard_rank(&[1_u64 << 63, 7, (1 << 63) + 1, 7], false, false, &Options::default())?;
/// assert_eq!(ranks, [2.0, 0.5, 3.0, 0.5]);
/// # Ok::<(), rank_relax::Error>(())
/// ```
pub fn hard_rank<'a, T: Real>(
    input: impl Into<View<'a, T>>,
    descending: bool,
    normalize: bool,
    options: &Options,
) -> Result<Vec<f64>> {
    let input = input.into();
    let mut ranks = Output::new(input.shape())?;
    let (x, to) = (input.tensor(), ranks.tensor());
    options.call(|options| unsafe {
        sys::rank_relax_hard_rank(&x, descending.into(), normalize.into(), options, &to)
    })?;
    Ok(ranks.into_items())
}
