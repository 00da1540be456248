// Taylor linear attention in chunks: the kernels. A sequence may be cut into segments, which blocks walk at once: what the
// state is before each is then summed first.
#include "taylor.cuh"

struct TaylorSizes {
    int length, heads, f, e;
    // σ = f^(-1/2).
    float scale, epsilon;
    // Chunks of a segment.
    int chunks;
};

// A head's sequence, and the tokens [first, end) and columns from `column` on that are this block's.
struct Segment {
    long long head, input, value, inputStride, valueStride;
    int length, f, e, first, end, column;

    __device__ __forceinline__ Segment(const TaylorSizes& z, int segment, int columns)
        : head(blockIdx.x), inputStride((long long)z.heads * z.f), valueStride((long long)z.heads * z.e),
          length(z.length), f(z.f), e(z.e) {
        long long firstToken = head / z.heads * z.length;
        input = firstToken * inputStride + head % z.heads * z.f;
        value = firstToken * valueStride + head % z.heads * z.e;
        first = segment * z.chunks * CHUNK;
        end = min(z.length, first + z.chunks * CHUNK);
        column = blockIdx.z * columns;
    }

    // All rows of q or k, and of v, y or dy from this block's columns on.
    __device__ __forceinline__ Rows inputs(const float* x) const { return rowsOf(x + input, inputStride, length, f); }
    __device__ __forceinline__ Rows values(const float* x) const {
        return rowsOf(x + value, valueStride, length, e).from(0, column);
    }
};

// A block's sum over a segment's tokens lies in `states` as its threads hold it: slot by slot, (heads, slices) in each.
template <int F, int E>
struct StateNumbers {
    static constexpr int COUNT = Taylor<F>::OWN * (E / 8 + 1) * 4;
    float* start;

    __device__ __forceinline__ StateNumbers(float* states, int slot)
        : start(states + ((slot * (long long)gridDim.x + blockIdx.x) * gridDim.z + blockIdx.z) * (COUNT * THREADS) +
                threadIdx.x) {}

    template <class Body>
    static __device__ __forceinline__ void forEach(WarpState<F, E>& s, const Body& body) {
#pragma unroll
        for (int n = 0; n < Taylor<F>::OWN; ++n)
#pragma unroll
            for (int c = 0; c < E / 8 + 1; ++c)
#pragma unroll
                for (int i = 0; i < 4; ++i) body(s[n][c][i], (n * (E / 8 + 1) + c) * 4 + i);
    }

    __device__ __forceinline__ void save(WarpState<F, E>& s) const {
        forEach(s, [&](float x, int i) { start[i * THREADS] = x; });
    }

    // 0 where there is none.
    __device__ __forceinline__ void load(WarpState<F, E>& s, bool isThere) const {
        forEach(s, [&](float& x, int i) { x = isThere ? start[i * THREADS] : 0.0f; });
    }
};

// 1 + s + s²/2 of 16 queries and 32 keys, from their scores; 0 where the query does not see the key.
__device__ __forceinline__ void weighScores(float (&s)[4][4], int query, int key, float scale) {
#pragma unroll
    for (int n = 0; n < 4; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            float x = s[n][i] * scale;
            bool visible = key + 8 * n + accumulatorColumn(i) <= query + accumulatorRow(i);
            s[n][i] = visible ? 1.0f + x * (1.0f + 0.5f * x) : 0.0f;
        }
    }
}

