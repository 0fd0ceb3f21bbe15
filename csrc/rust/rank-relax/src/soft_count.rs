use rank_relax_sys as sys;

use crate::error::{Error, Result};
use crate::item::{Float, Native};
use crate::options::{pointer, Options};
use crate::shape::Shape;
use crate::view::{Output, View};

/// Points t `[.., m]` and values x `[.., n]`, of which [`soft_count`] makes a sum for each point.
#[derive(Clone, Copy)]
pub struct Points<'a, T> {
    points: View<'a, T>,
    values: View<'a, T>,
    weights: Option<View<'a, T>>,
    point_offsets: Option<&'a [i64]>,
    keys: Option<[View<'a, i64>; 2]>, // of values and of points
    order: i32,
}

impl<'a, T: Float> Points<'a, T> {
    pub fn new(points: impl Into<View<'a, T>>, values: impl Into<View<'a, T>>) -> Self {
        Self {
            points: points.into(),
            values: values.into(),
            weights: None,
            point_offsets: None,
            keys: None,
            order: 0,
        }
    }

    /// w `[.., K, n]`: there are K sums for each point, `[.., K, m]`.
    pub fn weights(self, weights: impl Into<View<'a, T>>) -> Self {
        let weights = Some(weights.into());
        Self { weights, ..self }
    }

    /// The lists of points, where [`Options::offsets`] are those of values and differ.
    pub fn point_offsets(self, offsets: &'a [i64]) -> Self {
        let point_offsets = Some(offsets);
        Self { point_offsets, ..self }
    }

    /// A point then counts the values of smaller keys alone.
    pub fn keys(
        self,
        of_values: impl Into<View<'a, i64>>,
        of_points: impl Into<View<'a, i64>>,
    ) -> Self {
        let keys = Some([of_values.into(), of_points.into()]);
        Self { keys, ..self }
    }

    /// p: -1 for the integral of F, 0 for F itself, above for its derivatives. See [`soft_count`].
    pub fn order(self, order: i32) -> Self {
        Self { order, ..self }
    }

    fn shape(&self) -> Result<Shape> {
        let points = self.points.shape();
        match self.weights {
            None => Ok(points),
            Some(weights) => {
                points.batch().with(weights.shape().batch().last())?.with(points.last())
            }
        }
    }
}

/// α^p Σ wⱼ K(α (tᵢ - xⱼ)) for each point, where K is F for p = 0, its p-th derivative, or for p = -1
/// its integral from -∞ on, or for cauchy, which has none, that which is 0 at 0: what ranking losses are
/// made of.
///
/// ```
/// use rank_relax::{soft_count, Options, Points};
///
/// let below = soft_count(&Points::new(&[0.5_f64, 2.5], &[0.0, 1.0, 2.0]), &Options::new(100.0))?;
/// assert!((below[0] - 1.0).abs() < 1e-12 && (below[1] - 3.0).abs() < 1e-12);
/// # Ok::<(), rank_relax::Error>(())
/// ```
pub fn soft_count<T: Float>(points: &Points<T>, options: &Options) -> Result<Vec<T>> {
    let ends = points.point_offsets.map(View::from);
    let mut output = Output::new(points.shape()?)?;
    let (t, x) = (points.points.tensor(), points.values.tensor());
    let weights = points.weights.as_ref().map(View::tensor);
    let point_offsets = ends.as_ref().map(View::tensor);
    let keys = points.keys.as_ref().map(|keys| [keys[0].tensor(), keys[1].tensor()]);
    let given = sys::rank_relax_points {
        struct_size: size_of::<sys::rank_relax_points>(),
        points: &t,
        values: &x,
        weights: pointer(weights.as_ref()),
        point_offsets: pointer(point_offsets.as_ref()),
        value_keys: pointer(keys.as_ref().map(|keys| &keys[0])),
        point_keys: pointer(keys.as_ref().map(|keys| &keys[1])),
        order: i64::from(points.order),
    };
    let to = output.tensor();
    options.call(|options| unsafe { sys::rank_relax_soft_count(&given, options, &to) })?;
    Ok(output.into_items())
}

/// What [`soft_count_gradients`] returns, each of the shape of what it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct CountGradients<T> {
    pub points: Vec<T>,
    pub values: Vec<T>,
    /// `[.., n]` where no weights are given.
    pub weights: Vec<T>,
}

