#include "cpu/spearman_loss.h"

#include <optional>
#include <string_view>
#include <vector>

#include "c/call.h"
#include "c/on_cuda.h"
#include "c/real_items.h"
#include "core/refusals.h"
#include "cpu/row/targets.h"

using namespace rank_relax;

namespace {

/// Where a gradient goes, or memory that is thrown away: the kernel always writes it.
template <class Scalar>
class Wanted {
 public:
  Wanted(const std::optional<c::Tensor>& tensor, int64_t items) {
    if (!tensor.has_value()) own_.resize(static_cast<size_t>(items));
    data_ = tensor.has_value() ? tensor->data<Scalar>() : own_.data();
  }

  Scalar* data() { return data_; }

 private:
  std::vector<Scalar> own_;
  Scalar* data_;
};

}  // namespace

rank_relax_status rank_relax_spearman_loss(const rank_relax_tensor* predictions,
                                           const rank_relax_tensor* targets,
                                           const char* target_ranks,
                                           const rank_relax_options* options,
                                           const rank_relax_tensor* loss,
                                           const rank_relax_tensor* rank_gradient_predictions,
                                           const rank_relax_tensor* rank_gradient_targets) {
  return c::status_of("spearman_loss", [&] {
    c::Call call(options);
    const c::Tensor p = call.values("predictions", predictions);
    const std::string_view kind = target_ranks == nullptr ? "" : target_ranks;
    if (kind != "hard" && kind != "soft") {
      c::refuse(refusal::not_a_choice("target_ranks", "'hard', 'soft'", kind));
    }
    const bool hard = kind == "hard";
    const c::Tensor t = call.real("targets", targets);
    call.items("targets", targets, hard ? t.dtype() : p.dtype(), p.shape(), "predictions");
    call.set_lists(p);
    const c::Tensor losses =
        call.output("loss", loss, p.dtype(), call.shape_of_lists(), "the lists");
    const auto gradient_of = [&](const char* name, const rank_relax_tensor* given) {
      std::optional<c::Tensor> gradient;
      if (given != nullptr) {
        gradient = call.output(name, given, statistics_dtype(p), p.shape(), "predictions");
      }
      return gradient;
    };
    const auto of_predictions = gradient_of("rank_gradient_predictions", rank_gradient_predictions);
    const auto of_targets = gradient_of("rank_gradient_targets", rank_gradient_targets);
    if (hard && of_targets.has_value()) {
      c::refuse("rank_gradient_targets must be NULL: hard ranks of targets have no gradient");
    }
    if (call.is_on_cuda()) {
      if (hard) c::unsupported("target_ranks \"hard\" are for the CPU; rank the targets there");
      if (!of_predictions.has_value() || !of_targets.has_value()) {
        c::refuse("both rank gradients must be given on CUDA, where they hold the ranks");
      }
      return c::on_cuda::spearman(call, {p, t}, losses, *of_predictions, *of_targets);
    }
    c::visit_scalar(p.dtype(), [&](auto scalar) {
      using Scalar = decltype(scalar);
      const c::Input<Scalar> values(p);
      std::vector<Scalar> ranks;
      std::optional<c::Input<Scalar>> soft;
      if (hard) {
        ranks.resize(static_cast<size_t>(p.numel()));
        c::hard_ranks(call, t, /*descending=*/false, cpu::RankUnit::kCentered, ranks.data());
      } else {
        soft.emplace(t);
      }
      Wanted<Scalar> slopes(of_predictions, p.numel()), slopes_of_targets(of_targets, p.numel());
      c::Output<Scalar> output(losses);
      call.for_each_part(true, [&](const c::Part& part, const cpu::ParallelFor& parallel_for) {
        const int64_t strides[] = {part.size, 1}, sizes[] = {part.lists, part.size};
        const cpu::Rows<Scalar> of_ranks{ranks.data() + part.first_item, sizes, strides, 2};
        const cpu::Rows<Scalar> others = hard ? of_ranks : part.of(soft->rows());
        cpu::spearman_loss_forward(call.batch(part, values.rows()),
                                   cpu::Targets<Scalar>{others, /*are_ranks=*/hard},
                                   output.data() + part.first_list, slopes.data() + part.first_item,
                                   slopes_of_targets.data() + part.first_item, parallel_for);
      });
      output.finish();
    });
  });
}

rank_relax_status rank_relax_spearman_loss_backward(const rank_relax_tensor* grad_loss,
                                                    const rank_relax_tensor* values,
                                                    const rank_relax_tensor* rank_gradient,
                                                    const rank_relax_options* options,
                                                    const rank_relax_tensor* gradient) {
  return c::status_of("spearman_loss_backward", [&] {
    c::Call call(options);
    const c::Tensor x = call.values("values", values);
    call.set_lists(x);
    const c::Tensor g =
        call.items("grad_loss", grad_loss, x.dtype(), call.shape_of_lists(), "the lists");
    const c::Tensor slopes =
        call.items("rank_gradient", rank_gradient, statistics_dtype(x), x.shape(), "values");
    const c::Tensor result = call.output_like("gradient", gradient, x);
    if (call.is_on_cuda()) return c::on_cuda::spearman_backward(call, g, x, slopes, result);
    c::visit_scalar(x.dtype(), [&](auto scalar) {
      using Scalar = decltype(scalar);
      const c::Input<Scalar> items(x), of_losses(g);
      const c::Columns<Scalar> losses(of_losses.rows(), call.shape_of_lists(1));
      c::Output<Scalar> output(result);
      call.for_each_part(false, [&](const c::Part& part, const cpu::ParallelFor& parallel_for) {
        const c::RowsOfPart<Scalar> of_part(part, losses.rows());
        cpu::spearman_loss_backward(call.batch(part, items.rows()), of_part.rows(),
                                    part.of(slopes.rows<Scalar>()), output.data() + part.first_item,
                                    parallel_for);
      });
      output.finish();
    });
  });
}

rank_relax_status rank_relax_spearman_loss_workspace(const rank_relax_tensor* predictions,
                                                     const rank_relax_tensor* targets,
                                                     const rank_relax_options* options,
                                                     size_t* bytes) {
  return c::status_of("spearman_loss_workspace", [&] {
    c::Call call(options);
    const c::Tensor p = call.values("predictions", predictions);
    const c::Tensor t = call.like("targets", targets, p);
    call.set_lists(p);
    c::set_bytes(bytes, call.is_on_cuda() ? c::on_cuda::spearman_workspace(call, {p, t}) : 0);
  });
}
