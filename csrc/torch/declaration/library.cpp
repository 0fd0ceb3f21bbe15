#include <ATen/core/stack.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "torch/any_device/on_the_host.h"
#include "torch/declaration/declare.h"
#include "torch/declaration/is_grads_batched.h"

// The operators act on the last dimension and keep the batch shape.
//
//   torch/operators      what each is called with, its checks, what comes out, where it goes
//   torch/declaration    what is made of that: Meta, autocast, batches of gradients, Python's vmap
//   torch/cpu, cuda      kernels, adapters of csrc/cpu and csrc/cuda
//   torch/any_device     the same for devices that we have no kernel for
//   torch/composite      operators made of others
//   torch/autograd       derivatives

namespace rank_relax {
namespace {

/// Says so in one sentence; the dispatcher would list its backends.
void has_no_cuda_kernel(const c10::OperatorHandle& op, torch::jit::Stack*) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, op.schema().name(),
                              " has no CUDA kernel yet: move the tensors to the CPU");
}

/// What has been declared, in no particular order.
std::vector<Facts>& declared() {
  static std::vector<Facts> facts;
  return facts;
}

using Declarations = std::tuple<std::vector<std::string>, std::vector<int64_t>,
                                std::vector<int64_t>, std::vector<std::string>>;

Declarations declarations() {
  Declarations all;
  auto& [names, lists, shared_dims, elsewhere] = all;
  constexpr const char* kElsewhere[] = {"decomposed", "tensor operators", "on the host", "nowhere"};
  for (const Facts& facts : declared()) {
    names.emplace_back(facts.name);
    lists.push_back(static_cast<int64_t>(facts.place_of_lists));
    shared_dims.push_back(facts.shared_dims);
    elsewhere.emplace_back(kElsewhere[static_cast<int>(facts.elsewhere)]);
  }
  return all;
}

}  // namespace

const Facts& facts_of(const c10::OperatorHandle& op) {
  std::string_view name = op.schema().name();
  name.remove_prefix(std::string_view("rank_relax::").size());
  for (const Facts& facts : declared()) {
    if (name == facts.name) return facts;
  }
  TORCH_INTERNAL_ASSERT(false, op.schema().name(), " has not been declared");
}

void declare_untyped(torch::Library& library, const Facts& facts) {
  library.def((std::string(facts.name) + facts.schema).c_str(), {at::Tag::pt2_compliant_tag});
  declared().push_back(facts);
  if (facts.elsewhere == Elsewhere::kDecomposed) return;
  const auto add = [&](c10::DispatchKey key, torch::CppFunction kernel) {
    library.impl(facts.name, torch::dispatch(key, std::move(kernel)));
  };
  add(c10::DispatchKey::Batched, for_batched_gradients());
  if (facts.elsewhere == Elsewhere::kOnTheHost) {
    add(c10::DispatchKey::CompositeExplicitAutograd,
        torch::CppFunction::makeFromBoxedFunction<&any_device::on_the_host>());
  }
  if (facts.elsewhere == Elsewhere::kNowhere) {
    add(c10::DispatchKey::CUDA, torch::CppFunction::makeFromBoxedFunction<&has_no_cuda_kernel>());
  }
}

TORCH_LIBRARY(rank_relax, library) {
  // A row for each operator (torch/declaration/operator.h): the place of its lists among the
  // arguments, `shared_dims`, and `elsewhere` in words.
  library.def("_declarations() -> (str[] names, int[] lists, int[] shared_dims, str[] elsewhere)",
              {at::Tag::pt2_compliant_tag});
}

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  library.impl("_declarations", declarations);
}

}  // namespace rank_relax
