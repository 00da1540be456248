// The two passes of attention backward, neither of which adds into memory: one over queries for dq, one over keys for dk
// and dv, which is all of backward where one tile holds all keys.
#pragma once
#include "attention_passes.cuh"

// dq_i = σ Σ_j ds_ij k_j for 64·M queries a block.
template <int M, int F, int E, bool WIDE, bool EXACT, class Policy>
__device__ __forceinline__ void attentionQueriesPass(const AttentionSizes& z, const Policy& policy,
                                                     const AttentionArrays& a) {
    constexpr int QUERIES = M * KEPT;
    static_assert(!WIDE || M == 1);
    float* queryTile = sharedFloats();
    float* gradientTile = queryTile + QUERIES * strideOf<F>;
    float* keyTile = gradientTile + QUERIES * strideOf<E>;
    float* valueTile = keyTile + 32 * strideOf<F>;
    float2* statistics = (float2*)(valueTile + 32 * strideOf<E>);
    float* deltas = (float*)(statistics + QUERIES);
    unsigned char* bits = (unsigned char*)(deltas + QUERIES);
    int tiles = (z.length + QUERIES - 1) / QUERIES;
    int first = (tiles - 1 - blockIdx.x % tiles) * QUERIES, column = blockIdx.z * F;
    int warpRow = threadIdx.x / WARP * WARP_ROWS * M;
    Head head(z, blockIdx.x / tiles);
    Rows queries = rowsOf(a.q + head.input, z.inputStride, z.length, z.f).from(first);
    Rows keys = rowsOf(a.k + head.input, z.inputStride, z.length, z.f);
    Rows values = rowsOf(a.v + head.value, z.valueStride, z.length, z.e);
    Rows gradients = rowsOf(a.dOut + head.out, z.outStride, z.length, z.e).from(first);
    Rows outputs = rowsOf(a.out + head.out, z.outStride, z.length, z.e).from(first);
    long long token = head.index * z.length + first;

    auto map = [&](float x) { return policy.map(x); };
    if constexpr (!WIDE) {
        if (blockIdx.x < BLOCKS_AHEAD) prefetchBlock<QUERIES>(z, blockIdx.x, a.q, a.k, a.v, a.out, a.dOut);
        prefetchBlock<QUERIES>(z, blockIdx.x + BLOCKS_AHEAD, a.q, a.k, a.v, a.out, a.dOut);
        loadTile<QUERIES, F, EXACT>(queryTile, queries, map);
        loadTile<QUERIES, E, EXACT>(gradientTile, gradients, Unchanged());
    }
    rowProducts<QUERIES, E>(gradients, outputs, z.e, deltas);
    __syncthreads();
    makeStatistics<QUERIES>(policy, statistics, a.statistics + token, deltas, z.length - first);
    if (a.deltas && blockIdx.z == 0 && threadIdx.x < min(QUERIES, z.length - first))
        a.deltas[token + threadIdx.x] = deltas[threadIdx.x];

    float dq[M][F / 8][4];
    clear(dq);
    int query = first + warpRow;
#pragma unroll 1
    for (int key = max(0, first - z.window + 1) / 32 * 32; key < min(z.length, first + QUERIES);
         key += 32) {
        float s[M][4][4], dp[M][4][4];
        clear(s);
        clear(dp);
        __syncthreads();
        if (policy.dropping()) makeKept<QUERIES, 32>(bits, policy.dropout, z, head.index, first, key);
        if constexpr (WIDE) {
            multiplyWide<KEPT, 32, F, EXACT>(s, queryTile, keyTile, queries, keys.from(key), map);
            multiplyWide<KEPT, 32, E, EXACT>(dp, gradientTile, valueTile, gradients, values.from(key), Unchanged());
            __syncthreads();
            loadTile<32, F, EXACT>(keyTile, keys.from(key, column), map);
        } else {
            loadTiles<32, F, E, EXACT>(keyTile, valueTile, keys.from(key), values.from(key), map);
        }
        __syncthreads();
        if (key >= query + WARP_ROWS * M || key + 31 <= query - z.window) continue;
        if constexpr (!WIDE) {
            multiplyRows<M, F, EXACT>(s, queryTile + warpRow * strideOf<F>, keyTile);
            multiplyRows<M, E, EXACT>(dp, gradientTile + warpRow * strideOf<E>, valueTile);
        }
#pragma unroll
        for (int m = 0; m < M; ++m) {
            int row = m * WARP_ROWS;
            weighGradients<false>(policy, s[m], dp[m], z, query + row, key, statistics + warpRow + row,
                                  Kept{bits + (warpRow + row) * 4, 4});
        }
        addProduct<M, F / 8, strideOf<F>, EXACT>(dq, dp, keyTile);
    }
    long long offset = head.input + query * z.inputStride + column;
    storeInputGradient(policy, dq, a.q + offset, a.dq + offset, z.inputStride, z.length - query, z.f - column);
}

