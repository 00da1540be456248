// Causal attention forward and backward for weights that a policy makes of scores: softmax
// (docs/math/attention.md, section 4) or linear (docs/math/linear-attention.md, section 5). Widths up to F and
// E are held whole in shared memory. WIDE passes take any, 128 columns at a time, and a block for each 128
// columns of the output, which makes the scores again.
//
// A policy has: `scale` of scores; `map(x)`, the feature map of q and k, and `slope(x)`, its derivative; Sums of a query's
// weights; `weigh`, scores to weights in place; `dropping()`, `dropout`; `statistic(saved, delta)`, what backward wants of
// a query; `gradient(s, dp, statistic, kept)`, a score and the gradient of its weight to the weight and the gradient of the
// score; `constantAlone`, whether a query that sees one key has that key's value whatever the score.
#pragma once
#include "attention_tiles.cuh"

struct AttentionSizes {
    int length, heads;
    // f of queries and keys, e of values; how many keys a query sees, its own included.
    int f, e, window;
    // From token to token in q and k, in v, and in out.
    long long inputStride, valueStride, outStride;

    __device__ __forceinline__ bool visible(int query, int key) const {
        return key <= query && key > query - window;
    }

    // Whether each of `queries` tokens sees each of `keys`.
    __device__ __forceinline__ bool allVisible(int query, int queries, int key, int keys) const {
        return key + keys - 1 <= query && key > query + queries - 1 - window && query + queries <= length;
    }
};

// Where one head of one sequence starts in each array.
struct Head {
    long long index, input, value, out;

    __device__ __forceinline__ Head(const AttentionSizes& z, int index) : Head(z, index / z.heads, index % z.heads) {}

    __device__ __forceinline__ Head(const AttentionSizes& z, int sequence, int head)
        : index((long long)sequence * z.heads + head) {
        long long firstToken = (long long)sequence * z.length;
        input = firstToken * z.inputStride + head * z.f;
        value = firstToken * z.valueStride + head * z.e;
        out = firstToken * z.outStride + head * z.e;
    }
};

// Which multipliers of dropout are not 0: bit key % 8 of bits[query][key / 8], of (QUERIES, KEYS) from (query, key), a
// multiple of 8. Element (head·L + query)·L₈ + key of the mask, with L₈ the length rounded up to a multiple of 8.
template <int QUERIES, int KEYS>
__device__ __forceinline__ void makeKept(unsigned char* bits, const Mask& mask, const AttentionSizes& z, long long head,
                                         int query, int key) {
#pragma unroll 1
    for (int p = threadIdx.x; p < QUERIES * (KEYS / 8); p += THREADS) {
        int row = p / (KEYS / 8), block = p % (KEYS / 8);
        uint4 words = maskWords(mask, (head * z.length + query + row) * ((z.length + 7) / 8) + key / 8 + block);
        uint32 byte = 0;
#pragma unroll
        for (int i = 0; i < 8; ++i) byte |= (maskOf(mask, words, i) > 0.0f) << i;
        bits[row * 8 + block] = byte;
    }
}

__device__ __forceinline__ bool isKept(const unsigned char* bits, int query, int key) {
    return bits[query * 8 + key / 8] >> (key & 7) & 1;
}

// Of a lane's scores of 16 rows by 32 columns, bit 4n + i of number i of accumulator n. Keys begin at `key` of the tile.
template <bool ROWS_ARE_KEYS>
__device__ __forceinline__ uint32 keptOf(const unsigned char* bits, int key) {
    uint32 kept = 0;
#pragma unroll
    for (int n = 0; n < 4; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            int row = accumulatorRow(i), column = 8 * n + accumulatorColumn(i);
            bool one = ROWS_ARE_KEYS ? isKept(bits, column, key + row) : isKept(bits, row, key + column);
            kept |= (uint32)one << (4 * n + i);
        }
    }
    return kept;
}

