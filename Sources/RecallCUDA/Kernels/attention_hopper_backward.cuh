// Attention backward in one pass: a block has a head and keeps 64 of its keys, the last ones first, while the queries that see
// them pass by. It adds its parts of a query's gradient in device memory, the same thread always the same numbers, so that
// their order is the program's.
#pragma once
#include "attention_hopper.cuh"

// From query to query of the gradients of scores that are kept, the keys in addEight's order.
#define SCORE_STRIDE (KEPT + 4)

template <int F, class Policy>
struct HopperBackward {
    // Numbers of a tile that passes by, and lanes that read a row.
    static constexpr int TILE = STEP * F, LANES = F / 4;
    const AttentionSizes& z;
    const Policy& policy;
    const AttentionArrays& a;
    // A head of a sequence, told by the grid: as it costs no division, it costs no registers either.
    Head head;
    // Of the keys: `first` of the block, the warp's `warpRow` from there on.
    int first, warpRow;
    float *keyTile, *queryTile, *gradientTile, *turnedQueries, *turnedGradients, *scores;
    unsigned char* bits;
    // Of every query, from when its own keys are kept.
    float2* statistics;
    uint32 values[F / 8][4];
    float dk[F / 8][4], dv[F / 8][4];

    __device__ __forceinline__ HopperBackward(const AttentionSizes& z, const Policy& policy, const AttentionArrays& a)
        : z(z), policy(policy), a(a), head(z, blockIdx.x, blockIdx.y), warpRow(threadIdx.x / WARP * 16) {
        keyTile = swizzledFloats();
        queryTile = keyTile + KEPT * F;
        gradientTile = queryTile + TILE;
        // Together they hold the values while these come.
        turnedQueries = gradientTile + TILE;
        turnedGradients = turnedQueries + TILE;
        scores = turnedGradients + TILE;
        bits = (unsigned char*)(scores + STEP * SCORE_STRIDE);
        statistics = (float2*)(bits + STEP * 8);
    }

    __device__ __forceinline__ Rows keysFrom(int key) const {
        return rowsOf(a.k + head.input, z.inputStride, z.length, z.f).from(key);
    }
    __device__ __forceinline__ Rows valuesFrom(int key) const {
        return rowsOf(a.v + head.value, z.valueStride, z.length, z.e).from(key);
    }

    __device__ __forceinline__ Rows outputsFrom(int query) const {
        return rowsOf(a.out + head.out, z.outStride, z.length, z.e).from(query);
    }

    __device__ __forceinline__ void copyStep(int query) {
        copyTile<STEP, F>(queryTile, rowsOf(a.q + head.input, z.inputStride, z.length, z.f).from(query));
        copyTile<STEP, F>(gradientTile, rowsOf(a.dOut + head.out, z.outStride, z.length, z.e).from(query));
    }

    // Brings the block's keys and values, and the queries that come first.
    __device__ __forceinline__ void keepTokens(int query) {
        __syncthreads();
        copyTile<KEPT, F>(keyTile, keysFrom(first));
        copyTile<KEPT, F>(turnedQueries, valuesFrom(first));
        copyStep(query);
        prefetch<STEP>(outputsFrom(query));
        awaitCopies();
        roundTile<KEPT, F>(keyTile);
        __syncthreads();
        readLeft<F>(values, turnedQueries, warpRow);
        clear(dk);
        clear(dv);
        __syncthreads();
    }