// y = numerator / normaliser for a segment's tokens.
template <int F, int E, bool EXACT>
__device__ __forceinline__ void forwardPass(const TaylorSizes& z, const float* q, const float* k, const float* v,
                                            float* states, float* y, float* normaliser) {
    using T = Taylor<F>;
    constexpr int COLUMNS = E / 8 + 1;
    float* queries = sharedFloats();
    float* keys = queries + CHUNK * T::STRIDE;
    float* values = keys + CHUNK * T::STRIDE;
    float* state = values + CHUNK * valueStride<E>;
    Segment at(z, blockIdx.y, E);
    Rows allQueries = at.inputs(q), allKeys = at.inputs(k), allValues = at.values(v);
    int warpRow = threadIdx.x / WARP * 16, lane = threadIdx.x % WARP;
    WarpState<F, E> sums;
    StateNumbers<F, E>(states, blockIdx.y - 1).load(sums, blockIdx.y > 0);
    writeOnes<F>(queries);
    writeOnes<F>(keys);
    auto one = [](int) { return 1.0f; };
#pragma unroll 1
    for (int first = at.first; first < at.end; first += CHUNK) {
        if (first > 0) share<F, E, EXACT>(state, sums);
        loadInputs<F, EXACT>(queries, allQueries.from(first));
        loadInputs<F, EXACT>(keys, allKeys.from(first));
        loadValues<E, EXACT>(values, allValues.from(first), one, one);
        __syncthreads();
        prefetch<CHUNK>(allQueries.from(first + CHUNK));
        prefetch<CHUNK>(allKeys.from(first + CHUNK));
        prefetch<CHUNK>(allValues.from(first + CHUNK));
        float out[COLUMNS][4];
        clear(out);
        if (first > 0) addState<F, E, COLUMNS, EXACT>(out, queries + warpRow * T::STRIDE, state, z.scale);
#pragma unroll 1
        for (int part = 0; part <= warpRow; part += 32) {
            float s[4][4];
            clear(s);
            multiplyChunks<F, T::STRIDE, EXACT>(s, queries + warpRow * T::STRIDE, keys + part * T::STRIDE);
            weighScores(s, warpRow, part, z.scale);
            addProduct<COLUMNS, valueStride<E>, EXACT>(out, s, values + part * valueStride<E>);
        }
        int query = first + warpRow;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            // The first of the last eight columns.
            float sum = __shfl_sync(FULL, out[E / 8][2 * half], lane & ~3) + z.epsilon;
            int row = query + accumulatorRow(2 * half);
            if (blockIdx.z == 0 && lane % 4 == 0 && row < z.length) normaliser[at.head * z.length + row] = sum;
#pragma unroll
            for (int c = 0; c < E / 8; ++c) out[c][2 * half] /= sum, out[c][2 * half + 1] /= sum;
        }
        storeRows(out, y + at.value + query * at.valueStride + at.column, at.valueStride, z.length - query,
                  min(E, z.e - at.column), [](float x, int, int) { return x; });
        if (first + CHUNK < at.end) addChunk<F, E, EXACT>(sums, keys, values);
        __syncthreads();
    }
}

struct TaylorArrays {
    const float *q, *k, *v, *y, *normaliser, *dy;
    float *dq, *dk, *dv;
    // (batch, heads, length): dy·y of each token, written by the pass over queries for the others.
    float* deltas;
    float* states;
    // From slice to slice of dq and of dk, where each slice of the values' columns has its own.
    long long slice;
};

// A chunk of g = dy / normaliser, the gradient of the numerators, and of theirs of the normalisers, -g·y = -δ / normaliser.
template <int E, bool EXACT>
__device__ __forceinline__ void loadGradients(float* tile, const Rows& gradients, const float* normaliser,
                                              const float* deltas) {
    loadValues<E, EXACT>(
        tile, gradients, [&](int row) { return 1.0f / normaliser[row]; },
        [&](int row) { return blockIdx.z == 0 ? -deltas[row] / normaliser[row] : 0.0f; });
}

// A chunk of v. The normaliser's gradient is left to the first slice of columns.
template <int E, bool EXACT>
__device__ __forceinline__ void loadSlice(float* tile, const Rows& values) {
    loadValues<E, EXACT>(tile, values, [](int) { return 1.0f; }, [](int) { return blockIdx.z == 0 ? 1.0f : 0.0f; });
}

// σ dx of a warp's 16 rows to this slice's part of an input's gradient.
template <int PIECES>
__device__ __forceinline__ void storeInputs(const TaylorSizes& z, const Segment& at, const float (&dx)[PIECES][4],
                                            float* target, long long slice, int token) {
    storeRows(dx, target + blockIdx.z * slice + at.input + token * at.inputStride, at.inputStride, z.length - token, z.f,
              [&](float x, int, int) { return z.scale * x; });
}

// The tiles of a backward pass: q and k, then [v ‖ 1] and [g ‖ the normaliser's gradient], then the state.
template <int F, int E>
struct BackwardTiles {
    float *queries, *keys, *values, *gradients, *state;