// From query to query of the gradients of scores that ONE keeps, the keys in addEight's order.
#define GRADIENT_STRIDE (KEPT + 4)

// 32 queries' dq where all keys are in the tile, from their gradients of scores: warps 0 and 1 take 16 queries each of the
// first half of the columns, warps 2 and 3 of the second.
template <int F, bool EXACT, class Policy>
__device__ __forceinline__ void writeQueryGradient(const AttentionSizes& z, const Policy& policy, const AttentionArrays& a,
                                                   long long input, int query0, const float* scores, const float* keyTile) {
    constexpr int TILES = F / 16;
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, column = warp / 2 * (TILES * 8), query = query0 + warp % 2 * 16;
    const float* xRow = scores + (warp % 2 * 16 + (lane & 15)) * GRADIENT_STRIDE + (lane >> 4) * 4;
    float dq[1][TILES][4];
    clear(dq);
    int keys = min(KEPT, query + 16);
#pragma unroll 2
    for (int k = 0; k < keys; k += 8) {
        uint32 x[1][4];
        loadMatrices(x[0], xRow + k);
        addEight<1, TILES, strideOf<F>, EXACT>(dq, x, keyTile + k * strideOf<F> + column);
    }
    long long offset = input + query * z.inputStride + column;
    storeInputGradient(policy, dq, a.q + offset, a.dq + offset, z.inputStride, z.length - query, z.f - column);
}

