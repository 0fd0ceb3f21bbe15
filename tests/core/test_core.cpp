// Tests of csrc/core and csrc/cpu with no torch at all, to be run under sanitizers: every number
// against a plain long double formula, and every way of laying out or splitting the same work.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "../for_each_cdf.h"
#include "../plain_cdf_by_name.h"
#include "batches.h"
#include "core/cdf/smooth_cdfs.h"
#include "core/correlation.h"
#include "core/projection/permutahedron.h"
#include "core/row/center.h"
#include "core/series/box_series.h"
#include "core/series/kernel_series.h"
#include "core/sum/lane_sum.h"
#include "core/sum/pairwise_sum.h"
#include "cpu/projection/permutahedron.h"
#include "cpu/soft_quantile.h"
#include "cpu/soft_rank.h"
#include "cpu/soft_sort.h"
#include "cpu/soft_topk.h"
#include "cpu/spearman_loss.h"

namespace {

using namespace rank_relax;

int failures = 0;
int checks = 0;

void expect(bool condition, const std::string& sentence) {
  ++checks;
  if (condition) return;
  ++failures;
  std::printf("FAILED: %s\n", sentence.c_str());
}

void expect_near(double value, long double reference, double tolerance,
                 const std::string& sentence) {
  expect(std::abs(static_cast<long double>(value) - reference) <= tolerance,
         sentence + ": got " + std::to_string(value) + ", want " +
             std::to_string(static_cast<double>(reference)));
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kHuge = std::numeric_limits<double>::max();
constexpr double kTiny = std::numeric_limits<double>::denorm_min();

long double smooth_cdf(const std::string& name, long double d) {
  return of_plain_cdf(name, [=](auto cdf) { return d < 0 ? cdf.tail(-d) : 1 - cdf.tail(d); });
}

long double density(const std::string& name, long double d) {
  return of_plain_cdf(name, [=](auto cdf) { return cdf.at(d).first; });
}

void for_each_method(const std::function<void(const std::string&)>& visit) {
  for_each_cdf(SmoothCdfs(), [&](auto cdf) { visit(cdf.name); });
}

std::vector<double> normal_values(int64_t count, double spread, std::mt19937& generator) {
  std::normal_distribution<double> normal(0, spread);
  std::vector<double> values(count);
  for (double& value : values) value = normal(generator);
  return values;
}

std::vector<double> ranks_of(const std::vector<double>& values, double strength,
                             const std::string& method) {
  const Dense<double> input(values, static_cast<int64_t>(values.size()));
  std::vector<double> ranks(values.size(), -7);
  cpu::soft_rank({input.batch(), strength, method}, ranks.data(), serial);
  return ranks;
}

void lane_sum_adds_every_term_once() {
  for (const int64_t count : {0, 1, 7, 8, 9, 1023, 1024, 1025, 5000}) {
    const double sum = lane_sum(count, [](int64_t j) { return static_cast<double>(j); });
    expect(sum == static_cast<double>(count) * static_cast<double>(count - 1) / 2,
           "a lane sum of " + std::to_string(count) + " terms");
  }
}

template <class Cdf>
void cdf_keeps_relative_precision() {
  const std::string name = Cdf::name;
  for (const double d : {1e-300, 1e-12, 1e-3, 0.5, 3.0, 20.0, 700.0, 1e5, kInfinity}) {
    const long double reference =
        of_plain_cdf(name, [=](auto plain) { return plain.at(d).centered; });
    for (const double sign : {1.0, -1.0}) {
      const double centered = Cdf::centered(Cdf::coordinate(sign * d));
      expect(std::abs(centered - sign * reference) <= 4e-16 * reference,
             name + " - 1/2 at " + std::to_string(sign * d));
      expect_near(Cdf::first_derivative(Cdf::coordinate(sign * d)),
                  std::isinf(d) ? 0 : density(name, d), 1e-16, name + "' at " + std::to_string(d));
    }
  }
  expect(Cdf::centered(Cdf::coordinate(0.0)) == 0, name + " - 1/2 is exactly 0 at 0");
}

/// F^(order) at a coordinate.
template <class Cdf>
double derivative(int order, double at) {
  return typename Cdf::Ratio(order)(at) * Cdf::first_derivative(at);
}

template <class Cdf>
void derivatives_of_every_order_agree() {
  const std::string name = Cdf::name;
  for (double d = -6; d <= 6; d += 0.37) {
    const double at = Cdf::coordinate(d);
    expect_near(derivative<Cdf>(1, at), Cdf::first_derivative(at), 1e-16, name + ": order 1");
    expect_near(derivative<Cdf>(2, at), Cdf::second_derivative(at), 1e-15, name + ": order 2");
    for (int order = 1; order < Cdf::Ratio::kMaxOrder; ++order) {
      const double step = 1e-5;
      const double slope = (derivative<Cdf>(order, Cdf::coordinate(d + step)) -
                            derivative<Cdf>(order, Cdf::coordinate(d - step))) /
                           (2 * step);
      // Central differences: step² |F^(order+3)|/6 and rounding/step, both grow like order!.
      const double scale = std::tgamma(order + 3);
      expect_near(slope, derivative<Cdf>(order + 1, at), 1e-9 * scale,
                  name + ": order " + std::to_string(order + 1));
    }
  }
  for (const double at : {Cdf::coordinate(kInfinity), Cdf::coordinate(-kInfinity)}) {
    expect(Cdf::second_derivative(at) == 0, name + "'' is 0 at infinity");
    expect(derivative<Cdf>(5, at) == 0, name + "^(5) is 0 at infinity");
  }
  expect(Cdf::second_derivative(Cdf::coordinate(0.0)) == 0, name + "'' is 0 at 0");
}

template <class Cdf>
void tails_are_those_of_the_plain_cdf() {
  const std::string name = Cdf::name;
  for (const double d : {0.0, 1e-9, 0.4, 1.0, 3.0, 12.0, 30.0}) {
    const auto plain = [&](const auto& member) { return of_plain_cdf(name, member); };
    const long double mass = plain([=](auto cdf) { return cdf.tail(d); });
    const long double density = plain([=](auto cdf) { return cdf.at(d).first; });
    const long double slope = plain([=](auto cdf) { return cdf.at(d).second; });
    const UpperTail<double> tail = Cdf::tail(d);
    const std::string at = name + " at " + std::to_string(d);
    // The Gaussian's exponent is rounded, and that of e^-d²/2 is large.
    const double relative = (1 + d * d) * 1e-15;
    expect(std::abs(tail.mass - mass) <= relative * mass, "F(-d) of " + at);
    expect(tail.mass == Cdf::upper_tail(d) || std::abs(tail.mass - Cdf::upper_tail(d)) < 1e-15,
           "the same mass of " + at);
    expect(std::abs(tail.density - density) <= relative * density, "F' of " + at);
    expect(std::abs(Cdf::density(-d) - density) <= relative * density, "F'(-d) of " + at);
    expect_near(Cdf::slope(d, tail), d > 0 ? slope : Cdf::slope(d, tail), 1e-15, "F'' of " + at);
    if constexpr (kFallsExponentially<Cdf>) {
      const long double log_mass = plain([=](auto cdf) { return cdf.log_tail(d); });
      expect_near(Cdf::log_upper_tail(d), log_mass, (1 + d * d) * 1e-15, "log F(-d) of " + at);
      expect_near(Cdf::hazard(d), density / mass, (1 + d * d) * 1e-14, "F'(d)/F(-d) of " + at);
    }
  }
}

void names_lead_to_their_cdf() {
  int visits = 0;
  expect(SmoothCdfs::visit("gaussian", [&](auto cdf) { visits += cdf.name == Gaussian::name; }),
         "gaussian is a method");
  expect(visits == 1, "visited once");
  expect(!SmoothCdfs::visit("gauss", [&](auto) { ++visits; }) && visits == 1, "gauss is none");
  expect(SmoothCdfs::contains("sigmoid") && !SmoothCdfs::contains(""), "contains");
  const std::string names = "'sigmoid', 'gaussian'";  // first
  expect(SmoothCdfs::names().substr(0, names.size()) == names, "names: " + SmoothCdfs::names());
}

void ranks_equal_the_plain_sum() {
  std::mt19937 generator(1);
  for_each_method([&](const std::string& method) {
    for (const int64_t count : {2, 3, 8, 9, 64, 201}) {
      for (const double strength : {1e-9, 0.1, 1.0, 4.0, 8.0, 30.0, 1e6}) {
        const std::vector<double> values = normal_values(count, 1.5, generator);
        const std::vector<double> ranks = ranks_of(values, strength, method);
        for (int64_t i = 0; i < count; ++i) {
          long double sum = 0;
          for (int64_t j = 0; j < count; ++j) {
            const long double d = strength * (static_cast<long double>(values[i]) - values[j]);
            if (j != i) sum += smooth_cdf(method, d);
          }
          expect_near(ranks[i], sum / (count - 1), 1e-13, method + " rank");
        }
      }
    }
  });
}

void derivatives_equal_the_plain_sum() {
  std::mt19937 generator(2);
  for_each_method([&](const std::string& method) {
    for (const double strength : {0.3, 2.0, 25.0}) {
      const int64_t n = 37;
      const Dense<double> input(normal_values(2 * n, 1, generator), n);
      const Dense<double> g(normal_values(2 * n, 1, generator), n);
      std::vector<double> output(2 * n);
      const cpu::Rows<double> directions[] = {g.rows()};
      cpu::soft_rank_derivative({input.batch(), strength, method}, directions, 1, output.data(),
                                serial);
      for (int64_t row = 0; row < 2; ++row) {
        for (int64_t i = 0; i < n; ++i) {
          long double sum = 0;
          for (int64_t j = 0; j < n; ++j) {
            const long double d =
                static_cast<long double>(input.data[row * n + i]) - input.data[row * n + j];
            sum += (static_cast<long double>(g.data[row * n + i]) - g.data[row * n + j]) *
                   density(method, strength * d);
          }
          expect_near(output[row * n + i], strength * sum / (n - 1), 1e-13 * strength,
                      method + " derivative");
        }
      }
    }
  });
}

void nasty_rows_have_finite_ranks_in_order() {
  const std::vector<std::vector<double>> rows = {
      {0, 0, 0},
      {-kHuge, 0, kHuge},
      {-kHuge, -kHuge, kHuge, kHuge},
      {0, kTiny, 2 * kTiny},
      {1e30, 1, 2, 3},
      {-kInfinity, -1, 0, 1, kInfinity},
      {kInfinity, kInfinity, -kInfinity},
      {1e-30, 1e-20, 1e-10, 1, 1e10, 1e20, 1e30},
  };
  for_each_method([&](const std::string& method) {
    for (const std::vector<double>& row : rows) {
      for (const double strength : {kTiny, 1e-300, 1.0, 1e6, 1e300, kHuge}) {
        const std::vector<double> ranks = ranks_of(row, strength, method);
        double sum = 0;
        for (size_t i = 0; i < row.size(); ++i) {
          sum += ranks[i];
          expect(ranks[i] >= 0 && ranks[i] <= 1, method + ": a rank lies in [0, 1]");
          for (size_t j = 0; j < row.size(); ++j) {
            if (row[i] == row[j]) expect(ranks[i] == ranks[j], method + ": ties have equal bits");
            if (row[i] < row[j]) expect(ranks[i] <= ranks[j], method + ": ranks are in order");
          }
        }
        expect_near(sum, row.size() / 2.0L, 1e-14, method + ": ranks sum to n/2");
      }
    }
  });
}

void differences_that_overflow_are_still_scaled() {
  const std::vector<double> ranks = ranks_of({-kHuge, 0, kHuge}, 1 / kHuge, "sigmoid");
  const auto f = [](long double d) { return smooth_cdf("sigmoid", d); };
  expect_near(ranks[0], (f(-1) + f(-2)) / 2, 1e-15, "the smallest of three");
  expect_near(ranks[1], 0.5, 1e-15, "the middle of three");
  expect_near(ranks[2], (f(1) + f(2)) / 2, 1e-15, "the largest of three");
}

void infinities_compare_as_the_largest_and_smallest() {
  const std::vector<double> ranks =
      ranks_of({-kInfinity, 0, 1, kInfinity, kInfinity}, 1, "gaussian");
  const auto f = [](long double d) { return smooth_cdf("gaussian", d); };
  expect_near(ranks[0], 0, 0, "-inf");
  expect_near(ranks[1], (1 + f(-1)) / 4, 1e-15, "a value above -inf and below two inf");
  expect_near(ranks[2], (1 + f(1)) / 4, 1e-15, "another");
  expect_near(ranks[3], 3.5L / 4, 0, "a tie of two inf");
  expect(ranks[3] == ranks[4], "equal infinities tie");
}

void masked_and_nan_items_are_left_out() {
  const Dense<double> input({kNan, 1, 5, kInfinity, kNan, 2}, 6);
  const uint8_t counts[] = {0, 1, 2, 0, 255, 1};
  const int64_t sizes[] = {6}, strides[] = {1};
  cpu::Batch<double> batch = input.batch();
  batch.mask = {counts, sizes, strides, 1};
  std::vector<double> ranks(6);
  cpu::soft_rank({batch, 1.0, "sigmoid"}, ranks.data(), serial);
  const std::vector<double> short_ranks = ranks_of({1, 5, 2}, 1.0, "sigmoid");
  expect(ranks[0] == 0 && ranks[3] == 0, "masked items rank 0");
  expect(std::isnan(ranks[4]), "NaN ranks NaN");
  expect(ranks[1] == short_ranks[0] && ranks[2] == short_ranks[1] && ranks[5] == short_ranks[2],
         "the others rank as if alone");
}

void layout_and_threads_do_not_change_bits() {
  std::mt19937 generator(3);
  const int64_t count = 12, size = 50;
  const Dense<float> input(normal_values(count * size, 1, generator), size);
  std::vector<float> expected(count * size), output(count * size);
  cpu::soft_rank({input.batch(), 2.0, "sigmoid"}, expected.data(), serial);
  cpu::soft_rank({input.batch(), 2.0, "sigmoid"}, output.data(), thread_per_row);
  expect(output == expected, "rows on threads of their own");
  // [3, 4, 50] stored with the list first, then the two batch dimensions exchanged.
  std::vector<float> stored(count * size);
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t i = 0; i < size; ++i) {
      stored[i * count + row % 4 * 3 + row / 4] = input.data[row * size + i];
    }
  }
  const int64_t sizes[] = {3, 4, size}, strides[] = {1, 3, count};
  const cpu::Batch<float> strided{count, size, {stored.data(), sizes, strides, 3}, {}};
  cpu::soft_rank({strided, 2.0, "sigmoid"}, output.data(), serial);
  expect(output == expected, "strides");
}

