"""
Differentiable ranks and Spearman's loss, by librank_relax.

A vector is a list; a matrix is a list a column, and is not copied. The library is the file that the
environment variable `RANK_RELAX_LIBRARY` names, or `librank_relax` where the system looks.
"""
module RankRelax

using ChainRulesCore:
    ChainRulesCore,
    AbstractZero,
    NoTangent,
    ProjectTo,
    ZeroTangent,
    unthunk
using Libdl: dlopen, dlsym

export soft_rank, soft_rank_derivative, spearman_loss, spearman_loss_gradient

# Laid out as rank_relax_tensor and rank_relax_options, whose inner structs are written out flat.

struct Tensor
    data::Ptr{Cvoid}
    device_type::Int32
    device_id::Int32
    ndim::Int32
    dtype_code::UInt8
    dtype_bits::UInt8
    dtype_lanes::UInt16
    shape::Ptr{Int64}
    strides::Ptr{Int64}
    byte_offset::UInt64
end

struct Options
    struct_size::Csize_t
    regularization_strength::Float64
    method::Ptr{UInt8}
    mask::Ptr{Tensor}
    offsets::Ptr{Tensor}
    parallel_for::Ptr{Cvoid}
    parallel_context::Ptr{Cvoid}
    cuda_stream::Ptr{Cvoid}
    workspace::Ptr{Cvoid}
    workspace_size::Csize_t
end

const VERSION_OF_HEADER = 100
const OK = Int32(0)
const INVALID_ARGUMENT = Int32(1)

const Floating = Union{Float64, Float32}
const Lists{T} = Union{StridedVector{T}, StridedMatrix{T}}

const library = Ref{Ptr{Cvoid}}(C_NULL)
const opening = ReentrantLock()

# Opened at the first call, so that the package loads, and precompiles, without it.
function open_library()
    lock(opening) do
        library[] == C_NULL || return library[]
        opened = dlopen(get(ENV, "RANK_RELAX_LIBRARY", "librank_relax"))
        version = ccall(dlsym(opened, :rank_relax_version), UInt32, ())
        if div(version, 100) != div(VERSION_OF_HEADER, 100)
            error("RankRelax needs librank_relax 0.1, got the version number $version")
        end
        library[] = opened
    end
end

symbol(name::Symbol) = dlsym(open_library(), name)

# The sentence belongs to the thread that made the call. So its function is found before: a task
# may wait there, and go on in another thread.
function check(call)
    last_error = symbol(:rank_relax_last_error)
    status = call()
    status == OK && return nothing
    # fatou-ignore discouraged-function: the string is valid until the next call that fails
    sentence = unsafe_string(ccall(last_error, Cstring, ()))
    throw(status == INVALID_ARGUMENT ? ArgumentError(sentence) : ErrorException(sentence))
end

# DLPack's code and the bits, of each type on its own: what is of one of several lies otherwise in
# memory.
const CODES = (
    (0, (Int8, Int16, Int32, Int64)),
    (1, (UInt8, UInt16, UInt32, UInt64)),
    (2, (Float16, Float32, Float64)),
    (6, (Bool,)),
)
for (code, types) in CODES, T in types
    @eval dtype(::Type{$T}) = (UInt8($code), UInt8($(8 * sizeof(T))))
end
dtype(T::Type) = throw(ArgumentError(
    "items must all be of one of Bool, Int8 to Int64, UInt8 to UInt64, Float16, Float32 and " *
        "Float64, got $T; convert them",
))

# An array in the library's order of dimensions, which has the list last. The two vectors are the
# memory of its sizes, and must be kept as the array is.
struct Borrowed{A}
    array::A
    shape::Vector{Int64}
    strides::Vector{Int64}
end

borrow(array::StridedArray) = Borrowed(
    array,
    Int64[reverse(size(array))...],
    Int64[reverse(strides(array))...],
)

