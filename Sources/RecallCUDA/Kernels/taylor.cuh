// Taylor linear attention in chunks (docs/math/linear-attention.md, section 6): the state of second order stays
// on chip between chunks of a sequence, and features are made in registers of tiles of q and k, where a product
// needs them. A block of four warps walks a segment of one head's sequence for some columns of the values. Each
// warp takes 16 tokens of a chunk where the state is read, and every fourth 16 of its rows where it grows.
#pragma once
#include "attention_tiles.cuh"

// Tokens of a chunk.
#define CHUNK 64

// The rows of the state for inputs of padded width F, eight at a time: the products x_i x_(i+d mod F) of all i at distance d
// = 0 ... F/2 - 1, those of the first half of i at F/2 (which are all there are), x itself, and 1. Each is the product of a
// number at one column of a tile of inputs and one at another: a row of the tile has x, its first half again, and ones.
template <int F>
struct Taylor {
    static constexpr int PIECES = F / 8, ONES = F / 2 * 3, STRIDE = (ONES + 11) / 8 * 8 + 4;
    // The first eights of distance F/2, of x, and that of 1.
    static constexpr int HALF = F / 2 * PIECES, LINEAR = HALF + (F / 2 + 7) / 8, CONSTANT = LINEAR + PIECES;
    // Tiles of 16 rows, and of one warp.
    static constexpr int TILES = CONSTANT / 2 + 1, OWN = (TILES + 3) / 4;

    // The columns of both factors of an eight's first row; those of the others follow.
    static __device__ __forceinline__ int2 factors(int eight) {
        if (eight < LINEAR) return make_int2(eight % PIECES * 8, eight % PIECES * 8 + eight / PIECES);
        return eight < CONSTANT ? make_int2((eight - LINEAR) * 8, ONES) : make_int2(ONES, ONES);
    }

    // What ψ puts before row `row` of an eight, σ being given: 0 where it repeats another.
    static __device__ __forceinline__ float coefficient(int eight, int row, float scale) {
        if (eight < PIECES) return 0.5f * scale * scale;
        if (eight < HALF) return scale * scale;
        if (eight < LINEAR) return (eight - HALF) * 8 + row < F / 2 ? scale * scale : 0.0f;
        return eight < CONSTANT ? scale : (row == 0 ? 1.0f : 0.0f);
    }

    // The row of x_i x_(i+d mod F), for all d below F.
    static __device__ __forceinline__ int rowOf(int i, int d) {
        if (d < F / 2) return d * F + i;
        if (d == F / 2) return HALF * 8 + i % (F / 2);
        return (F - d) * F + (i + d) % F;
    }
};

// The numbers of a warp's rows of the state: E columns of values, then eight of which the first belongs to the normaliser.
template <int F, int E>
using WarpState = float[Taylor<F>::OWN][E / 8 + 1][4];

template <int E>
constexpr int valueStride = strideOf<E + 8>;

// A chunk of q or k, 0 beyond the matrix, as factors of features and of products alike: rounded to tf32 once for both.
template <int F, bool EXACT>
__device__ __forceinline__ void loadInputs(float* tile, const Rows& rows) {
    constexpr int ACROSS = F / 4, TURNS = CHUNK * ACROSS / THREADS;
    float4 quads[TURNS];
#pragma unroll
    for (int i = 0; i < TURNS; ++i) {
        int n = threadIdx.x + i * THREADS;
        quads[i] = readQuad(rows, n / ACROSS, n % ACROSS * 4);
    }
    auto round = [](float x) { return EXACT ? __float_as_uint(x) : tf32(x); };
#pragma unroll
    for (int i = 0; i < TURNS; ++i) {
        int n = threadIdx.x + i * THREADS, column = n % ACROSS * 4;
        uint4* target = (uint4*)(tile + n / ACROSS * Taylor<F>::STRIDE + column);
        uint4 bits = make_uint4(round(quads[i].x), round(quads[i].y), round(quads[i].z), round(quads[i].w));
        target[0] = bits;
        if (column < F / 2) target[F / 4] = bits;
    }
}

// The ones that every chunk's inputs are followed by.
template <int F>
__device__ __forceinline__ void writeOnes(float* tile) {
    for (int n = threadIdx.x; n < CHUNK * 8; n += THREADS) tile[n / 8 * Taylor<F>::STRIDE + Taylor<F>::ONES + n % 8] = 1.0f;
}

