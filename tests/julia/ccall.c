/* Makes the calls of csrc/julia/RankRelax.jl with the types that it gives to ccall, and no others:
   its structs, written out flat, of a matrix with a list a column, from a library that is opened as
   the program runs. Julia's Ref{T} and Ptr{T} are pointers, Cstring is one to chars that end. The
   header of the library is not included. */

#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Tensor {
  void* data;
  int32_t device_type;
  int32_t device_id;
  int32_t ndim;
  uint8_t dtype_code;
  uint8_t dtype_bits;
  uint16_t dtype_lanes;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
};

struct Options {
  size_t struct_size;
  double regularization_strength;
  uint8_t* method;
  struct Tensor* mask;
  struct Tensor* offsets;
  void* parallel_for;
  void* parallel_context;
  void* cuda_stream;
  void* workspace;
  size_t workspace_size;
};

enum { kItems = 40, kLists = 3, kAll = kItems * kLists };

static void* library;
static int failures = 0;

static void* symbol(const char* name) {
  void* const found = dlsym(library, name);
  if (found == NULL) {
    fprintf(stderr, "%s is not in the library\n", name);
    exit(1);
  }
  return found;
}

static const char* last_error(void) {
  const char* (*const function)(void) = (const char* (*)(void))symbol("rank_relax_last_error");
  return function();
}

static void expect(int holds, const char* what) {
  if (!holds) {
    fprintf(stderr, "failed: %s (last error: %s)\n", what, last_error());
    ++failures;
  }
}

/* The sizes and strides of a column-major matrix in the library's order, as reverse(size(x)). */
static int64_t shape[] = {kLists, kItems}, strides[] = {kItems, 1};

static struct Tensor matrix(void* data, uint8_t code, uint8_t bits) {
  const struct Tensor tensor = {data, 1, 0, 2, code, bits, 1, shape, strides, 0};
  return tensor;
}

static struct Tensor losses_of(void* data, uint8_t bits) {
  struct Tensor tensor = matrix(data, 2, bits);
  tensor.ndim = 1;
  tensor.strides = &strides[1];
  return tensor;
}

static int64_t two_threads = 2;

static struct Options options_of(double strength, const char* method) {
  const struct Options options = {sizeof(struct Options),
                                  strength,
                                  (uint8_t*)method,
                                  NULL,
                                  NULL,
                                  symbol("rank_relax_threads"),
                                  &two_threads,
                                  NULL,
                                  NULL,
                                  0};
  return options;
}

static int32_t soft_rank(struct Tensor x, struct Options options, struct Tensor ranks) {
  int32_t (*const function)(struct Tensor*, struct Options*, struct Tensor*) =
      (int32_t (*)(struct Tensor*, struct Options*, struct Tensor*))symbol("rank_relax_soft_rank");
  return function(&x, &options, &ranks);
}

static int32_t soft_rank_derivative(struct Tensor x, struct Tensor direction,
                                    struct Options options, struct Tensor output) {
  int32_t (*const function)(struct Tensor*, struct Tensor**, int32_t, struct Options*,
                            struct Tensor*) =
      (int32_t (*)(struct Tensor*, struct Tensor**, int32_t, struct Options*,
                   struct Tensor*))symbol("rank_relax_soft_rank_derivative");
  struct Tensor* directions[] = {&direction};
  return function(&x, directions, 1, &options, &output);
}

static int32_t spearman_loss(struct Tensor p, struct Tensor t, char* target_ranks,
                             struct Options options, struct Tensor losses, struct Tensor* slopes,
                             struct Tensor* slopes_of_targets) {
  int32_t (*const function)(struct Tensor*, struct Tensor*, char*, struct Options*, struct Tensor*,
                            struct Tensor*, struct Tensor*) =
      (int32_t (*)(struct Tensor*, struct Tensor*, char*, struct Options*, struct Tensor*,
                   struct Tensor*, struct Tensor*))symbol("rank_relax_spearman_loss");
  return function(&p, &t, target_ranks, &options, &losses, slopes, slopes_of_targets);
}