void empty_batches_touch_nothing() {
  const int64_t sizes[] = {4, 0}, strides[] = {0, 1};
  double untouched = 7;
  const cpu::Batch<double> no_items{4, 0, {&untouched, sizes, strides, 2}, {}};
  cpu::soft_rank({no_items, 1.0, "sigmoid"}, &untouched, serial);
  double losses[4] = {7, 7, 7, 7};
  cpu::spearman_loss_forward({no_items, 1.0, "sigmoid"}, cpu::Targets<double>{no_items.input},
                             losses, &untouched, &untouched, serial);
  const int64_t huge_sizes[] = {0, int64_t{1} << 40}, huge_strides[] = {0, 1};
  const cpu::Batch<double> no_rows{0, huge_sizes[1], {&untouched, huge_sizes, huge_strides, 2}, {}};
  cpu::soft_rank({no_rows, 1.0, "sigmoid"}, &untouched, serial);
  expect(untouched == 7, "nothing is written for rows without items");
  expect(losses[0] == 0 && losses[3] == 0, "the loss of an empty list is 0");
}

double spearman(const std::vector<double>& a, const std::vector<double>& b, double strength,
                std::vector<double>* gradient = nullptr) {
  const Dense<double> predictions(a, static_cast<int64_t>(a.size()));
  const Dense<double> targets(b, static_cast<int64_t>(b.size()));
  double loss = -7;
  Dense<double> of_predictions = predictions, of_targets = targets;
  cpu::spearman_loss_forward({predictions.batch(), strength, "sigmoid"},
                             cpu::Targets<double>{targets.rows()}, &loss,
                             of_predictions.data.data(), of_targets.data.data(), serial);
  if (gradient != nullptr) {
    gradient->resize(a.size());
    const Dense<double> one({1}, 1);
    cpu::spearman_loss_backward({predictions.batch(), strength, "sigmoid"}, one.rows(),
                                of_predictions.rows(), gradient->data(), serial);
  }
  return loss;
}

