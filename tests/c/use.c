/* Calls the library as a program of C does: plain arrays, tensors at strides, halves of the work on
   several threads, a loop of its own, errors. The numbers themselves are compared with torch's in
   tests/reach/test_c.py. */

#include <math.h>
#include <pthread.h>
#include <rank_relax.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

static void expect(int holds, const char* what) {
  if (!holds) {
    fprintf(stderr, "failed: %s (last error: %s)\n", what, rank_relax_last_error());
    ++failures;
  }
}

enum { kLists = 3, kItems = 257 };

static double random_number(unsigned* state) {
  *state = *state * 1664525u + 1013904223u;
  return (double)(*state >> 8) / 16777216.0 - 0.5;
}

static rank_relax_tensor tensor_of(void* data, int bits, int64_t* shape, int ndim) {
  rank_relax_tensor tensor = {data, {1, 0}, ndim, {2, (uint8_t)bits, 1}, shape, NULL, 0};
  return tensor;
}

static void fill(double* values, int count, unsigned seed) {
  for (int i = 0; i < count; ++i) values[i] = random_number(&seed);
}

/* The ranks by their definition, and the gradient of a weighted sum of them. */
static void pairwise_ranks(const double* x, int n, double strength, double* ranks) {
  for (int i = 0; i < n; ++i) {
    ranks[i] = 0;
    for (int j = 0; j < n; ++j) {
      if (j != i) ranks[i] += 1 / (1 + exp(-strength * (x[i] - x[j]))) / (n - 1);
    }
  }
}

static void test_ranks_are_pairwise_sums(void) {
  double x[kLists * kItems], ranks[kLists * kItems], expected[kItems];
  int64_t shape[] = {kLists, kItems};
  fill(x, kLists * kItems, 1);
  rank_relax_options options = RANK_RELAX_OPTIONS;
  options.regularization_strength = 7;
  const rank_relax_tensor input = tensor_of(x, 64, shape, 2),
                          output = tensor_of(ranks, 64, shape, 2);
  expect(rank_relax_soft_rank(&input, &options, &output) == RANK_RELAX_OK, "soft_rank");
  for (int list = 0; list < kLists; ++list) {
    pairwise_ranks(x + list * kItems, kItems, 7, expected);
    for (int i = 0; i < kItems; ++i) {
      expect(fabs(ranks[list * kItems + i] - expected[i]) < 1e-12, "a rank is the pairwise sum");
    }
  }
}

static void test_columns_are_lists_without_a_copy(void) {
  double x[kItems * kLists], rows[kLists * kItems], of_columns[kLists * kItems];
  double of_rows[kLists * kItems];
  int64_t shape[] = {kLists, kItems}, strides[] = {1, kLists};
  fill(x, kItems * kLists, 2);
  for (int i = 0; i < kItems; ++i) {
    for (int list = 0; list < kLists; ++list) rows[list * kItems + i] = x[i * kLists + list];
  }
  rank_relax_tensor columns = tensor_of(x, 64, shape, 2);
  columns.strides = strides;
  const rank_relax_tensor contiguous = tensor_of(rows, 64, shape, 2);
  const rank_relax_tensor a = tensor_of(of_columns, 64, shape, 2);
  const rank_relax_tensor b = tensor_of(of_rows, 64, shape, 2);
  expect(rank_relax_soft_rank(&columns, NULL, &a) == RANK_RELAX_OK, "columns");
  expect(rank_relax_soft_rank(&contiguous, NULL, &b) == RANK_RELAX_OK, "rows");
  expect(memcmp(of_columns, of_rows, sizeof of_rows) == 0, "strides don't change a bit");
}

static void test_gradients_are_slopes_of_the_loss(void) {
  double p[kLists * kItems], t[kLists * kItems], losses[kLists], grad[kLists * kItems];
  double grad_t[kLists * kItems];
  const double weights[kLists] = {1, -2, 0.5};
  fill(p, kLists * kItems, 3);
  fill(t, kLists * kItems, 4);
  expect(spearman_loss_batch_gradient(p, t, kLists, kItems, 3, weights, losses, grad, grad_t) ==
             RANK_RELAX_OK,
         "the gradient of a batch");
  const double step = 1e-5;
  for (int i = 0; i < kLists * kItems; i += 97) {
    for (int of_targets = 0; of_targets < 2; ++of_targets) {
      double* const values = of_targets ? t : p;
      double sides[2][kLists];
      const double kept = values[i];
      for (int side = 0; side < 2; ++side) {
        values[i] = kept + (side ? step : -step);
        spearman_loss_batch(p, t, kLists, kItems, 3, sides[side]);
      }
      values[i] = kept;
      double slope = 0;
      for (int list = 0; list < kLists; ++list) {
        slope += weights[list] * (sides[1][list] - sides[0][list]) / (2 * step);
      }
      expect(fabs(slope - (of_targets ? grad_t : grad)[i]) < 1e-9, "a gradient is a slope");
    }
  }
  const double alone = spearman_loss_ffi(p, kItems, t, kItems, 3);
  expect(alone == losses[0], "one list has the loss that it has in a batch");
}

