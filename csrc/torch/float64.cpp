#include "torch/float64.h"

#include <cstdlib>
#include <set>
#include <sstream>
#include <string>

namespace rank_relax {
namespace {

std::set<std::string> devices_without_float64() {
  std::set<std::string> names{"mps"};
  const char* others = std::getenv("RANK_RELAX_DEVICES_WITHOUT_FLOAT64");
  std::istringstream list(others == nullptr ? "" : others);
  for (std::string name; std::getline(list, name, ',');) names.insert(name);
  return names;
}

}  // namespace

bool has_float64(c10::Device device) {
  if (device.is_cpu() || device.is_cuda()) return true;
  static const std::set<std::string> without = devices_without_float64();
  return without.count(c10::DeviceTypeName(device.type(), /*lower_case=*/true)) == 0;
}

}  // namespace rank_relax
