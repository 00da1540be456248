// Attention forward with wgmma: a block keeps 64 queries of a head, in registers, while keys and values pass by.
#pragma once
#include "attention_hopper.cuh"

template <int F, class Policy>
struct HopperForward {
    static constexpr int TILE = STEP * F;
    const AttentionSizes& z;
    const Policy& policy;
    Head head;
    Rows keys, values;
    // Of the queries: `first` of the block, the warp's `query`.
    int first, query;
    float *keyTile, *valueTile, *turnedValues;
    unsigned char* bits;
    typename Policy::Sums sums;
    uint32 queries[F / 8][4];
    float o[F / 8][4];

    static __device__ __forceinline__ int tiles(const AttentionSizes& z) { return (z.length + KEPT - 1) / KEPT; }

    __device__ __forceinline__ HopperForward(const AttentionSizes& z, const Policy& policy, const float* k, const float* v)
        : z(z), policy(policy), head(z, blockIdx.x / tiles(z)) {
        // Late queries see more keys: they start first.
        first = (tiles(z) - 1 - blockIdx.x % tiles(z)) * KEPT;
        query = first + threadIdx.x / WARP * 16;
        keys = rowsOf(k + head.input, z.inputStride, z.length, z.f);
        values = rowsOf(v + head.value, z.valueStride, z.length, z.e);
        keyTile = swizzledFloats();
        valueTile = keyTile + TILE;
        turnedValues = valueTile + TILE;
        // The queries come by way of the turned values and as much beside them.
        bits = (unsigned char*)(turnedValues + 2 * TILE);
    }

    __device__ __forceinline__ void copyStep(int key) {
        copyTile<STEP, F>(keyTile, keys.from(key));
        copyTile<STEP, F>(valueTile, values.from(key));
    }

    // Brings the block's queries and the first keys and values.
    __device__ __forceinline__ void keepQueries(const float* q, int key) {
        copyTile<KEPT, F>(turnedValues, rowsOf(q + head.input, z.inputStride, z.length, z.f).from(first));
        copyStep(key);
        prefetch<KEPT>(keys.from(first));
        prefetch<KEPT>(values.from(first));
        clear(o);
        awaitCopies();
        __syncthreads();
        readLeft<F>(queries, turnedValues, query - first);
        __syncthreads();
    }

    // Makes STEP keys' tiles ready, which are on their way.
    __device__ __forceinline__ void prepare(int key) {
        if (policy.dropping()) makeKept<KEPT, STEP>(bits, policy.dropout, z, head.index, first, key);
        awaitCopies();
        roundTile<STEP, F>(keyTile);
        __syncthreads();
        turnTile<F, false>(valueTile, turnedValues);
        showProducts();
        __syncthreads();
    }

    __device__ __forceinline__ void multiplyScores(float (&s)[4][4]) {
        clear(s);
        pin(s);
        beginProducts();
#pragma unroll
        for (int k = 0; k < F / 8; ++k) multiplyStep(s, queries[k], columnsAt<STEP>(keyTile, k));
        endProducts();
        awaitProducts<0>();
        pin(s);
        pin(queries);
    }

    // o += w·v.
    __device__ __forceinline__ void addValues(const float (&w)[4][4]) {
        uint32 x[4][4];
        makeLeft(x, w);
        pin(o);
        beginProducts();
#pragma unroll
        for (int n = 0; n < 4; ++n) multiplyGroup<true>(o, x[n], columnsAt<F>(turnedValues, n));
        endProducts();
        awaitProducts<0>();
        pin(o);
        pin(x);
    }

    __device__ __forceinline__ void write(float* out, float* statistics) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float2 end = policy.finish(sums, half);
            int row = query + accumulatorRow(2 * half);
            if (threadIdx.x % 4 == 0 && row < z.length) statistics[head.index * z.length + row] = end.y;
#pragma unroll
            for (int c = 0; c < F / 8; ++c) o[c][2 * half] *= end.x, o[c][2 * half + 1] *= end.x;
        }
        storePairs(o, 1.0f, out + head.out + query * z.outStride, z.outStride, z.length - query, z.e);
    }

    __device__ __forceinline__ void run(const float* q, float* out, float* statistics) {
        int key = max(0, first - z.window + 1) / STEP * STEP, end = min(z.length, first + KEPT);
        keepQueries(q, key);
#pragma unroll 1
        for (; key < end; key += STEP) {
            prepare(key);
            float s[4][4];
            multiplyScores(s);
            // All warps have read the keys.
            __syncthreads();
            if (key + STEP < end) copyStep(key + STEP);
            const unsigned char* kept = bits + (query - first) * 8;
            if (z.allVisible(query, 16, key, STEP)) {
                policy.template weigh<true>(s, sums, o, z, query, key, kept);
            } else {
                policy.template weigh<false>(s, sums, o, z, query, key, kept);
            }
            addValues(s);
        }
        write(out, statistics);
    }
};
