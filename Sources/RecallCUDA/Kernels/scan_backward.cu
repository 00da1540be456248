// The selective scan's gradients: see scan.cuh.
#include "scan.cuh"

struct ScanGradients {
    // (groups, batch, length, b ‖ c) of numbers; groups of channels are added by addStateGradients.
    float* statePartials;
    // As statePartials where there is one group, which then is null: (batch, length), stateStride apart.
    float *db, *dc;
    // A row for each sequence: dALog (channels, states), dDeltaBias (channels), dSkip (channels).
    float* parameterPartials;
    float *dx, *dDelta, *dz;
    // (3, batch, length, channels): Σ C h, Σ λ B and Σ λ A a h log₂e of the passes before.
    float* sums;
};

// A warp's shared memory in the backward.
template <int S, int CC, int PIECE>
struct Workspace {
    using L = Lane<S, CC>;
    // Per token and channel. First Δ, Δx and g; a token that is done has left Σ λ B in `inputs` and Σ C h in `gradients`.
    float *deltas, *inputs, *gradients, *decays;
    float* states;
    // h before each piece of a chunk, each lane's own.
    float* saved;

    static constexpr int SIZE = 4 * L::AREA + L::STATE_AREA + CHUNK / PIECE * 4 * CC * WARP;

    __device__ __forceinline__ Workspace(float* shared) {
        deltas = shared, inputs = deltas + L::AREA, gradients = inputs + L::AREA, decays = gradients + L::AREA;
        states = decays + L::AREA, saved = states + L::STATE_AREA;
    }
    __device__ __forceinline__ float4* save(const L& l, int piece, int c) const {
        return (float4*)saved + (piece * CC + c) * WARP + l.lane;
    }
    __device__ __forceinline__ void store(const L& l, int piece, const float (&h)[CC][4]) const {
#pragma unroll
        for (int c = 0; c < CC; ++c) *save(l, piece, c) = make_float4(h[c][0], h[c][1], h[c][2], h[c][3]);
    }
    __device__ __forceinline__ void load(const L& l, int piece, float (&h)[CC][4]) const {
#pragma unroll
        for (int c = 0; c < CC; ++c) {
            float4 v = *save(l, piece, c);
            h[c][0] = v.x, h[c][1] = v.y, h[c][2] = v.z, h[c][3] = v.w;
        }
    }
};

// The gates and the gradients of the output of the elements from `start` on, 0 for those that there are not.
template <int S, int CC, int SIZE>
__device__ __forceinline__ void fetchOutputs(
    float (&z)[SIZE], float (&d)[SIZE], const Lane<S, CC>& l, const ScanSizes& sizes, const ScanInputs& in,
    const float* dOut, long long row, int first, int start) {
#pragma unroll
    for (int i = 0; i < SIZE; ++i) {
        Element<S, CC> e(l, sizes, row, first, start + i);
        z[i] = e.exists ? in.z[e.atGate(sizes)] : 0.0f;
        d[i] = e.exists ? dOut[e.at(sizes)] : 0.0f;
    }
}

// Δ, Δx and the gradient of the ungated output, g = dOut silu(z), of a chunk.
template <int S, int CC, int PIECE>
__device__ __forceinline__ void stageTokens(
    const Lane<S, CC>& l, const ScanSizes& sizes, const ScanInputs& in, const float* dOut, long long row, int first,
    const Workspace<S, CC, PIECE>& w) {
    constexpr int SIZE = Batch<S, CC>::SIZE;
#pragma unroll 1
    for (int start = 0; start < Batch<S, CC>::ELEMENTS; start += SIZE) {
        InputBatch<S, CC> inputs;
        float z[SIZE], d[SIZE];
        inputs.fetch(l, sizes, in, row, first, start);
        fetchOutputs(z, d, l, sizes, in, dOut, row, first, start);
        inputs.put(l, start, w.deltas, w.inputs);
#pragma unroll
        for (int i = 0; i < SIZE; ++i)
            w.gradients[(start + i) * WARP + l.lane] = d[i] * z[i] * fastSigmoid(z[i]);
    }
}