    __device__ __forceinline__ BackwardTiles() {
        queries = sharedFloats();
        keys = queries + CHUNK * Taylor<F>::STRIDE;
        values = keys + CHUNK * Taylor<F>::STRIDE;
        gradients = values + CHUNK * valueStride<E>;
        state = gradients + CHUNK * valueStride<E>;
        writeOnes<F>(queries);
        writeOnes<F>(keys);
    }
};

// dq for a segment's tokens, first chunk first: the state is the sum over earlier keys.
template <int F, int E, bool EXACT>
__device__ __forceinline__ void queriesPass(const TaylorSizes& z, const TaylorArrays& a) {
    using T = Taylor<F>;
    __shared__ float deltas[CHUNK];
    BackwardTiles<F, E> tiles;
    Segment at(z, blockIdx.y, E);
    Rows queries = at.inputs(a.q), keys = at.inputs(a.k), values = at.values(a.v), gradients = at.values(a.dy);
    Rows outputs = at.values(a.y);
    int warpRow = threadIdx.x / WARP * 16;
    WarpState<F, E> sums;
    StateNumbers<F, E>(a.states, blockIdx.y - 1).load(sums, blockIdx.y > 0);
#pragma unroll 1
    for (int first = at.first; first < at.end; first += CHUNK) {
        long long token = at.head * z.length + first;
        if (first > 0) share<F, E, EXACT>(tiles.state, sums);
        loadInputs<F, EXACT>(tiles.queries, queries.from(first));
        loadInputs<F, EXACT>(tiles.keys, keys.from(first));
        loadSlice<E, EXACT>(tiles.values, values.from(first));
        if (blockIdx.z == 0) rowProducts<CHUNK, E>(gradients.from(first), outputs.from(first), z.e, deltas);
        __syncthreads();
        loadGradients<E, EXACT>(tiles.gradients, gradients.from(first), a.normaliser + token, deltas);
        if (blockIdx.z == 0 && threadIdx.x < min(CHUNK, z.length - first)) a.deltas[token + threadIdx.x] = deltas[threadIdx.x];
        __syncthreads();
        const float* ownQueries = tiles.queries + warpRow * T::STRIDE;
        const float* ownGradients = tiles.gradients + warpRow * valueStride<E>;
        float dq[F / 8][4];
        clear(dq);
#pragma unroll 1
        for (int part = 0; part <= warpRow; part += 32) {
            float s[4][4], da[4][4];
            clear(s);
            clear(da);
            multiplyChunks<F, T::STRIDE, EXACT>(s, ownQueries, tiles.keys + part * T::STRIDE);
            multiplyChunks<E + 8, valueStride<E>, EXACT>(da, ownGradients, tiles.values + part * valueStride<E>);
#pragma unroll
            for (int n = 0; n < 4; ++n) {
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    bool visible = part + 8 * n + accumulatorColumn(i) <= warpRow + accumulatorRow(i);
                    da[n][i] = visible ? da[n][i] * (1.0f + z.scale * s[n][i]) : 0.0f;
                }
            }
            addProduct<F / 8, T::STRIDE, EXACT>(dq, da, tiles.keys + part * T::STRIDE);
        }
        if (first > 0) addInputGradient<F, E, EXACT>(dq, ownQueries, ownGradients, tiles.state, z.scale);
        storeInputs(z, at, dq, a.dq, a.slice, first + warpRow);
        if (first + CHUNK < at.end) addChunk<F, E, EXACT>(sums, tiles.keys, tiles.values);
        __syncthreads();
    }
}