    // What backward wants of STEP queries, of which the straight tile has dOut as it is.
    __device__ __forceinline__ void makeStatistics(int query) {
        // Rows that four warps read together, and how often a thread does before it waits.
        constexpr int DOWN = THREADS / LANES, TURNS = 4;
        int column = threadIdx.x % LANES * 4;
#pragma unroll 1
        for (int row = threadIdx.x / LANES; row < STEP; row += TURNS * DOWN) {
            float4 out[TURNS];
            float saved[TURNS];
#pragma unroll
            for (int i = 0; i < TURNS; ++i) {
                int token = query + row + i * DOWN;
                out[i] = readQuad(outputsFrom(query), row + i * DOWN, column);
                saved[i] = token < z.length ? a.statistics[head.index * z.length + token] : 0.0f;
            }
            if (row < DOWN) {
                awaitCopies();
                __syncthreads();
            }
#pragma unroll
            for (int i = 0; i < TURNS; ++i) {
                int token = query + row + i * DOWN;
                float4 x = *(const float4*)(gradientTile + placeInTile<STEP>(row + i * DOWN, column));
                float sum = x.x * out[i].x + x.y * out[i].y + x.z * out[i].z + x.w * out[i].w;
#pragma unroll
                for (int offset = LANES / 2; offset > 0; offset >>= 1) sum += __shfl_xor_sync(FULL, sum, offset);
                if (column == 0)
                    statistics[token] = token < z.length ? policy.statistic(saved[i], sum) : make_float2(0.0f, 0.0f);
            }
        }
    }

    // Makes STEP queries' tiles ready, which are on their way.
    __device__ __forceinline__ void prepare(int query) {
        if (policy.dropping()) makeKept<STEP, KEPT>(bits, policy.dropout, z, head.index, query, first);
        if (query < first + KEPT) makeStatistics(query);
        awaitCopies();
        __syncthreads();
        turnTile<F, true>(queryTile, turnedQueries);
        turnTile<F, true>(gradientTile, turnedGradients);
        showProducts();
        __syncthreads();
    }

    // Scores of keys by queries, and dOut·v.
    __device__ __forceinline__ void multiplyScores(float (&s)[4][4], float (&dp)[4][4]) {
        clear(s);
        clear(dp);
        pin(s);
        pin(dp);
        beginProducts();
#pragma unroll
        for (int k = 0; k < F / 8; ++k) {
            multiplyStep(s, columnsAt<KEPT>(keyTile, k), columnsAt<STEP>(queryTile, k));
            multiplyStep(dp, values[k], columnsAt<STEP>(gradientTile, k));
        }
        endProducts();
        awaitProducts<0>();
        pin(s);
        pin(dp);
        pin(values);
    }

    // dv += w·dOut and dk += ds·q; a warp's gradients of scores are kept for the queries' gradients.
    __device__ __forceinline__ void addKeyGradients(const float (&w)[4][4], const float (&ds)[4][4]) {
        uint32 x[4][4], y[4][4];
        makeLeft(x, w);
        makeLeft(y, ds);
        int lane = threadIdx.x % WARP, column = warpRow + lane / 8 + lane / 4 % 2 * 4;
        uint32* kept = (uint32*)scores + lane % 4 * 2 * SCORE_STRIDE + column;
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            uint32* at = kept + 8 * n * SCORE_STRIDE;
            at[0] = y[n][0], at[SCORE_STRIDE] = y[n][2], at[8] = y[n][1], at[SCORE_STRIDE + 8] = y[n][3];
        }
        pin(dk);
        pin(dv);
        beginProducts();
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            multiplyGroup<true>(dv, x[n], columnsAt<F>(turnedGradients, n));
            multiplyGroup<true>(dk, y[n], columnsAt<F>(turnedQueries, n));
        }
        endProducts();
        __syncthreads();
        awaitProducts<0>();
        pin(dk);
        pin(dv);
        pin(x);
        pin(y);
    }

    // The block's part of STEP queries' dq: warps 0 and 1 take 16 queries each of the first half of the columns, warps 2 and 3
    // of the second. Of 32 columns a lane has eight neighbours.
    __device__ __forceinline__ void addQueryGradient(int query0) {
        constexpr int TILES = F / 16;
        int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, column = warp / 2 * (F / 2), query = query0 + warp % 2 * 16;
        const float* left = scores + (warp % 2 * 16 + (lane & 15)) * SCORE_STRIDE + (lane >> 4) * 4;
        const float* even = keyTile + column / 32 * (KEPT * 32) + swizzled(lane % 4 * 2, lane / 4 * 4);
        const float* odd = keyTile + column / 32 * (KEPT * 32) + swizzled(lane % 4 * 2 + 1, lane / 4 * 4);
        float dq[TILES][4];
        clear(dq);
        int count = min(KEPT, query + 16 - first);
#pragma unroll 2
        for (int k = 0; k < count; k += 8) {
            uint32 x[4];
            loadMatrices(x, left + k);
#pragma unroll
            for (int c = 0; c < TILES; c += 4) {
                uint4 y = *(const uint4*)(even + k * 32 + c / 4 * (KEPT * 32));
                uint4 w = *(const uint4*)(odd + k * 32 + c / 4 * (KEPT * 32));
                multiplyTile(dq[c], x, {y.x, w.x});
                multiplyTile(dq[c + 1], x, {y.y, w.y});
                multiplyTile(dq[c + 2], x, {y.z, w.z});
                multiplyTile(dq[c + 3], x, {y.w, w.w});
            }
        }
        addQuads(dq, a.dq + head.input + query * z.inputStride + column, z.length - query, z.f - column,
                 query0 >= first + KEPT);
    }

    // Writes 16 queries' dq, or adds it to what this thread wrote before.
    __device__ __forceinline__ void addQuads(const float (&dq)[F / 16][4], float* target, int rows, int columns, bool adds) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            int row = accumulatorRow(i);
            if (row >= rows) continue;