void loss_is_one_minus_the_correlation_of_ranks() {
  std::mt19937 generator(4);
  for (const double strength : {0.01, 1.0, 20.0}) {
    const std::vector<double> a = normal_values(31, 1, generator);
    const std::vector<double> b = normal_values(31, 1, generator);
    const std::vector<double> r = ranks_of(a, strength, "sigmoid");
    const std::vector<double> s = ranks_of(b, strength, "sigmoid");
    long double rr = 0, ss = 0, rs = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      rr += (r[i] - 0.5L) * (r[i] - 0.5L);
      ss += (s[i] - 0.5L) * (s[i] - 0.5L);
      rs += (r[i] - 0.5L) * (s[i] - 0.5L);
    }
    expect_near(spearman(a, b, strength), 1 - rs / std::sqrt(rr * ss), 1e-13, "the loss");
  }
  expect(spearman({3, 1, 2}, {3, 1, 2}, 1) == 0, "a list against itself");
  expect(spearman({1, 1, 1}, {3, 1, 2}, 1) == 1, "a constant list");
  expect(spearman({1}, {2}, 1) == 0, "a list of one item");
  expect(std::isnan(spearman({1, kNan}, {1, 2}, 1)), "a list with NaN");
}

void gradient_of_the_loss_is_its_slope() {
  std::mt19937 generator(5);
  std::vector<double> a = normal_values(9, 1, generator);
  const std::vector<double> b = normal_values(9, 1, generator);
  std::vector<double> gradient;
  spearman(a, b, 1.5, &gradient);
  for (size_t i = 0; i < a.size(); ++i) {
    const double step = 1e-6, at = a[i];
    a[i] = at + step;
    const double above = spearman(a, b, 1.5);
    a[i] = at - step;
    const double below = spearman(a, b, 1.5);
    a[i] = at;
    expect_near(gradient[i], (above - below) / (2 * step), 1e-9, "the gradient of the loss");
  }
}

void narrow_rows_keep_their_correlation() {
  std::mt19937 generator(6);
  const std::vector<double> shape = normal_values(20, 1, generator);
  const std::vector<double> targets = normal_values(20, 1e-9, generator);
  std::vector<double> reference_gradient;
  const double reference = spearman(shape, targets, 1e-8, &reference_gradient);
  for (const double scale : {1e-12, 1e-40, 1e-150, 1e-300}) {
    std::vector<double> narrow = shape;
    for (double& value : narrow) value *= scale;
    std::vector<double> gradient;
    expect_near(spearman(narrow, targets, 1e-8, &gradient), reference, 1e-12, "narrow loss");
    for (size_t i = 0; i < narrow.size(); ++i) {
      // Values that lost bits to being denormal aside: 1e-300 keeps them all.
      expect_near(gradient[i] * scale, reference_gradient[i], 1e-10, "narrow gradient");
    }
  }
}

double chebyshev(int k, double t) { return std::cos(k * std::acos(std::clamp(t, -1.0, 1.0))); }

/// The largest |series - kernel| over a grid of pairs of points in two boxes.
template <class Cdf, class Series>
double truncation_error(int order, double distance, double half_width, const Series& series) {
  double largest = 0;
  for (int a = 0; a <= 24; ++a) {
    for (int b = 0; b <= 24; ++b) {
      const double t = std::cos(3.14159265358979 * a / 24), s = std::cos(3.14159265358979 * b / 24);
      const double exact = kernel<Cdf>(order, distance + half_width * (t - s));
      largest = std::max(largest, std::abs(series(t, s) - exact));
    }
  }
  return largest;
}

/// How far off a series of F - 1/2, F' or F'' may be, between any two points of its box.
double error_of_a_series(Precision precision, int order) {
  constexpr double kSingleError[] = {4.2e-8, 2.2e-8, 2.2e-8};
  return precision == kSingle ? kSingleError[order] : 2e-14;
}

template <class Cdf>
void series_of_one_box_are_as_exact_as_they_say() {
  for (const Precision precision : {kSingle, kDouble}) {
    for (int order = 0; order < kSeriesOrders; ++order) {
      const std::string name = std::string(Cdf::name) + " of order " + std::to_string(order);
      for (int terms = kFewestTerms; terms <= kMostTerms; terms += 8) {
        const OneBoxSeries& series = one_box_series<Cdf>(precision, order, terms);
        const auto value = [&](double t, double s) {
          double sum = 0;
          for (int l = 0; l < terms; ++l) {
            for (int k = 0; k < terms; ++k) {
              sum +=
                  series.coefficients[l * series.row_size + k] * chebyshev(k, t) * chebyshev(l, s);
            }
          }
          return sum;
        };
        expect(truncation_error<Cdf>(order, 0, series.half_width, value) <=
                   error_of_a_series(precision, order),
               name + ", " + std::to_string(terms) + " terms in one box");
      }
    }
  }
}

template <class Cdf>
void series_of_a_grid_are_as_exact_as_they_say() {
  for (const Precision precision : {kSingle, kDouble}) {
    for (int order = 0; order < kSeriesOrders; ++order) {
      const std::string name = std::string(Cdf::name) + " of order " + std::to_string(order);
      const GridSeries& grid = grid_series<Cdf>(precision, order);
      for (const int distance : {0, 1, 2, 3, grid.reach}) {
        const double* coefficients = grid.coefficients.data() + distance * grid.terms * grid.terms;
        const auto value = [&](double t, double s) {
          double sum = order == 0 && distance > 0 ? 0.5 : 0;  // less a whole item
          for (int l = 0; l < grid.terms; ++l) {
            for (int k = 0; k < grid.terms; ++k) {
              sum += coefficients[l * grid.terms + k] * std::pow(t, k) * std::pow(s, l);
            }
          }
          return sum;
        };
        const double of_grid =
            precision == kSingle && order == 2 ? 5e-8 : error_of_a_series(precision, order);
        expect(
            truncation_error<Cdf>(order, distance * grid.width, grid.width / 2, value) <= of_grid,
            name + ", boxes " + std::to_string(distance) + " apart");
      }
    }
  }
}

