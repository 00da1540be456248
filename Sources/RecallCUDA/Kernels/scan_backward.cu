// The selective scan's gradients: see scan.cuh, and scan_lanes.cuh for who has what.
#include "scan_lanes.cuh"

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

// A log₂e, A = -exp(aLog): then e^{ΔA} = 2^(Δ rate). 0 where there is no such channel or state, whose h then stays 0.
template <int S, int NS>
__device__ __forceinline__ void loadRates(
    const Lane<S, NS>& l, const ScanSizes& sizes, const float* aLog, float (&rates)[COLUMNS][NS]) {
#pragma unroll
    for (int c = 0; c < COLUMNS; ++c) {
#pragma unroll
        for (int n = 0; n < NS; ++n) {
            long long at = (long long)l.channel(c) * sizes.states + l.state(sizes, n);
            rates[c][n] = l.holds(sizes, c, n) ? -LOG2E * expf(aLog[at]) : 0.0f;
        }
    }
}

// A state (states, channels) in memory, or zero where `source` is null.
template <int S, int NS>
__device__ __forceinline__ void loadState(
    const Lane<S, NS>& l, const ScanSizes& sizes, const float* source, float (&h)[COLUMNS][NS]) {
    const float* own = source + (long long)l.state(sizes, 0) * sizes.channels + l.channel(0);
#pragma unroll
    for (int n = 0; n < NS; ++n) {
#pragma unroll
        for (int c = 0; c < COLUMNS; ++c)
            h[c][n] = source && l.holds(sizes, c, n) ? own[n * sizes.channels + c] : 0.0f;
    }
}

// Δ, Δx and the gradient of the ungated output, g = dOut silu(z), of a chunk. Past the last token Δ = 0, and the state stays.
template <int S, int NS, int PIECE>
__device__ __forceinline__ void stageTokens(
    const Lane<S, NS>& l, const Elements<S, NS>& e, const Given<S, NS>& given, const ScanInputs& in,
    const Workspace<S, NS, PIECE>& w) {
    float4 deltaBias = e.ofChannels(in.deltaBias);
#pragma unroll
    for (int i = 0; i < e.COUNT; ++i) {
        int index = i * WARP + l.lane;
        bool exists = e.count(i) > 0;
        float4 delta, input, g;
#define STAGE(K)                                                                                                    \
    delta.K = softplus(exists ? given.delta[i].K + deltaBias.K : -INFINITY);                                        \
    input.K = delta.K * given.x[i].K;                                                                               \
    g.K = given.d[i].K * given.z[i].K * fastSigmoid(given.z[i].K);
        EACH(STAGE)
        ((float4*)w.deltas)[index] = delta;
        ((float4*)w.inputs)[index] = input;
        ((float4*)w.gradients)[index] = g;
    }
}

// h ← a ⊙ h + Δx B with a = e^{ΔA}, of token t of a chunk.
template <int S, int NS, int PIECE>
__device__ __forceinline__ void advance(
    const Lane<S, NS>& l, const Workspace<S, NS, PIECE>& w, const float* states, int t,
    const float (&rates)[COLUMNS][NS], float (&a)[COLUMNS][NS], const float (&before)[COLUMNS][NS],
    float (&h)[COLUMNS][NS]) {
    using L = Lane<S, NS>;
    int at = t * L::WIDTH + l.column();
    float delta[COLUMNS], input[COLUMNS], b[NS];
    load(delta, w.deltas + at);
    load(input, w.inputs + at);
    load(b, states + t * 2 * L::STATES + NS * l.part);
#pragma unroll
    for (int c = 0; c < COLUMNS; ++c) {
#pragma unroll
        for (int n = 0; n < NS; ++n) {
            a[c][n] = power2(delta[c] * rates[c][n]);
            h[c][n] = fmaf(a[c][n], before[c][n], input[c] * b[n]);
        }
    }
}

// Sums of two numbers over S lanes: the first half of them is left with the first's, the other half with the second's.
template <int S>
__device__ __forceinline__ float sumOverStates(const float (&x)[2], const int lane) {
    bool upper = lane & (S / 2);
    float sum = (upper ? x[1] : x[0]) + __shfl_xor_sync(FULL, upper ? x[0] : x[1], S / 2);
#pragma unroll
    for (int offset = S / 4; offset > 0; offset /= 2) sum += __shfl_xor_sync(FULL, sum, offset);
    return sum;
}