/* A loop of the program's own: two threads, each with half of what there is. */
struct range {
  rank_relax_work run;
  void* work;
  int64_t begin, end;
};

static void* run_range(void* argument) {
  const struct range* range = argument;
  range->run(range->work, range->begin, range->end);
  return NULL;
}

static void two_threads(void* context, int64_t count, int64_t grain, rank_relax_work run,
                        void* work) {
  (void)grain;
  ++*(int*)context;
  struct range first = {run, work, 0, count / 2};
  pthread_t thread;
  if (count < 2 || pthread_create(&thread, NULL, run_range, &first) != 0) {
    run(work, 0, count);
    return;
  }
  run(work, count / 2, count);
  pthread_join(thread, NULL);
}

static void test_bits_do_not_depend_on_the_loop(void) {
  enum { kMany = 100000 };
  float* const x = malloc(sizeof(float) * kMany);
  float* const results[3] = {malloc(sizeof(float) * kMany), malloc(sizeof(float) * kMany),
                             malloc(sizeof(float) * kMany)};
  unsigned seed = 5;
  for (int i = 0; i < kMany; ++i) x[i] = (float)random_number(&seed);
  int64_t shape[] = {kMany};
  const rank_relax_tensor input = tensor_of(x, 32, shape, 1);
  int calls = 0;
  int64_t threads = 3;
  for (int loop = 0; loop < 3; ++loop) {
    rank_relax_options options = RANK_RELAX_OPTIONS;
    if (loop == 1) options.parallel_for = two_threads, options.parallel_context = &calls;
    if (loop == 2) options.parallel_for = rank_relax_threads, options.parallel_context = &threads;
    options.regularization_strength = 100;
    const rank_relax_tensor output = tensor_of(results[loop], 32, shape, 1);
    expect(rank_relax_soft_rank(&input, &options, &output) == RANK_RELAX_OK, "on threads");
  }
  expect(calls > 0, "the program's loop is called");
  for (int loop = 1; loop < 3; ++loop) {
    expect(memcmp(results[0], results[loop], sizeof(float) * kMany) == 0,
           "the bits are the same on any threads");
  }
  free(x);
  for (int loop = 0; loop < 3; ++loop) free(results[loop]);
}

static void test_errors_are_sentences_and_leave_outputs_alone(void) {
  double x[4] = {1, 2, 3, 4}, out[4] = {9, 9, 9, 9};
  int64_t shape[] = {4}, other[] = {3};
  const rank_relax_tensor input = tensor_of(x, 64, shape, 1), output = tensor_of(out, 64, shape, 1);
  rank_relax_options options = RANK_RELAX_OPTIONS;
  options.regularization_strength = -1;
  expect(rank_relax_soft_rank(&input, &options, &output) == RANK_RELAX_INVALID_ARGUMENT,
         "a strength below 0 is refused");
  expect(strcmp(rank_relax_last_error(),
                "soft_rank: regularization_strength must be positive and finite, got -1; larger is "
                "closer to the hard ranks") == 0,
         "the sentence names the argument, what was given and what to do");
  const rank_relax_tensor short_one = tensor_of(out, 64, other, 1);
  expect(rank_relax_soft_rank(&input, NULL, &short_one) == RANK_RELAX_INVALID_ARGUMENT, "a shape");
  expect(rank_relax_soft_rank(&input, NULL, &input) == RANK_RELAX_INVALID_ARGUMENT, "in place");
  expect(rank_relax_soft_rank(NULL, NULL, &output) == RANK_RELAX_INVALID_ARGUMENT, "no input");
  rank_relax_tensor on_a_device = input;
  on_a_device.device.type = 2;
  expect(rank_relax_soft_rank(&on_a_device, NULL, &output) == RANK_RELAX_UNSUPPORTED, "a device");
  for (int i = 0; i < 4; ++i) expect(out[i] == 9, "an output is as it was");
  expect(isnan(spearman_loss_ffi(x, 4, x, 3, 1)), "two lengths have no loss");
  expect(isnan(spearman_loss_ffi(x, 4, x, 4, NAN)), "no strength has no loss");
}