template <class Cdf>
void pieces_are_as_exact_as_their_box() {
  for (int order = 0; order < kSeriesOrders; ++order) {
    for (const int terms : {kFewestTermsForPieces, 32, kMostTermsForPieces}) {
      const PieceSeries& pieces = piece_series<Cdf>(order, terms);
      const double half_width = one_box_series<Cdf>(kSingle, order, terms).half_width;
      double largest = 0;
      for (double t = -1; t <= 1; t += 0.03125) {
        const double position = kPiecesPerUnit * t + (kPieces - 1) / 2.0;
        const int piece = static_cast<int>(std::nearbyint(position));
        expect(0 <= piece && piece < kPieces, "every coordinate has a piece");
        for (double s = -1; s <= 1; s += 0.0625) {
          double sum = 0;
          for (int l = 0; l < terms; ++l) {
            for (int p = 0; p < kPieceTerms; ++p) {
              sum += pieces.coefficients[(l * kPieceTerms + p) * kPieces + piece] *
                     std::pow(2 * (position - piece), p) * chebyshev(l, s);
            }
          }
          const double exact = kernel<Cdf>(order, half_width * (t - s));
          largest = std::max(largest, std::abs(sum - exact));
        }
      }
      // The coefficients are rounded to float32, half an ulp of 1/2 each.
      expect(largest <= 1.2e-7, std::string(Cdf::name) + " of order " + std::to_string(order) +
                                    ", pieces of " + std::to_string(terms) +
                                    " terms: " + std::to_string(largest * 1e9) + "e-9");
    }
  }
}

/// r^p at a coordinate of a box, in the cell there: which one, and its powers.
struct InCell {
  int cell;
  double powers[kCellTerms[kSingle]];

  /// `position` is the cell's number plus half of r.
  InCell(double position, int cells)
      : cell(std::clamp(static_cast<int>(std::nearbyint(position)), 0, cells - 1)) {
    double power = 1;
    for (double& each : powers) {
      each = power;
      power *= 2 * (position - cell);
    }
  }

  /// Σ_p r^p coefficients[p * step]
  double sum(const double* coefficients, int step) const {
    double sum = 0;
    for (int p = 0; p < kCellTerms[kSingle]; ++p) sum += powers[p] * coefficients[p * step];
    return sum;
  }
};

/// Both sides of a pair in cells of the grid's boxes, as ManyBoxes has them in float32.
template <class Cdf>
void cells_of_a_grid_are_as_exact_as_its_boxes() {
  constexpr int kCells = kCellsABox[kSingle], kPowers = kCellTerms[kSingle];
  constexpr double kBounds[] = {4e-8, 9e-8, 1.7e-7};
  for (int order = 0; order < kSeriesOrders; ++order) {
    const GridSeries& grid = grid_series<Cdf>(kSingle, order);
    for (const int distance : {0, 1, 2, 3, grid.reach}) {
      const double* coefficients = grid.coefficients.data() + distance * grid.terms * grid.terms;
      const auto value = [&](double t, double s) {
        const InCell target(t * kCells / 2 + (kCells - 1) / 2.0, kCells);
        const InCell source(s * kCells / 2 + (kCells - 1) / 2.0, kCells);
        double sum = order == 0 && distance > 0 ? 0.5 : 0;  // less a whole item
        for (int l = 0; l < grid.terms; ++l) {
          const double* to_box = grid.cells_to_box.data() + source.cell * kPowers * grid.terms + l;
          for (int k = 0; k < grid.terms; ++k) {
            const double* to_cells =
                grid.box_to_cells.data() + (k * kCells + target.cell) * kPowers;
            sum += coefficients[l * grid.terms + k] * target.sum(to_cells, 1) *
                   source.sum(to_box, grid.terms);
          }
        }
        return sum;
      };
      const double error =
          truncation_error<Cdf>(order, distance * grid.width, grid.width / 2, value);
      expect(error <= kBounds[order],
             std::string(Cdf::name) + " of order " + std::to_string(order) + ", cells of boxes " +
                 std::to_string(distance) + " apart: " + std::to_string(error * 1e9) + "e-9");
    }
  }
}

/// One side of a pair in cells of a box over the whole row, as OneBox has it in long rows.
template <class Cdf>
void cells_of_one_box_are_as_exact_as_its_terms() {
  for (const int terms : {28, 36, kMostTermsForPieces}) {
    const OneBoxSeries& series = one_box_series<Cdf>(kSingle, 0, terms);
    const auto value = [&](double t, double s) {
      const InCell source(s * kBoxCellsPerUnit + (kBoxCells - 1) / 2.0, kBoxCells);
      const double* cell =
          chebyshev_in_cells().data() + source.cell * kCellTerms[kSingle] * kMostTerms;
      double sum = 0;
      for (int l = 0; l < terms; ++l) {
        for (int k = 0; k < terms; ++k) {
          sum += series.coefficients[l * series.row_size + k] * chebyshev(k, t) *
                 source.sum(cell + l, kMostTerms);
        }
      }
      return sum;
    };
    const double error = truncation_error<Cdf>(0, 0, series.half_width, value);
    expect(error <= error_of_a_series(kSingle, 0),
           std::string(Cdf::name) + ", cells of " + std::to_string(terms) +
               " terms: " + std::to_string(error * 1e9) + "e-9");
  }
}

/// rank_i = max over a <= i of the least mean over a..b, b >= i, of sorted s - w, taken from s.
std::vector<long double> plain_projection(const std::vector<double>& sorted, double strength) {
  const size_t n = sorted.size();
  std::vector<long double> ranks(n);
  for (size_t i = 0; i < n; ++i) {
    long double largest = -std::numeric_limits<long double>::infinity();
    for (size_t a = 0; a <= i; ++a) {
      long double sum = 0, least = std::numeric_limits<long double>::infinity();
      for (size_t b = a; b < n; ++b) {
        sum += static_cast<long double>(strength) * sorted[b] - static_cast<long double>(b + 1);
        if (b >= i) least = std::min(least, sum / static_cast<long double>(b - a + 1));
      }
      largest = std::max(largest, least);
    }
    ranks[i] = static_cast<long double>(strength) * sorted[i] - largest;
  }
  return ranks;
}

void projections_equal_the_plain_formula() {
  std::mt19937 random(3);
  std::normal_distribution<double> normal;
  for (const int64_t n : {2, 5, 33, 80}) {
    std::vector<double> x(n);
    for (double& value : x) value = normal(random);
    std::sort(x.begin(), x.end());
    const int64_t sizes[] = {1, n}, strides[] = {n, 1};
    const cpu::Batch<double> batch = {1, n, {x.data(), sizes, strides, 2}, {}};
    for (const double strength : {0.1, 1.0, 20.0}) {
      std::vector<double> ranks(n);
      cpu::permutahedron_rank({batch, strength, "l2"}, false, ranks.data(), nullptr,
                              cpu::in_this_thread);
      const auto expected = plain_projection(x, strength);
      for (int64_t i = 0; i < n; ++i) {
        expect_near(ranks[i], (expected[i] - 1) / static_cast<long double>(n - 1), 1e-14,
                    "rank by projection of " + std::to_string(n) + " items");
      }
    }
  }
}

/// Whatever the row, an item is compared with the block before it, and a block with the one before
/// it once more for each that it has swallowed.
void pooling_takes_two_comparisons_an_item() {
  constexpr int64_t kItems = 10000;
  const auto step = [](int64_t i) { return static_cast<double>(i) / kItems; };
  const std::function<double(int64_t)> rows[] = {
      [](int64_t) { return 0.7; }, [](int64_t i) { return static_cast<double>(i) * 2; },
      [=](int64_t i) { return std::sqrt(step(i)) * kItems; },
      [=](int64_t i) { return step(i) * step(i) * kItems / 2; },
      [=](int64_t i) {
        return static_cast<double>(i) + 0.4 * std::sin(2.4 * static_cast<double>(i));
      }};
  for (const auto& row : rows) {
    std::vector<double> sorted(kItems);
    for (int64_t i = 0; i < kItems; ++i) sorted[i] = row(i);
    std::vector<IsotonicBlock> blocks(kItems);
    int64_t comparisons = 0;
    const auto join = [&](IsotonicBlock& below, const IsotonicBlock& above, double difference) {
      ++comparisons;
      return L2::join(below, above, difference, 0);
    };
    pool_adjacent_violators(sorted.data(), kItems, L2::kSumOfOne, join, blocks.data());
    expect(comparisons <= 2 * kItems, "pooling " + std::to_string(kItems) + " items takes " +
                                          std::to_string(comparisons) + " comparisons");
  }
}