// What a token leaves a lane with: sums over states of C h, λ B and λ A a h log₂e.
struct TokenSums {
    float y, lambdaB, decay;
};

// D.5 for token i of a piece, the t-th of the chunk: from h before and after it and `carry` = a_{t+1} λ_{t+1}, which becomes
// a_t λ_t. Its dB ‖ dC go to `quads` of the lane sums.
template <int S, int NS, int PIECE>
__device__ __forceinline__ TokenSums backwardToken(
    const Lane<S, NS>& l, const Workspace<S, NS, PIECE>& w, const float* states, int i, int t,
    const int (&quads)[Workspace<S, NS, PIECE>::SUM_QUADS], const float (&rates)[COLUMNS][NS], const float (&a)[COLUMNS][NS], const float (&before)[COLUMNS][NS],
    const float (&h)[COLUMNS][NS], float (&carry)[COLUMNS][NS], float (&dA)[COLUMNS][NS]) {
    using L = Lane<S, NS>;
    int at = t * L::WIDTH + l.column();
    float delta[COLUMNS], input[COLUMNS], g[COLUMNS], b[NS], c4[NS];
    load(delta, w.deltas + at);
    load(input, w.inputs + at);
    load(g, w.gradients + at);
    load(b, states + t * 2 * L::STATES + NS * l.part);
    load(c4, states + t * 2 * L::STATES + L::STATES + NS * l.part);
    float dStates[2 * NS] = {}, y[COLUMNS] = {}, lambdaB[COLUMNS] = {}, decay[COLUMNS] = {};
#pragma unroll
    for (int c = 0; c < COLUMNS; ++c) {
#pragma unroll
        for (int n = 0; n < NS; ++n) {
            float lambda = fmaf(c4[n], g[c], carry[c][n]);
            y[c] = fmaf(c4[n], h[c][n], y[c]);
            dStates[n] = fmaf(lambda, input[c], dStates[n]);
            dStates[NS + n] = fmaf(g[c], h[c][n], dStates[NS + n]);
            lambdaB[c] = fmaf(lambda, b[n], lambdaB[c]);
            carry[c][n] = lambda * a[c][n];
            float product = carry[c][n] * before[c][n];
            decay[c] = fmaf(product, rates[c][n], decay[c]);
            dA[c][n] = fmaf(product, delta[c], dA[c][n]);
        }
    }
#pragma unroll
    for (int j = 0; j < w.SUM_QUADS; ++j)
        w.laneSums[i * w.TOKEN_STRIDE + quads[j]] =
            make_float4(dStates[4 * j], dStates[4 * j + 1], dStates[4 * j + 2], dStates[4 * j + 3]);
    return {sumOverStates<S>(y, l.lane), sumOverStates<S>(lambdaB, l.lane), sumOverStates<S>(decay, l.lane)};
}

// dB and dC of a piece, summed over the groups of channels.
template <int S, int NS, int PIECE>
__device__ __forceinline__ void sumOverGroups(
    const Lane<S, NS>& l, const Workspace<S, NS, PIECE>& w, int piece) {
    using L = Lane<S, NS>;
    constexpr int QUADS = Workspace<S, NS, PIECE>::SUM_QUADS, TOKEN = S * QUADS;
    static_assert(PIECE * TOKEN % WARP == 0, "every lane has as much to do");
#pragma unroll
    for (int start = 0; start < PIECE * TOKEN; start += WARP) {
        int i = (start + l.lane) / TOKEN, part = (start + l.lane) / QUADS % S, j = (start + l.lane) % QUADS;
        int first = i * w.TOKEN_STRIDE + part * QUADS;
        // The turns repeat themselves every eight lanes.
        int quads[8 / S];
#pragma unroll
        for (int group = 0; group < 8 / S; ++group) quads[group] = opaque(first + w.turned(group * S + part, j));
        float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll
        for (int group = 0; group < L::GROUPS; ++group) {
            float4 v = w.laneSums[quads[group % (8 / S)] + group * S * QUADS];
            sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
        }
        bool isC = j >= QUADS / 2;
        int n = NS * part + 4 * (j % (QUADS / 2));
        *(float4*)(w.stateSums + (piece * PIECE + i) * 2 * L::STATES + (isC ? L::STATES : 0) + n) = sum;
    }
}