// What the pairs inside a chunk give of 16 keys' dk and dv.
template <int F, int E, bool EXACT>
__device__ __forceinline__ void addPairs(const BackwardTiles<F, E>& tiles, int warpRow, float scale,
                                         float (&dk)[F / 8][4], float (&dv)[E / 8][4]) {
    using T = Taylor<F>;
#pragma unroll 1
    for (int part = warpRow / 32 * 32; part < CHUNK; part += 32) {
        float s[4][4], da[4][4];
        clear(s);
        clear(da);
        const float *queries = tiles.queries + part * T::STRIDE, *gradients = tiles.gradients + part * valueStride<E>;
        multiplyChunks<F, T::STRIDE, EXACT>(s, tiles.keys + warpRow * T::STRIDE, queries);
        multiplyChunks<E + 8, valueStride<E>, EXACT>(da, tiles.values + warpRow * valueStride<E>, gradients);
#pragma unroll
        for (int n = 0; n < 4; ++n) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                bool visible = warpRow + accumulatorRow(i) <= part + 8 * n + accumulatorColumn(i);
                float x = scale * s[n][i];
                s[n][i] = visible ? 1.0f + x * (1.0f + 0.5f * x) : 0.0f;
                da[n][i] = visible ? da[n][i] * (1.0f + x) : 0.0f;
            }
        }
        addProduct<E / 8, valueStride<E>, EXACT>(dv, s, gradients);
        addProduct<F / 8, T::STRIDE, EXACT>(dk, da, queries);
    }
}

// dk and dv for a segment's tokens, last chunk first: the state is the sum over later queries.
template <int F, int E, bool EXACT>
__device__ __forceinline__ void keysPass(const TaylorSizes& z, const TaylorArrays& a) {
    using T = Taylor<F>;
    BackwardTiles<F, E> tiles;
    Segment at(z, blockIdx.y, E);
    Rows queries = at.inputs(a.q), keys = at.inputs(a.k), values = at.values(a.v), gradients = at.values(a.dy);
    int warpRow = threadIdx.x / WARP * 16;
    WarpState<F, E> sums;
    StateNumbers<F, E>(a.states, blockIdx.y).load(sums, blockIdx.y + 1 < gridDim.y);
#pragma unroll 1
    for (int first = (at.end - 1) / CHUNK * CHUNK; first >= at.first; first -= CHUNK) {
        bool isLast = first + CHUNK >= z.length;
        long long token = at.head * z.length + first;
        if (!isLast) share<F, E, EXACT>(tiles.state, sums);
        loadInputs<F, EXACT>(tiles.queries, queries.from(first));
        loadInputs<F, EXACT>(tiles.keys, keys.from(first));
        loadSlice<E, EXACT>(tiles.values, values.from(first));
        loadGradients<E, EXACT>(tiles.gradients, gradients.from(first), a.normaliser + token, a.deltas + token);
        __syncthreads();
        int key = first + warpRow;
        {
            float dk[F / 8][4], dv[E / 8][4];
            clear(dk);
            clear(dv);
            addPairs<F, E, EXACT>(tiles, warpRow, z.scale, dk, dv);
            const float* ownKeys = tiles.keys + warpRow * T::STRIDE;
            if (!isLast) addState<F, E, E / 8, EXACT>(dv, ownKeys, tiles.state, z.scale);
            storeRows(dv, a.dv + at.value + key * at.valueStride + at.column, at.valueStride, z.length - key,
                      min(E, z.e - at.column), [](float x, int, int) { return x; });
            if (!isLast)
                addInputGradient<F, E, EXACT>(dk, ownKeys, tiles.values + warpRow * valueStride<E>, tiles.state, z.scale);
            storeInputs(z, at, dk, a.dk, a.slice, key);
        }
        if (first > at.first) addChunk<F, E, EXACT>(sums, tiles.queries, tiles.gradients);
        __syncthreads();
    }
}

// The state's sum over one segment's keys with their values, or over its queries with their gradients, to slot blockIdx.y.
template <int F, int E, bool EXACT, bool OF_QUERIES>
__device__ __forceinline__ void sumsPass(const TaylorSizes& z, const TaylorArrays& a) {
    float* x = sharedFloats();
    float* w = x + CHUNK * Taylor<F>::STRIDE;
    // No segment comes before the first, or after the last.
    Segment at(z, blockIdx.y + (OF_QUERIES ? 1 : 0), E);
    WarpState<F, E> sums;
    StateNumbers<F, E> numbers(a.states, blockIdx.y);
    numbers.load(sums, false);
    writeOnes<F>(x);
    Rows inputs = at.inputs(OF_QUERIES ? a.q : a.k), values = at.values(OF_QUERIES ? a.dy : a.v);
#pragma unroll 1
    for (int first = at.first; first < at.end; first += CHUNK) {
        long long token = at.head * z.length + first;
        loadInputs<F, EXACT>(x, inputs.from(first));
        if constexpr (OF_QUERIES) {
            loadGradients<E, EXACT>(w, values.from(first), a.normaliser + token, a.deltas + token);
        } else {
            loadValues<E, EXACT>(w, values.from(first), [](int) { return 1.0f; }, [](int) { return 1.0f; });
        }
        __syncthreads();
        prefetch<CHUNK>(inputs.from(first + CHUNK));
        prefetch<CHUNK>(values.from(first + CHUNK));
        addChunk<F, E, EXACT>(sums, x, w);
        __syncthreads();
    }
    numbers.save(sums);
}