static int32_t backward(struct Tensor grad, struct Tensor values, struct Tensor slopes,
                        struct Options options, struct Tensor gradient) {
  int32_t (*const function)(struct Tensor*, struct Tensor*, struct Tensor*, struct Options*,
                            struct Tensor*) =
      (int32_t (*)(struct Tensor*, struct Tensor*, struct Tensor*, struct Options*,
                   struct Tensor*))symbol("rank_relax_spearman_loss_backward");
  return function(&grad, &values, &slopes, &options, &gradient);
}

static void fill(double* values, unsigned state) {
  for (int i = 0; i < kAll; ++i) {
    state = state * 1664525u + 1013904223u;
    values[i] = (double)(state >> 8) / 16777216.0 - 0.5;
  }
}

static void test_ranks_of_columns_are_pairwise_sums(void) {
  double x[kAll], ranks[kAll];
  fill(x, 1);
  expect(soft_rank(matrix(x, 2, 64), options_of(7, "sigmoid"), matrix(ranks, 2, 64)) == 0, "ranks");
  for (int at = 0; at < kAll; ++at) {
    double expected = 0;
    for (int j = at / kItems * kItems; j < (at / kItems + 1) * kItems; ++j) {
      if (j != at) expected += 1 / (1 + exp(-7 * (x[at] - x[j]))) / (kItems - 1);
    }
    expect(fabs(ranks[at] - expected) < 1e-12, "a rank is the pairwise sum");
  }
}

static void test_masked_items_of_single_precision_have_rank_0(void) {
  double values[kAll];
  float x[kAll], ranks[kAll];
  uint8_t mask[kAll];
  fill(values, 2);
  for (int i = 0; i < kAll; ++i) x[i] = (float)values[i], mask[i] = i % 2 == 0;
  struct Tensor of_mask = matrix(mask, 6, 8);
  struct Options options = options_of(1e4, "gaussian");
  options.mask = &of_mask;
  expect(soft_rank(matrix(x, 2, 32), options, matrix(ranks, 2, 32)) == 0, "masked ranks");
  float largest = 0;
  for (int i = 0; i < kAll; ++i) {
    largest = fmaxf(largest, ranks[i]);
    expect(mask[i] || ranks[i] == 0, "a masked item has rank 0");
  }
  expect(fabsf(largest - 1) < 1e-3F, "the last item that counts has rank 1");
}

static void test_a_derivative_is_a_slope(void) {
  double x[kAll], along[kAll], sides[2][kAll], derivative[kAll];
  const double step = 1e-5;
  fill(x, 3);
  fill(along, 4);
  const struct Options options = options_of(3, "sigmoid");
  expect(soft_rank_derivative(matrix(x, 2, 64), matrix(along, 2, 64), options,
                              matrix(derivative, 2, 64)) == 0,
         "a derivative");
  for (int side = 0; side < 2; ++side) {
    double moved[kAll];
    for (int i = 0; i < kAll; ++i) moved[i] = x[i] + (side ? step : -step) * along[i];
    expect(soft_rank(matrix(moved, 2, 64), options, matrix(sides[side], 2, 64)) == 0, "a side");
  }
  for (int i = 0; i < kAll; ++i) {
    expect(fabs((sides[1][i] - sides[0][i]) / (2 * step) - derivative[i]) < 1e-9, "a slope");
  }
}

static void test_gradients_of_losses_are_slopes(void) {
  double p[kAll], t[kAll], losses[kLists], slopes[2][kAll], gradients[2][kAll];
  double grad[kLists] = {1, -2, 0.5};
  const double step = 1e-5;
  fill(p, 5);
  fill(t, 6);
  char hard[] = "hard", soft[] = "soft";
  const struct Options options = options_of(3, "sigmoid");
  for (int is_soft = 0; is_soft < 2; ++is_soft) {
    char* const kind = is_soft ? soft : hard;
    struct Tensor to_slopes[] = {matrix(slopes[0], 2, 64), matrix(slopes[1], 2, 64)};
    expect(spearman_loss(matrix(p, 2, 64), matrix(t, 2, 64), kind, options, losses_of(losses, 64),
                         &to_slopes[0], is_soft ? &to_slopes[1] : NULL) == 0,
           "the losses");
    for (int of_targets = 0; of_targets <= is_soft; ++of_targets) {
      double* const values = of_targets ? t : p;
      expect(backward(losses_of(grad, 64), matrix(values, 2, 64), to_slopes[of_targets], options,
                      matrix(gradients[of_targets], 2, 64)) == 0,
             "the gradient");
      for (int i = 0; i < kAll; i += 7) {
        double sides[2][kLists], slope = 0;
        const double kept = values[i];
        for (int side = 0; side < 2; ++side) {
          values[i] = kept + (side ? step : -step);
          expect(spearman_loss(matrix(p, 2, 64), matrix(t, 2, 64), kind, options,
                               losses_of(sides[side], 64), NULL, NULL) == 0,
                 "a side");
        }
        values[i] = kept;
        for (int list = 0; list < kLists; ++list) {
          slope += grad[list] * (sides[1][list] - sides[0][list]) / (2 * step);
        }
        expect(fabs(slope - gradients[of_targets][i]) < 1e-8, "a gradient is a slope");
      }
    }
  }
}