/// Every kernel of the projections, over rows that hold everything, for the sanitizers too.
void projections_of_nasty_rows_stay_in_range() {
  const std::vector<std::vector<double>> rows = {{kHuge, -kHuge, kTiny, 0, -kTiny, 1},
                                                 {kInfinity, -kInfinity, kNan, 1, 2, kInfinity},
                                                 {kNan, kNan, kNan, kNan, kNan, kNan},
                                                 {0, -0.0, 0, -0.0, 0, 0},
                                                 {1e300, 1e-300, 2, 2, -1e300, -1e-300}};
  const uint8_t mask[] = {1, 1, 0, 1, 1, 1};
  for (const std::vector<double>& row : rows) {
    const int64_t n = static_cast<int64_t>(row.size()), sizes[] = {1, n}, strides[] = {n, 1};
    for (const uint8_t* kept : {static_cast<const uint8_t*>(nullptr), mask}) {
      const cpu::Rows<uint8_t> mask_rows =
          kept == nullptr ? cpu::Rows<uint8_t>{} : cpu::Rows<uint8_t>{kept, sizes, strides, 2};
      const cpu::Batch<double> batch = {1, n, {row.data(), sizes, strides, 2}, mask_rows};
      for (const double strength : {1e-308, 1e-3, 1.0, 1e308}) {
        for (const char* method : {"l2", "kl"}) {
          std::vector<double> ranks(n), derivative(n), values(n), product(n);
          std::vector<int32_t> blocks(n), places(n);
          std::vector<int64_t> permutation(n);
          cpu::permutahedron_rank({batch, strength, method}, false, ranks.data(), blocks.data(),
                                  cpu::in_this_thread);
          const cpu::Rows<double> directions[] = {{row.data(), sizes, strides, 2},
                                                  {ranks.data(), sizes, strides, 2}};
          for (const int order : {1, 2}) {
            cpu::permutahedron_rank_derivative({batch, strength, method},
                                               {blocks.data(), sizes, strides, 2}, directions,
                                               order, derivative.data(), cpu::in_this_thread);
          }
          cpu::permutahedron_sort({batch, strength, method}, values.data(), permutation.data(),
                                  places.data(), cpu::in_this_thread);
          for (const bool transposed : {false, true}) {
            cpu::permutahedron_sort_product(
                {batch, strength, method},
                {{permutation.data(), sizes, strides, 2}, {places.data(), sizes, strides, 2}},
                directions[1], transposed, product.data(), cpu::in_this_thread);
          }
          std::sort(permutation.begin(), permutation.end());
          for (int64_t i = 0; i < n; ++i) {
            const bool masked = kept != nullptr && kept[i] == 0;
            expect(permutation[i] == i, "a soft sort has every item once");
            expect(masked ? ranks[i] == 0 : std::isnan(ranks[i]) == std::isnan(row[i]),
                   "the rank by projection of a masked item is 0, of NaN NaN");
            expect(std::isnan(ranks[i]) || (ranks[i] >= 0 && ranks[i] <= 1),
                   "a rank by projection lies in [0, 1]");
            expect(i == 0 || std::isnan(values[i]) || values[i] >= values[i - 1] || values[i] == 0,
                   "soft sorted values ascend");
          }
        }
      }
    }
  }
}

/// How far y is from G(y) = level, in units of 1/α, by long double sums: whole items below, and two
/// tails.
template <class Scalar>
long double distance_to_level(const std::vector<Scalar>& values, double strength,
                              const std::string& method, double y, long double level) {
  long double below = 0, tails = 0, slope = 0;
  for (const Scalar value : values) {
    const long double d = strength * (static_cast<long double>(y) - value);
    below += d > 0 ? 1 : 0;
    tails += d > 0 ? -smooth_cdf(method, -d) : smooth_cdf(method, d);
    slope += density(method, d);
  }
  return std::abs(below - level + tails) / slope;
}

template <class Scalar>
void sorted_points_have_their_levels(const char* what, const std::vector<double>& doubles,
                                     double strength) {
  const auto size = static_cast<int64_t>(doubles.size());
  const Dense<Scalar> input(doubles, size);
  for_each_method([&](const std::string& method) {
    std::vector<Scalar> sorted(size, -7);
    std::vector<double> points(size, -7), densities(size, -7);
    cpu::quantile_sort({input.batch(), strength, method}, sorted.data(), points.data(),
                       densities.data(), thread_per_row);
    // The largest value's or point's rounding to double, and what the series leave.
    double largest = 0;
    for (const double value : doubles) largest = std::max(largest, std::abs(value));
    for (const double point : points) largest = std::max(largest, std::abs(point));
    const double rounding = strength * largest * 4e-16;
    const double bound = (sizeof(Scalar) == 4 ? 2e-7 : 4e-14) + rounding;
    for (int64_t k = 0; k < size; k += 1 + size / 40) {
      const std::string sentence = method + ", " + what + ", place " + std::to_string(k);
      expect_near(distance_to_level(input.data, strength, method, points[k], k + 0.5L), 0, bound,
                  sentence);
      expect(sorted[k] == static_cast<Scalar>(points[k]) || k > 0, sentence + ": rounded once");
      long double slope = 0;
      for (const Scalar value : input.data) {
        slope += density(method, strength * (static_cast<long double>(points[k]) - value));
      }
      const double relative = (sizeof(Scalar) == 4 ? 2e-6 : 1e-11) + 8 * rounding;
      expect_near(densities[k] / slope, 1, relative, sentence + ": density");
    }
    expect(std::is_sorted(sorted.begin(), sorted.end()), method + ", " + what + " ascend");
  });
}

void sorted_points_of_any_row_have_their_levels() {
  std::mt19937 generator(12);
  const auto both = [](const char* what, const std::vector<double>& values, double strength) {
    sorted_points_have_their_levels<double>(what, values, strength);
    sorted_points_have_their_levels<float>(what, values, strength);
  };
  for (const double strength : {1e-3, 1.0, 30.0, 1e4}) {
    for (const int64_t size : {1, 2, 7, 90, 700}) {
      both("normal values", normal_values(size, 1, generator), strength);
    }
  }
  std::vector<double> row = normal_values(600, 1, generator);
  row[5] = 1e5;
  both("an outlier", row, 2);
  both("equal values", std::vector<double>(300, 2.5), 3);
  for (size_t i = 0; i < row.size(); ++i)
    row[i] = i < 300 ? 0 : 30.0 * static_cast<double>(i - 300);
  both("a heap and a chain", row, 1);
  for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<double>(i % 2) * 200 + 1e-5 * row[i];
  both("two clusters", row, 1);
}

