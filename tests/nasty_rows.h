#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// A row on which a kernel sum could go wrong, and the strength that it is asked with.
struct NastyRow {
  std::string name;
  std::vector<double> values;
  double strength;
};

/// The same numbers in every build: SplitMix64 (Steele, Lea and Flood 2014).
class Randomness {
 public:
  explicit Randomness(uint64_t seed) : state_(seed) {}

  /// In [0, 1), with 53 bits.
  double uniform() {
    state_ += 0x9e3779b97f4a7c15;
    uint64_t bits = state_;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
    bits ^= bits >> 31;
    return static_cast<double>(bits >> 11) / 9007199254740992.0;
  }

  /// By the method of Box and Muller.
  double normal() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(6.283185307179586 * uniform());
  }

 private:
  uint64_t state_;
};

/// Rows at and beside everything that decides how a row is summed, on a CPU or on a GPU: its
/// number of items, its spread in units of 1/α, its density, its distance from 0. Both devices are
/// asked for all of them, in float32 and float64.
inline std::vector<NastyRow> nasty_rows() {
  std::vector<NastyRow> rows;
  const auto add = [&](const std::string& name, int64_t size, double strength,
                       const auto& value_of) {
    Randomness random(rows.size() + 1);
    std::vector<double> values(size);
    for (int64_t i = 0; i < size; ++i) values[i] = value_of(i, random);
    rows.push_back({name, std::move(values), strength});
  };
  const auto normal = [](int64_t, Randomness& random) { return random.normal(); };
  const auto uniform_over = [](double spread, double offset) {
    return [=](int64_t, Randomness& random) { return spread * random.uniform() + offset; };
  };

  // So few items that pairs are summed, so many that blocks or threads share the row.
  for (const int64_t size : {1, 2, 8, 9, 12, 13, 24, 25, 32, 33, 64, 65, 256, 257, 1023, 1024}) {
    add("normal", size, 3, normal);
    add("sharp", size, 60, normal);
  }
  for (const int64_t size : {16383, 16384}) add("normal", size, 15, normal);

  // The spreads at which a series ends to serve, and factors of exponentials.
  for (const double spread : {1.0, 2.3, 7.0, 10.0, 18.0, 23.2, 32.0}) {
    for (const double side : {0.999, 1.001}) {
      add("of a spread", 300, 1, [=](int64_t i, Randomness& random) {
        const double place = i == 7 ? 1 : (i == 77 ? 0 : random.uniform());
        return side * spread * (place - 0.3);
      });
    }
  }
  for (const double spread : {6.9, 7.1, 17.9, 18.1}) {
    add("of a spread", 9000, 1, uniform_over(spread, -spread / 2));
  }

  // The densities, in items a unit, at which a grid begins to be worth it; half, and a quarter of
  // the row, for derivatives.
  for (const double density : {20, 24, 40, 80, 160}) {
    for (const double side : {0.97, 1.03}) {
      add("of a density", 2400, 1, uniform_over(2400 / (side * density), -17));
    }
  }
  add("thin", 2400, 1, uniform_over(2400, 0));
  add("very thin", 2400, 1, uniform_over(1e7, 0));
  add("very sharp", 2400, 1e12, normal);

  // So far from 0 that the number of a box, in either dtype, is no longer exact.
  for (const double strength : {0.4, 1.0}) {
    add("60 wide, at 1.35e15", 20000, strength, uniform_over(60, 1.35e15));
  }
  for (const double offset : {-1.35e15, 6.9e13, 7.1e13, 8.7e13, 8.9e13, 4.4e15}) {
    add("200 wide, far from 0", 8000, 1, uniform_over(200, offset));
  }
  add("3 wide, at 1.35e15", 600, 1, uniform_over(3, 1.35e15));
  add("whole numbers, at 5e15", 600, 1,
      [](int64_t i, Randomness&) { return 5e15 + static_cast<double>(i % 4); });
  for (const double offset : {1000.0, 13000.0, 13200.0, 16300.0, 16500.0, -1e6}) {
    add("300 wide, at an offset", 12000, 1, uniform_over(300, offset));
  }
  add("3 wide, at 1e4", 600, 1, uniform_over(3, 1e4));

  // Outliers and clusters.
  for (const double outlier : {100.0, 1e5, 1e30, -1e300}) {
    add("an outlier", 3000, 1,
        [=](int64_t i, Randomness& random) { return i == 1000 ? outlier : random.normal(); });
  }
  for (const double distance : {5.0, 7.5, 9.0, 15.0, 19.0, 25.0, 37.0, 41.0}) {
    add("one below a crowd", 6000, 1, [=](int64_t i, Randomness& random) {
      return i == 7 ? 0 : distance + random.uniform() / 128;
    });
  }
  add("half at one end", 2000, 14, [](int64_t i, Randomness& random) {
    return i % 2 == 0 ? -0.5 : 0.5 + 1e-4 * random.normal();
  });
  add("two clusters", 3000, 1,
      [](int64_t i, Randomness& random) { return random.normal() + (i % 2 == 0 ? 1e4 : -1e4); });
  add("tight clusters", 3000, 1, [](int64_t i, Randomness& random) {
    return 1e-5 * random.normal() + 30.0 * static_cast<double>(i % 11);
  });
  add("dense and lonely", 3000, 1, [](int64_t i, Randomness& random) {
    return i < 2000 ? 50 * random.uniform() : 40.0 * static_cast<double>(i - 1900);
  });

  // Ties.
  add("constant", 3000, 2, [](int64_t, Randomness&) { return 1.25; });
  add("all but one", 3000, 2, [](int64_t i, Randomness&) { return i == 3 ? 1.5 : 1.25; });
  for (const double strength : {1.0, 40.0, 1e6}) {
    add("ties", 3000, strength,
        [](int64_t, Randomness& random) { return std::round(4 * random.normal()) / 4; });
  }
  add("rectified", 3000, 30, [](int64_t, Randomness& random) {
    const double value = random.normal();
    return value > 0 ? value : 0;
  });

  // The ends of the dtypes' ranges; what one of them cannot hold is 0 or infinite in it.
  for (const double scaled : {1.0, 15.0, 60.0}) {
    add("±3e38", 3000, scaled / 6e38, uniform_over(6e38, -3e38));
    add("±1.7e308", 3000, scaled / 1.7e308 / 2, uniform_over(1.7e308, -0.85e308));
    add("±1.7e308, twice", 3000, scaled / 1.7e308 / 2, [](int64_t i, Randomness& random) {
      return (i % 2 == 0 ? 1.7e308 : -1.7e308) * random.uniform();
    });
    add("denormal floats", 3000, scaled / 1e-38, uniform_over(1e-38, -0.2e-38));
    add("denormal", 3000, scaled / 6e-307, uniform_over(6e-307, -1e-307));
  }
  for (const double apart : {1.0, 1.7e308}) {
    add("ties, at the strongest", 3000, 1.75e308,
        [=](int64_t i, Randomness&) { return apart * static_cast<double>(i % 3 - 1); });
  }
  for (const double spread : {9.0, 17.5, 60.0}) {
    add("at the strongest", 3000, 1.75e308, uniform_over(spread / 1.75e308, 0));
  }

  // Long tails, and orders.
  add("exponential", 3000, 5,
      [](int64_t, Randomness& random) { return -std::log(1 - random.uniform()); });
  for (const double strength : {0.01, 1.0, 100.0}) {
    add("cauchy", 3000, strength, [](int64_t, Randomness& random) {
      return std::tan(3.141592653589793 * (random.uniform() - 0.5));
    });
  }
  add("geometric", 3000, 1, [](int64_t i, Randomness& random) {
    return std::copysign(std::pow(10, 0.02 * static_cast<double>(i) - 30), random.uniform() - 0.5);
  });
  for (const double step : {0.01, 0.5, 1.0, 1.25}) {
    add("ascending", 3000, 1, [=](int64_t i, Randomness&) { return step * (i - 700); });
    add("descending", 3000, 2, [=](int64_t i, Randomness&) { return -step * i; });
  }

  // A crowd of equal items just within reach, in a row of very many boxes.
  add("one below a crowd, very wide", 600, 1, [](int64_t i, Randomness&) {
    return i == 7 ? 0 : (i < 256 ? 14.56 : 1e4 + 40.0 * static_cast<double>(i));
  });
  return rows;
}

/// Two directions for derivatives of a row, in a power of two near 1/α, so that these are near 1
/// though α is not.
inline std::vector<std::vector<double>> nasty_directions(const NastyRow& row, bool in_double) {
  const int most_bits = in_double ? 1000 : 100;
  const double bits = std::round(std::log2(row.strength));
  const double unit = std::exp2(-std::fmin(std::fmax(bits, -most_bits), most_bits));
  std::vector<std::vector<double>> directions;
  for (const double mean : {0.0, 1.0}) {
    Randomness random(1000 + static_cast<uint64_t>(mean));
    std::vector<double> direction(row.values.size());
    for (double& value : direction) value = unit * (random.normal() + mean);
    directions.push_back(std::move(direction));
  }
  return directions;
}