// s += 16 rows of `a`, of which ROWS lie in device memory, times 32 rows of `b`, over all their columns, WIDTH at a time.
template <int ROWS, int PASSING, int WIDTH, bool EXACT, class Map>
__device__ __forceinline__ void multiplyWide(float (&s)[4][4], float* aTile, float* bTile, const Rows& a, const Rows& b,
                                             const Map& map) {
#pragma unroll 1
    for (int column = 0; column < a.width; column += WIDTH) {
        __syncthreads();
        loadTile<ROWS, WIDTH, EXACT>(aTile, a.from(0, column), map);
        loadTile<PASSING, WIDTH, EXACT>(bTile, b.from(0, column), map);
        __syncthreads();
        multiplyRows<WIDTH, EXACT>(s, aTile + threadIdx.x / WARP * 16 * strideOf<WIDTH>, bTile);
    }
}

template <int F, int E, bool WIDE>
constexpr int forwardFloats = KEPT * strideOf<F> + (WIDE ? 32 * strideOf<F> : KEPT * (strideOf<F> + strideOf<E>));

// out_i = Σ_j w_ij v_j / Σ_j w_ij for 64 queries a block.
template <int F, int E, bool WIDE, bool EXACT, class Policy>
__device__ __forceinline__ void attentionForwardPass(const AttentionSizes& z, const Policy& policy, const float* q,
                                                     const float* k, const float* v, float* out, float* statistics) {
    constexpr int PASSING = WIDE ? 32 : 64;
    float* queryTile = sharedFloats();
    float* keyTile = queryTile + KEPT * strideOf<F>;
    float* valueTile = WIDE ? keyTile : keyTile + PASSING * strideOf<F>;
    unsigned char* bits = (unsigned char*)(queryTile + forwardFloats<F, E, WIDE>);
    int tiles = (z.length + KEPT - 1) / KEPT;
    // Late queries see more keys: they start first.
    int first = (tiles - 1 - blockIdx.x % tiles) * KEPT, column = blockIdx.z * E, warpRow = threadIdx.x / WARP * 16;
    Head head(z, blockIdx.x / tiles);
    Rows queries = rowsOf(q + head.input, z.inputStride, z.length, z.f).from(first);
    Rows keys = rowsOf(k + head.input, z.inputStride, z.length, z.f);
    Rows values = rowsOf(v + head.value, z.valueStride, z.length, z.e).from(0, column);

    auto map = [&](float x) { return policy.map(x); };
    typename Policy::Sums sums;
    float o[E / 8][4];
    clear(o);
    if constexpr (!WIDE) {
        // While the queries come, so do the block's own tokens' keys and values; its head's other blocks bring the rest.
        prefetch<KEPT>(keys.from(first));
        prefetch<KEPT>(values.from(first));
        loadTile<KEPT, F, EXACT>(queryTile, queries, map);
    }
    int query = first + warpRow;
#pragma unroll 1
    for (int key0 = max(0, first - z.window + 1) / PASSING * PASSING; key0 < min(z.length, first + KEPT);
         key0 += PASSING) {
        float s[4][4];
        clear(s);
        __syncthreads();
        if (policy.dropping()) makeKept<KEPT, PASSING>(bits, policy.dropout, z, head.index, first, key0);
        if constexpr (WIDE) {
            multiplyWide<KEPT, PASSING, F, EXACT>(s, queryTile, keyTile, queries, keys.from(key0), map);
            __syncthreads();
            loadTile<PASSING, E, EXACT>(valueTile, values.from(key0), Unchanged());
        } else {
            loadTiles<PASSING, F, E, EXACT>(keyTile, valueTile, keys.from(key0), values.from(key0), map);
        }
        __syncthreads();
#pragma unroll 1
        for (int part = 0; part < PASSING; part += 32) {
            int key = key0 + part;
            if (key > query + 15 || key + 31 <= query - z.window) continue;
            if constexpr (!WIDE) {
                clear(s);
                multiplyRows<F, EXACT>(s, queryTile + warpRow * strideOf<F>, keyTile + part * strideOf<F>);
            }
            const unsigned char* kept = bits + warpRow * 8 + part / 8;
            if (z.allVisible(query, 16, key, 32)) {
                policy.template weigh<true>(s, sums, o, z, query, key, kept);
            } else {
                policy.template weigh<false>(s, sums, o, z, query, key, kept);
            }
            addProduct<E / 8, strideOf<E>, EXACT>(o, s, valueTile + part * strideOf<E>);
        }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float2 end = policy.finish(sums, half);
        int row = query + accumulatorRow(2 * half);
        if (blockIdx.z == 0 && threadIdx.x % 4 == 0 && row < z.length) statistics[head.index * z.length + row] = end.y;
#pragma unroll
        for (int c = 0; c < E / 8; ++c) o[c][2 * half] *= end.x, o[c][2 * half + 1] *= end.x;
    }
    storeRows(o, out + head.out + query * z.outStride + column, z.outStride, z.length - query, z.e - column,
              [](float x, int, int) { return x; });
}

