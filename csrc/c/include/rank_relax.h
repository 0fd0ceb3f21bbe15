#ifndef RANK_RELAX_H
#define RANK_RELAX_H

/* rank_relax for C: differentiable ranks, sorts, quantiles, top-k masks and Spearman's loss, with
   the products that their derivatives are made of. No framework is needed. Functions keep no state
   but tables that are filled once, and may be called from many threads at once. */

#include <stddef.h>
#include <stdint.h>

#define RANK_RELAX_VERSION 100 /* 10000 major + 100 minor + patch: 0.1.0 */

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default) /* of what is built with the rest of it hidden */
#endif

/* Of the library that runs, to be compared with RANK_RELAX_VERSION. */
uint32_t rank_relax_version(void);

/* ---- Errors ---- */

typedef int32_t rank_relax_status;

enum {
  RANK_RELAX_OK = 0,
  RANK_RELAX_INVALID_ARGUMENT = 1, /* found before any work: outputs are as they were */
  RANK_RELAX_OUT_OF_MEMORY = 2,
  RANK_RELAX_UNSUPPORTED = 3, /* such as a device that the library was built without */
  RANK_RELAX_DEVICE_ERROR = 4,
  RANK_RELAX_INTERNAL_ERROR = 5
};

/* A sentence about the last call of this thread that did not return RANK_RELAX_OK: the function,
   the argument, what was given and what to do. Valid until the next such call of the thread. */
const char* rank_relax_last_error(void);

/* ---- Tensors ---- */

/* Laid out as DLTensor, of every version of DLPack: a DLTensor* may be passed. It is borrowed for
   the length of a call. The last dimension is the list, the others are the batch.

   Inputs are float64, float32, bfloat16 or float16, at any strides. Outputs are row-major, have the
   dtype of the input where nothing else is said, and lie outside of the memory between the first
   and the last item of any other argument. */
typedef struct {
  void* data;
  struct {
    int32_t type; /* 1: CPU, 2: CUDA */
    int32_t id;
  } device;
  int32_t ndim;
  struct {
    uint8_t code; /* 0: signed, 1: unsigned integers, 2: floating, 4: bfloat16, 6: bool */
    uint8_t bits;
    uint16_t lanes; /* 1 */
  } dtype;
  int64_t* shape;
  int64_t* strides; /* in elements; NULL: row-major */
  uint64_t byte_offset;
} rank_relax_tensor;

/* ---- How to compute ---- */

typedef void (*rank_relax_work)(void* work, int64_t begin, int64_t end);

/* Calls run(work, begin, end) on disjoint ranges that cover [0, count), none shorter than `grain`
   but the last, on any threads, and returns when all are done. Results have the same bits whatever
   the ranges are. `run` throws nothing. */
typedef void (*rank_relax_parallel_for)(void* context, int64_t count, int64_t grain,
                                        rank_relax_work run, void* work);

/* One that comes with the library: as many threads as the int64_t at `context` says, started for
   the call; where `context` is NULL or 0 is there, as there are processors. */
void rank_relax_threads(void* context, int64_t count, int64_t grain, rank_relax_work run,
                        void* work);

typedef struct {
  size_t struct_size; /* sizeof(rank_relax_options), by which other versions are told apart */
  double regularization_strength;   /* alpha > 0, 1/units of the values: larger is nearer to hard */
  const char* method;               /* one that rank_relax_methods names */
  const rank_relax_tensor* mask;    /* bool or uint8, not 0 where an item counts; NULL: all do */
  const rank_relax_tensor* offsets; /* int64 [L + 1]: inputs [N] are L lists, one behind the other,
                                       list l the items from offsets[l] on, before offsets[l + 1] */
  rank_relax_parallel_for parallel_for; /* NULL: this thread alone */
  void* parallel_context;
  void* cuda_stream; /* a cudaStream_t, on which work is enqueued; nothing waits for it */
  void* workspace;   /* device memory of the bytes that *_workspace asks for, until that is done */
  size_t workspace_size;
} rank_relax_options;

/* Strength 1, "sigmoid", everything counts, on this thread. NULL options are these. */
#define RANK_RELAX_OPTIONS \
  {sizeof(rank_relax_options), 1.0, "sigmoid", NULL, NULL, NULL, NULL, NULL, NULL, 0}

/* "'sigmoid', 'gaussian', ..., 'l2', 'kl'": smooth CDFs, and the projections l2 and kl. */
const char* rank_relax_methods(void);

/* How many times soft ranks by a method can be differentiated; -1 if there is none of that name. */
int32_t rank_relax_max_order(const char* method);