void points_at_whole_levels_balance_a_gap() {
  // By the limit ½ (LSE(α x_left) - LSE(-α x_right))/α, of the sigmoid.
  for (const double gap : {30.0, 60.0, 200.0, 1e6}) {
    for (const int64_t copies : {1, 50}) {  // by steps, or on a grid
      std::vector<double> row;
      for (int64_t i = 0; i < copies; ++i) {
        row.insert(row.end(), {0.0, -1.0, gap, gap, gap + 3});
      }
      const Dense<double> input(row, static_cast<int64_t>(row.size()));
      const int64_t sizes[] = {1, 1}, strides[] = {1, 1};
      const double level = static_cast<double>(2 * copies);
      double point = -7;
      cpu::quantile_at_levels(cpu::SoftBatch<double>{input.batch(), 1.0, "sigmoid"},
                              {&level, sizes, strides, 2}, 1, &point, serial);
      const double left = std::log1p(std::exp(-1)), right = std::log(2 + std::exp(-3));
      expect_near(point, gap / 2 + (left - right) / 2, 1e-6 * (gap < 40) + 1e-15 * gap + 1e-12,
                  "the middle of a gap of " + std::to_string(gap));
      cpu::quantile_at_levels(
          cpu::SoftBatch<double>{Dense<double>({-gap, gap}, 2).batch(), 1.0, "gaussian"},
          {&level, sizes, strides, 2}, 1, &point, serial);
      if (copies > 1) continue;  // two items have no level 100
      expect(point == std::numeric_limits<double>::infinity(), "a level above all items");
      const double one = 1;
      cpu::quantile_at_levels(
          cpu::SoftBatch<double>{Dense<double>({-gap, gap + 1}, 2).batch(), 1.0, "gaussian"},
          {&one, sizes, strides, 2}, 1, &point, serial);
      expect_near(point, 0.5, 1e-15 * gap, "the middle between two items");
    }
  }
}

void points_at_any_levels_have_them() {
  std::mt19937 generator(13);
  for (const double spread : {0.01, 1.0, 20.0, 3000.0}) {
    for (const int64_t size : {5, 200}) {
      const std::vector<double> row = normal_values(size, spread, generator);
      const Dense<double> input(row, size);
      std::uniform_real_distribution<double> uniform(0.01, static_cast<double>(size) - 0.01);
      std::vector<double> levels(20), points(20, -7);
      for (double& level : levels) level = uniform(generator);
      const int64_t sizes[] = {1, 20}, strides[] = {20, 1};
      for_each_method([&](const std::string& method) {
        for (const int64_t count : {3, 20}) {
          cpu::quantile_at_levels(cpu::SoftBatch<double>{input.batch(), 1.0, method},
                                  {levels.data(), sizes, strides, 2}, count, points.data(), serial);
          for (int64_t l = 0; l < count; ++l) {
            expect_near(
                distance_to_level(row, 1, method, points[l], levels[l]), 0,
                2e-13 + 4e-16 * std::abs(points[l]),
                method + " at level " + std::to_string(levels[l]) + " of " + std::to_string(size));
          }
        }
      });
    }
  }
}

/// Quantiles of rows alike but for an offset, and both products with their weights.
template <class Scalar>
void quantiles_have_their_levels_and_weights(const std::vector<double>& doubles, int64_t size,
                                             double strength, int64_t number) {
  const Dense<Scalar> input(doubles, size);
  const int64_t rows = input.sizes[0];
  std::vector<double> q(number);  // in disorder, some of them twice
  for (int64_t l = 0; l < number; ++l) {
    q[l] = static_cast<double>(l * 3 % number / 2 * 2) / static_cast<double>(number - 1);
  }
  const int64_t sizes[] = {rows, number}, one_for_all[] = {0, 1}, strides[] = {number, 1};
  std::vector<double> vector(rows * number), along(rows * size);
  for (size_t i = 0; i < vector.size(); ++i) vector[i] = std::sin(static_cast<double>(i));
  for (size_t i = 0; i < along.size(); ++i) along[i] = std::cos(static_cast<double>(i));
  const Dense<Scalar> directions(along, size);
  for_each_method([&](const std::string& method) {
    const cpu::SoftBatch<Scalar> batch = {input.batch(), strength, method};
    std::vector<double> quantiles(rows * number, -7), points(quantiles), densities(quantiles),
        tangents(quantiles);
    std::vector<Scalar> gradients(rows * size, -7);
    cpu::quantiles(batch, {q.data(), sizes, one_for_all, 2}, number, quantiles.data(),
                   points.data(), densities.data(), thread_per_row);
    const cpu::LevelPoints at = {points.data(), densities.data(), number, /*from_centers=*/true};
    cpu::quantiles_to_items(batch, at, {vector.data(), sizes, strides, 2}, gradients.data(),
                            thread_per_row);
    cpu::quantiles_to_levels(batch, at, directions.rows(), tangents.data(), thread_per_row);
    for (int64_t row = 0; row < rows; ++row) {
      const auto first = input.data.begin() + row * size;
      const std::vector<Scalar> values(first, first + size);
      const auto [lowest, highest] = std::minmax_element(values.begin(), values.end());
      const Scalar center = center_of(*lowest, *highest);
      std::vector<long double> gradient(size);
      for (int64_t l = 0; l < number; ++l) {
        const int64_t i = row * number + l;
        const std::string sentence = method + " at " + std::to_string(q[l]) + " of " +
                                     std::to_string(size) + ", strength " +
                                     std::to_string(strength);
        expect(quantiles[i] == center + points[i], sentence + ": from the centre");
        std::vector<long double> weights(size);
        long double total = 0, tangent = 0;
        for (int64_t j = 0; j < size; ++j) {
          const long double x = static_cast<long double>(values[j]) - center;
          weights[j] = density(method, strength * (points[i] - x));
          total += weights[j];
        }
        if (total < 1e-200) return;  // whose logarithms the tests of the operators ask for
        std::vector<double> differences(size);
        for (int64_t j = 0; j < size; ++j) differences[j] = values[j] - center;
        const auto level = static_cast<long double>(q[l] * (static_cast<double>(size) - 1) + 0.5);
        const double rounding = 4e-16 * strength * std::abs(points[i]);
        expect_near(distance_to_level(differences, strength, method, points[i], level), 0,
                    2e-13 + rounding, sentence);
        expect_near(densities[i] / total, 1, 1e-12, sentence + ": density");
        for (int64_t j = 0; j < size; ++j) {
          gradient[j] += vector[i] * weights[j] / total;
          tangent += weights[j] / total * static_cast<long double>(directions.data[row * size + j]);
        }
        expect_near(tangents[i], tangent, 1e-12, sentence + ": tangent");
      }
      for (int64_t j = 0; j < size; ++j) {
        expect_near(gradients[row * size + j], gradient[j],
                    1e-12 + 4 * std::numeric_limits<Scalar>::epsilon(), method + ": gradient");
      }
    }
  });
}

void quantiles_of_any_rows_have_their_levels_and_weights() {
  std::mt19937 generator(14);
  for (const double strength : {1e-3, 1.0, 30.0, 1e3}) {
    for (const int64_t size : {1, 2, 7, 90, 700, 20000}) {
      const int64_t rows = size < 20000 ? 19 : 1;
      std::vector<double> values = normal_values(rows * size, 1, generator);
      for (int64_t i = 0; i < size && rows > 1; ++i) values[size + i] = 1e4 + values[i];
      for (const int64_t number : {5, 29}) {
        if (size == 20000 && number == 29) continue;  // whose sums in long double take long
        quantiles_have_their_levels_and_weights<double>(values, size, strength, number);
        quantiles_have_their_levels_and_weights<float>(values, size, strength, number);
      }
    }
  }
}

/// Four rows of eight items, and which of them a mask keeps.
const std::vector<double> kNastyRows = {
    kNan,      1,         kInfinity,  -2,        5,         -kInfinity, 0,         0,       //
    kHuge,     -kHuge,    0,          1,         -1,        kTiny,      -kTiny,    1e-300,  //
    kNan,      kNan,      kNan,       kNan,      kNan,      kNan,       kNan,      kNan,    //
    kInfinity, kInfinity, -kInfinity, kInfinity, kInfinity, kInfinity,  kInfinity, kInfinity};
const std::vector<uint8_t> kKeptOfNastyRows = {1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1,
                                               1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1};

