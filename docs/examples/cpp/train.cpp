// Trains a linear model to put lists of items in the order of hidden scores, with no Python.

#include <rank_relax/rank_relax.h>
#include <torch/torch.h>

#include <cstdio>

int main() {
  torch::manual_seed(0);
  const torch::Tensor features = torch::randn({32, 50, 4});  // 32 lists of 50 items
  const torch::Tensor hidden = features.matmul(torch::tensor({1.0f, -2.0f, 0.5f, 0.0f}));
  const torch::Tensor targets = hidden.exp();  // another scale, the same order

  torch::nn::Linear model(torch::nn::LinearOptions(4, 1).bias(false));
  torch::optim::Adam optimizer(model->parameters(), 0.05);
  const auto loss_of_all = [&] {
    const torch::Tensor scores = model->forward(features).squeeze(-1);
    return rank_relax::spearman_loss(scores, targets, /*regularization_strength=*/2.0).mean();
  };
  const double before = loss_of_all().item<double>();
  for (int step = 0; step < 100; ++step) {
    optimizer.zero_grad();
    loss_of_all().backward();
    optimizer.step();
  }
  const double after = loss_of_all().item<double>();
  std::printf("loss before training %.4f, after %.4f\n", before, after);
  return after < 0.1 && after < before ? 0 : 1;
}