// A chunk, last token first, in pieces of PIECE tokens whose states fit in registers: from the checkpoint, saved as the first
// piece's, to before each piece, then for each piece forward once more and back.
template <int S, int NS, int PIECE>
__device__ __forceinline__ void backwardChunk(
    const Lane<S, NS>& l, const Workspace<S, NS, PIECE>& w, const float* states, const float (&rates)[COLUMNS][NS],
    float (&carry)[COLUMNS][NS], float (&dA)[COLUMNS][NS]) {
    using L = Lane<S, NS>;
    float h[PIECE + 1][COLUMNS][NS], a[PIECE][COLUMNS][NS];
    w.load(l, 0, h[0]);
#pragma unroll 1
    for (int piece = 1; piece < CHUNK / PIECE; ++piece) {
#pragma unroll
        for (int i = 0; i < PIECE; ++i)
            advance(l, w, states, (piece - 1) * PIECE + i, rates, a[0], h[0], h[0]);
        w.store(l, piece, h[0]);
    }
#pragma unroll 1
    for (int piece = CHUNK / PIECE - 1; piece >= 0; --piece) {
        w.load(l, piece, h[0]);
#pragma unroll
        for (int i = 0; i < PIECE; ++i) advance(l, w, states, piece * PIECE + i, rates, a[i], h[i], h[i + 1]);
        TokenSums sums[PIECE];
        int quads[Workspace<S, NS, PIECE>::SUM_QUADS];
#pragma unroll
        for (int j = 0; j < w.SUM_QUADS; ++j) quads[j] = opaque(l.lane * w.SUM_QUADS + w.turned(l.lane, j));
#pragma unroll
        for (int i = PIECE - 1; i >= 0; --i)
            sums[i] = backwardToken(l, w, states, i, piece * PIECE + i, quads, rates, a[i], h[i], h[i + 1], carry, dA);
        // Every lane has read what is overwritten now, and written what is added up.
        __syncwarp();
#pragma unroll
        for (int i = 0; i < PIECE; ++i) {
            int kept = (piece * PIECE + i) * L::WIDTH + l.keptColumn();
            w.gradients[kept] = sums[i].y, w.inputs[kept] = sums[i].lambdaB, w.decays[kept] = sums[i].decay;
        }
        sumOverGroups(l, w, piece);
        __syncwarp();
    }
}

// Sums over states of an element that the passes before have handed on are added, and before the last pass handed on.
__device__ __forceinline__ void handOn(
    const ScanSizes& sizes, float4 (&own)[3], float* handed, long long plane, int count) {
#pragma unroll
    for (int k = 0; k < 3; ++k) {
        if (!sizes.isFirstPass) {
            float4 before = readQuad<false>(handed + k * plane, count);
#define ADD_BEFORE(K) own[k].K += before.K;
            EACH(ADD_BEFORE)
        }
        if (!sizes.isLastPass) writeQuad<false>(handed + k * plane, own[k], count);
    }
}

template <bool IN_QUADS>
__device__ __forceinline__ void writeElements(
    float* zTarget, const float4& dz, float* xTarget, const float4& dx, float* deltaTarget, const float4& dDelta,
    int count) {
    writeQuad<IN_QUADS>(zTarget, dz, count);
    writeQuad<IN_QUADS>(xTarget, dx, count);
    writeQuad<IN_QUADS>(deltaTarget, dDelta, count);
}

