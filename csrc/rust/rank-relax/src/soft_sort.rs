use rank_relax_sys as sys;

use crate::error::Result;
use crate::item::Float;
use crate::options::Options;
use crate::view::{Output, View};

/// Softly sorted values, ascending: the inverse of the smoothed count of the finite items at 1/2, 3/2,
/// ... -inf comes before them, inf and NaN behind, and 0 at the end for masked items.
///
/// ```
/// use rank_relax::{soft_sort, Options};
///
/// let sorted = soft_sort(&[3.0_f64, 1.0, 2.0], &Options::new(1e3))?;
/// assert!((sorted[1] - 2.0).abs() < 1e-2);
/// # Ok::<(), rank_relax::Error>(())
/// ```
pub fn soft_sort<'a, T: Float>(input: impl Into<View<'a, T>>, options: &Options) -> Result<Vec<T>> {
    let input = input.into();
    let mut values = Output::new(input.shape())?;
    let (x, to) = (input.tensor(), values.tensor());
    let none = std::ptr::null();
    options.call(|options| unsafe { sys::rank_relax_soft_sort(&x, options, &to, none, none) })?;
    Ok(values.into_items())
}

/// Sorted values with what products with their Jacobian need.
pub struct SoftSort<'a, T: Float> {
    values: Vec<T>,
    input: View<'a, T>,
    saved: Saved,
    options: Options<'a>,
}

enum Saved {
    PointsAndDensities(Vec<f64>, Vec<f64>),
    PermutationAndBlocks(Vec<i64>, Vec<i32>),
}

impl<'a, T: Float> SoftSort<'a, T> {
    pub fn new(input: impl Into<View<'a, T>>, options: &Options<'a>) -> Result<Self> {
        let input = input.into();
        let mut values = Output::new(input.shape())?;
        let (x, to) = (input.tensor(), values.tensor());
        let saved = if options.of_method().is_projection() {
            let mut permutation = Output::new(input.shape())?;
            let mut blocks = Output::new(input.shape())?;
            let (p, b) = (permutation.tensor(), blocks.tensor());
            options
                .call(|options| unsafe { sys::rank_relax_soft_sort(&x, options, &to, &p, &b) })?;
            Saved::PermutationAndBlocks(permutation.into_items(), blocks.into_items())
        } else {
            let mut points = Output::new(input.shape())?;
            let mut densities = Output::new(input.shape())?;
            let (p, d) = (points.tensor(), densities.tensor());
            options
                .call(|options| unsafe { sys::rank_relax_soft_sort(&x, options, &to, &p, &d) })?;
            Saved::PointsAndDensities(points.into_items(), densities.into_items())
        };
        Ok(Self { values: values.into_items(), input, saved, options: *options })
    }

    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The gradient with respect to the input of Σ `grad_values` · values.
    pub fn gradient<'b>(&self, grad_values: impl Into<View<'b, T>>) -> Result<Vec<T>> {
        self.product(grad_values.into(), true)
    }

    /// The derivative of the values along a direction, of the shape of the input.
    pub fn tangent<'b>(&self, direction: impl Into<View<'b, T>>) -> Result<Vec<T>> {
        self.product(direction.into(), false)
    }

    fn product(&self, vector: View<'_, T>, transposed: bool) -> Result<Vec<T>> {
        let shape = self.input.shape();
        let mut output = Output::new(shape)?;
        let (v, x, to) = (vector.tensor(), self.input.tensor(), output.tensor());
        let transposed = transposed.into();
        match &self.saved {
            Saved::PointsAndDensities(points, densities) => {
                let points = View::of_shape(points, shape)?;
                let densities = View::of_shape(densities, shape)?;
                let (p, d) = (points.tensor(), densities.tensor());
                self.options.call(|options| unsafe {
                    sys::rank_relax_soft_sort_product(&v, &x, &p, &d, transposed, options, &to)
                })?;
            }
            Saved::PermutationAndBlocks(permutation, blocks) => {
                let permutation = View::of_shape(permutation, shape)?;
                let blocks = View::of_shape(blocks, shape)?;
                let (p, b) = (permutation.tensor(), blocks.tensor());
                self.options.call(|options| unsafe {
                    sys::rank_relax_soft_sort_product(&v, &x, &p, &b, transposed, options, &to)
                })?;
            }
        }
        Ok(output.into_items())
    }
}
