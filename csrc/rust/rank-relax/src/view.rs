use std::ffi::c_void;
use std::slice;

use rank_relax_sys as sys;

use crate::error::{Error, Result};
use crate::item::Real;
use crate::shape::{Shape, DIMS};

/// Lists in borrowed memory, at any strides: the last dimension is the list, the others are the
/// batch. A view reads nothing outside its slice.
///
/// A slice, an array and a `Vec` are one list without further ado.
///
/// ```
/// use rank_relax::{soft_rank, Options, View};
///
/// let table = [3.0, 30.0, 1.0, 10.0, 2.0, 20.0]; // three rows of two columns
/// let columns = View::strided(&table, 0, &[2, 3], &[1, 2])?;
/// let ranks = soft_rank(columns, &Options::new(100.0))?;
/// assert_eq!(ranks, [1.0, 0.0, 0.5, 1.0, 0.0, 0.5]);
/// # Ok::<(), rank_relax::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    data: &'a [T],
    first: usize,
    shape: Shape,
    strides: [i64; DIMS],
}

impl<'a, T: Copy> View<'a, T> {
    /// All of a slice, row-major.
    pub fn new(data: &'a [T], shape: &[usize]) -> Result<Self> {
        Self::of_shape(data, Shape::of(shape)?)
    }

    pub(crate) fn of_shape(data: &'a [T], shape: Shape) -> Result<Self> {
        if data.len() != shape.numel() {
            return Err(Error::invalid(format!(
                "shape {:?} must be of as many items as there are, {}",
                shape.sizes(),
                data.len()
            )));
        }
        let mut strides = [0; DIMS];
        let mut next = 1;
        for (stride, &size) in strides.iter_mut().zip(shape.sizes()).rev() {
            *stride = next;
            next *= size.max(1);
        }
        Ok(Self { data, first: 0, shape, strides })
    }

    /// The item at `[i, j, ..]` is `data[first + i strides[0] + j strides[1] + ..]`. Strides may be
    /// 0, which repeats items, and negative.
    pub fn strided(
        data: &'a [T],
        first: usize,
        shape: &[usize],
        strides: &[isize],
    ) -> Result<Self> {
        let outside = || {
            Error::invalid(format!(
                "shape {shape:?} at strides {strides:?} from {first} on must lie within the {} items \
                 of the slice",
                data.len()
            ))
        };
        if shape.len() != strides.len() {
            return Err(Error::invalid(format!(
                "strides must be as many as the sizes of {shape:?}, got {strides:?}"
            )));
        }
        let of_shape = Shape::of(shape)?;
        let mut view = Self { data, first: 0, shape: of_shape, strides: [0; DIMS] };
        for (to, &stride) in view.strides.iter_mut().zip(strides) {
            *to = i64::try_from(stride).map_err(|_| outside())?;
        }
        if of_shape.numel() == 0 {
            return Ok(view); // of nothing, wherever it is
        }
        // In i128 no product or sum of these can overflow.
        let (mut least, mut most) = (first as i128, first as i128);
        for (&size, &stride) in of_shape.sizes().iter().zip(&view.strides) {
            let reach = i128::from(size - 1) * i128::from(stride);
            least += reach.min(0);
            most += reach.max(0);
        }
        if least < 0 || most >= data.len() as i128 {
            return Err(outside());
        }
        view.first = first;
        Ok(view)
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// A list as each of so many.
    pub(crate) fn repeated(mut self, lists: Shape) -> Result<Self> {
        let dims = lists.sizes().len();
        if self.shape.sizes().len() == 1 && dims > 0 {
            let last = self.strides[0];
            self.shape = lists.with(self.shape.last())?;
            self.strides = [0; DIMS];
            self.strides[dims] = last;
        }
        Ok(self)
    }

    /// The items in row-major order.
    pub(crate) fn to_vec(self) -> Result<Vec<T>> {
        let sizes = self.shape.sizes();
        let mut place = [0; DIMS];
        let mut items = room_for(self.shape.numel())?;
        for _ in 0..self.shape.numel() {
            let offset: i64 = place.iter().zip(&self.strides).map(|(i, s)| i * s).sum();
            items.push(self.data[(self.first as i64 + offset) as usize]);
            for (at, &size) in place[..sizes.len()].iter_mut().zip(sizes).rev() {
                *at += 1;
                if *at < size {
                    break;
                }
                *at = 0;
            }
        }
        Ok(items)
    }
}

impl<T: Real> View<'_, T> {
    /// What the library reads, for as long as this view stays where it is.
    pub(crate) fn tensor(&self) -> sys::rank_relax_tensor {
        // With the provenance of the whole slice: strides may go back from the first item.
        let data = self.data.as_ptr().wrapping_add(self.first);
        sys::rank_relax_tensor {
            strides: self.strides.as_ptr().cast_mut(),
            ..tensor_of::<T>(data.cast_mut(), &self.shape)
        }
    }
}

impl<'a, T: Copy> From<&'a [T]> for View<'a, T> {
    fn from(list: &'a [T]) -> Self {
        Self::new(list, &[list.len()]).expect("a slice is a list")
    }
}

impl<'a, T: Copy, const N: usize> From<&'a [T; N]> for View<'a, T> {
    fn from(list: &'a [T; N]) -> Self {
        list.as_slice().into()
    }
}

impl<'a, T: Copy> From<&'a Vec<T>> for View<'a, T> {
    fn from(list: &'a Vec<T>) -> Self {
        list.as_slice().into()
    }
}

/// A number for all lists, such as the k of [`soft_topk`](crate::soft_topk).
impl<'a> From<&'a f64> for View<'a, f64> {
    fn from(number: &'a f64) -> Self {
        Self::new(slice::from_ref(number), &[]).expect("a number has no dimensions")
    }
}

/// Memory for a result, row-major.
pub(crate) struct Output<T> {
    items: Vec<T>,
    shape: Shape,
}

impl<T: Real> Output<T> {
    pub fn new(shape: Shape) -> Result<Self> {
        let mut items = room_for(shape.numel())?;
        items.resize(shape.numel(), T::default());
        Ok(Self { items, shape })
    }

    /// What the library writes, for as long as this stays where it is.
    pub fn tensor(&mut self) -> sys::rank_relax_tensor {
        tensor_of::<T>(self.items.as_mut_ptr(), &self.shape)
    }

    pub fn into_items(self) -> Vec<T> {
        self.items
    }
}

/// A view of stride 0 can ask for more than there is.
fn room_for<T>(count: usize) -> Result<Vec<T>> {
    let mut items = Vec::new();
    items.try_reserve_exact(count).map_err(|_| Error::out_of_memory())?;
    Ok(items)
}

fn tensor_of<T: Real>(data: *mut T, shape: &Shape) -> sys::rank_relax_tensor {
    sys::rank_relax_tensor {
        data: data.cast::<c_void>(),
        device: sys::rank_relax_device { type_: 1, id: 0 },
        ndim: shape.sizes().len() as i32,
        dtype: sys::rank_relax_dtype { code: T::CODE, bits: T::BITS, lanes: 1 },
        shape: shape.sizes().as_ptr().cast_mut(),
        strides: std::ptr::null_mut(),
        byte_offset: 0,
    }
}