// dx, dDelta and dz of a chunk, and what it adds to dDeltaBias and dSkip of the lane's channels. dx may be dOut and dDelta
// delta: an element's are read before they are written.
template <int S, int NS, int PIECE>
__device__ __forceinline__ void writeGradients(
    const Lane<S, NS>& l, const Elements<S, NS>& e, const Given<S, NS>& given, const ScanSizes& sizes,
    const ScanInputs& in, const Workspace<S, NS, PIECE>& w, long long plane, const ScanGradients& out) {
    float4 deltaBias = e.ofChannels(in.deltaBias), skip = e.ofChannels(in.skip);
    float4 dDeltaBias = w.channelSums[l.lane], dSkip = w.channelSums[WARP + l.lane];
#pragma unroll
    for (int i = 0; i < e.COUNT; ++i) {
        int count = e.count(i), index = i * WARP + l.lane;
        if (count <= 0) continue;
        long long at = e.at + i * e.stride;
        // Σ C h, Σ λ B and Σ λ A a h log₂e.
        float4 own[3] = {((float4*)w.gradients)[index], ((float4*)w.inputs)[index], ((float4*)w.decays)[index]};
        if (!sizes.isFirstPass || !sizes.isLastPass) {
            handOn(sizes, own, out.sums + at, plane, count);
            if (!sizes.isLastPass) continue;
        }
        float4 delta = ((float4*)w.deltas)[index], dx, dRaw, dz;
        // silu'(z) = s (1 + z (1 - s)).
#define GRADIENTS(K)                                                                                                \
    {                                                                                                               \
        float x = given.x[i].K, z = given.z[i].K, d = given.d[i].K, s = fastSigmoid(z), gate = z * s, g = d * gate; \
        dz.K = d * fmaf(skip.K, x, own[0].K) * fmaf(gate, 1.0f - s, s);                                             \
        dx.K = fmaf(skip.K, g, delta.K * own[1].K);                                                                 \
        dRaw.K = fmaf(x, own[1].K, LN2 * own[2].K) * fastSigmoid(given.delta[i].K + deltaBias.K);                   \
        dDeltaBias.K += dRaw.K;                                                                                     \
        dSkip.K = fmaf(g, x, dSkip.K);                                                                              \
    }
        EACH(GRADIENTS)
        float* gateTarget = out.dz + e.atGate + i * e.gateStride;
        if (e.inQuads) {
            writeElements<true>(gateTarget, dz, out.dx + at, dx, out.dDelta + at, dRaw, count);
        } else {
            writeElements<false>(gateTarget, dz, out.dx + at, dx, out.dDelta + at, dRaw, count);
        }
    }
    w.channelSums[l.lane] = dDeltaBias, w.channelSums[WARP + l.lane] = dSkip;
}

// db and dc of a chunk: the block's warps' sums, added in their order. `stateSums` is the first warp's, the others' lie
// `size` apart.
template <int S, int NS>
__device__ __forceinline__ void writeStateGradients(
    const ScanSizes& sizes, const float* stateSums, int size, long long row, int first, const ScanGradients& out) {
    constexpr int STATES = Lane<S, NS>::STATES;
    int warps = blockDim.x / WARP;
    for (int index = 4 * threadIdx.x; index < CHUNK * 2 * STATES; index += 4 * blockDim.x) {
        int t = index / (2 * STATES), k = index % (2 * STATES), n = sizes.firstState + k % STATES;
        if (first + t >= sizes.length) break;
        float4 sum = *(const float4*)(stateSums + index);
        for (int warp = 1; warp < warps; ++warp) {
            float4 v = *(const float4*)(stateSums + warp * size + index);
            sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
        }
        long long token = row * sizes.length + first + t;
        float* target = (k < STATES ? out.db : out.dc) + token * sizes.stateStride + n;
        if (out.statePartials) {
            long long group = (long long)blockIdx.x * gridDim.y * sizes.length + token;
            target = out.statePartials + group * 2 * sizes.states + (k < STATES ? 0 : sizes.states) + n;
        }
        writeQuad<false>(target, sum, sizes.states - n);
    }
}

template <int S, int NS, int PIECE>
__device__ __forceinline__ void writeParameterPartials(
    const Lane<S, NS>& l, const ScanSizes& sizes, const Workspace<S, NS, PIECE>& w, const float (&rates)[COLUMNS][NS],
    const float (&dA)[COLUMNS][NS], float* partials) {
    using L = Lane<S, NS>;
    long long stateCount = (long long)sizes.channels * sizes.states;
#pragma unroll
    for (int c = 0; c < COLUMNS; ++c) {
#pragma unroll
        for (int n = 0; n < NS; ++n) {
            long long at = (long long)l.channel(c) * sizes.states + l.state(sizes, n);
            // dA_log = A ⊙ dA.
            if (l.holds(sizes, c, n)) partials[at] = dA[c][n] * rates[c][n] * LN2;
        }
    }
    if (!sizes.isLastPass) return;
    // Over the lanes that have had elements of a channel, WIDTH numbers apart.
    __syncwarp();
    for (int column = l.lane; column < L::WIDTH; column += WARP) {
        int channel = l.warpChannel + column;
        if (channel >= sizes.channels) continue;
#pragma unroll
        for (int k = 0; k < 2; ++k) {
            const float* sums = (const float*)(w.channelSums + k * WARP) + column;
            float sum = 0.0f;
#pragma unroll
            for (int at = 0; at < 4 * WARP; at += L::WIDTH) sum += sums[at];
            partials[stateCount + k * sizes.channels + channel] = sum;
        }
    }
}