/// The gradients of Σ `grad` · [`soft_count`]. With S_p\[w\](t; x) for the sums of order p,
///
/// - by t: S_(p+1)\[w\](t; x) at each point;
/// - by w: S_p\[grad\](-x; -t), points and values exchanged, and both keys in the opposite order;
/// - by xⱼ: -wⱼ S_(p+1)\[grad\](-x; -t).
pub fn soft_count_gradients<T: Native>(
    points: &Points<T>,
    grad: &[T],
    options: &Options,
) -> Result<CountGradients<T>> {
    let grad_shape = points.shape()?;
    View::of_shape(grad, grad_shape)?;
    let (values, places) = (points.values.shape(), points.points.shape());
    let sets = points.weights.map_or(1, |weights| weights.shape().batch().last());

    let slopes = soft_count(&points.order(next(points.order)?), options)?;
    if grad.is_empty() || values.numel() == 0 {
        let zeros = |shape| Ok(Output::new(shape)?.into_items());
        let of_weights = points.weights.map_or(values, |weights| weights.shape());
        return Ok(CountGradients {
            points: zeros(places)?,
            values: zeros(values)?,
            weights: zeros(of_weights)?,
        });
    }
    let products: Vec<f64> = product(grad, &slopes).collect();

    let by_set = places.batch().with(sets)?.with(places.last())?;
    let (minus_x, minus_t) = (negated(points.values)?, negated(points.points)?);
    let opposite = match points.keys {
        Some([of_values, of_points]) => Some([opposite(of_points)?, opposite(of_values)?]),
        None => None,
    };
    let mut exchanged = Points {
        points: View::of_shape(&minus_x, values)?,
        values: View::of_shape(&minus_t, places)?,
        weights: Some(View::of_shape(grad, by_set)?),
        point_offsets: options.of_offsets(),
        keys: None,
        order: points.order,
    };
    if let Some([of_points, of_values]) = &opposite {
        exchanged.keys =
            Some([View::of_shape(of_points, places)?, View::of_shape(of_values, values)?]);
    }
    let all = options.lists_of(points.point_offsets.or(options.of_offsets()));
    let mut by_weights = soft_count(&exchanged, &all)?;
    let slopes = soft_count(&exchanged.order(next(points.order)?), &all)?;
    let mut by_values: Vec<f64> = match points.weights {
        Some(weights) => product(&weights.to_vec()?, &slopes).map(|of| -of).collect(),
        None => slopes.iter().map(|of| -of.to_f64()).collect(),
    };
    if let Some(mask) = options.of_mask() {
        let mask = mask.to_vec()?;
        clear_masked(&mask, values.last(), sets, &mut by_values);
        clear_masked(&mask, values.last(), sets, &mut by_weights);
    }
    Ok(CountGradients {
        points: summed_over_sets(&products, sets, places),
        values: summed_over_sets(&by_values, sets, values),
        weights: by_weights,
    })
}

fn next(order: i32) -> Result<i32> {
    let too_high = || Error::invalid(format!("order must be a small number, got {order}"));
    order.checked_add(1).ok_or_else(too_high)
}

fn product<'a, T: Native>(a: &'a [T], b: &'a [T]) -> impl Iterator<Item = f64> + 'a {
    a.iter().zip(b).map(|(a, b)| a.to_f64() * b.to_f64())
}

fn negated<T: Native>(view: View<T>) -> Result<Vec<T>> {
    let items = view.to_vec()?.into_iter();
    Ok(items.map(|item| T::from_f64(-item.to_f64())).collect())
}

fn opposite(keys: View<i64>) -> Result<Vec<i64>> {
    Ok(keys.to_vec()?.into_iter().map(|key| !key).collect())
}

/// Of [.., K, size].
fn clear_masked<T: Default>(mask: &[bool], size: usize, sets: usize, items: &mut [T]) {
    if size == 0 || sets == 0 {
        return;
    }
    for (of_list, lists) in mask.chunks(size).zip(items.chunks_mut(size * sets)) {
        for list in lists.chunks_mut(size) {
            for (item, counts) in list.iter_mut().zip(of_list) {
                if !counts {
                    *item = T::default();
                }
            }
        }
    }
}

/// [.., K, size] to what is of `shape`, [.., size].
fn summed_over_sets<T: Native>(items: &[f64], sets: usize, shape: Shape) -> Vec<T> {
    let mut sums = vec![0.0; shape.numel()];
    let size = shape.last();
    if size > 0 && sets > 0 {
        for (sums, list) in sums.chunks_mut(size).zip(items.chunks(size * sets)) {
            for (i, item) in list.iter().enumerate() {
                sums[i % size] += item;
            }
        }
    }
    sums.into_iter().map(T::from_f64).collect()
}
