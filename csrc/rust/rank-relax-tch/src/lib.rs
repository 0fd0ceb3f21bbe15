//! The operators of rank_relax on [`tch::Tensor`]s: through torch's dispatcher, so that autograd,
//! autocast and every device are as in Python.
//!
//! The operators are in a library that belongs to the installed Python package; no Python runs.
//! [`load`] it once. It is compiled for one minor version of torch, which must be the libtorch of
//! tch.
//!
//! ```no_run
//! use tch::{Kind, Tensor};
//!
//! // SAFETY: the library that pip installed, built for the libtorch of tch.
//! unsafe { rank_relax_tch::load("…/site-packages/rank_relax/_C.abi3.so")? };
//! let scores = Tensor::from_slice(&[0.1f32, 0.9, 0.4]).set_requires_grad(true);
//! let labels = Tensor::from_slice(&[1.0f32, 3.0, 2.0]);
//! let loss = rank_relax_tch::spearman_loss(&scores, &labels, 1.0, "sigmoid", "hard")?;
//! loss.sum(Kind::Float).backward();
//! println!("{:?}", scores.grad());
//! # Ok::<(), rank_relax_tch::Error>(())
//! ```

mod dispatch;

use std::ffi::{CStr, CString};
use std::fmt;
use std::path::Path;

use tch::Tensor;

use dispatch::{Argument, Text};

/// What torch, or the loader, said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Loads the library of the operators: `rank_relax/_C.abi3.so`. It stays for good.
///
/// # Safety
///
/// The loader runs code of whatever file that is. It must be rank_relax's, compiled for the minor
/// version of torch that this program is linked with.
pub unsafe fn load(library: impl AsRef<Path>) -> Result<(), Error> {
    let path = library.as_ref().as_os_str().as_encoded_bytes();
    let path = CString::new(path).map_err(|error| Error(error.to_string()))?;
    // SAFETY: as the caller has it.
    unsafe { dispatch::load(&path).map_err(Error) }
}

/// `torch.ops.rank_relax.soft_rank`: ranks in [0, 1] along the last dimension, with autograd.
pub fn soft_rank(
    input: &Tensor,
    regularization_strength: f64,
    method: &str,
) -> Result<Tensor, Error> {
    let arguments = [
        tensor(input),
        Argument::Float(regularization_strength),
        text(method)?,
        Argument::Nothing, // the mask
    ];
    call(c"rank_relax::soft_rank", arguments)
}

/// `torch.ops.rank_relax.spearman_loss`, one loss for each list, with autograd. `target_ranks` are
/// `"hard"` or `"soft"`.
pub fn spearman_loss(
    predictions: &Tensor,
    targets: &Tensor,
    regularization_strength: f64,
    method: &str,
    target_ranks: &str,
) -> Result<Tensor, Error> {
    let arguments = [
        tensor(predictions),
        tensor(targets),
        Argument::Float(regularization_strength),
        text(method)?,
        Argument::Nothing, // the mask
        text(target_ranks)?,
    ];
    call(c"rank_relax::spearman_loss", arguments)
}

/// Another handle of the same tensor.
fn tensor(tensor: &Tensor) -> Argument {
    Argument::Tensor(tensor.shallow_clone())
}

fn text(text: &str) -> Result<Argument, Error> {
    Text::new(text).map(Argument::Text).map_err(Error)
}

fn call<const N: usize>(operator: &CStr, arguments: [Argument; N]) -> Result<Tensor, Error> {
    // SAFETY: arguments in the order and of the types of the operator's schema, and a result that
    // nobody else holds.
    unsafe {
        let result = dispatch::call(operator, arguments).map_err(Error)?;
        Ok(Tensor::from_ptr(result.cast()))
    }
}