// Whether everything of which there is one number an element, or a channel, can be read and written in quads.
__device__ __forceinline__ bool areInQuads(
    const ScanSizes& sizes, const ScanInputs& in, const float* dOut, const ScanGradients& out) {
    return isInQuads(sizes.channels, in.x, in.delta, dOut) && isInQuads(sizes.gateStride, in.z, out.dz)
        && isInQuads(sizes.channels, in.deltaBias, in.skip) && isInQuads(4, out.dx, out.dDelta);
}

template <int S, int NS, int PIECE>
__device__ __forceinline__ void backward(
    const ScanSizes& sizes, const ScanInputs& in, const float* __restrict__ checkpoints, const float* dOut,
    const ScanGradients& out) {
    using L = Lane<S, NS>;
    using W = Workspace<S, NS, PIECE>;
    extern __shared__ float4 shared4[];
    // B and C of a chunk, and of the one before.
    float* states = (float*)shared4;
    int warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    W w(states + 2 * L::STATE_AREA + warp * W::SIZE);
    L l(blockIdx.x * warps + warp);
    long long row = blockIdx.y, stateCount = (long long)sizes.states * sizes.channels;
    long long plane = (long long)gridDim.y * sizes.length * sizes.channels;
    int chunks = (sizes.length + CHUNK - 1) / CHUNK;
    float rates[COLUMNS][NS], carry[COLUMNS][NS] = {}, dA[COLUMNS][NS] = {};
    loadRates(l, sizes, in.aLog, rates);
    w.channelSums[l.lane] = w.channelSums[WARP + l.lane] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    bool inQuads = areInQuads(sizes, in, dOut, out);
    copyStates<L::STATES>(sizes, in, row, (chunks - 1) * CHUNK, states + (chunks - 1) % 2 * L::STATE_AREA);
    for (int chunk = chunks - 1; chunk >= 0; --chunk) {
        int first = chunk * CHUNK;
        Elements<S, NS> e(l, sizes, row, first, inQuads);
        Given<S, NS> given;
        given.fetch(e, in, dOut);
        float h[COLUMNS][NS];
        // The first chunk's is zero.
        loadState(l, sizes, chunk ? checkpoints + (row * chunks + chunk) * stateCount : 0, h);
        stageTokens(l, e, given, in, w);
        w.store(l, 0, h);
        awaitCopies();
        // The chunk's B and C have come, and nobody reads the last chunk's or its sums any longer.
        __syncthreads();
        if (chunk) {
            copyStates<L::STATES>(sizes, in, row, first - CHUNK, states + (chunk - 1) % 2 * L::STATE_AREA);
            given.prefetch(Elements<S, NS>(l, sizes, row, first - CHUNK, inQuads), in, dOut);
        }
        backwardChunk(l, w, states + chunk % 2 * L::STATE_AREA, rates, carry, dA);
        // Once more what there was no room for meanwhile.
        given.fetch(e, in, dOut);
        __syncthreads();
        writeStateGradients<S, NS>(
            sizes, states + 2 * L::STATE_AREA + W::SIZE - L::STATE_AREA, W::SIZE, row, first, out);
        writeGradients(l, e, given, sizes, in, w, plane, out);
    }
    float* partials = out.parameterPartials + row * (stateCount + 2 * sizes.channels);
    writeParameterPartials(l, sizes, w, rates, dA, partials);
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

// S·NS states of a pass, PIECE tokens whose states are in registers.
#define SCAN_BACKWARD(S, NS, PIECE)                                                                                 \
    extern "C" __global__ void __launch_bounds__(256) scanBackward##S##x##NS(                                       \
        SIZES, INPUTS, const float* __restrict__ checkpoints, const float* dOut, float* statePartials, float* db,   \
        float* dc, float* parameterPartials, float* dx, float* dDelta, float* dz, float* sums) {                    \
        awaitEarlierKernels();                                                                                      \
        backward<S, NS, PIECE>(                                                                                     \
            GIVEN, checkpoints, dOut, {statePartials, db, dc, parameterPartials, dx, dDelta, dz, sums});            \
    }

SCAN_BACKWARD(2, 4, 8)
SCAN_BACKWARD(2, 8, 4)
SCAN_BACKWARD(4, 8, 4)