// A token's part of D.5: from h before and after it and `carry` = a_{t+1} λ_{t+1}, which becomes a_t λ_t.
template <int S, int CC, int PIECE>
__device__ __forceinline__ void backwardToken(
    const Lane<S, CC>& l, const Workspace<S, CC, PIECE>& w, int t, const float (&rates)[CC][4],
    const float (&a)[CC][4], const float (&before)[CC][4], const float (&h)[CC][4], float (&carry)[CC][4],
    float (&dA)[CC][4], float* stateSums) {
    using L = Lane<S, CC>;
    int at = t * L::WIDTH + l.column();
    float delta[CC], input[CC], g[CC], b[4], c4[4];
    load(delta, w.deltas + at);
    load(input, w.inputs + at);
    load(g, w.gradients + at);
    load(b, w.states + t * 2 * L::STATES + 4 * l.part);
    load(c4, w.states + t * 2 * L::STATES + L::STATES + 4 * l.part);
    // dB ‖ dC; Σ C h; Σ λ B; Σ λ A a h log₂e.
    float dStates[8] = {}, y[CC] = {}, lambdaB[CC] = {}, decay[CC] = {};
#pragma unroll
    for (int c = 0; c < CC; ++c) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            float lambda = fmaf(c4[n], g[c], carry[c][n]);
            y[c] = fmaf(c4[n], h[c][n], y[c]);
            dStates[n] = fmaf(lambda, input[c], dStates[n]);
            dStates[4 + n] = fmaf(g[c], h[c][n], dStates[4 + n]);
            lambdaB[c] = fmaf(lambda, b[n], lambdaB[c]);
            carry[c][n] = lambda * a[c][n];
            float product = carry[c][n] * before[c][n];
            decay[c] = fmaf(product, rates[c][n], decay[c]);
            dA[c][n] = fmaf(product, delta[c], dA[c][n]);
        }
    }
    sumOverLanes<8, L::GROUPS, S>(dStates, l.lane);
    sumOverLanes<CC, S, 1>(y, l.lane);
    sumOverLanes<CC, S, 1>(lambdaB, l.lane);
    sumOverLanes<CC, S, 1>(decay, l.lane);
    // Every lane has read what is overwritten now.
    __syncwarp();
    constexpr int KEPT_STATES = L::GROUPS < 8 ? 8 / L::GROUPS : 1;
    int firstKept = l.group * 8 / L::GROUPS;
#pragma unroll
    for (int i = 0; i < KEPT_STATES; ++i) {
        int k = firstKept + i;
        stateSums[t * 2 * L::STATES + (k < 4 ? 0 : L::STATES) + 4 * l.part + k % 4] = dStates[i];
    }
#pragma unroll
    for (int i = 0; i < L::KEPT; ++i) {
        int kept = t * L::WIDTH + l.keptColumn() + i;
        w.gradients[kept] = y[i], w.inputs[kept] = lambdaB[i], w.decays[kept] = decay[i];
    }
}

// A chunk, last token first, in pieces of PIECE tokens whose states fit in registers: from the checkpoint to before each
// piece, then for each piece forward once more and back. stateSums: (token, dB ‖ dC) of the warp's channels.
template <int S, int CC, int PIECE>
__device__ __forceinline__ void backwardChunk(
    const Lane<S, CC>& l, const Workspace<S, CC, PIECE>& w, const float (&rates)[CC][4], float (&carry)[CC][4],
    float (&dA)[CC][4], float* stateSums) {
    using L = Lane<S, CC>;
    float h[PIECE + 1][CC][4], a[PIECE][CC][4];
    w.load(l, 0, h[0]);
#pragma unroll 1
    for (int piece = 1; piece < CHUNK / PIECE; ++piece) {
#pragma unroll
        for (int i = 0; i < PIECE; ++i) {
            int t = (piece - 1) * PIECE + i, at = t * L::WIDTH + l.column();
            const float* b = w.states + t * 2 * L::STATES + 4 * l.part;
            advance(rates, w.deltas + at, w.inputs + at, b, a[0], h[0], h[0]);
        }
        w.store(l, piece, h[0]);
    }
#pragma unroll 1
    for (int piece = CHUNK / PIECE - 1; piece >= 0; --piece) {
        w.load(l, piece, h[0]);
#pragma unroll
        for (int i = 0; i < PIECE; ++i) {
            int t = piece * PIECE + i, at = t * L::WIDTH + l.column();
            const float* b = w.states + t * 2 * L::STATES + 4 * l.part;
            advance(rates, w.deltas + at, w.inputs + at, b, a[i], h[i], h[i + 1]);
        }
#pragma unroll
        for (int i = PIECE - 1; i >= 0; --i)
            backwardToken(l, w, piece * PIECE + i, rates, a[i], h[i], h[i + 1], carry, dA, stateSums);
    }
}