#pragma unroll
            for (int c = 0; c < F / 16; c += 4) {
                int column = 8 * c + accumulatorColumn(i) * 4;
                if (column >= columns) continue;
                float* at = target + row * z.inputStride + column;
                float4 x = make_float4(dq[c][i] * policy.scale, dq[c + 1][i] * policy.scale, dq[c + 2][i] * policy.scale,
                                       dq[c + 3][i] * policy.scale);
                if (adds) {
                    asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(at), "f"(x.x), "f"(x.y),
                                 "f"(x.z), "f"(x.w)
                                 : "memory");
                } else {
                    *(float4*)at = x;
                }
            }
        }
    }

    // dk and dv of the block's keys, and their part of dq. Queries pass by forwards and backwards in turns: those that came last
    // for the keys before are still near.
    __device__ __forceinline__ void passQueries(bool backwards) {
        int key = first + warpRow, last = min(z.length, first + KEPT - 1 + z.window);
        int left = (last - first + STEP - 1) / STEP, by = backwards ? -STEP : STEP;
        int query = backwards ? first + (left - 1) * STEP : first;
        keepTokens(query);
#pragma unroll 1
        for (; left > 0; --left, query += by) {
            prepare(query);
            float s[4][4], dp[4][4];
            multiplyScores(s, dp);
            weighGradients<true>(policy, s, dp, z, key, query, statistics + query, bits, warpRow);
            addKeyGradients(s, dp);
            // All warps have passed a barrier since they read the straight tiles. Any sooner registers would not do.
            if (left > 1) {
                copyStep(query + by);
                if (query + by < first + KEPT) prefetch<STEP>(outputsFrom(query + by));
            } else if (first > 0) {
                prefetch<KEPT>(keysFrom(first - KEPT));
                prefetch<KEPT>(valuesFrom(first - KEPT));
            }
            addQueryGradient(query);
        }
        long long input = head.input + key * z.inputStride, value = head.value + key * z.valueStride;
        storePairs(dk, policy.scale, a.dk + input, z.inputStride, z.length - key, z.f);
        storePairs(dv, 1.0f, a.dv + value, z.valueStride, z.length - key, z.e);
    }

    __device__ __forceinline__ void run() {
        bool backwards = false;
#pragma unroll 1
        for (first = (z.length - 1) / KEPT * KEPT; first >= 0; first -= KEPT, backwards = !backwards) passQueries(backwards);
    }
};