function tensor(borrowed::Borrowed)
    code, bits = dtype(eltype(borrowed.array))
    return Tensor(
        Ptr{Cvoid}(pointer(borrowed.array)),
        1,
        0,
        length(borrowed.shape),
        code,
        bits,
        1,
        pointer(borrowed.shape),
        pointer(borrowed.strides),
        0,
    )
end

# call(options) with what the keywords say.
function with_options(
    call,
    array;
    regularization_strength = 1.0,
    method = "sigmoid",
    mask = nothing,
    threads = 1,
)
    name = String(method)
    masks = mask === nothing ? nothing : borrow(convert(Array{Bool}, mask))
    number_of_threads = Ref(Int64(threads))
    GC.@preserve name masks number_of_threads array begin
        of_mask = masks === nothing ? nothing : Ref(tensor(masks))
        GC.@preserve of_mask begin
            options = Options(
                sizeof(Options),
                regularization_strength,
                pointer(name),
                of_mask === nothing ? C_NULL : Base.unsafe_convert(Ptr{Tensor}, of_mask),
                C_NULL,
                threads == 1 ? C_NULL : symbol(:rank_relax_threads),
                Base.unsafe_convert(Ptr{Int64}, number_of_threads),
                C_NULL,
                C_NULL,
                0,
            )
            check(() -> call(options))
        end
    end
end

"""
    soft_rank(x; regularization_strength = 1.0, method = "sigmoid", mask = nothing, threads = 1)

Soft ranks in [0, 1] of a vector, or of each column of a matrix, all of `Float64` or all of `Float32`:
`1/(n-1)` times the sum of `F(α (x[i] - x[j]))` over the other items. `method` is `"sigmoid"`,
`"gaussian"`, `"laplace"`, `"cauchy"`, `"l2"` or `"kl"`; `mask` is true where an item counts; of
`threads`, 0 are as many as there are processors. Throws an `ArgumentError`.
"""
function soft_rank(x::Lists{T}; keywords...) where {T <: Floating}
    ranks = Array{T}(undef, size(x))
    input, output = borrow(x), borrow(ranks)
    GC.@preserve input output begin
        with_options(x; keywords...) do options
            ccall(
                symbol(:rank_relax_soft_rank),
                Int32,
                (Ref{Tensor}, Ref{Options}, Ref{Tensor}),
                tensor(input),
                options,
                tensor(output),
            )
        end
    end
    return ranks
end

"""
    soft_rank_derivative(x, direction; keywords...)

The derivative of `soft_rank(x; keywords...)` along a direction of the size of `x`. The Jacobian is
symmetric, so that it is the product with a cotangent as well.
"""
function soft_rank_derivative(
    x::Lists{T},
    direction::AbstractArray;
    keywords...,
) where {T <: Floating}
    derivative = Array{T}(undef, size(x))
    input, along = borrow(x), borrow(convert(Array{T}, direction))
    output = borrow(derivative)
    GC.@preserve input along output begin
        of_direction = Ref(tensor(along))
        GC.@preserve of_direction begin
            with_options(x; keywords...) do options
                directions = [Base.unsafe_convert(Ptr{Tensor}, of_direction)]
                ccall(
                    symbol(:rank_relax_soft_rank_derivative),
                    Int32,
                    (Ref{Tensor}, Ptr{Ptr{Tensor}}, Int32, Ref{Options}, Ref{Tensor}),
                    tensor(input),
                    directions,
                    1,
                    options,
                    tensor(output),
                )
            end
        end
    end
    return derivative
end

# What there is one of for each list: a vector, of one loss for a vector.
lists(x::StridedVector{T}) where {T} = Vector{T}(undef, 1)
lists(x::StridedMatrix{T}) where {T} = Vector{T}(undef, size(x, 2))
of_lists(losses, ::StridedVector) = losses[1]
of_lists(losses, ::StridedMatrix) = losses

# A vector has no batch, and its loss no dimension.
function tensor_of_lists(borrowed::Borrowed, x)
    whole = tensor(borrowed)
    return Tensor(
        whole.data,
        whole.device_type,
        whole.device_id,
        ndims(x) - 1,
        whole.dtype_code,
        whole.dtype_bits,
        whole.dtype_lanes,
        whole.shape,
        whole.strides,
        whole.byte_offset,
    )
