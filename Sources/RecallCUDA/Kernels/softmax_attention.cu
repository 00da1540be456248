// Causal softmax attention, full or in a window (MODELS.md D.1, D.2): weights are e^(s - maximum) with an online softmax.
#include "attention_backward.cuh"

#define LN2 0.6931471805599453f

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
                    bool kept = !dropping() || isKept(bits, accumulatorRow(i), 8 * n + accumulatorColumn(i));
                    s[n][i] = kept ? p : 0.0f;
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

#define FORWARD(NAME, D, WIDE, EXACT, BLOCKS)                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                     \
        NAME(ATTENTION_PARAMETERS, const float* q, const float* k, const float* v, float* out,        \
             float* logSumExp) {                                                                      \
        awaitEarlierKernels();                                                                        \
        attentionForwardPass<D, D, WIDE, EXACT>(AttentionSizes ATTENTION_SIZES, Softmax{scale, dropout}, q, k, \
                                                   v, out, logSumExp);                                \
    }

#define BACKWARD(NAME, BLOCKS, ...)                                                                   \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                     \
        NAME(ATTENTION_PARAMETERS, const float* q, const float* k, const float* v, const float* out,  \
             const float* logSumExp, const float* dOut, float* dq, float* dk, float* dv, float* deltas) { \
        awaitEarlierKernels();                                                                        \
        __VA_ARGS__(AttentionSizes ATTENTION_SIZES, Softmax{scale, dropout},                          \
                    AttentionArrays{q, k, v, out, logSumExp, dOut, dq, dk, dv, deltas});              \
    }

#define PASSES(D, SUFFIX, EXACT, FORWARD_BLOCKS, BACKWARD_BLOCKS)                                     \
    FORWARD(attentionForward##SUFFIX, D, false, EXACT, FORWARD_BLOCKS)                                \
    BACKWARD(attentionQueries##SUFFIX, BACKWARD_BLOCKS, attentionQueriesPass<D, D, false, EXACT>)     \
    BACKWARD(attentionKeys##SUFFIX, BACKWARD_BLOCKS, attentionKeysPass<D, D, false, false, EXACT>)    \
    BACKWARD(attentionOne##SUFFIX, BACKWARD_BLOCKS, attentionKeysPass<D, D, false, true, EXACT>)
#define WIDE_PASSES(SUFFIX, EXACT)                                                                    \
    FORWARD(attentionForwardWide##SUFFIX, 128, true, EXACT, 2)                                        \
    BACKWARD(attentionQueriesWide##SUFFIX, 2, attentionQueriesPass<128, 128, true, EXACT>)            \
    BACKWARD(attentionKeysWide##SUFFIX, 2, attentionKeysPass<128, 128, true, false, EXACT>)

// Each takes the compiler seconds, and a model needs one: KernelLibrary.swift asks for it by its suffix.
#if defined(ALL) || defined(GROUP_16)
PASSES(16, 16, false, 4, 3)
#endif
#if defined(ALL) || defined(GROUP_32)
PASSES(32, 32, false, 4, 3)
#endif
#if defined(ALL) || defined(GROUP_64)
PASSES(64, 64, false, 4, 3)
#endif
#if defined(ALL) || defined(GROUP_128)
PASSES(128, 128, false, 2, 2)
#endif
#if defined(ALL) || defined(GROUP_64Exact)
PASSES(64, 64Exact, true, 2, 2)
#endif
#if defined(ALL) || defined(GROUP_Wide)
WIDE_PASSES(, false)
#endif
#if defined(ALL) || defined(GROUP_WideExact)
WIDE_PASSES(Exact, true)
#endif

#if defined(ALL) || defined(GROUP_Step)
#define STEP_WARPS 8

// The weighted sum of values of one query of a step, 32 columns at a time, each warp over every eighth key.
__device__ __forceinline__ void writeStepValues(const float* weights, int cached, const float* cachedValues, long long stride,
                                                const float* own, int width, float inverse, float* out) {
    __shared__ float parts[STEP_WARPS][WARP];
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    for (int column = lane; column < (width + WARP - 1) / WARP * WARP; column += WARP) {
        float sum = 0.0f;
        if (column < width) {
#pragma unroll 4
            for (int j = warp; j < cached; j += STEP_WARPS) sum += weights[j] * cachedValues[j * stride + column];
        }
        __syncthreads();
        parts[warp][lane] = sum;
        __syncthreads();
        if (warp == 0 && column < width) {
            float total = weights[cached] * own[column];
#pragma unroll
            for (int w = 0; w < STEP_WARPS; ++w) total += parts[w][lane];
            out[column] = total * inverse;
        }
    }
}

// One query a head over `cached` keys and its own, a block each. scores: (batch, heads, capacity + 1), for the block's use.
extern "C" __global__ void __launch_bounds__(STEP_WARPS * WARP)
    attentionStep(int heads, int width, long long rowStride, float scale, int cached, int capacity, const float* q,
                  const float* k, const float* v, const float* cachedKeys, const float* cachedValues, float* scores,
                  float* out) {
    awaitEarlierKernels();
    __shared__ float shared[33];
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, batch = blockIdx.x / heads, head = blockIdx.x % heads;
    long long own = batch * rowStride + head * width, stride = (long long)heads * width;
    long long cache = (long long)batch * capacity * stride + head * width;
    float* weights = scores + (long long)blockIdx.x * (capacity + 1);
#pragma unroll 2
    for (int j = warp; j <= cached; j += STEP_WARPS) {
        const float* key = j < cached ? cachedKeys + cache + j * stride : k + own;
        float sum = 0.0f;
        for (int c = lane; c < width; c += WARP) sum += q[own + c] * key[c];
        sum = warpSum(sum);
        if (lane == 0) weights[j] = sum * scale;
    }
    __syncthreads();
    float maximum = -INFINITY, sum = 0.0f;
    for (int j = threadIdx.x; j <= cached; j += blockDim.x) maximum = fmaxf(maximum, weights[j]);
    maximum = blockMax(maximum, shared);
    for (int j = threadIdx.x; j <= cached; j += blockDim.x) {
        float p = expf(weights[j] - maximum);
        weights[j] = p;
        sum += p;
    }
    sum = blockSum(sum, shared);
    writeStepValues(weights, cached, cachedValues + cache, stride, v + own, width, 1.0f / sum,
                    out + batch * stride + head * width);
}

// (x_i, x_{i+half}) ← (x_i cos - x_{i+half} sin, x_{i+half} cos + x_i sin) of one position and i a thread, in all sequences
// of a share of the batch: the angle is made once, in float64.
extern "C" __global__ void rotary(int batch, int length, int heads, int width, long long rowStride, float base,
                                  int firstPosition, float direction, float* x) {
    awaitEarlierKernels();
    int half = width / 2;
    long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (n >= (long long)length * half) return;
    int t = (int)(n / half), i = (int)(n % half);
    double angle = pow((double)base, -(double)i / half) * (direction < 0.0f ? -1 : 1), exactSine, exactCosine;
    sincos(((double)firstPosition + t) * angle, &exactSine, &exactCosine);
    float sine = (float)exactSine, cosine = (float)exactCosine;
    for (long long b = blockIdx.y; b < batch; b += gridDim.y) {
        float* token = x + (b * length + t) * rowStride + i;
        for (int head = 0; head < heads; ++head) {
            float* at = token + head * width;
            float first = at[0], second = at[half];
            at[0] = fmaf(-second, sine, first * cosine);
            at[half] = fmaf(first, sine, second * cosine);
        }
    }
}
#endif
