#include "c/call.h"

#include <utility>

#include "c/parallel.h"
#include "core/methods.h"
#include "core/projection/block_number.h"
#include "core/refusals.h"
#include "cpu/isa/instruction_set.h"

namespace rank_relax::c {
namespace {

using refusal::sentence;

rank_relax_options checked(const rank_relax_options* given) {
  const rank_relax_options defaults = RANK_RELAX_OPTIONS;
  if (given == nullptr) return defaults;
  if (given->struct_size != sizeof(rank_relax_options)) {
    refuse(sentence("struct_size of the options must be sizeof(rank_relax_options), ",
                    sizeof(rank_relax_options), ", got ", given->struct_size,
                    "; begin with RANK_RELAX_OPTIONS"));
  }
  if (!refusal::is_strength(given->regularization_strength)) {
    refuse(refusal::not_a_strength(given->regularization_strength));
  }
  const char* method = given->method == nullptr ? "" : given->method;
  if (!is_method(method)) refuse(refusal::not_a_choice("method", method_names(), method));
  return *given;
}

}  // namespace

Call::Call(const rank_relax_options* options)
    : options_(checked(options)), parallel_for_(parallel_for_of(options_)) {
  cpu::instruction_set();  // throws what is wrong with the environment
}

void Call::check_smooth_cdf() const {
  if (!SmoothCdfs::contains(method())) {
    refuse(refusal::not_a_choice("method", SmoothCdfs::names(), method()));
  }
}

void Call::check_on_cpu() const {
  if (is_on_cuda()) unsupported("there are no CUDA kernels for it; give tensors on the CPU");
}

const Tensor& Call::remembered(Tensor tensor) {
  if (!given_.empty() && tensor.device() != given_.front().device()) {
    refuse(refusal::on_another_device(tensor.name(), tensor.device(), given_.front().name(),
                                      given_.front().device()));
  }
  given_.push_back(std::move(tensor));
  return given_.back();
}

Tensor Call::real(const char* name, const rank_relax_tensor* given) {
  const Tensor& tensor = remembered(Tensor(name, given));
  if (tensor.dims() == 0) refuse(refusal::without_lists(name));
  return tensor;
}

Tensor Call::values(const char* name, const rank_relax_tensor* given) {
  Tensor tensor = real(name, given);
  if (!is_floating(tensor.dtype())) refuse(refusal::not_floating(name, name_of(tensor.dtype())));
  return tensor;
}

Tensor Call::doubles(const char* name, const rank_relax_tensor* given) {
  const Tensor& tensor = remembered(Tensor(name, given));
  if (tensor.dtype() != Dtype::kFloat64) {
    refuse(refusal::not_of_dtype(name, name_of(Dtype::kFloat64), name_of(tensor.dtype())));
  }
  return tensor;
}

Tensor Call::items(const char* name, const rank_relax_tensor* given, Dtype dtype,
                   const std::vector<int64_t>& shape, const char* of) {
  const Tensor& tensor = remembered(Tensor(name, given));
  if (tensor.dtype() != dtype) {
    refuse(refusal::not_of_dtype(name, name_of(dtype), name_of(tensor.dtype())));
  }
  if (tensor.shape() != shape) {
    refuse(refusal::not_of_shape(name, of, text_of(shape), text_of(tensor.shape())));
  }
  return tensor;
}

Tensor Call::output(const char* name, const rank_relax_tensor* given, Dtype dtype,
                    const std::vector<int64_t>& shape, const char* of) {
  Tensor tensor = items(name, given, dtype, shape, of);
  if (!tensor.is_row_major()) refuse(sentence(name, " must be row-major, as all outputs are"));
  for (size_t before = 0; before + 1 < given_.size(); ++before) {
    if (tensor.shares_memory_with(given_[before])) {
      refuse(sentence(name, " shares memory with ", given_[before].name(),
                      "; give it memory of its own"));
    }
  }
  return tensor;
}

void Call::set_lists(const Tensor& values) {
  shape_ = values.shape();
  shape_of_lists_ = values.batch_shape();
  int64_t longest = values.size();
  if (options_.mask != nullptr) {
    const Tensor& mask = remembered(Tensor("mask", options_.mask));
    if (mask.dtype() != Dtype::kBool && mask.dtype() != Dtype::kUint8) {
      refuse(refusal::not_a_mask(name_of(mask.dtype())));
    }
    if (mask.shape() != shape_) {
      refuse(refusal::not_of_shape("mask", values.name(), text_of(shape_), text_of(mask.shape())));
    }
    mask_ = mask;
  }
  if (options_.offsets != nullptr) {
    if (is_on_cuda()) unsupported("offsets are for lists on the CPU; give lists on CUDA as rows");
    const Tensor& offsets = remembered(Tensor("offsets", options_.offsets));
    if (offsets.dtype() != Dtype::kInt64) {
      refuse(refusal::not_of_dtype("offsets", "int64", name_of(offsets.dtype())));
    }
    if (offsets.dims() != 1 || values.dims() != 1) {
      refuse(sentence("offsets must be [L + 1] for ", values.name(), " [N], got ",
                      text_of(offsets.shape()), " for ", text_of(shape_)));
    }
    if (offsets.size() == 0) refuse(refusal::without_ends("offsets"));
    const cpu::Row<int64_t> ends = offsets.rows<int64_t>().row(0);
    if (const auto refused = refusal::of_ends("offsets", ends, offsets.size(), values.size())) {
      refuse(*refused);
    }
    longest = 0;
    for (int64_t i = 0; i < offsets.size(); ++i) {
      ends_.push_back(ends[i]);
      if (i > 0) longest = std::max(longest, ends_[i] - ends_[i - 1]);
    }
    shape_of_lists_ = {offsets.size() - 1};
  }
  if (values.numel() == 0) return;
  if (longest > refusal::kLongestList) refuse(refusal::too_long(longest));
  if (Projections::contains(method()) && longest > kMostBlocks) {
    refuse(refusal::too_long_for_blocks(kMostBlocks, method(), longest));
  }
}

std::vector<int64_t> Call::shape_of_lists(int64_t size) const {
  std::vector<int64_t> shape = shape_of_lists_;
  shape.push_back(size);
  return shape;
}

}  // namespace rank_relax::c

const char* rank_relax_methods(void) {
  const char* found = "";
  rank_relax::c::status_of("methods", [&] {
    static const std::string names = rank_relax::method_names();
    found = names.c_str();
  });
  return found;
}

int32_t rank_relax_max_order(const char* method) {
  if (method == nullptr || !rank_relax::is_method(method)) return -1;
  return rank_relax::max_order(method);
}
