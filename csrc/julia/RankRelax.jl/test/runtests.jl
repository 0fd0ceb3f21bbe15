# For Pkg.test, with RANK_RELAX_LIBRARY set. No Julia has run this file yet.

using ChainRulesCore: NoTangent, ZeroTangent, @thunk, frule, rrule
using RankRelax
using Test

# The slopes of a function of an array, by differences of second order.
function slopes(f, x)
    step = 1.0e-5
    return map(eachindex(x)) do i
        up, down = copy(x), copy(x)
        up[i] += step
        down[i] -= step
        (f(up) - f(down)) / 2step
    end
end

const n = 7
const x = reshape(sin.(1.0:3n), n, 3)
const y = reshape(cos.(2.0:(3n + 1)), n, 3)
const grad = [1.0, -2.0, 0.5]

@testset "ranks are sums over pairs" begin
    v = x[:, 1]
    F(d) = 1 / (1 + exp(-2d))
    expected = [sum(F(v[i] - v[j]) for j in 1:n if j != i) / (n - 1) for i in 1:n]
    @test soft_rank(v; regularization_strength = 2) ≈ expected
    @test soft_rank(x; regularization_strength = 2, threads = 2)[:, 1] ≈ expected
    @test soft_rank(Float32.(v); regularization_strength = 2) ≈ expected
    @test soft_rank(view([x y], :, 2:2:6)) == soft_rank([x y][:, 2:2:6])
    masked = soft_rank(v; mask = [false; trues(n - 1)])
    @test masked[1] == 0
    @test masked[2:end] ≈ soft_rank(v[2:end])
end

function gradients_are_slopes(target_ranks)
    keywords = (; regularization_strength = 2, target_ranks)
    total(x, y) = sum(grad .* spearman_loss(x, y; keywords...))
    losses, of_x, of_y = spearman_loss_gradient(x, y, grad; keywords...)
    @test losses ≈ spearman_loss(x, y; keywords...)
    @test vec(of_x) ≈ slopes(x -> total(x, y), x) atol = 1.0e-8
    if target_ranks == "soft"
        @test vec(of_y) ≈ slopes(y -> total(x, y), y) atol = 1.0e-8
    else
        @test of_y === nothing
    end
    @test_throws DimensionMismatch spearman_loss_gradient(x, y, [1.0, 2.0]; keywords...)

    # Forward and reverse agree, with thunks too.
    _, pullback = rrule(spearman_loss, x, y; keywords...)
    _, pulled, pulled_of_y = pullback(@thunk(grad))
    @test pulled ≈ of_x
    soft = target_ranks == "soft"
    @test soft ? pulled_of_y ≈ of_y : pulled_of_y isa ZeroTangent
    _, pushed = frule((NoTangent(), @thunk(y), x), spearman_loss, x, y; keywords...)
    expected = sum(of_x .* y) + (soft ? sum(of_y .* x) : 0)
    @test sum(grad .* pushed) ≈ expected
    _, none = frule(
        (NoTangent(), @thunk(ZeroTangent()), ZeroTangent()),
        spearman_loss,
        x,
        y;
        keywords...,
    )
    @test all(iszero, none)
end

@testset "gradients are slopes" begin
    gradients_are_slopes("hard")
    gradients_are_slopes("soft")
end

@testset "rules of ranks agree" begin
    ranks, pullback = rrule(soft_rank, x)
    @test ranks == soft_rank(x)
    @test pullback(y)[2] ≈ soft_rank_derivative(x, y)
    @test pullback(ZeroTangent())[2] isa ZeroTangent
    @test frule((NoTangent(), @thunk(y)), soft_rank, x)[2] ≈ soft_rank_derivative(x, y)
    @test frule((NoTangent(), @thunk(ZeroTangent())), soft_rank, x)[2] isa ZeroTangent
end

@testset "targets of every type that is taken" begin
    v, labels = x[:, 1], [1, 0, 1, 1, 0, 0, 1]
    expected = spearman_loss(v, labels)
    integers = (Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64)
    for T in (Bool, integers..., Float16, Float32, Float64)
        @test spearman_loss(v, T.(labels)) == expected
    end
    @test spearman_loss(v, BitVector(labels)) == expected
    _, pullback = rrule(spearman_loss, v, labels)
    @test pullback(1.0)[3] isa NoTangent
end

@testset "what is not taken is refused" begin
    v, labels = x[:, 1], [1, 0, 1, 1, 0, 0, 1]
    others = (Int128, BigInt, Rational{Int}, Union{Missing, Int}, Union{Int, Float64}, Real)
    for T in others
        @test_throws ArgumentError spearman_loss(v, Vector{T}(labels))
    end
    @test_throws ArgumentError soft_rank(Vector{Union{Float32, Float64}}(v))
    @test_throws ArgumentError soft_rank(v; regularization_strength = -1)
    @test_throws ArgumentError spearman_loss(v, labels[2:end])
end