// A chunk of values or of their gradients, each row times scale(row) and with last(row) behind it.
template <int E, bool EXACT, class Scale, class Last>
__device__ __forceinline__ void loadValues(float* tile, const Rows& rows, const Scale& scale, const Last& last) {
    constexpr int ACROSS = E / 4, TURNS = CHUNK * ACROSS / THREADS;
    float4 quads[TURNS];
#pragma unroll
    for (int i = 0; i < TURNS; ++i) {
        int n = threadIdx.x + i * THREADS;
        quads[i] = readQuad(rows, n / ACROSS, n % ACROSS * 4);
    }
#pragma unroll
    for (int i = 0; i < TURNS; ++i) {
        int n = threadIdx.x + i * THREADS, row = n / ACROSS;
        float factor = row < rows.count ? scale(row) : 0.0f;
        *(uint4*)(tile + row * valueStride<E> + n % ACROSS * 4) =
            operands<EXACT>(quads[i], [&](float x) { return x * factor; });
    }
    if (threadIdx.x < CHUNK) {
        int row = threadIdx.x;
        uint4* target = (uint4*)(tile + row * valueStride<E> + E);
        target[0] = make_uint4(operand<EXACT>(row < rows.count ? last(row) : 0.0f), 0, 0, 0);
        target[1] = make_uint4(0, 0, 0, 0);
    }
}

// s (16, 32) += a (16, WIDTH) · b (32, WIDTH)ᵀ, rows of both STRIDE apart.
template <int WIDTH, int STRIDE, bool EXACT>
__device__ __forceinline__ void multiplyChunks(float (&s)[4][4], const float* a, const float* b) {
    int lane = threadIdx.x % WARP;
    const float* left = a + (lane & 15) * STRIDE + (lane >> 4) * 4;
    const float* right = b + ((lane & 7) + (lane >> 4) * 8) * STRIDE + ((lane >> 3) & 1) * 4;
#pragma unroll
    for (int k = 0; k < WIDTH; k += 8) {
        uint32 x[4];
        loadMatrices(x, left + k);
#pragma unroll
        for (int pair = 0; pair < 2; ++pair) {
            uint32 y[4];
            loadMatrices(y, right + pair * 16 * STRIDE + k);
            multiply<EXACT>(s[2 * pair], x, {y[0], y[1]});
            multiply<EXACT>(s[2 * pair + 1], x, {y[2], y[3]});
        }
    }
}

// state += Σ_t features(x_t) w_tᵀ over a chunk.
template <int F, int E, bool EXACT>
__device__ __forceinline__ void addChunk(WarpState<F, E>& state, const float* x, const float* w) {
    using T = Taylor<F>;
    constexpr int COLUMNS = E / 8 + 1, BELOW = valueStride<E>;
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
#pragma unroll 1
    for (int token = 2 * (lane % 4); token < CHUNK; token += 8) {
        const float *even = x + token * T::STRIDE + lane / 4, *odd = even + T::STRIDE;
        const uint32* at = (const uint32*)w + token * BELOW + lane / 4;
        uint32 right[COLUMNS][2];
#pragma unroll
        for (int c = 0; c < COLUMNS; ++c) right[c][0] = at[8 * c], right[c][1] = at[BELOW + 8 * c];
#pragma unroll
        for (int n = 0; n < T::OWN; ++n) {
            int tile = warp + 4 * n;
            if (tile >= T::TILES) break;
            int2 first = T::factors(2 * tile), second = T::factors(2 * tile + 1);
            uint32 left[4] = {
                operand<EXACT>(even[first.x] * even[first.y]), operand<EXACT>(even[second.x] * even[second.y]),
                operand<EXACT>(odd[first.x] * odd[first.y]), operand<EXACT>(odd[second.x] * odd[second.y])};
#pragma unroll
            for (int c = 0; c < COLUMNS; ++c) multiply<EXACT>(state[n][c], left, right[c]);
        }
    }
}

// A warp's rows of the state to shared memory, where all warps read it.
template <int F, int E, bool EXACT>
__device__ __forceinline__ void share(float* shared, const WarpState<F, E>& state) {
#pragma unroll
    for (int n = 0; n < Taylor<F>::OWN; ++n) {
        int tile = threadIdx.x / WARP + 4 * n;
        if (tile >= Taylor<F>::TILES) break;
        float* at = shared + (16 * tile + accumulatorRow(0)) * valueStride<E> + accumulatorColumn(0);
#pragma unroll
        for (int c = 0; c < E / 8 + 1; ++c) {
            const float(&d)[4] = state[n][c];
            *(uint2*)(at + 8 * c) = make_uint2(operand<EXACT>(d[0]), operand<EXACT>(d[1]));
            *(uint2*)(at + 8 * valueStride<E> + 8 * c) = make_uint2(operand<EXACT>(d[2]), operand<EXACT>(d[3]));
        }
    }
}

