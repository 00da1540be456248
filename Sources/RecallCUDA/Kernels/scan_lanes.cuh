// How the selective scan's backward is spread over lanes, and what they have in memory and in shared memory.
//
// A warp walks one sequence, last token first, with 32/S groups of two channels and up to S·NS states of them: a lane holds
// two channels times NS states. A sum over states goes over S lanes, one over channels through shared memory, over the groups
// of a warp and then over the warps of a block.
#pragma once
#include "scan.cuh"

// Channels of a lane.
#define COLUMNS 2

// What a lane is and has.
template <int S, int NS>
struct Lane {
    static constexpr int GROUPS = WARP / S;
    // Channels and states of a warp.
    static constexpr int WIDTH = COLUMNS * GROUPS;
    static constexpr int STATES = S * NS;
    // Numbers of a chunk: its elements, and its B and C.
    static constexpr int AREA = CHUNK * WIDTH;
    static constexpr int STATE_AREA = CHUNK * 2 * STATES;
    // A lane's numbers of one token and state for both its channels.
    using Cells = float[COLUMNS][NS];

    int lane, group, part;
    // The warp's first channel.
    int warpChannel;

    __device__ __forceinline__ Lane(int warp) {
        lane = threadIdx.x % WARP;
        group = lane / S;
        part = lane % S;
        warpChannel = warp * WIDTH;
    }

    // The lane's first channel, of the warp's, and the one of its group's whose sum over states it is left with.
    __device__ __forceinline__ int column() const { return group * COLUMNS; }
    __device__ __forceinline__ int keptColumn() const { return group * COLUMNS + part * COLUMNS / S; }
    __device__ __forceinline__ int channel(int c) const { return warpChannel + column() + c; }
    __device__ __forceinline__ int state(const ScanSizes& sizes, int n) const {
        return sizes.firstState + NS * part + n;
    }
    __device__ __forceinline__ bool holds(const ScanSizes& sizes, int c, int n) const {
        return channel(c) < sizes.channels && state(sizes, n) < sizes.states;
    }
};

// Four numbers, the first `count` of which there are, the others are 0.
template <bool IN_QUADS>
__device__ __forceinline__ float4 readQuad(const float* from, int count) {
    if (IN_QUADS) return count > 0 ? *(const float4*)from : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    return make_float4(
        count > 0 ? from[0] : 0.0f, count > 1 ? from[1] : 0.0f, count > 2 ? from[2] : 0.0f, count > 3 ? from[3] : 0.0f);
}

template <bool IN_QUADS>
__device__ __forceinline__ void writeQuad(float* to, const float4& x, int count) {
    if (IN_QUADS) {
        if (count > 0) *(float4*)to = x;
        return;
    }
    if (count > 0) to[0] = x.x;
    if (count > 1) to[1] = x.y;
    if (count > 2) to[2] = x.z;
    if (count > 3) to[3] = x.w;
}

// Where a lane's elements of a chunk, one a token and channel, lie: quads of neighbouring channels, every STEP-th token from
// the lane's first on. Quad i is number i·32 + lane of a chunk's.
template <int S, int NS>
struct Elements {
    using L = Lane<S, NS>;
    // Lanes that have a token's.
    static constexpr int LANES = L::WIDTH / 4, STEP = WARP / LANES, COUNT = CHUNK / STEP;

    // The first of the four channels, and how many of them there are.
    int channel, channels;
    // Between quads.
    int stride, gateStride;
    // How many of the chunk's tokens there are from the lane's first on.
    int tokens;
    // Of the first.
    long long at, atGate;
    // Whether quads can be read and written as such.
    bool inQuads;

    __device__ __forceinline__ Elements(const L& l, const ScanSizes& sizes, long long row, int first, bool inQuads)
        : inQuads(inQuads) {
        int t = first + l.lane / LANES;
        channel = l.warpChannel + l.lane % LANES * 4;
        channels = min(4, sizes.channels - channel);
        stride = STEP * sizes.channels, gateStride = STEP * sizes.gateStride;
        tokens = sizes.length - t;
        at = (row * sizes.length + t) * sizes.channels + channel;
        atGate = (row * sizes.length + t) * sizes.gateStride + channel;
    }
    // How many numbers a quad has.
    __device__ __forceinline__ int count(int i) const { return i * STEP < tokens ? channels : 0; }
    __device__ __forceinline__ float4 ofChannels(const float* x) const {
        return inQuads ? readQuad<true>(x + channel, channels) : readQuad<false>(x + channel, channels);
    }
};

#define EACH(OPERATION) OPERATION(x) OPERATION(y) OPERATION(z) OPERATION(w)

// What a lane's elements of a chunk are given as: x, delta, z and dOut, 0 for those that there are not. All are loaded before
// any is used, and at a place where there is other work until they come.
template <int S, int NS>
struct Given {
    static constexpr int COUNT = Elements<S, NS>::COUNT;
    float4 x[COUNT], delta[COUNT], z[COUNT], d[COUNT];