// What a lane adds up over a sequence for the channels of its elements.
template <int COUNT>
struct ChannelSums {
    float deltaBias[COUNT], skip[COUNT];
};

// dx, dDelta and dz of a chunk. dx may be dOut and dDelta delta: an element's are read before they are written.
template <int S, int CC, int PIECE, int COUNT>
__device__ __forceinline__ void writeGradients(
    const Lane<S, CC>& l, const ScanSizes& sizes, const ScanInputs& in, const Workspace<S, CC, PIECE>& w,
    const float* dOut, long long row, int first, long long plane, ScanGradients& out, ChannelSums<COUNT>& sums) {
    constexpr int SIZE = Batch<S, CC>::SIZE;
#pragma unroll
    for (int start = 0; start < Batch<S, CC>::ELEMENTS; start += SIZE) {
        InputBatch<S, CC> inputs;
        float z[SIZE], d[SIZE];
        inputs.fetch(l, sizes, in, row, first, start);
        fetchOutputs(z, d, l, sizes, in, dOut, row, first, start);
#pragma unroll
        for (int i = 0; i < SIZE; ++i) {
            Element<S, CC> e(l, sizes, row, first, start + i);
            if (!e.exists) continue;
            float x = inputs.x[i];
            float y = w.gradients[e.index], lambdaB = w.inputs[e.index], decay = w.decays[e.index];
            float* handed = out.sums + e.at(sizes);
            if (!sizes.isFirstPass) y += handed[0], lambdaB += handed[plane], decay += handed[2 * plane];
            if (!sizes.isLastPass) {
                handed[0] = y, handed[plane] = lambdaB, handed[2 * plane] = decay;
                continue;
            }
            float skip = in.skip[e.channel], s = fastSigmoid(z[i]), g = d[i] * z[i] * s;
            out.dz[e.atGate(sizes)] = d[i] * fmaf(skip, x, y) * s * (1.0f + z[i] * (1.0f - s));
            out.dx[e.at(sizes)] = fmaf(skip, g, w.deltas[e.index] * lambdaB);
            float dRaw = fmaf(x, lambdaB, LN2 * decay) * fastSigmoid(inputs.raw[i]);
            out.dDelta[e.at(sizes)] = dRaw;
            sums.deltaBias[(start + i) % COUNT] += dRaw;
            sums.skip[(start + i) % COUNT] += g * x;
        }
    }
}

// db and dc of a chunk: the block's warps' sums, added in their order.
template <int S, int CC>
__device__ __forceinline__ void writeStateGradients(
    const ScanSizes& sizes, const float* stateSums, long long row, int first, const ScanGradients& out) {
    using L = Lane<S, CC>;
    int warps = blockDim.x / WARP;
    for (int index = threadIdx.x; index < L::STATE_AREA; index += blockDim.x) {
        int t = index / (2 * L::STATES), k = index % (2 * L::STATES);
        bool isC = k >= L::STATES;
        int n = sizes.firstState + k % L::STATES;
        if (first + t >= sizes.length || n >= sizes.states) continue;
        float sum = 0.0f;
        for (int warp = 0; warp < warps; ++warp) sum += stateSums[warp * L::STATE_AREA + index];
        long long token = row * sizes.length + first + t;
        if (out.statePartials) {
            long long group = (long long)blockIdx.x * gridDim.y * sizes.length + token;
            out.statePartials[group * 2 * sizes.states + (isC ? sizes.states : 0) + n] = sum;
        } else {
            (isC ? out.dc : out.db)[token * sizes.stateStride + n] = sum;
        }
    }
}

template <int S, int CC, int COUNT>
__device__ __forceinline__ void writeParameterPartials(
    const Lane<S, CC>& l, const ScanSizes& sizes, const float (&rates)[CC][4], const float (&dA)[CC][4],
    ChannelSums<COUNT>& sums, float* partials) {
    long long stateCount = (long long)sizes.channels * sizes.states;
#pragma unroll
    for (int c = 0; c < CC; ++c) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            long long at = (long long)l.channel(c) * sizes.states + l.state(sizes, n);
            // dA_log = A ⊙ dA.
            if (l.holds(sizes, c, n)) partials[at] = dA[c][n] * rates[c][n] * LN2;
        }
    }
    if (!sizes.isLastPass) return;
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
        // Lanes that have had elements of the same channel.
