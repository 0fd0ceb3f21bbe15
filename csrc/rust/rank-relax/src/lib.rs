//! Differentiable ranks, sorts, quantiles, top-k masks and Spearman's loss, exact to rounding and
//! in time O(n log n), with the derivatives that make them losses to train by.
//!
//! ```
//! use rank_relax::{Options, SpearmanLoss};
//!
//! // Twenty steps down the gradient put five scores in the order of their labels.
//! let labels = [3, 1, 4, 0, 2];
//! let mut scores = [0.0, 0.1, 0.2, 0.3, 0.4];
//! for _ in 0..20 {
//!     let loss = SpearmanLoss::with_hard_targets(&scores, &labels, &Options::new(5.0))?;
//!     let gradient = loss.gradient(&[1.0])?;
//!     for (score, slope) in scores.iter_mut().zip(gradient) {
//!         *score -= 0.1 * slope;
//!     }
//! }
//! let ranks = rank_relax::hard_rank(&scores, false, false, &Options::default())?;
//! assert_eq!(ranks, [3.0, 1.0, 4.0, 0.0, 2.0]);
//! # Ok::<(), rank_relax::Error>(())
//! ```
//!
//! Lists are [`View`]s of `f64`, `f32` or halves: a slice, or the last dimension of borrowed memory
//! at any strides. [`Options`] say how strongly and by which [`Method`], what counts, and on which
//! threads. Results are row-major `Vec`s; an [`Error`] says what is wrong with an argument and
//! comes before any work.
//!
//! Plain functions return values alone; where derivatives need more than the input, a struct of the
//! function's name, such as [`SoftSort`], keeps it.

mod error;
mod item;
mod options;
mod shape;
mod soft_count;
mod soft_quantile;
mod soft_rank;
mod soft_sort;
mod soft_topk;
mod spearman_loss;
mod spread;
mod version;
mod view;

pub use error::{Error, ErrorKind, Result};
pub use item::{Float, Native, Real, BF16, F16};
pub use options::{Method, Options};
pub use shape::MAX_DIMS;
pub use soft_count::{soft_count, soft_count_gradients, CountGradients, Points};
pub use soft_quantile::{soft_quantile, SoftQuantile};
pub use soft_rank::{hard_rank, soft_rank, soft_rank_derivative, soft_rank_gradient};
pub use soft_sort::{soft_sort, SoftSort};
pub use soft_topk::{soft_topk, SoftTopk};
pub use spearman_loss::{spearman_loss, SpearmanLoss};
pub use spread::Spread;
pub use view::View;

/// The page of the repository, whose program is run as the examples here are.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/rust.md")]
struct Page;