struct AttentionArrays {
    const float *q, *k, *v, *out, *statistics, *dOut;
    float *dq, *dk, *dv;
    // (batch, heads, length): dOut·out of each token, written by the pass over queries for that over keys.
    float* deltas;
};

// A warp's gradient of mapped and scaled inputs to that of the inputs, written.
template <int TILES, class Policy>
__device__ __forceinline__ void storeInputGradient(const Policy& policy, const float (&d)[TILES][4], const float* x,
                                                   float* dx, long long stride, int rows, int columns) {
    storeRows(d, dx, stride, rows, columns, [&](float g, int row, int column) {
        return g * policy.scale * (Policy::mapped ? policy.slope(x[row * stride + column]) : 1.0f);
    });
}

// What 16 rows of one side and 32 of the other make of a score: s to weights and dp to gradients of scores, in place.
// ROWS_ARE_KEYS: whether the 16 are keys, the 32 queries, or the other way round; the first of each is given. WHOLE: whether
// every query sees every key.
template <bool ROWS_ARE_KEYS, bool WHOLE, class Policy>
__device__ __forceinline__ void weighVisible(const Policy& policy, float (&s)[4][4], float (&dp)[4][4],
                                               const AttentionSizes& z, int row0, int column0, const float2* statistics,
                                               const unsigned char* bits, int keyInTile) {
    // Asked for once: a branch at every score would keep the compiler from working on several.
    float multiplier = policy.dropping() ? policy.dropout.scale : 1.0f;
    uint32 keptBits = policy.dropping() ? keptOf<ROWS_ARE_KEYS>(bits, keyInTile) : ~0u;
#pragma unroll
    for (int n = 0; n < 4; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            int row = accumulatorRow(i), column = 8 * n + accumulatorColumn(i);
            int query = ROWS_ARE_KEYS ? column : row, key = ROWS_ARE_KEYS ? row : column;
            int queryToken = query + (ROWS_ARE_KEYS ? column0 : row0), keyToken = key + (ROWS_ARE_KEYS ? row0 : column0);
            bool visible = WHOLE || (z.visible(queryToken, keyToken) && queryToken < z.length);
            float kept = keptBits >> (4 * n + i) & 1 ? multiplier : 0.0f;
            float2 both = policy.gradient(s[n][i], dp[n][i], statistics[query], kept);
            s[n][i] = visible ? both.x : 0.0f;
            // dp - δ, rounded, would not be 0.
            bool constant = Policy::constantAlone && !WHOLE && (queryToken == 0 || z.window == 1);
            dp[n][i] = visible && !constant ? both.y : 0.0f;
        }
    }
}

template <bool ROWS_ARE_KEYS, class Policy>
__device__ __forceinline__ void weighGradients(const Policy& policy, float (&s)[4][4], float (&dp)[4][4],
                                               const AttentionSizes& z, int row0, int column0, const float2* statistics,
                                               const unsigned char* bits, int keyInTile) {
    bool all = ROWS_ARE_KEYS ? z.allVisible(column0, 32, row0, 16) : z.allVisible(row0, 16, column0, 32);
    if (all) {
        weighVisible<ROWS_ARE_KEYS, true>(policy, s, dp, z, row0, column0, statistics, bits, keyInTile);
    } else {
        weighVisible<ROWS_ARE_KEYS, false>(policy, s, dp, z, row0, column0, statistics, bits, keyInTile);
    }
}

// What backward wants of tokens first ... first + ROWS - 1, as queries: of the saved numbers and `deltas` (of these rows).
template <int ROWS, class Policy>
__device__ __forceinline__ void makeStatistics(const Policy& policy, float2* statistics, const float* saved,
                                               const float* deltas, int rows) {
    if (threadIdx.x < ROWS) {
        bool valid = threadIdx.x < rows;
        float2 none = make_float2(0.0f, 0.0f);
        statistics[threadIdx.x] = valid ? policy.statistic(saved[threadIdx.x], deltas[threadIdx.x]) : none;
    }
}