end

pointer_or_null(::Nothing) = Ptr{Tensor}(C_NULL)
pointer_or_null(reference::Ref{Tensor}) = Base.unsafe_convert(Ptr{Tensor}, reference)

# Targets where they lie, unless that is in bits or at no strides.
in_memory(targets::StridedArray) = targets
in_memory(targets::AbstractArray) = Array(targets)

# One for each list, of a number for all of them or as many.
function weights_of_lists(losses, grad_losses)
    weights = similar(losses)
    weights .= grad_losses
    return weights
end

# The losses, and the gradients of them with respect to the ranks that are wanted.
function forward(
    predictions::Lists{T},
    targets::AbstractVecOrMat,
    target_ranks,
    with_gradient::Bool;
    keywords...,
) where {T <: Floating}
    soft = with_gradient && String(target_ranks) == "soft"
    losses = lists(predictions)
    slopes = with_gradient ? Array{T}(undef, size(predictions)) : nothing
    slopes_of_targets = soft ? Array{T}(undef, size(predictions)) : nothing
    p, t, l = borrow(predictions), borrow(in_memory(targets)), borrow(losses)
    s = slopes === nothing ? nothing : borrow(slopes)
    s_of_targets = slopes_of_targets === nothing ? nothing : borrow(slopes_of_targets)
    GC.@preserve p t l s s_of_targets begin
        to_slopes = s === nothing ? nothing : Ref(tensor(s))
        to_slopes_of_targets = s_of_targets === nothing ?
            nothing :
            Ref(tensor(s_of_targets))
        GC.@preserve to_slopes to_slopes_of_targets begin
            with_options(predictions; keywords...) do options
                ccall(
                    symbol(:rank_relax_spearman_loss),
                    Int32,
                    (
                        Ref{Tensor},
                        Ref{Tensor},
                        Cstring,
                        Ref{Options},
                        Ref{Tensor},
                        Ptr{Tensor},
                        Ptr{Tensor},
                    ),
                    tensor(p),
                    tensor(t),
                    String(target_ranks),
                    options,
                    tensor_of_lists(l, predictions),
                    pointer_or_null(to_slopes),
                    pointer_or_null(to_slopes_of_targets),
                )
            end
        end
    end
    return losses, slopes, slopes_of_targets
end

function backward(
    grad_losses::Vector{T},
    values::Lists{T},
    slopes::Array{T};
    keywords...,
) where {T <: Floating}
    gradient = Array{T}(undef, size(values))
    g, x, s, to = borrow(grad_losses), borrow(values), borrow(slopes), borrow(gradient)
    GC.@preserve g x s to begin
        with_options(values; keywords...) do options
            ccall(
                symbol(:rank_relax_spearman_loss_backward),
                Int32,
                (Ref{Tensor}, Ref{Tensor}, Ref{Tensor}, Ref{Options}, Ref{Tensor}),
                tensor_of_lists(g, values),
                tensor(x),
                tensor(s),
                options,
                tensor(to),
            )
        end
    end
    return gradient
end

"""
    spearman_loss(predictions, targets; target_ranks = "hard", keywords...)

One minus the correlation of the soft ranks of the predictions with the ranks of the targets: a
number for two vectors, and for two matrices a vector with one for each pair of columns. With
`"hard"` targets are of Bool, 8 to 64-bit integers, `Float16`, `Float32` or `Float64`, with `"soft"` of
the type of the predictions. The options are those of [`soft_rank`](@ref).
"""
function spearman_loss(
    predictions::Lists{<:Floating},
    targets::AbstractVecOrMat;
    target_ranks = "hard",
    keywords...,
)
    losses, _, _ = forward(predictions, targets, target_ranks, false; keywords...)
    return of_lists(losses, predictions)
end