// out (16, 8·COLUMNS) += ψ(x) · state for 16 rows of x.
template <int F, int E, int COLUMNS, bool EXACT>
__device__ __forceinline__ void addState(float (&out)[COLUMNS][4], const float* x, const float* state, float scale) {
    using T = Taylor<F>;
    int row = threadIdx.x % 4 * 2;
    const float *upper = x + accumulatorRow(0) * T::STRIDE + row, *lower = upper + 8 * T::STRIDE;
#pragma unroll (F <= 16 ? T::CONSTANT + 1 : 2)
    for (int eight = 0; eight <= T::CONSTANT; ++eight) {
        int2 at = T::factors(eight);
        float even = T::coefficient(eight, row, scale), odd = T::coefficient(eight, row + 1, scale);
        uint32 features[4] = {operand<EXACT>(even * upper[at.x] * upper[at.y]),
                              operand<EXACT>(even * lower[at.x] * lower[at.y]),
                              operand<EXACT>(odd * upper[at.x + 1] * upper[at.y + 1]),
                              operand<EXACT>(odd * lower[at.x + 1] * lower[at.y + 1])};
        addEight<COLUMNS, valueStride<E>, EXACT>(out, features, state + 8 * eight * valueStride<E>);
    }
}

// The gradient by 16 rows of x through their features, whose own is `values` (16, E + 8) · stateᵀ: dx += σ⁻¹ times it. With h
// that of the products and σ² before each, dx_i = σ² Σ_j h_ij x_j, where h_ij is h_ji, and the diagonal has σ²/2 twice.
template <int F, int E, bool EXACT>
__device__ __forceinline__ void addInputGradient(float (&dx)[F / 8][4], const float* x, const float* values,
                                                 const float* state, float scale) {
    using T = Taylor<F>;
    constexpr int BELOW = valueStride<E>, DISTANCES = F == 8 ? 4 : F == 32 ? 1 : 2, EIGHTS = DISTANCES * T::PIECES;
    int lane = threadIdx.x % WARP, row = lane % 4 * 2;
    const float* left = values + (lane & 15) * BELOW + (lane >> 4) * 4;
    const float* upper = x + accumulatorRow(0) * T::STRIDE + row;
    float sums[T::PIECES][4];
    clear(sums);
#pragma unroll 1
    for (int d = 0; d < F; d += DISTANCES) {
        const float* right[EIGHTS / 2];
#pragma unroll
        for (int pair = 0; pair < EIGHTS / 2; ++pair) {
            int eight = 2 * pair + (lane >> 4);
            int stateRow = T::rowOf(eight % T::PIECES * 8 + (lane & 7), d + eight / T::PIECES);
            right[pair] = state + stateRow * BELOW + ((lane >> 3) & 1) * 4;
        }
        float h[EIGHTS][4];
        clear(h);
#pragma unroll
        for (int k = 0; k < E + 8; k += 8) {
            uint32 a[4];
            loadMatrices(a, left + k);
#pragma unroll
            for (int pair = 0; pair < EIGHTS / 2; ++pair) {
                uint32 b[4];
                loadMatrices(b, right[pair] + k);
                multiply<EXACT>(h[2 * pair], a, {b[0], b[1]});
                multiply<EXACT>(h[2 * pair + 1], a, {b[2], b[3]});
            }
        }
#pragma unroll
        for (int eight = 0; eight < EIGHTS; ++eight) {
            int piece = eight % T::PIECES, column = piece * 8 + d + eight / T::PIECES;
            // x from column + row on, of which no more than the first half is there twice.
            const float* other = upper + (column + row >= F ? column - F : column);
#pragma unroll
            for (int i = 0; i < 4; ++i) sums[piece][i] += h[eight][i] * other[(i >> 1) * 8 * T::STRIDE + (i & 1)];
        }
    }
#pragma unroll
    for (int piece = 0; piece < T::PIECES; ++piece) {
        const uint32* right = (const uint32*)state + ((T::LINEAR + piece) * 8 + lane / 4) * BELOW + lane % 4;
#pragma unroll
        for (int i = 0; i < 4; ++i) dx[piece][i] += scale * sums[piece][i];
#pragma unroll
        for (int k = 0; k < E + 8; k += 8) {
            uint32 a[4];
            loadMatrices(a, left + k);
            multiply<EXACT>(dx[piece], a, {right[k], right[k + 4]});
        }
    }
}
