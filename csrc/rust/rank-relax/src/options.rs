use std::ffi::CStr;
use std::thread;

use rank_relax_sys as sys;

use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::spread::{run_loop, Loop, Spread, Threads};
use crate::version::check_library;
use crate::view::View;

/// What soft ranks are made with: a smooth CDF, or a projection onto the permutahedron.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    #[default]
    Sigmoid,
    Gaussian,
    Laplace,
    Cauchy,
    L2,
    Kl,
}

impl Method {
    pub const ALL: [Self; 6] =
        [Self::Sigmoid, Self::Gaussian, Self::Laplace, Self::Cauchy, Self::L2, Self::Kl];

    /// As all doors of the library call it.
    pub fn name(self) -> &'static str {
        self.c_name().to_str().expect("ASCII")
    }

    fn c_name(self) -> &'static CStr {
        match self {
            Self::Sigmoid => c"sigmoid",
            Self::Gaussian => c"gaussian",
            Self::Laplace => c"laplace",
            Self::Cauchy => c"cauchy",
            Self::L2 => c"l2",
            Self::Kl => c"kl",
        }
    }

    /// A projection has ranks and sorts, but no quantiles, top-k masks and counts.
    pub fn is_projection(self) -> bool {
        matches!(self, Self::L2 | Self::Kl)
    }

    /// How many times soft ranks can be differentiated.
    pub fn max_order(self) -> usize {
        // SAFETY: a string that ends.
        let order = unsafe { sys::rank_relax_max_order(self.c_name().as_ptr()) };
        usize::try_from(order).expect("every method here is one of the library's")
    }
}

/// The options that all functions share.
///
/// ```
/// use rank_relax::{soft_rank, Method, Options};
///
/// let options = Options::new(2.0).method(Method::Gaussian).mask(&[true, true, false]);
/// let ranks = soft_rank(&[0.0, 10.0, f64::NAN], &options)?;
/// assert_eq!(ranks, [0.0, 1.0, 0.0]);
/// # Ok::<(), rank_relax::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Options<'a> {
    regularization_strength: f64,
    method: Method,
    mask: Option<View<'a, bool>>,
    offsets: Option<&'a [i64]>,
    threads: usize,
    spread: Option<&'a dyn Spread>,
}

impl Default for Options<'_> {
    /// Strength 1, [`Method::Sigmoid`], everything counts, on the calling thread.
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl<'a> Options<'a> {
    /// A strength above 0, in 1/units of the values: larger is nearer to hard ranks.
    pub fn new(regularization_strength: f64) -> Self {
        Self {
            regularization_strength,
            method: Method::default(),
            mask: None,
            offsets: None,
            threads: 1,
            spread: None,
        }
    }

    pub fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// Of the shape of the values, true where an item counts.
    pub fn mask(self, mask: impl Into<View<'a, bool>>) -> Self {
        let mask = Some(mask.into());
        Self { mask, ..self }
    }

    /// Lists of any lengths: list l of flat values is the items from `offsets[l]` on, before
    /// `offsets[l + 1]`.
    ///
    /// ```
    /// use rank_relax::{soft_rank, Options};
    ///
    /// let ranks = soft_rank(&[5.0, 7.0, 3.0, 1.0, 2.0], &Options::new(1e3).offsets(&[0, 2, 5]))?;
    /// assert_eq!(ranks, [0.0, 1.0, 1.0, 0.0, 0.5]);
    /// # Ok::<(), rank_relax::Error>(())
    /// ```
    pub fn offsets(self, offsets: &'a [i64]) -> Self {
        let offsets = Some(offsets);
        Self { offsets, ..self }
    }

    /// So many threads, started for the call; 0: as many as there are processors.
    pub fn threads(self, threads: usize) -> Self {
        let spread = None;
        Self { threads, spread, ..self }
    }

    /// The threads of a pool of the program's.
    pub fn spread(self, spread: &'a dyn Spread) -> Self {
        let spread = Some(spread);
        Self { spread, ..self }
    }

    pub fn has_mask(&self) -> bool {
        self.mask.is_some()
    }

    pub fn has_offsets(&self) -> bool {
        self.offsets.is_some()
    }

    pub(crate) fn of_method(&self) -> Method {
        self.method
    }

    pub(crate) fn of_mask(&self) -> Option<View<'a, bool>> {
        self.mask
    }

    pub(crate) fn of_offsets(&self) -> Option<&'a [i64]> {
        self.offsets
    }

    /// Of the lists of other values.
    pub(crate) fn lists_of(self, offsets: Option<&'a [i64]>) -> Self {
        Self { mask: None, offsets, ..self }
    }

    /// [...], or [L] with offsets: the shape of what there is one of for each list of values.
    pub(crate) fn shape_of_lists(&self, values: Shape) -> Shape {
        self.offsets.map_or_else(
            || values.batch(),
            |ends| Shape::of(&[ends.len().saturating_sub(1)]).expect("no longer than the offsets"),
        )
    }

    /// Calls a function of the library with these options.
    pub(crate) fn call(
        &self,
        function: impl FnOnce(&sys::rank_relax_options) -> sys::rank_relax_status,
    ) -> Result<()> {
        check_library()?;
        let mask = self.mask.as_ref().map(View::tensor);
        let ends = self.offsets.map(View::from);
        let offsets = ends.as_ref().map(View::tensor);
        let threads = Threads(self.number_of_threads());
        let spread = self.spread.unwrap_or(&threads);
        let work = (self.spread.is_some() || threads.0 > 1).then(|| Loop::new(spread));
        let mut options = sys::rank_relax_options {
            regularization_strength: self.regularization_strength,
            method: self.method.c_name().as_ptr(),
            mask: pointer(mask.as_ref()),
            offsets: pointer(offsets.as_ref()),
            ..sys::RANK_RELAX_OPTIONS
        };
        if let Some(work) = &work {
            options.parallel_for = Some(run_loop);
            options.parallel_context = work.context();
        }
        let status = function(&options);
        let result = match status {
            sys::RANK_RELAX_OK => Ok(()),
            _ => Err(Error::last(status)),
        };
        if let Some(work) = work {
            work.resume();
        }
        result
    }

    fn number_of_threads(&self) -> usize {
        match self.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

pub(crate) fn pointer<T>(of: Option<&T>) -> *const T {
    of.map_or(std::ptr::null(), std::ptr::from_ref)
}