// dk_j = σ Σ_i ds_ij q_i and dv_j = Σ_i w_ij dOut_i for 64·M keys a block. ONE: these are all keys, and dq is written too.
template <int M, int F, int E, bool WIDE, bool ONE, bool EXACT, class Policy>
__device__ __forceinline__ void attentionKeysPass(const AttentionSizes& z, const Policy& policy, const AttentionArrays& a) {
    constexpr int KEYS = M * KEPT;
    static_assert((!WIDE && !ONE) || M == 1);
    float* keyTile = sharedFloats();
    float* valueTile = keyTile + KEYS * strideOf<F>;
    float* queryTile = valueTile + KEYS * strideOf<E>;
    float* gradientTile = queryTile + 32 * strideOf<F>;
    float2* statistics = (float2*)(gradientTile + 32 * strideOf<E>);
    float* deltas = (float*)(statistics + 32);
    unsigned char* bits = (unsigned char*)(deltas + 32);
    float* scores = (float*)(bits + 32 * (KEYS / 8));
    int tiles = (z.length + KEYS - 1) / KEYS;
    int first = blockIdx.x % tiles * KEYS, column = blockIdx.z * F, warpRow = threadIdx.x / WARP * WARP_ROWS * M;
    Head head(z, blockIdx.x / tiles);
    Rows keys = rowsOf(a.k + head.input, z.inputStride, z.length, z.f).from(first);
    Rows values = rowsOf(a.v + head.value, z.valueStride, z.length, z.e).from(first);
    Rows queries = rowsOf(a.q + head.input, z.inputStride, z.length, z.f);
    Rows gradients = rowsOf(a.dOut + head.out, z.outStride, z.length, z.e);
    Rows outputs = rowsOf(a.out + head.out, z.outStride, z.length, z.e);

    auto map = [&](float x) { return policy.map(x); };
    if constexpr (!WIDE) {
        const float* out = ONE ? a.out : nullptr;
        if (ONE || blockIdx.x < BLOCKS_AHEAD) prefetchBlock<KEYS>(z, blockIdx.x, a.q, a.k, a.v, out, a.dOut);
        prefetchBlock<KEYS>(z, blockIdx.x + (ONE ? 2 : 1) * BLOCKS_AHEAD, a.q, a.k, a.v, out, a.dOut);
        loadTile<KEYS, F, EXACT>(keyTile, keys, map);
        loadTile<KEYS, E, EXACT>(valueTile, values, Unchanged());
    }
    float dk[M][F / 8][4], dv[M][E / 8][4];
    clear(dk);
    clear(dv);
    int key = first + warpRow;
#pragma unroll 1
    for (int query = first; query < min(z.length, first + KEYS - 1 + z.window); query += 32) {
        float s[M][4][4], dp[M][4][4];
        clear(s);
        clear(dp);
        long long token = head.index * z.length + query;
        __syncthreads();
        if (policy.dropping()) makeKept<32, KEYS>(bits, policy.dropout, z, head.index, query, first);
        if constexpr (ONE) {
            rowProducts<32, E>(gradients.from(query), outputs.from(query), z.e, deltas);
        } else {
            makeStatistics<32>(policy, statistics, a.statistics + token, a.deltas + token, z.length - query);
        }
        if constexpr (WIDE) {
            multiplyWide<KEPT, 32, F, EXACT>(s, keyTile, queryTile, keys, queries.from(query), map);
            multiplyWide<KEPT, 32, E, EXACT>(dp, valueTile, gradientTile, values, gradients.from(query), Unchanged());
            __syncthreads();
        }
        loadTiles<32, F, E, EXACT>(queryTile, gradientTile, queries.from(query, WIDE ? column : 0),
                                   gradients.from(query, WIDE ? column : 0), map);
        __syncthreads();
        if constexpr (ONE) {
            makeStatistics<32>(policy, statistics, a.statistics + token, deltas, z.length - query);
            __syncthreads();
        }
        bool seen = query + 31 >= key && query < key + WARP_ROWS * M - 1 + z.window;
        if (seen) {
            if constexpr (!WIDE) {
                multiplyRows<M, F, EXACT>(s, keyTile + warpRow * strideOf<F>, queryTile);
                multiplyRows<M, E, EXACT>(dp, valueTile + warpRow * strideOf<E>, gradientTile);
            }
#pragma unroll
            for (int m = 0; m < M; ++m) {
                int row = m * WARP_ROWS;
                weighGradients<true>(policy, s[m], dp[m], z, key + row, query, statistics,
                                     Kept{bits + (warpRow + row) / 8, KEYS / 8});
            }
            addProduct<M, E / 8, strideOf<E>, EXACT>(dv, s, gradientTile);
            addProduct<M, F / 8, strideOf<F>, EXACT>(dk, dp, queryTile);
        }
        if constexpr (ONE) {
#pragma unroll
            for (int n = 0; n < 4; ++n) {
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    int row = 8 * n + accumulatorColumn(i), x = accumulatorRow(i);
                    int at = warpRow + x / 8 * 8 + addEightColumn(x % 8);
                    ((uint32*)scores)[row * GRADIENT_STRIDE + at] = operand<EXACT>(dp[0][n][i]);
                }
            }
            __syncthreads();
            writeQueryGradient<F, EXACT>(z, policy, a, head.input, query, scores, keyTile);
        }
    }
    long long input = head.input + key * z.inputStride + column, value = head.value + key * z.valueStride + column;
    storeInputGradient(policy, dk, a.k + input, a.dk + input, z.inputStride, z.length - key, z.f - column);
#pragma unroll
    for (int m = 0; m < M; ++m) {
        int row = m * WARP_ROWS;
        storeRows(dv[m], a.dv + value + row * z.valueStride, z.valueStride, z.length - key - row, z.e - column,
                  [](float x, int, int) { return x; });
    }
}