"""
    spearman_loss_gradient(predictions, targets, grad_losses = 1; target_ranks = "hard", keywords...)

The losses, and the gradients of `sum(grad_losses .* losses)` with respect to the predictions and the
targets: `nothing` for the latter where their ranks are hard. `grad_losses` are a number, or one for
each loss: a `DimensionMismatch` is thrown otherwise.
"""
function spearman_loss_gradient(
    predictions::Lists{<:Floating},
    targets::AbstractVecOrMat,
    grad_losses = 1;
    target_ranks = "hard",
    keywords...,
)
    losses, slopes, slopes_of_targets = forward(
        predictions,
        targets,
        target_ranks,
        true;
        keywords...,
    )
    weights = weights_of_lists(losses, grad_losses)
    of_predictions = backward(weights, predictions, slopes; keywords...)
    of_targets = slopes_of_targets === nothing ?
        nothing :
        backward(weights, in_memory(targets), slopes_of_targets; keywords...)
    return of_lists(losses, predictions), of_predictions, of_targets
end

# ---- ChainRules: for Zygote, Diffractor and all others that read them ----

function ChainRulesCore.rrule(::typeof(soft_rank), x::Lists{<:Floating}; keywords...)
    project = ProjectTo(x)
    function soft_rank_pullback(cotangent)
        grad = unthunk(cotangent)
        grad isa AbstractZero && return NoTangent(), ZeroTangent()
        return NoTangent(), project(soft_rank_derivative(x, grad; keywords...))
    end
    return soft_rank(x; keywords...), soft_rank_pullback
end

function ChainRulesCore.frule(
    (_, tangent),
    ::typeof(soft_rank),
    x::Lists{<:Floating};
    keywords...,
)
    ranks = soft_rank(x; keywords...)
    direction = unthunk(tangent)
    direction isa AbstractZero && return ranks, ZeroTangent()
    return ranks, soft_rank_derivative(x, direction; keywords...)
end

# Targets that are numbers have a gradient of 0, and those that are classes have none.
no_gradient(::AbstractArray{<:AbstractFloat}) = ZeroTangent()
no_gradient(::AbstractArray) = NoTangent()

function ChainRulesCore.rrule(
    ::typeof(spearman_loss),
    predictions::Lists{<:Floating},
    targets::AbstractVecOrMat;
    target_ranks = "hard",
    keywords...,
)
    losses, slopes, slopes_of_targets = forward(
        predictions,
        targets,
        target_ranks,
        true;
        keywords...,
    )
    project = ProjectTo(predictions)
    function spearman_loss_pullback(cotangent)
        grad = unthunk(cotangent)
        grad isa AbstractZero && return NoTangent(), ZeroTangent(), no_gradient(targets)
        weights = weights_of_lists(losses, grad)
        of_predictions = project(backward(weights, predictions, slopes; keywords...))
        slopes_of_targets === nothing &&
            return NoTangent(), of_predictions, no_gradient(targets)
        of_targets = backward(weights, in_memory(targets), slopes_of_targets; keywords...)
        return NoTangent(), of_predictions, ProjectTo(targets)(of_targets)
    end
    return of_lists(losses, predictions), spearman_loss_pullback
end

function ChainRulesCore.frule(
    (_, tangent, tangent_of_targets),
    ::typeof(spearman_loss),
    predictions::Lists{<:Floating},
    targets::AbstractVecOrMat;
    target_ranks = "hard",
    keywords...,
)
    losses, of_predictions, of_targets = spearman_loss_gradient(
        predictions,
        targets;
        target_ranks,
        keywords...,
    )
    # Each list's own gradient along its own direction.
    along(gradient, direction) = vec(sum(gradient .* direction; dims = 1))
    total = weights_of_lists(lists(predictions), 0)
    direction, direction_of_targets = unthunk(tangent), unthunk(tangent_of_targets)
    direction isa AbstractZero || (total .+= along(of_predictions, direction))
    if of_targets !== nothing && !(direction_of_targets isa AbstractZero)
        total .+= along(of_targets, direction_of_targets)
    end
    return losses, of_lists(total, predictions)
end

end
