// Mamba's selective scan with its softplus, skip and gate (MODELS.md C.14, D.5).
//
// A warp walks one sequence with 32/S groups of CC channels and all of up to 4·S states: a lane holds CC channels times
// four states. So a sum over states goes over S lanes, one over channels over 32/S, and both first over what a lane holds. A
// chunk is the 16 tokens between checkpoints; what its tokens need lies in shared memory, each warp's in its own. More
// states than 4·S are gone through in passes, the sums over states handed on from pass to pass in `sums`.
#pragma once
#include "common.cuh"

#define CHUNK 16
#define LOG2E 1.4426950408889634f
#define LN2 0.6931471805599453f

struct ScanInputs {
    const float *x, *delta, *deltaBias, *aLog, *b, *c, *skip, *z;
};

struct ScanSizes {
    int length, channels, states, stateStride, gateStride;
    // Of this pass.
    int firstState;
    bool isFirstPass, isLastPass;
};

__device__ __forceinline__ float exp2Approximate(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float fastSigmoid(float x) { return __fdividef(1.0f, 1.0f + exp2Approximate(-LOG2E * x)); }
__device__ __forceinline__ float softplus(float x) {
    return fmaxf(x, 0.0f) + log1pf(exp2Approximate(-LOG2E * fabsf(x)));
}

// What a lane is and has.
template <int S, int CC>
struct Lane {
    static constexpr int GROUPS = WARP / S;
    // Channels of a warp.
    static constexpr int WIDTH = CC * GROUPS;
    // States of a warp.
    static constexpr int STATES = 4 * S;
    // Numbers of a chunk, one a token and channel.
    static constexpr int AREA = CHUNK * WIDTH;
    static constexpr int STATE_AREA = CHUNK * 2 * STATES;
    // After a sum over states, a lane holds this many channels of its group's.
    static constexpr int KEPT = CC > S ? CC / S : 1;

    int lane, group, part;
    // The warp's first channel.
    int warpChannel;

    __device__ __forceinline__ Lane(int warp) {
        lane = threadIdx.x % WARP;
        group = lane / S;
        part = lane % S;
        warpChannel = warp * WIDTH;
    }

    // The lane's first channel, of the warp's.
    __device__ __forceinline__ int column() const { return group * CC; }
    // The first that it holds of a sum over states, of the warp's.
    __device__ __forceinline__ int keptColumn() const { return group * CC + part * CC / S; }
    __device__ __forceinline__ int channel(int c) const { return warpChannel + column() + c; }
    __device__ __forceinline__ int state(const ScanSizes& sizes, int n) const {
        return sizes.firstState + 4 * part + n;
    }
    __device__ __forceinline__ bool holds(const ScanSizes& sizes, int c, int n) const {
        return channel(c) < sizes.channels && state(sizes, n) < sizes.states;
    }
};

template <int COUNT>
__device__ __forceinline__ void load(float (&x)[COUNT], const float* shared) {
    if constexpr (COUNT == 4) {
        float4 v = *(const float4*)shared;
        x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
    } else if constexpr (COUNT == 2) {
        float2 v = *(const float2*)shared;
        x[0] = v.x, x[1] = v.y;
    } else {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) x[i] = shared[i];
    }
}

// Sums of each of COUNT numbers over LANES lanes, STRIDE apart. Every step halves the numbers that a lane goes on with, until
// there is one: of lanes i = 0, 1, … it holds those from COUNT·i/LANES on.
template <int COUNT, int LANES, int STRIDE, int SIZE>
__device__ __forceinline__ void sumOverLanes(float (&x)[SIZE], int lane) {
    if constexpr (LANES > 1) {
        constexpr int OFFSET = STRIDE * LANES / 2;
        if constexpr (COUNT > 1) {
            bool upper = lane & OFFSET;
#pragma unroll
            for (int i = 0; i < COUNT / 2; ++i) {
                float sent = upper ? x[i] : x[i + COUNT / 2], kept = upper ? x[i + COUNT / 2] : x[i];
                x[i] = kept + __shfl_xor_sync(FULL, sent, OFFSET);
            }
            sumOverLanes<COUNT / 2, LANES / 2, STRIDE>(x, lane);
        } else {
            x[0] += __shfl_xor_sync(FULL, x[0], OFFSET);
            sumOverLanes<1, LANES / 2, STRIDE>(x, lane);
        }
    }
}

// A log₂e, A = -exp(aLog): then e^{ΔA} = 2^(Δ rate). 0 where there is no such channel or state, whose h then stays 0.
template <int S, int CC>
__device__ __forceinline__ void loadRates(
    const Lane<S, CC>& l, const ScanSizes& sizes, const float* aLog, float (&rates)[CC][4]) {
#pragma unroll
    for (int c = 0; c < CC; ++c) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            long long at = (long long)l.channel(c) * sizes.states + l.state(sizes, n);
            rates[c][n] = l.holds(sizes, c, n) ? -LOG2E * expf(aLog[at]) : 0.0f;
        }
    }
}

