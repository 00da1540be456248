// Normalised causal linear attention in the quadratic form (docs/math/linear-attention.md, section 5): weights
// are made of score tiles, features are never expanded. Its decoding keeps the state of M rows.
#include "attention_backward.cuh"

// FeatureMap, in the order of its cases.
#define TAYLOR2 0
#define ELU_PLUS_ONE 1
#define RELU 2
#define IDENTITY 3

// φ of q and k (for Taylor the weight holds it).
__device__ __forceinline__ float mapFeature(int map, float x) {
    if (map == ELU_PLUS_ONE) return x > 0.0f ? x + 1.0f : power2(x * LOG2E);
    return map == RELU ? fmaxf(x, 1e-12f) : x;
}

struct Linear {
    // σ: f^(-1/2) for Taylor, else 1.
    float scale, epsilon;
    int kind;
    Mask dropout;

    static constexpr bool mapped = true, constantAlone = false;
    __device__ __forceinline__ float map(float x) const { return mapFeature(kind, x); }
    __device__ __forceinline__ float slope(float x) const {
        if (kind == ELU_PLUS_ONE) return x > 0.0f ? 1.0f : power2(x * LOG2E);
        return kind == RELU ? (x > 1e-12f ? 1.0f : 0.0f) : 1.0f;
    }
    static constexpr __device__ __forceinline__ bool dropping() { return false; }

    // Of the queries of a lane's two rows: the lane's own part of the weights' sum.
    struct Sums {
        float sum[2] = {0.0f, 0.0f};
    };

    __device__ __forceinline__ float weight(float s) const {
        return kind == TAYLOR2 ? 1.0f + s * (1.0f + 0.5f * s) : s;
    }

    template <bool WHOLE, int TILES>
    __device__ __forceinline__ void weigh(float (&s)[4][4], Sums& sums, float (&)[TILES][4], const AttentionSizes& z,
                                          int query0, int key0, const unsigned char*) const {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                bool visible = WHOLE || z.visible(query0 + accumulatorRow(i), key0 + 8 * n + accumulatorColumn(i));
                s[n][i] = visible ? weight(s[n][i] * scale) : 0.0f;
                sums.sum[i >> 1] += s[n][i];
            }
        }
    }

    __device__ __forceinline__ float2 finish(const Sums& sums, int half) const {
        float normaliser = sumOfQuad(sums.sum[half]) + epsilon;
        return make_float2(1.0f / normaliser, normaliser);
    }

    __device__ __forceinline__ float2 statistic(float normaliser, float delta) const {
        return make_float2(1.0f / normaliser, delta);
    }

    // With r = 1 / normaliser: dv takes a r, ds = r (dp - δ) (1 + s), the last factor Taylor's alone.
    __device__ __forceinline__ float2 gradient(float s, float dp, float2 statistic, float) const {
        s *= scale;
        float ds = statistic.x * (dp - statistic.y);
        return make_float2(weight(s) * statistic.x, kind == TAYLOR2 ? ds * (1.0f + s) : ds);
    }
};

#define LINEAR_PARAMETERS int length, int heads, int f, int e, float scale, float epsilon, int map
#define LINEAR_SIZES                                                                                  \
    { length, heads, f, e, length, (long long)heads * f, (long long)heads * e, (long long)heads * e }

#define FORWARD(NAME, F, E, WIDE, EXACT, BLOCKS)                                                      \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                     \
        NAME(LINEAR_PARAMETERS, const float* q, const float* k, const float* v, float* y, float* normaliser) { \
        awaitEarlierKernels();                                                                        \
        attentionForwardPass<F, E, WIDE, EXACT>(AttentionSizes LINEAR_SIZES, Linear{scale, epsilon, map}, q, k, v, \
                                                   y, normaliser);                                    \
    }

#define BACKWARD(NAME, BLOCKS, ...)                                                                   \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                     \
        NAME(LINEAR_PARAMETERS, const float* q, const float* k, const float* v, const float* y,       \
             const float* normaliser, const float* dy, float* dq, float* dk, float* dv, float* deltas) { \
        awaitEarlierKernels();                                                                        \
        __VA_ARGS__(AttentionSizes LINEAR_SIZES, Linear{scale, epsilon, map},                         \
                    AttentionArrays{q, k, v, y, normaliser, dy, dq, dk, dv, deltas});                 \
    }

