use rank_relax_sys as sys;

use crate::error::{Error, Result};
use crate::item::{Float, Real};
use crate::options::Options;
use crate::shape::Shape;
use crate::view::{Output, View};

/// 1 - the correlation of the soft ranks of the predictions with the hard ranks of the targets, for
/// each list. Targets are of any real type.
///
/// ```
/// use rank_relax::{spearman_loss, Options};
///
/// let losses = spearman_loss(&[0.1_f64, 0.9, 0.4], &[1, 3, 2], &Options::new(100.0))?;
/// assert!(losses[0].abs() < 1e-12);
/// # Ok::<(), rank_relax::Error>(())
/// ```
pub fn spearman_loss<'a, T: Float, U: Real>(
    predictions: impl Into<View<'a, T>>,
    targets: impl Into<View<'a, U>>,
    options: &Options,
) -> Result<Vec<T>> {
    let (predictions, targets) = (predictions.into(), targets.into());
    let mut losses = Output::new(options.shape_of_lists(predictions.shape()))?;
    let (p, t, to) = (predictions.tensor(), targets.tensor(), losses.tensor());
    let none = std::ptr::null();
    options.call(|options| unsafe {
        sys::rank_relax_spearman_loss(&p, &t, c"hard".as_ptr(), options, &to, none, none)
    })?;
    Ok(losses.into_items())
}

/// Spearman's loss with what its gradient needs.
///
/// ```
/// use rank_relax::{Options, SpearmanLoss};
///
/// let (predictions, targets) = ([0.1, 0.9, 0.4], [1.0, 2.0, 3.0]);
/// let loss = SpearmanLoss::with_hard_targets(&predictions, &targets, &Options::new(3.0))?;
/// let gradient = loss.gradient(&[1.0])?;
/// assert!(gradient[2] < 0.0); // the last prediction should be larger
/// # Ok::<(), rank_relax::Error>(())
/// ```
pub struct SpearmanLoss<'a, T: Float> {
    losses: Vec<T>,
    predictions: Ranked<'a, T>,
    targets: Option<Ranked<'a, T>>,
    options: Options<'a>,
}

/// Values and the gradient of their list's loss with respect to their ranks.
struct Ranked<'a, T: Float> {
    values: View<'a, T>,
    rank_gradient: Vec<T::Statistics>,
}

impl<'a, T: Float> SpearmanLoss<'a, T> {
    /// Against the hard ranks of targets of any real type.
    pub fn with_hard_targets<U: Real>(
        predictions: impl Into<View<'a, T>>,
        targets: impl Into<View<'a, U>>,
        options: &Options<'a>,
    ) -> Result<Self> {
        let (predictions, targets) = (predictions.into(), targets.into());
        let mut losses = Output::new(options.shape_of_lists(predictions.shape()))?;
        let mut slopes = Output::new(predictions.shape())?;
        let (p, t) = (predictions.tensor(), targets.tensor());
        let (to, to_slopes) = (losses.tensor(), slopes.tensor());
        options.call(|options| unsafe {
            let (hard, none) = (c"hard".as_ptr(), std::ptr::null());
            sys::rank_relax_spearman_loss(&p, &t, hard, options, &to, &to_slopes, none)
        })?;
        Ok(Self {
            losses: losses.into_items(),
            predictions: Ranked::new(predictions, slopes),
            targets: None,
            options: *options,
        })
    }

    /// Against the soft ranks of the targets, at the same strength: the loss is symmetric.
    pub fn with_soft_targets(
        predictions: impl Into<View<'a, T>>,
        targets: impl Into<View<'a, T>>,
        options: &Options<'a>,
    ) -> Result<Self> {
        let (predictions, targets) = (predictions.into(), targets.into());
        let mut losses = Output::new(options.shape_of_lists(predictions.shape()))?;
        let mut slopes = Output::new(predictions.shape())?;
        let mut of_targets = Output::new(predictions.shape())?;
        let (p, t) = (predictions.tensor(), targets.tensor());
        let to = (losses.tensor(), slopes.tensor(), of_targets.tensor());
        options.call(|options| unsafe {
            let soft = c"soft".as_ptr();
            sys::rank_relax_spearman_loss(&p, &t, soft, options, &to.0, &to.1, &to.2)
        })?;
        Ok(Self {
            losses: losses.into_items(),
            predictions: Ranked::new(predictions, slopes),
            targets: Some(Ranked::new(targets, of_targets)),
            options: *options,
        })
    }

    /// One for each list.
    pub fn losses(&self) -> &[T] {
        &self.losses
    }

    /// The gradient with respect to the predictions of Σ `grad_losses` · losses.
    pub fn gradient(&self, grad_losses: &[T]) -> Result<Vec<T>> {
        self.backward(&self.predictions, grad_losses)
    }

    /// The same with respect to the targets, which must be soft.
    pub fn gradient_of_targets(&self, grad_losses: &[T]) -> Result<Vec<T>> {
        let targets = self.targets.as_ref().ok_or_else(|| {
            Error::invalid(
                "targets of hard ranks have no gradient; use SpearmanLoss::with_soft_targets"
                    .to_owned(),
            )
        })?;
        self.backward(targets, grad_losses)
    }

    fn backward(&self, of: &Ranked<'a, T>, grad_losses: &[T]) -> Result<Vec<T>> {
        let shape: Shape = of.values.shape();
        let grad = View::of_shape(grad_losses, self.options.shape_of_lists(shape))?;
        let slopes = View::of_shape(&of.rank_gradient, shape)?;
        let mut gradient = Output::new(shape)?;
        let (g, x, s) = (grad.tensor(), of.values.tensor(), slopes.tensor());
        let to = gradient.tensor();
        self.options.call(|options| unsafe {
            sys::rank_relax_spearman_loss_backward(&g, &x, &s, options, &to)
        })?;
        Ok(gradient.into_items())
    }
}

impl<'a, T: Float> Ranked<'a, T> {
    fn new(values: View<'a, T>, rank_gradient: Output<T::Statistics>) -> Self {
        Self { values, rank_gradient: rank_gradient.into_items() }
    }
}