void quantiles_of_nasty_rows_stay_in_order() {
  const std::vector<double>& rows = kNastyRows;
  const Dense<double> input(rows, 8);
  const std::vector<uint8_t>& kept = kKeptOfNastyRows;
  for (const bool masked : {false, true}) {
    cpu::Batch<double> batch = input.batch();
    if (masked) batch.mask = {kept.data(), input.sizes, input.strides, 2};
    for_each_method([&](const std::string& method) {
      for (const double strength : {1e-300, 1e-6, 1.0, 1e6, 1e300, kHuge}) {
        std::vector<double> values(32, -7), points(32, -7), densities(32, -7);
        cpu::quantile_sort({batch, strength, method}, values.data(), points.data(),
                           densities.data(), serial);
        for (int64_t i = 0; i < 32; ++i) {
          const bool first = i % 8 == 0 || std::isnan(values[i]) || std::isnan(values[i - 1]);
          const bool last = masked && i % 8 == 7;  // a masked item's 0
          expect(first || last || values[i] >= values[i - 1], "soft sorted values ascend");
          expect(densities[i] >= 0, "a density is not negative");
        }
        std::vector<double> levels(4 * 9), at(4 * 9, -7);
        for (int64_t i = 0; i < 4 * 9; ++i) levels[i] = static_cast<double>(i % 9);
        const int64_t sizes[] = {4, 9}, strides[] = {9, 1};
        cpu::quantile_at_levels(cpu::SoftBatch<double>{batch, strength, method},
                                {levels.data(), sizes, strides, 2}, 9, at.data(), serial);
        for (int64_t i = 0; i < 4 * 9; ++i) {
          const bool first = i % 9 == 0 || std::isnan(at[i]) || std::isnan(at[i - 1]);
          expect(first || at[i] >= at[i - 1], "points ascend with their levels");
        }
        std::vector<double> gradient(32, -7);
        cpu::quantiles_to_items({batch, strength, method}, {at.data(), nullptr, 9, false},
                                {levels.data(), sizes, strides, 2}, gradient.data(), serial);
        for (int64_t i = 0; i < 32; ++i) {
          const bool counts = std::isfinite(rows[i]) && (!masked || kept[i] != 0);
          expect(counts ? gradient[i] >= 0 || std::isnan(gradient[i]) : gradient[i] == 0,
                 "a gradient is that of finite items, and not negative");
        }
      }
    });
  }
}

/// The mask of one row of k's largest, its densities, and the product of the Jacobian with
/// `vector`.
template <class Scalar>
struct TopK {
  std::vector<Scalar> chosen, product;
  std::vector<double> densities;

  TopK(const cpu::Batch<Scalar>& batch, const std::vector<double>& k, double strength,
       const std::string& method, const std::vector<double>& vector,
       const cpu::ParallelFor& parallel_for)
      : chosen(batch.count * batch.size, -7), product(chosen), densities(chosen.size(), -7) {
    const int64_t sizes[] = {batch.count, 1}, strides[] = {1, 1};
    cpu::topk({batch, strength, method}, {k.data(), sizes, strides, 2}, chosen.data(),
              densities.data(), parallel_for);
    const Dense<Scalar> along(vector, batch.size);
    const int64_t row_sizes[] = {batch.count, batch.size}, row_strides[] = {batch.size, 1};
    cpu::topk_product({along.batch(), strength, method},
                      {densities.data(), row_sizes, row_strides, 2}, product.data(), parallel_for);
  }
};

/// A threshold fits all items of a mask, their sum is k, and products have the densities there.
template <class Scalar>
void masks_of_largest_items_add_up(const char* what, const std::vector<double>& doubles, double k,
                                   double strength) {
  const auto size = static_cast<int64_t>(doubles.size());
  const Dense<Scalar> input(doubles, size);
  std::vector<double> vector(size);
  for (int64_t i = 0; i < size; ++i) vector[i] = std::cos(static_cast<double>(i));
  for_each_method([&](const std::string& method) {
    const TopK<Scalar> got(input.batch(), {k}, strength, method, vector, thread_per_row);
    const std::string sentence = method + ", k = " + std::to_string(k) + ", " + what;
    const double epsilon = std::numeric_limits<Scalar>::epsilon();
    long double sum = 0, lower = kHuge, upper = -kHuge, mass = 0, mean = 0;
    double point = 0;
    const int64_t sizes[] = {1, 1}, strides[] = {1, 1};
    const double level = static_cast<double>(size) - k;
    cpu::quantile_at_levels(cpu::SoftBatch<Scalar>{input.batch(), strength, method},
                            {&level, sizes, strides, 2}, 1, &point, serial);
    for (int64_t i = 0; i < size; ++i) {
      sum += got.chosen[i];
      lower =
          std::min(lower, got.chosen[i] > 0.5 ? static_cast<long double>(input.data[i]) : kHuge);
      upper =
          std::max(upper, got.chosen[i] < 0.5 ? static_cast<long double>(input.data[i]) : -kHuge);
      const long double d = strength * (static_cast<long double>(input.data[i]) - point);
      const double rounding = 4e-16 * strength * std::abs(point);
      expect_near(got.chosen[i], smooth_cdf(method, d), epsilon + 1e-12 + rounding,
                  sentence + ": share of item " + std::to_string(i));
      expect_near(got.densities[i], density(method, d), 1e-12 + rounding,
                  sentence + ": density of item " + std::to_string(i));
      mass += got.densities[i];
      mean += got.densities[i] * static_cast<Scalar>(vector[i]);
    }
    // Shares are rounded, and what the sum misses is left if it is within such a rounding of each.
    expect_near(sum, k, static_cast<double>(size) * (epsilon + 1e-15), sentence + ": sum");
    expect(lower >= upper, sentence + ": no smaller item has more");
    if (mass > 0) mean /= mass;
    for (int64_t i = 0; i < size; ++i) {
      const long double exact =
          strength * got.densities[i] * (static_cast<Scalar>(vector[i]) - mean);
      expect_near(got.product[i], exact, 4 * (epsilon + 1e-14) * strength * 0.4,
                  sentence + ": product at item " + std::to_string(i));
    }
  });
}

void masks_of_any_row_add_up() {
  std::mt19937 generator(15);
  const auto both = [](const char* what, const std::vector<double>& values, double k,
                       double strength) {
    masks_of_largest_items_add_up<double>(what, values, k, strength);
    masks_of_largest_items_add_up<float>(what, values, k, strength);
  };
  for (const double strength : {1e-3, 1.0, 30.0, 1e4}) {
    both("two", {1, 2}, 1, strength);
    both("two", {1, 2}, 0.3, strength);
    for (const int64_t size : {7, 90, 700}) {
      const std::vector<double> row = normal_values(size, 1, generator);
      for (const double k : {1.0, 2.5, static_cast<double>(size / 2), size - 1.0}) {
        both("normal values", row, k, strength);
      }
    }
  }
  both("equal values", std::vector<double>(300, 2.5), 120, 3);
  both("two clusters", {0, 1e-3, 1e-3, 50, 50.1, 50.2, 50.3}, 4, 10);
  both("far from 0", {1e6, 1e6 + 1, 1e6 + 2, 1e6 + 3}, 2, 5);
  for (const double far : {1e9, 1e17, 1e30}) {
    both("far above", {far, 0.3, 1.7, 2.2, 2.9}, 2, 1);
    both("far below", {-far, 0.3, 1.7, 2.2, 2.9}, 2, 1);
    std::vector<double> row = normal_values(300, 1, generator);
    row[7] = far;
    both("one of many far above", row, 100.5, 10);
  }
}