#define PASSES(F, E, SUFFIX, EXACT, FORWARD_BLOCKS, BACKWARD_BLOCKS)                                  \
    FORWARD(linearForward##SUFFIX, F, E, false, EXACT, FORWARD_BLOCKS)                                \
    BACKWARD(linearQueries##SUFFIX, BACKWARD_BLOCKS, attentionQueriesPass<F, E, false, EXACT>)        \
    BACKWARD(linearKeys##SUFFIX, BACKWARD_BLOCKS, attentionKeysPass<F, E, false, false, EXACT>)       \
    BACKWARD(linearOne##SUFFIX, BACKWARD_BLOCKS, attentionKeysPass<F, E, false, true, EXACT>)
#define WIDE_PASSES(SUFFIX, EXACT)                                                                    \
    FORWARD(linearForwardWide##SUFFIX, 128, 128, true, EXACT, 2)                                      \
    BACKWARD(linearQueriesWide##SUFFIX, 2, attentionQueriesPass<128, 128, true, EXACT>)               \
    BACKWARD(linearKeysWide##SUFFIX, 2, attentionKeysPass<128, 128, true, false, EXACT>)

// Each takes the compiler seconds, and a model needs one: KernelLibrary.swift asks for it by its suffix.
#if defined(ALL) || defined(GROUP_16x64)
PASSES(16, 64, 16x64, false, 4, 3)
#endif
#if defined(ALL) || defined(GROUP_16x128)
PASSES(16, 128, 16x128, false, 3, 2)
#endif
#if defined(ALL) || defined(GROUP_32x64)
PASSES(32, 64, 32x64, false, 4, 3)
#endif
#if defined(ALL) || defined(GROUP_32x128)
PASSES(32, 128, 32x128, false, 3, 2)
#endif
#if defined(ALL) || defined(GROUP_64x64)
PASSES(64, 64, 64x64, false, 4, 3)
#endif
#if defined(ALL) || defined(GROUP_128x128)
PASSES(128, 128, 128x128, false, 2, 2)
#endif
#if defined(ALL) || defined(GROUP_64x64Exact)
PASSES(64, 64, 64x64Exact, true, 2, 2)
#endif
#if defined(ALL) || defined(GROUP_Wide)
WIDE_PASSES(, false)
#endif
#if defined(ALL) || defined(GROUP_WideExact)
WIDE_PASSES(Exact, true)
#endif

#if defined(ALL) || defined(GROUP_Step)
// The two factors of state row m, as columns of (k ‖ 1): 1, k_i, then k_i k_j for i ≤ j; without Taylor φ(k)_m alone.
__device__ __forceinline__ int2 factorsOf(int m, int f, int map) {
    if (map != TAYLOR2) return make_int2(m, f);
    if (m <= f) return make_int2(m == 0 ? f : m - 1, f);
    int i = 0;
    for (m -= f + 1; m >= f - i; ++i) m -= f - i;
    return make_int2(i, i + m);
}

#define STATE_COLUMNS 64
#define FEATURE_STRIDE 36

// 32 tokens of (φ(k) ‖ 1), rows f + 1 apart, 0 after the last token.
__device__ __forceinline__ void loadKeys(float* keys, const Rows& rows, int map) {
    int stride = rows.width + 1;
    for (int n = threadIdx.x; n < 32 * stride; n += THREADS) {
        int token = n / stride, column = n % stride;
        float x = column == rows.width ? 1.0f : 0.0f;
        if (token < rows.count && column < rows.width) x = mapFeature(map, rows.start[token * rows.stride + column]);
        keys[n] = token < rows.count ? x : 0.0f;
    }
}

// state_mc = Σ_t φ̂(k_t)_m [v_t ‖ 1]_c over a whole sequence: 64 rows and 64 columns a block.
template <bool EXACT>
__device__ __forceinline__ void writeState(int length, int heads, int f, int e, int map, int rows, const float* k,
                                           const float* v, float* state) {
    float* features = sharedFloats();
    float* values = features + KEPT * FEATURE_STRIDE;
    float* keys = values + 32 * strideOf<STATE_COLUMNS>;
    __shared__ float sums[THREADS];
    int first = blockIdx.y * KEPT, column = blockIdx.z * STATE_COLUMNS, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    AttentionSizes z = {length, heads, f, e, length, (long long)heads * f, (long long)heads * e, (long long)heads * e};
    Head head(z, blockIdx.x);
    Rows allKeys = rowsOf(k + head.input, z.inputStride, length, f);
    Rows allValues = rowsOf(v + head.value, z.valueStride, length, e).from(0, column);
    int row = threadIdx.x % KEPT, tokens = threadIdx.x / KEPT * 16;
    int2 factors = factorsOf(min(first + row, rows - 1), f, map);
    float sum = 0.0f, s[STATE_COLUMNS / 8][4];
    clear(s);
    for (int token = 0; token < length; token += 32) {
        __syncthreads();
        loadKeys(keys, allKeys.from(token), map);
        loadTile<32, STATE_COLUMNS, EXACT>(values, allValues.from(token), Unchanged());
        __syncthreads();
        for (int t = tokens; t < tokens + 16; ++t) {
            float feature = keys[t * (f + 1) + factors.x] * keys[t * (f + 1) + factors.y];
            sum += feature;
            int at = t / 8 * 8 + addEightColumn(t % 8);
            ((uint32*)features)[row * FEATURE_STRIDE + at] = operand<EXACT>(feature);
        }
        __syncthreads();
#pragma unroll
        for (int n = 0; n < 32; n += 8) {
            uint32 x[4];
            loadMatrices(x, features + (warp * 16 + (lane & 15)) * FEATURE_STRIDE + (lane >> 4) * 4 + n);
            addEight<STATE_COLUMNS / 8, strideOf<STATE_COLUMNS>, EXACT>(s, x, values + n * strideOf<STATE_COLUMNS>);
        }
    }
    float* target = state + (blockIdx.x * (long long)rows + first) * (e + 1);
    storeRows(s, target + warp * 16 * (e + 1) + column, e + 1, rows - first - warp * 16, e - column,
              [](float x, int, int) { return x; });
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (blockIdx.z == 0 && threadIdx.x < KEPT && first + row < rows) target[row * (e + 1) + e] = sum + sums[row + KEPT];
}

#define STATE_PARAMETERS                                                                              \
    int length, int heads, int f, int e, int map, int rows, const float *k, const float *v, float *state

extern "C" __global__ void __launch_bounds__(THREADS) linearState(STATE_PARAMETERS) {
    awaitEarlierKernels();
    writeState<false>(length, heads, f, e, map, rows, k, v, state);
}

extern "C" __global__ void __launch_bounds__(THREADS) linearStateExact(STATE_PARAMETERS) {
    awaitEarlierKernels();
    writeState<true>(length, heads, f, e, map, rows, k, v, state);
}

#define STEP_WARPS 8
#define STEP_ROWS 1024

// φ̂(k)_m and ψ(q)_m of state rows first to first + count - 1, of (k ‖ 1) and (q ‖ 1).
__device__ __forceinline__ void makeFeatures(float* keyFeatures, float* queryFeatures, const float* key,
                                             const float* query, int first, int count, int f, int map) {
    float linear = map == TAYLOR2 ? rsqrtf((float)f) : 1.0f, square = 1.0f / f;
    for (int n = threadIdx.x; n < count; n += blockDim.x) {
        int m = first + n;
        int2 at = factorsOf(m, f, map);
        bool isPair = map == TAYLOR2 && m > f;
        float coefficient = isPair ? (at.x == at.y ? 0.5f * square : square) : (at.x == f ? 1.0f : linear);
        keyFeatures[n] = key[at.x] * key[at.y];
        queryFeatures[n] = coefficient * query[at.x] * query[at.y];
    }
}

// One token a head, a block each: state += φ̂(k) [v ‖ 1]ᵀ and y = ψ(q)ᵀ state over its last column. Each warp takes every
// eighth row of the state.
extern "C" __global__ void __launch_bounds__(STEP_WARPS * WARP)
    linearStep(int f, int e, int map, int rows, float epsilon, const float* q, const float* k, const float* v, float* state,
               float* y) {
    awaitEarlierKernels();
    // Features of so many rows; (q ‖ 1), (k ‖ 1), (v ‖ 1); the warps' sums (STEP_WARPS, e + 1).
    float* keyFeatures = sharedFloats();
    float* queryFeatures = keyFeatures + STEP_ROWS;
    float* query = queryFeatures + STEP_ROWS;
    float* key = query + f + 1;
    float* value = key + f + 1;
    float* sums = value + e + 1;
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, columns = e + 1;
    long long head = blockIdx.x;
    for (int c = threadIdx.x; c <= f; c += blockDim.x) {
        query[c] = c < f ? mapFeature(map, q[head * f + c]) : 1.0f;
        key[c] = c < f ? mapFeature(map, k[head * f + c]) : 1.0f;
    }
    for (int c = threadIdx.x; c <= e; c += blockDim.x) value[c] = c < e ? v[head * e + c] : 1.0f;
    for (int first = 0; first < rows; first += STEP_ROWS) {
        int count = min(STEP_ROWS, rows - first);
        __syncthreads();
        makeFeatures(keyFeatures, queryFeatures, key, query, first, count, f, map);
        __syncthreads();
        for (int column = lane; column < columns; column += WARP) {
            float sum = first == 0 ? 0.0f : sums[warp * columns + column], x = value[column];
            float* cells = state + (head * rows + first) * columns + column;
#pragma unroll 8
            for (int m = warp; m < count; m += STEP_WARPS) {
                float updated = cells[(long long)m * columns] + keyFeatures[m] * x;
                cells[(long long)m * columns] = updated;
                sum += queryFeatures[m] * updated;
            }
            sums[warp * columns + column] = sum;
        }
    }
    __syncthreads();
    float normaliser = epsilon;
#pragma unroll
    for (int w = 0; w < STEP_WARPS; ++w) normaliser += sums[w * columns + e];
    for (int c = threadIdx.x; c < e; c += blockDim.x) {
        float sum = 0.0f;
#pragma unroll
        for (int w = 0; w < STEP_WARPS; ++w) sum += sums[w * columns + c];
        y[head * e + c] = sum / normaliser;
    }
}
#endif