// Where a lane's i-th number of a chunk lies: they are dealt out to the lanes in order, so that neighbours load neighbours.
template <int S, int CC>
struct Element {
    int index, t, channel;
    long long token;
    bool exists;

    __device__ __forceinline__ Element(
        const Lane<S, CC>& l, const ScanSizes& sizes, long long row, int first, int i) {
        index = i * WARP + l.lane;
        t = index / Lane<S, CC>::WIDTH;
        channel = l.warpChannel + index % Lane<S, CC>::WIDTH;
        token = row * sizes.length + first + t;
        exists = first + t < sizes.length && channel < sizes.channels;
    }
    __device__ __forceinline__ long long at(const ScanSizes& sizes) const {
        return token * sizes.channels + channel;
    }
    __device__ __forceinline__ long long atGate(const ScanSizes& sizes) const {
        return token * sizes.gateStride + channel;
    }
};

// Δ and Δx of a chunk; past the last token Δ = 0, and the state stays.
template <int S, int CC>
__device__ __forceinline__ void stageInputs(
    const Lane<S, CC>& l, const ScanSizes& sizes, const ScanInputs& in, long long row, int first, float* deltas,
    float* inputs) {
#pragma unroll 16
    for (int i = 0; i < Lane<S, CC>::AREA / WARP; ++i) {
        Element<S, CC> e(l, sizes, row, first, i);
        float delta = e.exists ? softplus(in.delta[e.at(sizes)] + in.deltaBias[e.channel]) : 0.0f;
        deltas[e.index] = delta;
        inputs[e.index] = e.exists ? delta * in.x[e.at(sizes)] : 0.0f;
    }
}

// B and C of a chunk, (token, B ‖ C).
template <int S, int CC>
__device__ __forceinline__ void stageStates(
    const Lane<S, CC>& l, const ScanSizes& sizes, const ScanInputs& in, long long row, int first, float* states) {
    constexpr int STATES = Lane<S, CC>::STATES;
#pragma unroll 16
    for (int i = 0; i < Lane<S, CC>::STATE_AREA / WARP; ++i) {
        int index = i * WARP + l.lane, t = index / (2 * STATES), k = index % (2 * STATES);
        int n = sizes.firstState + k % STATES;
        bool exists = first + t < sizes.length && n < sizes.states;
        long long at = (row * sizes.length + first + t) * sizes.stateStride + n;
        states[index] = exists ? (k < STATES ? in.b : in.c)[at] : 0.0f;
    }
}

// h ← a ⊙ h + Δx B with a = e^{ΔA}.
template <int CC>
__device__ __forceinline__ void advance(
    const float (&rates)[CC][4], const float* deltas, const float* inputs, const float* b, float (&a)[CC][4],
    const float (&before)[CC][4], float (&h)[CC][4]) {
    float delta[CC], input[CC], bs[4];
    load(delta, deltas);
    load(input, inputs);
    load(bs, b);
#pragma unroll
    for (int c = 0; c < CC; ++c) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            a[c][n] = exp2Approximate(delta[c] * rates[c][n]);
            h[c][n] = fmaf(a[c][n], before[c][n], input[c] * bs[n]);
        }
    }
}

// A state (states, channels) in memory, or zero where `source` is null.
template <int S, int CC>
__device__ __forceinline__ void loadState(
    const Lane<S, CC>& l, const ScanSizes& sizes, const float* source, float (&h)[CC][4]) {
#pragma unroll
    for (int c = 0; c < CC; ++c) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            long long at = (long long)l.state(sizes, n) * sizes.channels + l.channel(c);
            h[c][n] = source && l.holds(sizes, c, n) ? source[at] : 0.0f;
        }
    }
}

template <int S, int CC>
__device__ __forceinline__ void storeState(
    const Lane<S, CC>& l, const ScanSizes& sizes, const float (&h)[CC][4], float* target) {
#pragma unroll
    for (int n = 0; n < 4; ++n) {
#pragma unroll
        for (int c = 0; c < CC; ++c) {
            long long at = (long long)l.state(sizes, n) * sizes.channels + l.channel(c);
            if (l.holds(sizes, c, n)) target[at] = h[c][n];
        }
    }
}

#define SIZES                                                                                                       \
    int length, int channels, int states, int stateStride, int gateStride, int firstState, int isFirstPass,         \
        int isLastPass
#define INPUTS                                                                                                      \
    const float *__restrict__ x, const float *delta, const float *__restrict__ deltaBias,                           \
        const float *__restrict__ aLog, const float *__restrict__ b, const float *__restrict__ c,                   \
        const float *__restrict__ skip, const float *__restrict__ z
#define GIVEN                                                                                                       \
    {length, channels, states, stateStride, gateStride, firstState, isFirstPass != 0, isLastPass != 0},             \
        {x, delta, deltaBias, aLog, b, c, skip, z}
