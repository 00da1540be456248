// Causal softmax attention, full or in a window (docs/math/attention.md, section 4), for any width and
// precision.
#include "attention_backward.cuh"
#include "softmax_policy.cuh"

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
