use rank_relax_sys as sys;

use crate::error::Result;
use crate::item::Float;
use crate::options::Options;
use crate::view::{Output, View};

/// A soft mask of the k largest items of each list, that adds up to k: `&2.0` for all lists, or a view
/// of one k for each.
///
/// ```
/// use rank_relax::{soft_topk, Options};
///
/// let chosen = soft_topk(&[0.5_f64, 3.0, -1.0, 2.0], &2.0, &Options::new(100.0))?;
/// assert!((chosen[1] + chosen[3] - 2.0).abs() < 1e-12);
/// # Ok::<(), rank_relax::Error>(())
/// ```
pub fn soft_topk<'a, T: Float>(
    input: impl Into<View<'a, T>>,
    k: impl Into<View<'a, f64>>,
    options: &Options,
) -> Result<Vec<T>> {
    let (input, k) = (input.into(), k.into());
    let mut chosen = Output::new(input.shape())?;
    let (x, number, to) = (input.tensor(), k.tensor(), chosen.tensor());
    let none = std::ptr::null();
    options
        .call(|options| unsafe { sys::rank_relax_soft_topk(&x, &number, options, &to, none) })?;
    Ok(chosen.into_items())
}

/// A soft mask with what the product with its Jacobian needs.
pub struct SoftTopk<'a, T: Float> {
    chosen: Vec<T>,
    input: View<'a, T>,
    densities: Vec<f64>,
    options: Options<'a>,
}

impl<'a, T: Float> SoftTopk<'a, T> {
    /// See [`soft_topk`].
    pub fn new<'b>(
        input: impl Into<View<'a, T>>,
        k: impl Into<View<'b, f64>>,
        options: &Options<'a>,
    ) -> Result<Self> {
        let (input, k) = (input.into(), k.into());
        let mut chosen = Output::new(input.shape())?;
        let mut densities = Output::new(input.shape())?;
        let (x, number) = (input.tensor(), k.tensor());
        let (to, d) = (chosen.tensor(), densities.tensor());
        options
            .call(|options| unsafe { sys::rank_relax_soft_topk(&x, &number, options, &to, &d) })?;
        Ok(Self {
            chosen: chosen.into_items(),
            input,
            densities: densities.into_items(),
            options: *options,
        })
    }

    pub fn chosen(&self) -> &[T] {
        &self.chosen
    }

    /// The gradient with respect to the input of Σ `grad_chosen` · chosen. The Jacobian is symmetric:
    /// the tangent along a direction is the same product.
    pub fn gradient<'b>(&self, grad_chosen: impl Into<View<'b, T>>) -> Result<Vec<T>> {
        let vector = grad_chosen.into();
        let densities = View::of_shape(&self.densities, self.input.shape())?;
        let mut output = Output::new(self.input.shape())?;
        let (v, d, to) = (vector.tensor(), densities.tensor(), output.tensor());
        self.options
            .call(|options| unsafe { sys::rank_relax_soft_topk_product(&v, &d, options, &to) })?;
        Ok(output.into_items())
    }
}