static void test_arrays_that_overlap_are_refused(void) {
  double p[] = {0.3, 0.1, 0.2, 0.4, 0.5, 0.9}, t[] = {1, 2, 3, 4, 5, 6}, g[] = {1, 1};
  double losses[] = {9, 9}, gradient[] = {9, 9, 9, 9, 9, 9};
  double* const wanted[][3] = {
      {g, NULL, NULL}, {losses, p, NULL}, {losses, t, NULL}, {losses, gradient, gradient + 5}};
  for (int i = 0; i < 4; ++i) {
    expect(spearman_loss_batch_gradient(p, t, 2, 3, 1, g, wanted[i][0], wanted[i][1],
                                        wanted[i][2]) == RANK_RELAX_INVALID_ARGUMENT,
           "an array that lies in another is refused");
  }
  expect(losses[0] == 9 && gradient[0] == 9 && g[0] == 1 && p[0] == 0.3, "before any work");
  spearman_loss_batch(p, t, 2, 3, 1, p + 1);
  expect(p[1] == 0.1, "losses that lie in the predictions are not written");
  spearman_loss_batch(p, t, (size_t)-1, 3, 1, losses);
  expect(losses[0] == 9, "nor are as many as there can't be");
  spearman_loss_batch(p, t, 2, 3, -1, losses);
  expect(isnan(losses[0]) && isnan(losses[1]), "losses of no strength are NaN");
}

/* Every function, in every precision that has memory of its own on the way: one list, several with
   a mask, and lists behind one another. The numbers are compared elsewhere; here memory is watched.
 */
enum layout { kOneList, kRows, kBehindOneAnother, kLayouts };

