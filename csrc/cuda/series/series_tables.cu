#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "core/cdf/smooth_cdfs.h"
#include "core/row/row_form.h"
#include "core/series/box_series.h"
#include "core/series/quantile_series.h"
#include "cuda/series/series_tables.h"

namespace rank_relax::cuda {
namespace {

/// A stream capture goes on undisturbed by what this thread does outside of it.
class OutsideOfCapture {
 public:
  OutsideOfCapture() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  ~OutsideOfCapture() { cudaThreadExchangeStreamCaptureMode(&mode_); }

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

cudaError_t copy_and_wait(void* to, const void* from, size_t size) {
  cudaStream_t stream;
  cudaError_t error = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  if (error != cudaSuccess) return error;
  error = cudaMemcpyAsync(to, from, size, cudaMemcpyHostToDevice, stream);
  if (error == cudaSuccess) error = cudaStreamSynchronize(stream);
  cudaStreamDestroy(stream);
  return error;
}

/// `size` bytes of device memory that hold the same, for the life of the process.
void* copy_to_device(const void* from, size_t size, cudaError_t& error) {
  void* to = nullptr;
  if ((error = cudaMalloc(&to, size)) != cudaSuccess) return nullptr;
  error = copy_and_wait(to, from, size);
  if (error == cudaSuccess) return to;
  cudaFree(to);
  return nullptr;
}

/// The d at which F(-d), or what F' there is not less than, is that many times the error of a pair.
/// F' is not less than F(-d) times the least hazard F'/F(-d) of the row, which is at an end of it.
template <class Cdf>
double most_mean_distance(Precision precision, int order) {
  const double widest = Cdf::series_spread.spread[precision][order][kTermCounts - 1];
  const auto hazard = [](double d) {
    return Cdf::first_derivative(Cdf::coordinate(d)) / Cdf::upper_tail(d);
  };
  const double factor = order == 0 ? 1 : std::min(hazard(0), hazard(widest));
  double near = 0, far = widest;
  if constexpr (kHasGrid<Cdf>) far = Cdf::box_grid[precision].reach;
  for (int step = 0; step < 60; ++step) {
    const double middle = (near + far) / 2;
    const double least = factor * Cdf::upper_tail(middle);
    (least > kPairError[precision] / kPrecisionOfEnds[precision] ? near : far) = middle;
  }
  return near;
}

template <class Cdf>
SeriesTables* make_tables(Precision precision, int order, cudaError_t& error) {
  SeriesTables tables{};
  std::vector<double> coefficients;
  size_t begin[kTermCounts];
  for (int which = 0; which < kTermCounts; ++which) {
    const OneBoxSeries& series =
        one_box_series<Cdf>(precision, order, kFewestTerms + which * kTermStep);
    tables.widest[which] = Cdf::series_spread.spread[precision][order][which];
    tables.half_width[which] = series.half_width;
    tables.row_size[which] = series.row_size;
    begin[which] = coefficients.size();
    coefficients.insert(coefficients.end(), series.coefficients.begin(), series.coefficients.end());
  }
  tables.most_mean_distance = most_mean_distance<Cdf>(precision, order);
  const size_t grid_begin = coefficients.size();
  if constexpr (kHasGrid<Cdf>) {
    const GridSeries& grid = grid_series<Cdf>(precision, order);
    tables.box_width = grid.width;
    for (int b = 0; b < kItemCounts; ++b) {
      tables.box_reach[b] = boxes_within_reach<Cdf>(precision, int64_t{1} << b);
      tables.reach[b] = reach_of_items<Cdf>(precision, int64_t{1} << b);
    }
    coefficients.insert(coefficients.end(), grid.coefficients.begin(), grid.coefficients.end());
  }
  const auto* on_device = static_cast<const double*>(
      copy_to_device(coefficients.data(), coefficients.size() * sizeof(double), error));
  if (on_device == nullptr) return nullptr;
  for (int which = 0; which < kTermCounts; ++which)
    tables.one_box[which] = on_device + begin[which];
  tables.grid = on_device + grid_begin;
  void* const made = copy_to_device(&tables, sizeof tables, error);
  if (made == nullptr) cudaFree(const_cast<double*>(on_device));
  return static_cast<SeriesTables*>(made);
}

template <class Cdf>
QuantileTables* make_quantile_tables(cudaError_t& error) {
  const QuantileSeries& series = quantile_series<Cdf>(kDouble);
  std::vector<double> coefficients = series.own;
  coefficients.insert(coefficients.end(), series.tails.begin(), series.tails.end());
  const auto* on_device = static_cast<const double*>(
      copy_to_device(coefficients.data(), coefficients.size() * sizeof(double), error));
  if (on_device == nullptr) return nullptr;
  const QuantileTables tables = {series.width, series.reach, on_device,
                                 on_device + series.own.size()};
  void* const made = copy_to_device(&tables, sizeof tables, error);
  if (made == nullptr) cudaFree(const_cast<double*>(on_device));
  return static_cast<QuantileTables*>(made);
}

template <class Cdf>
const SeriesTables* kept_series_tables(Precision precision, int order, cudaError_t& error) {
  // Never destroyed: other threads may ask while the process exits.
  static auto& mutex = *new std::mutex;
  using ByDevice = std::map<int, SeriesTables*>;
  static auto& kept = *new std::array<std::array<ByDevice, kSeriesOrders>, 2>;
  int device = 0;
  if ((error = cudaGetDevice(&device)) != cudaSuccess) return nullptr;
  const std::lock_guard<std::mutex> lock(mutex);
  SeriesTables*& tables = kept[precision][order][device];
  if (tables == nullptr) {
    const OutsideOfCapture outside;
    tables = make_tables<Cdf>(precision, order, error);
  }
  return tables;
}

template <class Cdf>
const QuantileTables* kept_quantile_tables(cudaError_t& error) {
  // Never destroyed, as those.
  static auto& mutex = *new std::mutex;
  static auto& kept = *new std::map<int, QuantileTables*>;  // by device
  int device = 0;
  if ((error = cudaGetDevice(&device)) != cudaSuccess) return nullptr;
  const std::lock_guard<std::mutex> lock(mutex);
  QuantileTables*& tables = kept[device];
  if (tables == nullptr) {
    const OutsideOfCapture outside;
    tables = make_quantile_tables<Cdf>(error);
  }
  return tables;
}

}  // namespace

const SeriesTables* series_tables(std::string_view method, Precision precision, int order,
                                  cudaError_t& error) {
  const SeriesTables* tables = nullptr;
  SmoothCdfs::visit(method, [&](auto cdf) {
    using Cdf = decltype(cdf);
    if constexpr (kHasOneBox<Cdf>) tables = kept_series_tables<Cdf>(precision, order, error);
  });
  return tables;
}

const QuantileTables* quantile_tables(std::string_view method, cudaError_t& error) {
  const QuantileTables* tables = nullptr;
  SmoothCdfs::visit(method, [&](auto cdf) {
    using Cdf = decltype(cdf);
    if constexpr (kHasGrid<Cdf>) tables = kept_quantile_tables<Cdf>(error);
  });
  return tables;
}

}  // namespace rank_relax::cuda