#define TAYLOR_PARAMETERS                                                                             \
    int length, int heads, int f, int e, float scale, float epsilon, int chunks, const float *q, const float *k, \
        const float *v, float *states
#define TAYLOR_SIZES                                                                                  \
    { length, heads, f, e, scale, epsilon, chunks }

#define BACKWARD(NAME, ...)                                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS, 2)                                          \
        NAME(TAYLOR_PARAMETERS, const float* y, const float* normaliser, const float* dy, float* dq, float* dk, \
             float* dv, float* deltas, long long slice) {                                             \
        awaitEarlierKernels();                                                                        \
        __VA_ARGS__(TaylorSizes TAYLOR_SIZES,                                                         \
                    TaylorArrays{q, k, v, y, normaliser, dy, dq, dk, dv, deltas, states, slice});     \
    }

#define PASSES(F, E, SUFFIX, EXACT)                                                                   \
    extern "C" __global__ void __launch_bounds__(THREADS, 2)                                          \
        taylorForward##SUFFIX(TAYLOR_PARAMETERS, float* y, float* normaliser) {                       \
        awaitEarlierKernels();                                                                        \
        forwardPass<F, E, EXACT>(TaylorSizes TAYLOR_SIZES, q, k, v, states, y, normaliser);           \
    }                                                                                                 \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) taylorKeySums##SUFFIX(TAYLOR_PARAMETERS) { \
        awaitEarlierKernels();                                                                        \
        TaylorArrays arrays = {q, k, v};                                                              \
        arrays.states = states;                                                                       \
        sumsPass<F, E, EXACT, false>(TaylorSizes TAYLOR_SIZES, arrays);                               \
    }                                                                                                 \
    BACKWARD(taylorQuerySums##SUFFIX, sumsPass<F, E, EXACT, true>)                                    \
    BACKWARD(taylorQueries##SUFFIX, queriesPass<F, E, EXACT>)                                         \
    BACKWARD(taylorKeys##SUFFIX, keysPass<F, E, EXACT>)

// Each takes the compiler seconds, and a model needs one: KernelLibrary.swift asks for it by its suffix.
#if defined(ALL) || defined(GROUP_8x64)
PASSES(8, 64, 8x64, false)
#endif
#if defined(ALL) || defined(GROUP_16x64)
PASSES(16, 64, 16x64, false)
#endif
#if defined(ALL) || defined(GROUP_24x32)
PASSES(24, 32, 24x32, false)
#endif
#if defined(ALL) || defined(GROUP_32x16)
PASSES(32, 16, 32x16, false)
#endif
#if defined(ALL) || defined(GROUP_8x64Exact)
PASSES(8, 64, 8x64Exact, true)
#endif
#if defined(ALL) || defined(GROUP_16x64Exact)
PASSES(16, 64, 16x64Exact, true)
#endif
#if defined(ALL) || defined(GROUP_24x32Exact)
PASSES(24, 32, 24x32Exact, true)
#endif
#if defined(ALL) || defined(GROUP_32x16Exact)
PASSES(32, 16, 32x16Exact, true)
#endif

#if defined(ALL) || defined(GROUP_Sums)
// From each segment's sum to that of it and all before it, or with `backwards` all after it: (slots, count) in place.
extern "C" __global__ void taylorRunningSums(int slots, long long count, int backwards, float* states) {
    awaitEarlierKernels();
    FOR_EACH(i, count) {
        float sum = 0.0f;
        for (int n = 0; n < slots; ++n) {
            float* at = states + (backwards ? slots - 1 - n : n) * count + i;
            *at = sum += *at;
        }
    }
}
#endif
