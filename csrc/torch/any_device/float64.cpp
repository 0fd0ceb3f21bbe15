#include "torch/any_device/float64.h"

#include <torch/library.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace rank_relax {
namespace {

std::vector<std::string> named_devices() {
  std::vector<std::string> names{"mps"};
  const char* others = std::getenv("RANK_RELAX_DEVICES_WITHOUT_FLOAT64");
  std::string given(others == nullptr ? "" : others);
  std::replace(given.begin(), given.end(), ',', ' ');
  std::istringstream list(given);
  for (std::string name; list >> name;) {
    if (name != "cpu" && name != "cuda") names.push_back(name);  // they have it
  }
  return names;
}

const std::vector<std::string>& devices_without_float64() {
  static const std::vector<std::string> names = named_devices();
  return names;
}

}  // namespace

bool has_float64(c10::Device device) {
  if (device.is_cpu() || device.is_cuda()) return true;
  const std::string name = c10::DeviceTypeName(device.type(), /*lower_case=*/true);
  const std::vector<std::string>& without = devices_without_float64();
  return std::find(without.begin(), without.end(), name) == without.end();
}

TORCH_LIBRARY_FRAGMENT(rank_relax, library) {
  // Asked for by rank_relax/_float64.py.
  library.def("_devices_without_float64() -> str[]", {at::Tag::pt2_compliant_tag});
}

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  library.impl("_devices_without_float64", [] { return devices_without_float64(); });
}

}  // namespace rank_relax
