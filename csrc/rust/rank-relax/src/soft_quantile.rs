use rank_relax_sys as sys;

use crate::error::Result;
use crate::item::Float;
use crate::options::Options;
use crate::shape::Shape;
use crate::view::{Output, View};

/// Soft quantiles: where the smoothed count of the n items that count is q (n - 1) + 1/2. `q` is
/// `[m]`, the same for each list, or `[.., m]`; the quantiles are `[.., m]`, row-major.
///
/// ```
/// use rank_relax::{soft_quantile, Options};
///
/// let median = soft_quantile(&[5.0, 1.0, 3.0], &[0.5], &Options::new(1.0))?;
/// assert!((median[0] - 3.0).abs() < 1e-12);
/// # Ok::<(), rank_relax::Error>(())
/// ```
pub fn soft_quantile<'a, T: Float>(
    input: impl Into<View<'a, T>>,
    q: impl Into<View<'a, f64>>,
    options: &Options,
) -> Result<Vec<f64>> {
    let input = input.into();
    let q = q.into().repeated(options.shape_of_lists(input.shape()))?;
    let mut quantiles = Output::new(q.shape())?;
    let (x, levels, to) = (input.tensor(), q.tensor(), quantiles.tensor());
    let none = std::ptr::null();
    options.call(|options| unsafe {
        sys::rank_relax_soft_quantile(&x, &levels, options, &to, none, none)
    })?;
    Ok(quantiles.into_items())
}

/// Quantiles with what products with their Jacobian need.
pub struct SoftQuantile<'a, T: Float> {
    quantiles: Vec<f64>,
    input: View<'a, T>,
    levels: Shape,
    points: Vec<f64>,
    densities: Vec<f64>,
    options: Options<'a>,
}

impl<'a, T: Float> SoftQuantile<'a, T> {
    /// See [`soft_quantile`].
    pub fn new<'b>(
        input: impl Into<View<'a, T>>,
        q: impl Into<View<'b, f64>>,
        options: &Options<'a>,
    ) -> Result<Self> {
        let input = input.into();
        let q = q.into().repeated(options.shape_of_lists(input.shape()))?;
        let mut quantiles = Output::new(q.shape())?;
        let mut points = Output::new(q.shape())?;
        let mut densities = Output::new(q.shape())?;
        let (x, levels) = (input.tensor(), q.tensor());
        let (to, p, d) = (quantiles.tensor(), points.tensor(), densities.tensor());
        options.call(|options| unsafe {
            sys::rank_relax_soft_quantile(&x, &levels, options, &to, &p, &d)
        })?;
        Ok(Self {
            quantiles: quantiles.into_items(),
            input,
            levels: q.shape(),
            points: points.into_items(),
            densities: densities.into_items(),
            options: *options,
        })
    }

    pub fn quantiles(&self) -> &[f64] {
        &self.quantiles
    }

    /// The gradient with respect to the input of Σ `grad_quantiles` · quantiles.
    pub fn gradient(&self, grad_quantiles: &[f64]) -> Result<Vec<T>> {
        let grad = View::of_shape(grad_quantiles, self.levels)?;
        self.product(grad.tensor(), Output::new(self.input.shape())?, true)
    }

    /// The derivative of the quantiles along a direction, of the shape of the input.
    pub fn tangent<'b>(&self, direction: impl Into<View<'b, T>>) -> Result<Vec<f64>> {
        let direction = direction.into();
        self.product(direction.tensor(), Output::new(self.levels)?, false)
    }

    fn product<U: crate::Real>(
        &self,
        vector: sys::rank_relax_tensor,
        mut output: Output<U>,
        transposed: bool,
    ) -> Result<Vec<U>> {
        let points = View::of_shape(&self.points, self.levels)?;
        let densities = View::of_shape(&self.densities, self.levels)?;
        let (x, p, d) = (self.input.tensor(), points.tensor(), densities.tensor());
        let to = output.tensor();
        let transposed = transposed.into();
        self.options.call(|options| unsafe {
            sys::rank_relax_soft_quantile_product(&vector, &x, &p, &d, transposed, options, &to)
        })?;
        Ok(output.into_items())
    }
}
