// Causal softmax attention, full or in a window: weights are e^(s - maximum) with an online softmax
// (docs/math/attention.md, section 4).
#pragma once
#include "attention_passes.cuh"

struct Softmax {
    float scale;
    Mask dropout;

    static constexpr bool mapped = false, constantAlone = true;
    __device__ __forceinline__ float map(float x) const { return x; }
    __device__ __forceinline__ float slope(float) const { return 1.0f; }
    __device__ __forceinline__ bool dropping() const { return dropout.threshold != 0; }

    // Of the queries of a lane's two rows: the maximum of scores in units of ln 2, and the lane's own part of the sum.
    struct Sums {
        float maximum[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f};
    };

    template <bool WHOLE, int TILES>
    __device__ __forceinline__ void weigh(float (&s)[4][4], Sums& sums, float (&o)[TILES][4], const AttentionSizes& z,
                                          int query0, int key0, const unsigned char* bits) const {
        float largest[2] = {-INFINITY, -INFINITY};
        uint32 keptBits = dropping() ? keptOf<false>(bits, 0) : ~0u;
#pragma unroll
        for (int n = 0; n < 4; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                bool visible = WHOLE || z.visible(query0 + accumulatorRow(i), key0 + 8 * n + accumulatorColumn(i));
                s[n][i] = visible ? s[n][i] * (scale * LOG2E) : -INFINITY;
                largest[i >> 1] = fmaxf(largest[i >> 1], s[n][i]);
            }
        }
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float maximum = fmaxf(sums.maximum[half], largestOfQuad(largest[half]));
            // A query may see none of these keys, nor any before.
            float base = maximum == -INFINITY ? 0.0f : maximum, factor = power2(sums.maximum[half] - base);
            if (__any_sync(FULL, maximum > sums.maximum[half])) {
                sums.sum[half] *= factor;
#pragma unroll
                for (int c = 0; c < TILES; ++c) o[c][2 * half] *= factor, o[c][2 * half + 1] *= factor;
            }
            sums.maximum[half] = maximum;
#pragma unroll
            for (int n = 0; n < 4; ++n) {
#pragma unroll
                for (int i = 2 * half; i < 2 * half + 2; ++i) {
                    float p = power2(s[n][i] - base);
                    sums.sum[half] += p;
                    s[n][i] = keptBits >> (4 * n + i) & 1 ? p : 0.0f;
                }
            }
        }
    }

    // What out is multiplied by, and the statistic that is kept: maximum + ln Σ.
    __device__ __forceinline__ float2 finish(const Sums& sums, int half) const {
        float sum = sumOfQuad(sums.sum[half]), multiplier = dropping() ? dropout.scale : 1.0f;
        return make_float2(multiplier / sum, (sums.maximum[half] + log2f(sum)) * LN2);
    }

    __device__ __forceinline__ float2 statistic(float logSumExp, float delta) const {
        return make_float2(logSumExp * LOG2E, delta);
    }

    // dv takes p·m, ds = p (m dp - δ).
    __device__ __forceinline__ float2 gradient(float s, float dp, float2 statistic, float kept) const {
        float p = power2(s * (scale * LOG2E) - statistic.x);
        return make_float2(p * kept, p * (dp * kept - statistic.y));
    }
};

#define ATTENTION_PARAMETERS                                                                          \
    int length, int heads, int width, int window, long long rowStride, float scale, Mask dropout
#define ATTENTION_SIZES                                                                               \
    { length, heads, width, width, window, rowStride, rowStride, (long long)heads * width }
