"""What rules for every operator need to know of it: where its lists are."""

# Every operator, and which of its arguments is the tensor that holds the lists.
OPERATORS = {
    "soft_rank": 0,
    "soft_rank_backward": 1,
    "hard_rank": 0,
    "_centered_hard_rank": 0,
    "_soft_rank_derivative": 1,
    "_permutahedron_rank_forward": 0,
    "_permutahedron_rank_derivative": 1,
    "_rank_from_one": 0,
    "soft_sort": 0,
    "_permutahedron_sort_forward": 0,
    "_permutahedron_sort_backward": 1,
    "_permutahedron_sort_tangent": 1,
    "_quantile_sort_forward": 0,
    "_quantile_sort_backward": 1,
    "_quantile_sort_tangent": 1,
    "soft_quantile": 0,
    "soft_topk": 0,
    "_quantile_at_levels": 0,
    "_quantile_at_levels_backward": 1,
    "_quantile_at_levels_tangent": 1,
    "_soft_topk_forward": 0,
    "_soft_topk_backward": 1,
    "_in_float64": 0,
    "_in_float64_backward": 1,
    "spearman_loss": 0,
    "_spearman_loss_forward": 0,
    "_spearman_loss_backward": 1,
    "_spearman_loss_at_ranks_forward": 0,
    "_spearman_loss_at_ranks_backward": 1,
    "_centered_integer_rank": 0,
    "_integer_scores": 0,
    "_split_rank_summary": 1,
    "_split_rank_sizes": 0,
    "_split_rank_moments": 1,
    "_split_rank_derivative": 1,
}

# Those whose second argument may also be one for all lists, and its dimensions then: q [L], k [].
SHARED = {"soft_quantile": 1, "soft_topk": 0}