/* ---- CUDA ----

   A library that is built with RANK_RELAX_CUDA takes tensors in device memory for soft_rank and its
   derivatives, spearman_loss with "soft" target ranks and both rank gradients, and soft_sort; of
   its products, those by a projection. All tensors of a call, the mask too, are on one device, with
   lists at one stride. Errors of the arguments are found at the call, those of kernels by whoever
   waits for the stream. The first call with a method and an order also waits, for its tables, which
   stay in device memory. The rest is RANK_RELAX_UNSUPPORTED there. */

/* Bytes of device memory that a call works in, 0 on the CPU: soft_rank (order 0) and its derivative
   of an order; spearman_loss, whose backward works in what a derivative of order 1 does; soft_sort
   and its product. */
rank_relax_status rank_relax_soft_rank_workspace(const rank_relax_tensor* input, int32_t order,
                                                 const rank_relax_options* options, size_t* bytes);
rank_relax_status rank_relax_spearman_loss_workspace(const rank_relax_tensor* predictions,
                                                     const rank_relax_tensor* targets,
                                                     const rank_relax_options* options,
                                                     size_t* bytes);
rank_relax_status rank_relax_soft_sort_workspace(const rank_relax_tensor* input,
                                                 const rank_relax_options* options, size_t* bytes);

/* ---- Ranks ---- */

/* ranks [..., n], in [0, 1]: 1/(n-1) sum over j != i of F(alpha (x_i - x_j)), of the n items that
   count. 0 where masked, or if n = 1; NaN where the item is. */
rank_relax_status rank_relax_soft_rank(const rank_relax_tensor* input,
                                       const rank_relax_options* options,
                                       const rank_relax_tensor* ranks);

/* The derivative of the ranks along `order` directions, each like the input; rank_relax_max_order
   says how many there may be. Order 1 is the product with the Jacobian, which is symmetric: the
   backward, and the tangent as well. Order 0 is the rank less one half. */
rank_relax_status rank_relax_soft_rank_derivative(const rank_relax_tensor* input,
                                                  const rank_relax_tensor* const* directions,
                                                  int32_t order, const rank_relax_options* options,
                                                  const rank_relax_tensor* output);

/* ranks [..., n], float64 or float32, of items of any real dtype: with c the number of smaller
   items and half of the other equal ones, c / (n - 1) if `normalize`, else c. Of larger ones if
   `descending`. Strength and method have no say, but must
   be sound. */
rank_relax_status rank_relax_hard_rank(const rank_relax_tensor* input, int32_t descending,
                                       int32_t normalize, const rank_relax_options* options,
                                       const rank_relax_tensor* ranks);

/* ---- Spearman's loss ---- */

/* loss [...], or [L] with offsets: 1 - the correlation of the soft ranks of the predictions with
   the ranks of the targets. Those are "hard", with ties averaged, of targets of any real dtype; or
   "soft", of targets of the predictions' dtype.

   rank_gradient_predictions and rank_gradient_targets [..., n], float32, or float64 if the
   predictions are, are what the backward needs: NULL if it is not wanted. There is none for hard
   targets, which have no gradient. */
rank_relax_status rank_relax_spearman_loss(const rank_relax_tensor* predictions,
                                           const rank_relax_tensor* targets,
                                           const char* target_ranks,
                                           const rank_relax_options* options,
                                           const rank_relax_tensor* loss,
                                           const rank_relax_tensor* rank_gradient_predictions,
                                           const rank_relax_tensor* rank_gradient_targets);

/* gradient [..., n]: grad_loss times the loss's gradient with respect to `values`, which are the
   predictions or the soft targets, whose rank gradient is given. */
rank_relax_status rank_relax_spearman_loss_backward(const rank_relax_tensor* grad_loss,
                                                    const rank_relax_tensor* values,
                                                    const rank_relax_tensor* rank_gradient,
                                                    const rank_relax_options* options,
                                                    const rank_relax_tensor* gradient);

/* ---- Sorts, quantiles, top-k ---- */

/* values [..., n], ascending: the inverse of the smoothed count of the finite items at 1/2, 3/2,
   ...; -inf before them, inf and NaN behind, 0 at the end for masked items.

   Two more are what products need, [..., n], both NULL if none is wanted: by a smooth CDF `points`
   and `densities`, float64; by a projection the permutation, int64, and blocks, int32. */
rank_relax_status rank_relax_soft_sort(const rank_relax_tensor* input,
                                       const rank_relax_options* options,
                                       const rank_relax_tensor* values,
                                       const rank_relax_tensor* points,
                                       const rank_relax_tensor* densities);

/* The Jacobian J of the sorted values times a vector of items; or if `transposed` a vector of
   places times J, which is the backward. */
rank_relax_status rank_relax_soft_sort_product(
    const rank_relax_tensor* vector, const rank_relax_tensor* input,
    const rank_relax_tensor* points, const rank_relax_tensor* densities, int32_t transposed,
    const rank_relax_options* options, const rank_relax_tensor* output);

