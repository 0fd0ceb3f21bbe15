// run_saved package|script MODEL INPUTS OUTPUTS: runs a model that Python saved, an AOTInductor
// package or a TorchScript file, on the tensors of one file, and writes what it returns to another.

#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/csrc/jit/serialization/pickle.h>
#include <torch/script.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

std::vector<at::Tensor> read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const c10::IValue list = torch::jit::pickle_load(bytes);
  std::vector<at::Tensor> tensors;
  for (const c10::IValue& value : list.toListRef()) {
    tensors.push_back(value.toTensor());
  }
  return tensors;
}

void write(const std::string& path, const std::vector<at::Tensor>& tensors) {
  // Of IValues: Python takes a list that is known to be of tensors for a class of its own.
  const std::vector<c10::IValue> values(tensors.begin(), tensors.end());
  const std::vector<char> bytes = torch::jit::pickle_save(c10::ivalue::Tuple::create(values));
  std::ofstream(path, std::ios::binary).write(bytes.data(), bytes.size());
}

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
  write(arguments[4], (script ? run_script : run_package)(arguments[2], read(arguments[3])));
}