static void test_every_function_keeps_to_its_memory(enum layout layout, uint8_t code,
                                                    uint8_t bits) {
  enum { kMost = 64, kNumber = 4 };
  const int wide = bits == 64;
  double input[kMost], other[kMost], out[kMost], saved[2][kMost], numbers[kMost];
  uint8_t counts[kMost];
  int64_t keys[kMost], offsets[] = {0, 7, 7, 24};
  memset(input, 0, sizeof input);
  fill(other, kMost, 6);
  unsigned seed = 7;
  for (int i = 0; i < kMost; ++i) {
    const double value = random_number(&seed);
    const float rounded = (float)value;
    uint32_t of_float;
    memcpy(&of_float, &rounded, sizeof of_float);
    if (bits == 64) ((double*)input)[i] = value;
    if (bits == 32) ((float*)input)[i] = rounded;
    if (bits == 16) ((uint16_t*)input)[i] = (uint16_t)(of_float >> (code == 4 ? 16 : 17));
    numbers[i] = 0.5;
    counts[i] = i % 5 != 0;
    keys[i] = i % 3;
  }
  const int lists = layout == kOneList ? 1 : 3, size = layout == kOneList ? 24 : 8;
  const int flat = layout != kRows;
  int64_t shape[] = {lists, size}, whole[] = {24}, ends[] = {4}, of_lists[] = {lists};
  int64_t of_levels[] = {lists, kNumber}, one_level[] = {kNumber}, sets[] = {2, 24};
  int64_t sets_of_rows[] = {lists, 2, 8};
  int64_t* const items = flat ? whole : shape;
  const int dims = flat ? 1 : 2;
#define LIKE(data, of_code, of_bits) {data, {1, 0}, dims, {of_code, of_bits, 1}, items, NULL, 0}
  const rank_relax_tensor x = LIKE(input, code, bits), result = LIKE(out, code, bits);
  const rank_relax_tensor mask = LIKE(counts, 1, 8), order = LIKE(keys, 0, 64);
  const uint8_t statistics = wide ? 64 : 32;
  const rank_relax_tensor slopes = LIKE(saved[0], 2, statistics);
  const rank_relax_tensor slopes_of_targets = LIKE(saved[1], 2, statistics);
  const rank_relax_tensor points = LIKE(saved[0], 2, 64), densities = LIKE(saved[1], 2, 64);
  const rank_relax_tensor places = LIKE(saved[0], 0, 64), blocks = LIKE(saved[1], 0, 32);
  const int list_dims = layout == kOneList ? 0 : 1;
  const rank_relax_tensor one_each = {other, {1, 0}, list_dims, {code, bits, 1}, of_lists, NULL, 0};
  const rank_relax_tensor losses = {out, {1, 0}, list_dims, {code, bits, 1}, of_lists, NULL, 0};
  const rank_relax_tensor k = {numbers, {1, 0}, list_dims, {2, 64, 1}, of_lists, NULL, 0};
  int64_t* const levels = list_dims == 0 ? one_level : of_levels;
  const rank_relax_tensor q = {numbers, {1, 0}, list_dims + 1, {2, 64, 1}, levels, NULL, 0};
  const rank_relax_tensor at = {saved[0], {1, 0}, list_dims + 1, {2, 64, 1}, levels, NULL, 0};
  const rank_relax_tensor there = {saved[1], {1, 0}, list_dims + 1, {2, 64, 1}, levels, NULL, 0};
  const rank_relax_tensor of_q = {out, {1, 0}, list_dims + 1, {2, 64, 1}, levels, NULL, 0};
  const rank_relax_tensor behind = {offsets, {1, 0}, 1, {0, 64, 1}, ends, NULL, 0};
  rank_relax_options options = RANK_RELAX_OPTIONS;
  int64_t threads = 2;
  options.parallel_for = rank_relax_threads;
  options.parallel_context = &threads;
  options.mask = layout == kRows ? &mask : NULL;
  options.offsets = layout == kBehindOneAnother ? &behind : NULL;
  const rank_relax_tensor* directions[] = {&x, &x};
  const char* const methods[] = {"sigmoid", "l2"};
  for (int projected = 0; projected < 2; ++projected) {
    options.method = methods[projected];
    expect(!rank_relax_soft_rank(&x, &options, &result), "soft_rank");
    for (int32_t p = 0; p <= 2; ++p) {
      expect(!rank_relax_soft_rank_derivative(&x, directions, p, &options, &result), "derivative");
    }
    const rank_relax_tensor ranks = LIKE(out, 2, 64);
    expect(!rank_relax_hard_rank(&x, 1, 0, &options, &ranks), "hard_rank");
    expect(!rank_relax_spearman_loss(&x, &order, "hard", &options, &losses, &slopes, NULL), "hard");
    expect(
        !rank_relax_spearman_loss(&x, &x, "soft", &options, &losses, &slopes, &slopes_of_targets),
        "soft");
    expect(!rank_relax_spearman_loss_backward(&one_each, &x, &slopes, &options, &result),
           "backward");
    const rank_relax_tensor* const first = projected ? &places : &points;
    const rank_relax_tensor* const second = projected ? &blocks : &densities;
    expect(!rank_relax_soft_sort(&x, &options, &result, NULL, NULL), "soft_sort alone");
    expect(!rank_relax_soft_sort(&x, &options, &result, first, second), "soft_sort");
    for (int transposed = 0; transposed < 2; ++transposed) {
      expect(!rank_relax_soft_sort_product(&x, &x, first, second, transposed, &options, &result),
             "a product with a sort");
    }
  }
  options.method = "sigmoid";
  expect(!rank_relax_soft_quantile(&x, &q, &options, &of_q, &at, &there), "soft_quantile");
  expect(!rank_relax_soft_quantile_product(&q, &x, &at, &there, 1, &options, &result), "to items");
  expect(!rank_relax_soft_quantile_product(&x, &x, &at, &there, 0, &options, &of_q), "to levels");
  expect(!rank_relax_soft_topk(&x, &k, &options, &result, &densities), "soft_topk");
  expect(!rank_relax_soft_topk_product(&x, &densities, &options, &result), "a product with a mask");
  const rank_relax_tensor weights = {
      other, {1, 0}, dims + 1, {code, bits, 1}, flat ? sets : sets_of_rows, NULL, 0};
  const rank_relax_tensor sums = {
      saved, {1, 0}, dims + 1, {code, bits, 1}, flat ? sets : sets_of_rows, NULL, 0};
  for (int64_t p = -1; p <= 2; ++p) {
    rank_relax_points of = {sizeof of, &x, &x, &weights, NULL, NULL, NULL, p};
    expect(!rank_relax_soft_count(&of, &options, &sums), "soft_count");
    of.value_keys = of.point_keys = &order;
    expect(!rank_relax_soft_count(&of, &options, &sums), "soft_count by keys");
  }
#undef LIKE
}

static void* everything(void* ignored) {
  (void)ignored;
  test_ranks_are_pairwise_sums();
  test_columns_are_lists_without_a_copy();
  test_gradients_are_slopes_of_the_loss();
  test_bits_do_not_depend_on_the_loop();
  test_errors_are_sentences_and_leave_outputs_alone();
  test_arrays_that_overlap_are_refused();
  for (int layout = 0; layout < kLayouts; ++layout) {
    test_every_function_keeps_to_its_memory(layout, 2, 64);
    test_every_function_keeps_to_its_memory(layout, 2, 32);
    test_every_function_keeps_to_its_memory(layout, 4, 16);
    test_every_function_keeps_to_its_memory(layout, 2, 16);
  }
  return NULL;
}

int main(void) {
  expect(rank_relax_version() == RANK_RELAX_VERSION, "header and library are of one version");
  expect(strlen(rank_relax_last_error()) == 0, "no call has failed yet");
  pthread_t other;
  if (pthread_create(&other, NULL, everything, NULL) != 0) return 2;
  everything(NULL);
  pthread_join(other, NULL);
  if (failures == 0) printf("tests/c/use.c passed\n");
  return failures == 0 ? 0 : 1;
}