/* quantiles [..., m], float64, for q [..., m], float64: where the smoothed count of the n items
   that count is q (n - 1) + 1/2. By a smooth CDF. NaN for q beyond 0 and 1, and for a list with a
   NaN. `points` and `densities` [..., m], float64, both or neither, are what products need. With
   offsets, q and what results are [L, m]. */
rank_relax_status rank_relax_soft_quantile(const rank_relax_tensor* input,
                                           const rank_relax_tensor* q,
                                           const rank_relax_options* options,
                                           const rank_relax_tensor* quantiles,
                                           const rank_relax_tensor* points,
                                           const rank_relax_tensor* densities);

/* The Jacobian of the quantiles times a vector of items, like the input, which gives [..., m] in
   float64; or if `transposed` a vector [..., m], float64, times it: the backward, like the input.
 */
rank_relax_status rank_relax_soft_quantile_product(
    const rank_relax_tensor* vector, const rank_relax_tensor* input,
    const rank_relax_tensor* points, const rank_relax_tensor* densities, int32_t transposed,
    const rank_relax_options* options, const rank_relax_tensor* output);

/* chosen [..., n]: a soft mask of the k largest items, F(alpha (x_i - c)) with c such that it adds
   up to k: float64, one number for all lists, or [...], or [L] with offsets. By a smooth CDF.
   `densities` [..., n], float64, or NULL, are what the product needs. */
rank_relax_status rank_relax_soft_topk(const rank_relax_tensor* input, const rank_relax_tensor* k,
                                       const rank_relax_options* options,
                                       const rank_relax_tensor* chosen,
                                       const rank_relax_tensor* densities);

/* The Jacobian of the mask, which is symmetric, times a vector like the input. */
rank_relax_status rank_relax_soft_topk_product(const rank_relax_tensor* vector,
                                               const rank_relax_tensor* densities,
                                               const rank_relax_options* options,
                                               const rank_relax_tensor* output);

/* ---- Sums of a CDF at points: what ranking losses are made of ---- */

typedef struct {
  size_t struct_size;               /* sizeof(rank_relax_points), as above */
  const rank_relax_tensor* points;  /* t [..., m] */
  const rank_relax_tensor* values;  /* x [..., n] */
  const rank_relax_tensor* weights; /* w [..., K, n]; NULL: ones, and the output is [..., m] */
  const rank_relax_tensor* point_offsets; /* int64 [L + 1], where options have offsets, which are
                                             those of the values; NULL: the same */
  const rank_relax_tensor* value_keys;    /* int64 like values, or NULL: a point then counts the */
  const rank_relax_tensor* point_keys;    /* values of smaller keys alone */
  int64_t order;                          /* p, from -1 to rank_relax_max_order(method) */
} rank_relax_points;

/* output [..., K, m]: S_p[w](t; x)_i = alpha^p sum over j of w_j K(alpha (t_i - x_j)), where K is F
   for p = 0, its p-th derivative for p > 0, and for p = -1 its integral from -inf on, or for
   cauchy, which has none, that which is 0 at 0. By a smooth CDF.

   Derivatives are such sums again. By t_i: S_(p+1)[w](t; x)_i. Of the sum over i of g_i S_p[w]_i,
   by w_j: S_p[g](-x; -t)_j, points and values exchanged; by x_j: -w_j S_(p+1)[g](-x; -t)_j; with
   both keys in the opposite order, as ~key is. */
rank_relax_status rank_relax_soft_count(const rank_relax_points* points,
                                        const rank_relax_options* options,
                                        const rank_relax_tensor* output);

/* ---- Plain arrays of doubles: soft ranks of both sides by "sigmoid", on all processors ---- */

/* One list. NaN where an argument makes no sense: see rank_relax_last_error. */
double spearman_loss_ffi(const double* predictions, size_t predictions_len, const double* targets,
                         size_t targets_len, double regularization_strength);

/* losses [batch_size] of predictions and targets [batch_size, n_items], row-major: a column-major
   matrix [n_items, batch_size], as Julia's and Fortran's are, is that. NaN as above, unless the
   losses themselves lie where an input does. */
void spearman_loss_batch(const double* predictions, const double* targets, size_t batch_size,
                         size_t n_items, double regularization_strength, double* losses);

/* The losses, and the gradients of sum over b of grad_losses[b] losses[b]. Outputs that are not
   wanted are NULL. */
rank_relax_status spearman_loss_batch_gradient(const double* predictions, const double* targets,
                                               size_t batch_size, size_t n_items,
                                               double regularization_strength,
                                               const double* grad_losses, double* losses,
                                               double* grad_predictions, double* grad_targets);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
