// run_saved package|script MODEL INPUTS OUTPUTS: runs a model that Python saved, an AOTInductor
// package or a TorchScript file, on the tensors of one file, and writes what it returns to another.

#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/script.h>

#include <cstdio>
#include <string>
#include <vector>

#include "tensors_in_files.h"

namespace {

std::vector<at::Tensor> run_script(const std::string& path, const std::vector<at::Tensor>& inputs) {
  torch::jit::Module module = torch::jit::load(path);
  return module.forward({inputs.begin(), inputs.end()}).toTensorVector();
}

std::vector<at::Tensor> run_package(const std::string& path,
                                    const std::vector<at::Tensor>& inputs) {
  torch::inductor::AOTIModelPackageLoader loader(path);
  return loader.run(inputs);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) {
    std::fprintf(stderr, "usage: run_saved package|script MODEL INPUTS OUTPUTS\n");
    return 2;
  }
  const bool script = std::string(arguments[1]) == "script";
  write_tensors(arguments[4],
                (script ? run_script : run_package)(arguments[2], read_tensors(arguments[3])));
}
