#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

// Why an argument is refused: what stands behind "function: " in the messages of every door of the
// library, be they exceptions of Python or sentences of C. Each names the argument, what was given
// and what to do. A shape is anything that can be printed, as "[2, 3]".

namespace rank_relax::refusal {

template <class... Parts>
std::string sentence(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

inline bool is_strength(double given) { return std::isfinite(given) && given > 0; }

inline std::string not_a_strength(double given) {
  return sentence("regularization_strength must be positive and finite, got ", given,
                  "; larger is closer to the hard ranks");
}

/// `choices` are "'first', 'second'".
inline std::string not_a_choice(const char* name, std::string_view choices,
                                std::string_view given) {
  return sentence(name, " must be one of ", choices, ", got '", given, "'");
}

inline std::string not_floating(const char* name, std::string_view dtype) {
  return sentence(name, " must be float64, float32, bfloat16 or float16, got ", dtype);
}

inline std::string not_real(const char* name, std::string_view dtype) {
  return sentence(name,
                  " must be float64, float32, bfloat16, float16, of an integer dtype or bool, got ",
                  dtype);
}

inline std::string not_of_dtype(const char* name, std::string_view dtype, std::string_view given) {
  return sentence(name, " must have dtype ", dtype, ", got ", given);
}

inline std::string not_a_mask(std::string_view dtype) {
  return sentence("mask must be bool, true where an item counts, got ", dtype);
}

inline std::string without_lists(const char* name) {
  return sentence(name,
                  " must have at least one dimension, the last of which is ranked, got a 0-dim "
                  "tensor");
}

template <class Shape>
std::string not_of_shape(const char* name, const char* values_name, const Shape& shape,
                         const Shape& given) {
  return sentence(name, " must have the shape of ", values_name, ", ", shape, ", got ", given);
}

template <class Shape>
std::string not_of_batch_shape(const char* name, const char* values_name, const Shape& shape,
                               const Shape& given) {
  return sentence(name, " must have the batch shape of ", values_name, ", ", shape, ", got ",
                  given);
}

template <class Shape>
std::string not_in_rows(const char* name, const char* values_name, const Shape& batch_shape,
                        const Shape& given) {
  return sentence(name, " must have the batch shape of ", values_name, ", ", batch_shape,
                  ", and one more dimension, got ", given);
}

template <class Device>
std::string on_another_device(const char* name, const Device& device, const char* values_name,
                              const Device& device_of_values) {
  return sentence(name, " is on ", device, " but ", values_name, " is on ", device_of_values,
                  "; move them to one device");
}

inline std::string too_many_directions(int most, std::string_view method, int64_t given) {
  return sentence("directions must be at most ", most, " tensors (method '", method,
                  "' has no derivatives of a higher order), got ", given);
}

constexpr int64_t kLongestList = 0xffffffff;  // places in a list have 32 bits

inline std::string too_long(int64_t given) {
  return sentence("a list can have ", kLongestList, " items at most, got ", given);
}

inline std::string too_long_for_blocks(int64_t most, std::string_view method, int64_t given) {
  return sentence("a list can have ", most, " items at most with method '", method, "', got ",
                  given);
}

template <class Shape>
std::string without_items(const char* name, const Shape& shape) {
  return sentence(name, " must have at least one item in its last dimension, got shape ", shape);
}

template <class Shape>
std::string not_a_number_of_places(const Shape& batch_shape, const Shape& given) {
  return sentence("k must be one number or have the batch shape of input, ", batch_shape, ", got ",
                  given);
}

template <class Shape>
std::string without_sets(const Shape& given) {
  return sentence("weights must have a dimension of sets before the last, got ", given);
}

inline std::string not_an_order(int lowest, int most, int64_t given) {
  return sentence("order must be from ", lowest, " to ", most, ", got ", given);
}

inline std::string without_integral(std::string_view method) {
  return sentence("method '", method, "' has no order -1: its integral is not known");
}

inline std::string without_ends(const char* name) {
  return sentence(name,
                  " must begin with 0 and have the end of each list after it, got no element");
}

/// Of ends [count] that do not rise from 0 to the number of items; nothing if they do.
template <class Ends>
std::optional<std::string> of_ends(const char* name, const Ends& ends, int64_t count,
                                   int64_t items) {
  for (int64_t place = 0; place < count; ++place) {
    const int64_t least = place == 0 ? 0 : ends[place - 1];
    const int64_t most = place == 0 ? 0 : items;
    const bool is_end = least <= ends[place] && ends[place] <= most;
    if (is_end && (place + 1 < count || ends[place] == items)) continue;
    return sentence(name, " must rise from 0 to the number of items, ", items, ", got ",
                    int64_t{ends[place]}, " at place ", place);
  }
  return std::nullopt;
}

template <class Number>
std::string not_as_many_lists(const Number& lists, const Number& given) {
  return sentence("point_offsets must have as many lists as offsets, ", lists, ", got ", given);
}

inline std::string not_from_forward(const char* name) {
  return sentence(name, " must be what the forward returned");
}

}  // namespace rank_relax::refusal