    __device__ __forceinline__ void fetch(const Elements<S, NS>& e, const ScanInputs& in, const float* dOut) {
        if (e.inQuads) {
            fetchBy<true>(e, in, dOut);
        } else {
            fetchBy<false>(e, in, dOut);
        }
    }

    // Has the level-2 cache fetch them. A row's quads share a line, or two.
    __device__ __forceinline__ void prefetch(const Elements<S, NS>& e, const ScanInputs& in, const float* dOut) {
        const float *xs = in.x + e.at, *deltas = in.delta + e.at, *ds = dOut + e.at, *zs = in.z + e.atGate;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            if (e.count(i) <= 0) continue;
            int offset = i * e.stride;
            prefetchLine(xs + offset), prefetchLine(deltas + offset), prefetchLine(ds + offset);
            prefetchLine(zs + i * e.gateStride);
        }
    }

    template <bool IN_QUADS>
    __device__ __forceinline__ void fetchBy(const Elements<S, NS>& e, const ScanInputs& in, const float* dOut) {
        const float *xs = in.x + e.at, *deltas = in.delta + e.at, *ds = dOut + e.at, *zs = in.z + e.atGate;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            int count = e.count(i), offset = i * e.stride;
            x[i] = readQuad<IN_QUADS>(xs + offset, count);
            delta[i] = readQuad<IN_QUADS>(deltas + offset, count);
            d[i] = readQuad<IN_QUADS>(ds + offset, count);
            z[i] = readQuad<IN_QUADS>(zs + i * e.gateStride, count);
        }
    }
};

// Hides from the compiler what x is made of: it would add constants to that, and so have a sum of its own for each of many
// addresses that are one number and a constant.
__device__ __forceinline__ int opaque(int x) {
    asm("" : "+r"(x));
    return x;
}

// A warp's shared memory.
template <int S, int NS, int PIECE>
struct Workspace {
    using L = Lane<S, NS>;
    using Cells = typename L::Cells;
    // Quads of a lane: of its cells of one token, and of its dB ‖ dC.
    static constexpr int QUADS = COLUMNS * NS / 4, SUM_QUADS = 2 * NS / 4;
    static constexpr int SIZE =
        4 * L::AREA + (CHUNK / PIECE * QUADS + PIECE * SUM_QUADS + 2) * 4 * WARP + L::STATE_AREA;

    // Per token and channel. First Δ, Δx and g; a token that is done has left Σ λ B in `inputs` and Σ C h in `gradients`.
    float *deltas, *inputs, *gradients, *decays;
    // h before each piece of a chunk, each lane's own.
    float4* saved;
    // A piece's dB ‖ dC of each lane (see laneSum), and a chunk's of the warp: (token, dB ‖ dC).
    float4* laneSums;
    float* stateSums;
    // What each lane adds up over a sequence for the channels of its elements: dDeltaBias, then dSkip.
    float4* channelSums;

    __device__ __forceinline__ Workspace(float* shared) {
        deltas = shared, inputs = deltas + L::AREA, gradients = inputs + L::AREA, decays = gradients + L::AREA;
        saved = (float4*)(decays + L::AREA);
        laneSums = saved + CHUNK / PIECE * QUADS * WARP;
        channelSums = laneSums + PIECE * SUM_QUADS * WARP;
        stateSums = (float*)(channelSums + 2 * WARP);
    }
    __device__ __forceinline__ void store(const L& l, int piece, const Cells& h) const {
        const float* numbers = &h[0][0];
#pragma unroll
        for (int i = 0; i < QUADS; ++i)
            saved[(piece * QUADS + i) * WARP + l.lane] =
                make_float4(numbers[4 * i], numbers[4 * i + 1], numbers[4 * i + 2], numbers[4 * i + 3]);
    }
    __device__ __forceinline__ void load(const L& l, int piece, Cells& h) const {
        float* numbers = &h[0][0];
#pragma unroll
        for (int i = 0; i < QUADS; ++i) {
            float4 v = saved[(piece * QUADS + i) * WARP + l.lane];
            numbers[4 * i] = v.x, numbers[4 * i + 1] = v.y, numbers[4 * i + 2] = v.z, numbers[4 * i + 3] = v.w;
        }
    }
    // Of a piece's dB ‖ dC of a lane, those of a token and the next one's are TOKEN_STRIDE apart. Quad j of a token's is
    // turned(lane, j)-th, so that neighbours that write (or read) at once use different banks.
    static constexpr int TOKEN_STRIDE = WARP * SUM_QUADS;
    static __device__ __forceinline__ int turned(int lane, int j) { return j ^ (lane / (8 / SUM_QUADS) % SUM_QUADS); }
};
