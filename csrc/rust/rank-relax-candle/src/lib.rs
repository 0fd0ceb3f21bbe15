//! Soft ranks and Spearman's loss of rank_relax on candle's tensors, with gradients of first order.
//!
//! On the CPU, of `F32` and `F64`, at any strides; of the halves by `to_dtype`. [`Options`] with a mask
//! or offsets are refused.
//!
//! ```
//! use candle_core::{Device, Tensor, Var};
//! use rank_relax_candle::{spearman_loss, Options};
//!
//! let scores = Var::from_slice(&[0.1f32, 0.9, 0.4], 3, &Device::Cpu)?;
//! let labels = Tensor::from_slice(&[2i64, 3, 1], 3, &Device::Cpu)?;
//! let loss = spearman_loss(&scores, &labels, Options::new(1.0))?;
//! let slopes = loss.backward()?.get(&scores).unwrap().to_vec1::<f32>()?;
//! assert!(slopes[0] < 0.0 && slopes[2] > 0.0); // they are in the wrong order
//! # Ok::<(), candle_core::Error>(())
//! ```

mod storage;

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Error, Layout, Result, Shape, Tensor,
};
pub use rank_relax::{Method, Options};

use storage::{each_real, each_value, refused, view, Item};

/// Soft ranks in [0, 1] along the last dimension.
pub fn soft_rank(input: &Tensor, options: Options<'static>) -> Result<Tensor> {
    refuse_parts(&options)?;
    input.apply_op1(SoftRank(options))
}

/// 1 - the correlation of the soft ranks of the predictions with the hard ranks of the targets, for
/// each list along the last dimension. Targets are of `U8`, `U32`, `I64`, `F32` or `F64`, and have no gradient.
pub fn spearman_loss(
    predictions: &Tensor,
    targets: &Tensor,
    options: Options<'static>,
) -> Result<Tensor> {
    refuse_parts(&options)?;
    predictions.apply_op2(targets, SpearmanLoss(options))
}

/// They would be of other tensors than the values are, and results of another shape.
fn refuse_parts(options: &Options) -> Result<()> {
    let refused = |what, instead| {
        Err(Error::msg(format!("rank_relax_candle takes no {what} in the options; {instead}")))
    };
    if options.has_mask() {
        refused("mask", "select the items that count")
    } else if options.has_offsets() {
        refused("offsets", "narrow to each list in turn")
    } else {
        Ok(())
    }
}

struct SoftRank(Options<'static>);

impl CustomOp1 for SoftRank {
    fn name(&self) -> &'static str {
        "soft_rank"
    }

    fn cpu_fwd(&self, x: &CpuStorage, of_x: &Layout) -> Result<(CpuStorage, Shape)> {
        let ranks = each_value!(x, |x| {
            Item::store(rank_relax::soft_rank(view(x, of_x)?, &self.0).map_err(refused)?)
        });
        Ok((ranks, of_x.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        x.apply_op2_no_bwd(grad, &SoftRankGradient(self.0)).map(Some)
    }
}

/// The product with the Jacobian, of x and the gradient of the ranks.
struct SoftRankGradient(Options<'static>);

impl CustomOp2 for SoftRankGradient {
    fn name(&self) -> &'static str {
        "soft_rank_gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        of_x: &Layout,
        grad: &CpuStorage,
        of_grad: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let gradient = each_value!(x, |x| {
            let grad = view(Item::of(grad)?, of_grad)?;
            let gradient = rank_relax::soft_rank_gradient(view(x, of_x)?, grad, &self.0);
            Item::store(gradient.map_err(refused)?)
        });
        Ok((gradient, of_x.shape().clone()))
    }
}

struct SpearmanLoss(Options<'static>);

impl CustomOp2 for SpearmanLoss {
    fn name(&self) -> &'static str {
        "spearman_loss"
    }

    fn cpu_fwd(
        &self,
        p: &CpuStorage,
        of_p: &Layout,
        t: &CpuStorage,
        of_t: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let losses = each_value!(p, |p| {
            let p = view(p, of_p)?;
            each_real!(t, |t| {
                let losses = rank_relax::spearman_loss(p, view(t, of_t)?, &self.0);
                Item::store(losses.map_err(refused)?)
            })
        });
        Ok((losses, Shape::from(&of_p.dims()[..of_p.dims().len() - 1])))
    }

    fn bwd(
        &self,
        p: &Tensor,
        t: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = SpearmanLossGradient(self.0);
        Ok((Some(p.apply_op3_no_bwd(t, &grad.contiguous()?, &gradient)?), None))
    }
}

/// Of the predictions, the targets and the gradient of the losses, which is contiguous.
struct SpearmanLossGradient(Options<'static>);

impl CustomOp3 for SpearmanLossGradient {
    fn name(&self) -> &'static str {
        "spearman_loss_gradient"
    }

    fn cpu_fwd(
        &self,
        p: &CpuStorage,
        of_p: &Layout,
        t: &CpuStorage,
        of_t: &Layout,
        grad: &CpuStorage,
        of_grad: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let gradient = each_value!(p, |p| {
            let p = view(p, of_p)?;
            let grad = &Item::of(grad)?[of_grad.start_offset()..];
            let grad = &grad[..of_grad.shape().elem_count()];
            each_real!(t, |t| {
                let t = view(t, of_t)?;
                let loss = rank_relax::SpearmanLoss::with_hard_targets(p, t, &self.0);
                Item::store(loss.and_then(|loss| loss.gradient(grad)).map_err(refused)?)
            })
        });
        Ok((gradient, of_p.shape().clone()))
    }
}