static void test_targets_may_be_integers_and_bools(void) {
  double p[kAll], t[kAll], expected[kLists], losses[kLists];
  int64_t integers[kAll];
  uint8_t bools[kAll];
  fill(p, 7);
  for (int i = 0; i < kAll; ++i) integers[i] = bools[i] = i % 3 == 0, t[i] = (double)bools[i];
  char hard[] = "hard";
  const struct Options options = options_of(3, "sigmoid");
  const struct Tensor targets[] = {matrix(t, 2, 64), matrix(integers, 0, 64), matrix(bools, 6, 8)};
  for (int type = 0; type < 3; ++type) {
    double* const to = type == 0 ? expected : losses;
    expect(spearman_loss(matrix(p, 2, 64), targets[type], hard, options, losses_of(to, 64), NULL,
                         NULL) == 0,
           "a type of targets");
    expect(memcmp(to, expected, sizeof losses) == 0, "the same targets have the same loss");
  }
}

static void test_a_vector_has_a_loss_without_dimensions(void) {
  double p[kAll], losses[kLists], alone;
  fill(p, 8);
  char soft[] = "soft";
  struct Tensor list = matrix(p, 2, 64), targets = matrix(p + kItems, 2, 64);
  list.ndim = targets.ndim = 1;
  list.shape = targets.shape = &shape[1];
  list.strides = targets.strides = &strides[1];
  struct Tensor loss = losses_of(&alone, 64);
  loss.ndim = 0;
  const struct Options options = options_of(3, "sigmoid");
  expect(spearman_loss(list, targets, soft, options, loss, NULL, NULL) == 0, "one loss");
  double (*const plain)(double*, size_t, double*, size_t, double) =
      (double (*)(double*, size_t, double*, size_t, double))symbol("spearman_loss_ffi");
  expect(plain(p, kItems, p + kItems, kItems, 3) == alone, "it is that of plain arrays");
  void (*const batch)(double*, double*, size_t, size_t, double, double*) =
      (void (*)(double*, double*, size_t, size_t, double, double*))symbol("spearman_loss_batch");
  batch(p, p + kItems, 2, kItems, 3, losses);
  expect(losses[0] == alone, "and that of a batch of columns");
}

static void test_errors_are_sentences(void) {
  double x[kAll], out[kAll];
  fill(x, 9);
  const int32_t status = soft_rank(matrix(x, 2, 64), options_of(1, "cubic"), matrix(out, 2, 64));
  expect(status == 1, "INVALID_ARGUMENT");
  expect(strstr(last_error(), "soft_rank: method must be one of 'sigmoid', ") == last_error(),
         "a sentence");
}

int main(int argc, char** argv) {
  library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (library == NULL) {
    fprintf(stderr, "usage: ccall librank_relax.so\n");
    return 2;
  }
  uint32_t (*const version)(void) = (uint32_t (*)(void))symbol("rank_relax_version");
  expect(version() / 100 == 1, "the version is 0.1");
  test_ranks_of_columns_are_pairwise_sums();
  test_masked_items_of_single_precision_have_rank_0();
  test_a_derivative_is_a_slope();
  test_gradients_of_losses_are_slopes();
  test_targets_may_be_integers_and_bools();
  test_a_vector_has_a_loss_without_dimensions();
  test_errors_are_sentences();
  if (failures == 0) printf("tests/julia/ccall.c passed\n");
  return failures == 0 ? 0 : 1;
}