void masks_of_nasty_rows_are_in_range() {
  const std::vector<double>& rows = kNastyRows;
  const Dense<double> input(rows, 8);
  const std::vector<uint8_t>& kept = kKeptOfNastyRows;
  for (const bool masked : {false, true}) {
    cpu::Batch<double> batch = input.batch();
    if (masked) batch.mask = {kept.data(), input.sizes, input.strides, 2};
    for_each_method([&](const std::string& method) {
      for (const double strength : {1e-300, 1e-6, 1.0, 1e6, 1e300, kHuge}) {
        for (const double k : {0.0, 0.5, 1.0, 2.0, 5.0, 8.0, 100.0, -1.0, kNan}) {
          const TopK<double> got(batch, std::vector<double>(4, k), strength, method,
                                 std::vector<double>(32, 1), serial);
          for (int64_t row = 0; row < 4; ++row) {
            double sum = 0, counted = 0;
            for (int64_t i = 8 * row; i < 8 * row + 8; ++i) {
              if (std::isnan(rows[i]) || (masked && kept[i] == 0)) continue;
              counted += 1;
              sum += got.chosen[i];
            }
            expect(!(k >= 0) || std::abs(sum - std::min(k, counted)) <= 1e-14,
                   method + ", k = " + std::to_string(k) + ", row " + std::to_string(row) +
                       ": the mask adds up to k, and not to " + std::to_string(sum));
          }
          for (int64_t i = 0; i < 32; ++i) {
            const bool counts = !masked || kept[i] != 0;
            const bool is_nan = counts && (std::isnan(rows[i]) || !(k >= 0));
            const std::string sentence = method + ", k = " + std::to_string(k) +
                                         ", α = " + std::to_string(strength) + ", item " +
                                         std::to_string(i);
            expect(is_nan ? std::isnan(got.chosen[i]) : got.chosen[i] >= 0 && got.chosen[i] <= 1,
                   sentence + ": a share lies in [0, 1], or is NaN");
            expect(counts || got.chosen[i] == 0, sentence + ": a masked item has none");
            expect(std::isnan(got.densities[i]) ? is_nan : got.densities[i] >= 0,
                   sentence + ": a density is not negative");
            // All directions alike move no share.
            expect(is_nan || got.product[i] == 0 || std::abs(got.product[i]) <= 1e-15 * strength,
                   sentence + ": a product");
          }
        }
      }
    });
  }
}

void threads_don_t_change_a_mask() {
  std::mt19937 generator(16);
  const int64_t size = 70'000;
  const std::vector<double> values = normal_values(size, 1, generator);
  const Dense<float> input(values, size);
  for (const double strength : {50.0, 1e7}) {  // on a grid, and by steps
    const auto chosen_by = [&](const cpu::ParallelFor& parallel_for) {
      return TopK<float>(input.batch(), {1000.0}, strength, "sigmoid", values, parallel_for);
    };
    const TopK<float> one = chosen_by(serial), other = chosen_by(thread_per_row);
    expect(one.chosen == other.chosen && one.densities == other.densities &&
               one.product == other.product,
           "threads change no bit of a mask");
  }
}

void threads_don_t_change_a_sorted_row() {
  std::mt19937 generator(14);
  const int64_t size = 70'000;
  const Dense<float> input(normal_values(size, 1, generator), size);
  const auto sorted_by = [&](const cpu::ParallelFor& parallel_for) {
    std::vector<float> sorted(size);
    cpu::quantile_sort({input.batch(), 50, "sigmoid"}, sorted.data(), nullptr, nullptr,
                       parallel_for);
    return sorted;
  };
  expect(sorted_by(serial) == sorted_by(thread_per_row), "threads change no bit of a sorted row");
}

void parts_of_a_row_add_up_to_the_row() {
  std::mt19937 generator(11);
  for_each_method([&](const std::string& method) {
    if (!SmoothCdfs::WithGrid::contains(method)) return;  // no moments say what the others add
    for (const double spread : {1e-3, 1.0, 20.0, 1000.0}) {
      std::vector<double> values = normal_values(400, spread, generator);
      values[3] = values[250] = kInfinity;
      values[77] = -kInfinity;
      values[0] = kNan;
      std::vector<std::vector<double>> directions;
      std::vector<Dense<double>> dense;
      for (int order = 0; order <= 2; ++order) {
        std::vector<cpu::Rows<double>> rows;
        for (const Dense<double>& direction : dense) rows.push_back(direction.rows());
        std::vector<double> expected(values.size());
        const Dense<double> input(values, 400);
        cpu::soft_rank_derivative({input.batch(), 1.0, method}, rows.data(), order, expected.data(),
                                  serial);
        const std::vector<double> actual =
            derivative_of_parts<double>(values, directions, {0, 1, 300, 99}, 1.0, method);
        for (size_t i = 0; i < values.size(); ++i) {
          if (std::isnan(values[i])) {
            expect(std::isnan(actual[i]), "NaN of a part has NaN");
          } else {
            expect_near(actual[i], expected[i], 1e-12,
                        method + ", split, order " + std::to_string(order) + ", spread " +
                            std::to_string(spread));
          }
        }
        directions.push_back(normal_values(400, 1, generator));
        dense.emplace_back(directions.back(), 400);
      }
    }
  });
}

void a_row_in_parts_without_finite_items_has_the_ranks_of_its_infinities() {
  const std::vector<double> ranks = derivative_of_parts<double>(
      {kInfinity, -kInfinity, kNan, kInfinity}, {}, {2, 2}, 1.0, "sigmoid");
  const std::vector<double> expected = {0.25, -0.5, kNan, 0.25};
  for (size_t i = 0; i < ranks.size(); ++i) {
    expect(ranks[i] == expected[i] || (std::isnan(ranks[i]) && i == 2), "a rank of an infinity");
  }
  expect(derivative_of_parts<double>({}, {}, {0, 0}, 1.0, "sigmoid").empty(), "no items");
}

}  // namespace

int main() {
  for_each_cdf(SmoothCdfs(), [](auto cdf) {
    using Cdf = decltype(cdf);
    if constexpr (kHasOneBox<Cdf>) {
      series_of_one_box_are_as_exact_as_they_say<Cdf>();
      pieces_are_as_exact_as_their_box<Cdf>();
      cells_of_one_box_are_as_exact_as_its_terms<Cdf>();
    }
    if constexpr (kHasGrid<Cdf>) {
      series_of_a_grid_are_as_exact_as_they_say<Cdf>();
      cells_of_a_grid_are_as_exact_as_its_boxes<Cdf>();
    }
    tails_are_those_of_the_plain_cdf<Cdf>();
    cdf_keeps_relative_precision<Cdf>();
    derivatives_of_every_order_agree<Cdf>();
  });
  lane_sum_adds_every_term_once();
  names_lead_to_their_cdf();
  ranks_equal_the_plain_sum();
  derivatives_equal_the_plain_sum();
  nasty_rows_have_finite_ranks_in_order();
  differences_that_overflow_are_still_scaled();
  infinities_compare_as_the_largest_and_smallest();
  masked_and_nan_items_are_left_out();
  layout_and_threads_do_not_change_bits();
  empty_batches_touch_nothing();
  loss_is_one_minus_the_correlation_of_ranks();
  gradient_of_the_loss_is_its_slope();
  narrow_rows_keep_their_correlation();
  projections_equal_the_plain_formula();
  pooling_takes_two_comparisons_an_item();
  projections_of_nasty_rows_stay_in_range();
  sorted_points_of_any_row_have_their_levels();
  points_at_whole_levels_balance_a_gap();
  points_at_any_levels_have_them();
  quantiles_of_any_rows_have_their_levels_and_weights();
  quantiles_of_nasty_rows_stay_in_order();
  masks_of_any_row_add_up();
  masks_of_nasty_rows_are_in_range();
  threads_don_t_change_a_mask();
  threads_don_t_change_a_sorted_row();
  parts_of_a_row_add_up_to_the_row();
  a_row_in_parts_without_finite_items_has_the_ranks_of_its_infinities();
  std::printf("%d checks, %d failures\n", checks, failures);
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