#pragma unroll
        for (int offset = 16; offset >= Lane<S, CC>::WIDTH; offset >>= 1) {
            sums.deltaBias[i] += __shfl_xor_sync(FULL, sums.deltaBias[i], offset);
            sums.skip[i] += __shfl_xor_sync(FULL, sums.skip[i], offset);
        }
        int channel = l.warpChannel + (i * WARP + l.lane) % Lane<S, CC>::WIDTH;
        if (channel >= sizes.channels) continue;
        partials[stateCount + channel] = sums.deltaBias[i];
        partials[stateCount + sizes.channels + channel] = sums.skip[i];
    }
}

template <int S, int CC, int PIECE>
__device__ __forceinline__ void backward(
    const ScanSizes& sizes, const ScanInputs& in, const float* __restrict__ checkpoints, const float* dOut,
    ScanGradients out) {
    using L = Lane<S, CC>;
    constexpr int COUNT = L::WIDTH > WARP ? L::WIDTH / WARP : 1;
    extern __shared__ float4 shared4[];
    int warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    Workspace<S, CC, PIECE> w((float*)shared4 + warp * Workspace<S, CC, PIECE>::SIZE);
    float* stateSums = (float*)shared4 + warps * Workspace<S, CC, PIECE>::SIZE;
    L l(blockIdx.x * warps + warp);
    long long row = blockIdx.y, stateCount = (long long)sizes.states * sizes.channels;
    long long plane = (long long)gridDim.y * sizes.length * sizes.channels;
    int chunks = (sizes.length + CHUNK - 1) / CHUNK;
    float rates[CC][4], carry[CC][4] = {}, dA[CC][4] = {};
    ChannelSums<COUNT> sums = {};
    loadRates(l, sizes, in.aLog, rates);
    for (int chunk = chunks - 1; chunk >= 0; --chunk) {
        int first = chunk * CHUNK;
        __syncwarp();
        float h[CC][4];
        // The first chunk's is zero.
        loadState(l, sizes, chunk ? checkpoints + (row * chunks + chunk) * stateCount : 0, h);
        stageTokens(l, sizes, in, dOut, row, first, w);
        stageStates(l, sizes, in, row, first, w.states);
        w.store(l, 0, h);
        __syncwarp();
        backwardChunk(l, w, rates, carry, dA, stateSums + warp * L::STATE_AREA);
        __syncthreads();
        writeStateGradients<S, CC>(sizes, stateSums, row, first, out);
        writeGradients(l, sizes, in, w, dOut, row, first, plane, out, sums);
        __syncthreads();
    }
    float* partials = out.parameterPartials + row * (stateCount + 2 * sizes.channels);
    writeParameterPartials(l, sizes, rates, dA, sums, partials);
}

// db and dc from the partial sums (groups, tokens, b ‖ c) of groups of channels.
extern "C" __global__ void addStateGradients(
    int groups, long long tokens, int states, int stateStride, const float* __restrict__ partials,
    float* __restrict__ db, float* __restrict__ dc) {
    awaitEarlierKernels();
    FOR_EACH(i, tokens * 2 * states) {
        float sum = 0.0f;
        for (int group = 0; group < groups; ++group) sum += partials[group * tokens * 2 * states + i];
        long long token = i / (2 * states);
        int k = i % (2 * states);
        (k < states ? db : dc)[token * stateStride + (k < states ? k : k - states)] = sum;
    }
}

// S·4 states that a warp holds at a time, CC channels a lane, PIECE tokens whose states are in registers.
#define SCAN_BACKWARD(S, CC, PIECE, MOST_THREADS)                                                                   \
    extern "C" __global__ void __launch_bounds__(MOST_THREADS) scanBackward##S##x##CC(                              \
        SIZES, INPUTS, const float* __restrict__ checkpoints, const float* dOut, float* statePartials, float* db,   \
        float* dc, float* parameterPartials, float* dx, float* dDelta, float* dz, float* sums) {                    \
        awaitEarlierKernels();                                                                                      \
        backward<S, CC, PIECE>(                                                                                     \
            GIVEN, checkpoints, dOut, {statePartials, db, dc, parameterPartials, dx, dDelta, dz, sums});            \
    }

SCAN_BACKWARD(1, 2, 4, 256)
SCAN_BACKWARD(2, 2, 4, 512)
SCAN_BACKWARD(4, 2, 4, 512)
SCAN_BACKWARD(4, 4, 4, 256)
SCAN_BACKWARD(8, 2, 4, 512)
SCAN_BACKWARD(16, 2, 4, 512)
