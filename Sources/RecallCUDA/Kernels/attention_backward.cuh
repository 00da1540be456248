// The two passes of attention backward, neither of which adds into memory: one over queries for dq, one over keys for dk
// and dv, which is all of backward where one tile holds all keys.
#pragma once
#include "attention_passes.cuh"

// dq_i = σ Σ_j ds_ij k_j for 64 queries a block.
template <int F, int E, bool WIDE, bool EXACT, class Policy>
__device__ __forceinline__ void attentionQueriesPass(const AttentionSizes& z, const Policy& policy,
                                                     const AttentionArrays& a) {
    float* queryTile = sharedFloats();
    float* gradientTile = queryTile + KEPT * strideOf<F>;
    float* keyTile = gradientTile + KEPT * strideOf<E>;
    float* valueTile = keyTile + 32 * strideOf<F>;
    float2* statistics = (float2*)(valueTile + 32 * strideOf<E>);
    float* deltas = (float*)(statistics + KEPT);
    unsigned char* bits = (unsigned char*)(deltas + KEPT);
    int tiles = (z.length + KEPT - 1) / KEPT;
    int first = (tiles - 1 - blockIdx.x % tiles) * KEPT, column = blockIdx.z * F, warpRow = threadIdx.x / WARP * 16;
    Head head(z, blockIdx.x / tiles);
    Rows queries = rowsOf(a.q + head.input, z.inputStride, z.length, z.f).from(first);
    Rows keys = rowsOf(a.k + head.input, z.inputStride, z.length, z.f);
    Rows values = rowsOf(a.v + head.value, z.valueStride, z.length, z.e);
    Rows gradients = rowsOf(a.dOut + head.out, z.outStride, z.length, z.e).from(first);
    Rows outputs = rowsOf(a.out + head.out, z.outStride, z.length, z.e).from(first);
    long long token = head.index * z.length + first;

    auto map = [&](float x) { return policy.map(x); };
    if constexpr (!WIDE) {
        // As in forward.
        prefetch<KEPT>(keys.from(first));
        prefetch<KEPT>(values.from(first));
        prefetch<KEPT>(gradients);
        prefetch<KEPT>(outputs);
        loadTile<KEPT, F, EXACT>(queryTile, queries, map);
        loadTile<KEPT, E, EXACT>(gradientTile, gradients, Unchanged());
    }
    rowProducts<KEPT, E>(gradients, outputs, z.e, deltas);
    __syncthreads();
    makeStatistics<KEPT>(policy, statistics, a.statistics + token, deltas, z.length - first);
    if (a.deltas && blockIdx.z == 0 && threadIdx.x < min(KEPT, z.length - first))
        a.deltas[token + threadIdx.x] = deltas[threadIdx.x];

    float dq[F / 8][4];
    clear(dq);
    int query = first + warpRow;
#pragma unroll 1
    for (int key = max(0, first - z.window + 1) / 32 * 32; key < min(z.length, first + KEPT); key += 32) {
        float s[4][4], dp[4][4];
        clear(s);
        clear(dp);
        __syncthreads();
        if (policy.dropping()) makeKept<KEPT, 32>(bits, policy.dropout, z, head.index, first, key);
        if constexpr (WIDE) {
            multiplyWide<KEPT, 32, F, EXACT>(s, queryTile, keyTile, queries, keys.from(key), map);
            multiplyWide<KEPT, 32, E, EXACT>(dp, gradientTile, valueTile, gradients, values.from(key), Unchanged());
            __syncthreads();
            loadTile<32, F, EXACT>(keyTile, keys.from(key, column), map);
        } else {
            loadTiles<32, F, E, EXACT>(keyTile, valueTile, keys.from(key), values.from(key), map);
        }
        __syncthreads();
        if (key > query + 15 || key + 31 <= query - z.window) continue;
        if constexpr (!WIDE) {
            multiplyRows<F, EXACT>(s, queryTile + warpRow * strideOf<F>, keyTile);
            multiplyRows<E, EXACT>(dp, gradientTile + warpRow * strideOf<E>, valueTile);
        }
        weighGradients<false>(policy, s, dp, z, query, key, statistics + warpRow, bits + warpRow * 8, 0);
        addProduct<F / 8, strideOf<F>, EXACT>(dq, dp, keyTile);
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
    float dq[TILES][4];
    clear(dq);
    int keys = min(KEPT, query + 16);
#pragma unroll 2
    for (int k = 0; k < keys; k += 8) {
        uint32 x[4];
        loadMatrices(x, xRow + k);
        addEight<TILES, strideOf<F>, EXACT>(dq, x, keyTile + k * strideOf<F> + column);
    }
    long long offset = input + query * z.inputStride + column;
    storeInputGradient(policy, dq, a.q + offset, a.dq + offset, z.inputStride, z.length - query, z.f - column);
}

// dk_j = σ Σ_i ds_ij q_i and dv_j = Σ_i w_ij dOut_i for 64 keys a block. ONE: these are all keys, and dq is written too.
template <int F, int E, bool WIDE, bool ONE, bool EXACT, class Policy>
__device__ __forceinline__ void attentionKeysPass(const AttentionSizes& z, const Policy& policy, const AttentionArrays& a) {
    float* keyTile = sharedFloats();
    float* valueTile = keyTile + KEPT * strideOf<F>;
    float* queryTile = valueTile + KEPT * strideOf<E>;
    float* gradientTile = queryTile + 32 * strideOf<F>;
    float2* statistics = (float2*)(gradientTile + 32 * strideOf<E>);
    float* deltas = (float*)(statistics + 32);
    unsigned char* bits = (unsigned char*)(deltas + 32);
    float* scores = (float*)(bits + 32 * 8);
    int tiles = (z.length + KEPT - 1) / KEPT;
    int first = blockIdx.x % tiles * KEPT, column = blockIdx.z * F, warpRow = threadIdx.x / WARP * 16;
    Head head(z, blockIdx.x / tiles);
    Rows keys = rowsOf(a.k + head.input, z.inputStride, z.length, z.f).from(first);
    Rows values = rowsOf(a.v + head.value, z.valueStride, z.length, z.e).from(first);
    Rows queries = rowsOf(a.q + head.input, z.inputStride, z.length, z.f);
    Rows gradients = rowsOf(a.dOut + head.out, z.outStride, z.length, z.e);
    Rows outputs = rowsOf(a.out + head.out, z.outStride, z.length, z.e);

    auto map = [&](float x) { return policy.map(x); };
    if constexpr (!WIDE) {
        prefetch<KEPT>(queries.from(first));
        prefetch<KEPT>(gradients.from(first));
        if constexpr (ONE) prefetch<KEPT>(outputs);
        loadTile<KEPT, F, EXACT>(keyTile, keys, map);
        loadTile<KEPT, E, EXACT>(valueTile, values, Unchanged());
    }
    float dk[F / 8][4], dv[E / 8][4];
    clear(dk);
    clear(dv);
    int key = first + warpRow;
#pragma unroll 1
    for (int query = first; query < min(z.length, first + KEPT - 1 + z.window); query += 32) {
        float s[4][4], dp[4][4];
        clear(s);
        clear(dp);
        long long token = head.index * z.length + query;
        __syncthreads();
        if (policy.dropping()) makeKept<32, KEPT>(bits, policy.dropout, z, head.index, query, first);
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
        Rows passingQueries = queries.from(query, WIDE ? column : 0);
        Rows passingGradients = gradients.from(query, WIDE ? column : 0);
        if constexpr (ONE) {
            // dq's sums leave no registers for both at once.
            loadTile<32, F, EXACT>(queryTile, passingQueries, map);
            loadTile<32, E, EXACT>(gradientTile, passingGradients, Unchanged());
        } else {
            loadTiles<32, F, E, EXACT>(queryTile, gradientTile, passingQueries, passingGradients, map);
        }
        __syncthreads();
        if constexpr (ONE) {
            makeStatistics<32>(policy, statistics, a.statistics + token, deltas, z.length - query);
            __syncthreads();
        }
        bool seen = query + 31 >= key && query < key + 15 + z.window;
        if (seen) {
            if constexpr (!WIDE) {
                multiplyRows<F, EXACT>(s, keyTile + warpRow * strideOf<F>, queryTile);
                multiplyRows<E, EXACT>(dp, valueTile + warpRow * strideOf<E>, gradientTile);
            }
            weighGradients<true>(policy, s, dp, z, key, query, statistics, bits, warpRow);
            addProduct<E / 8, strideOf<E>, EXACT>(dv, s, gradientTile);
            addProduct<F / 8, strideOf<F>, EXACT>(dk, dp, queryTile);
        }
        if constexpr (ONE) {
#pragma unroll
            for (int n = 0; n < 4; ++n) {
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    int row = 8 * n + accumulatorColumn(i), x = accumulatorRow(i);
                    int at = warpRow + x / 8 * 8 + addEightColumn(x % 8);
                    ((uint32*)scores)[row * GRADIENT_STRIDE + at] = operand<EXACT>(dp[n][i]);
                }
            }
            __syncthreads();
            writeQueryGradient<F, EXACT>(z, policy, a, head.input, query, scores, keyTile);
        }
    }
    long long input = head.input + key * z.inputStride + column, value = head.value + key * z.valueStride + column;
    storeInputGradient(policy, dk, a.k + input, a.dk + input, z.inputStride, z.length - key, z.f - column);
    storeRows(dv, a.dv + value, z.valueStride, z.length - key, z.e - column, [](float x, int, int) { return x; });
}
