// The selective scan forward: see scan.cuh.
#include "scan.cuh"

// out = (Σ C h + skip x) silu(z) of a chunk, or before the last pass its sums over states alone.
template <int S, int CC>
__device__ __forceinline__ void writeOutputs(
    const Lane<S, CC>& l, const ScanSizes& sizes, const ScanInputs& in, long long row, int first, const float* y,
    float* sums, float* out) {
    constexpr int SIZE = Batch<S, CC>::SIZE;
#pragma unroll 1
    for (int start = 0; start < Batch<S, CC>::ELEMENTS; start += SIZE) {
        float x[SIZE], z[SIZE], before[SIZE];
#pragma unroll
        for (int i = 0; i < SIZE; ++i) {
            Element<S, CC> e(l, sizes, row, first, start + i);
            x[i] = e.exists ? in.x[e.at(sizes)] : 0.0f;
            z[i] = e.exists ? in.z[e.atGate(sizes)] : 0.0f;
            before[i] = e.exists && !sizes.isFirstPass ? sums[e.at(sizes)] : 0.0f;
        }
#pragma unroll
        for (int i = 0; i < SIZE; ++i) {
            Element<S, CC> e(l, sizes, row, first, start + i);
            if (!e.exists) continue;
            float sum = y[e.index] + before[i];
            if (sizes.isLastPass) {
                out[e.at(sizes)] = fmaf(in.skip[e.channel], x[i], sum) * z[i] * fastSigmoid(z[i]);
            } else {
                sums[e.at(sizes)] = sum;
            }
        }
    }
}

// checkpoints (batch, chunks, states, channels) and state (batch, states, channels) may be null.
template <int S, int CC>
__device__ __forceinline__ void forward(
    const ScanSizes& sizes, const ScanInputs& in, float* __restrict__ out, float* __restrict__ sums,
    float* __restrict__ checkpoints, float* __restrict__ state) {
    using L = Lane<S, CC>;
    extern __shared__ float4 shared4[];
    float* shared = (float*)shared4 + threadIdx.x / WARP * (3 * L::AREA + L::STATE_AREA);
    float *deltas = shared, *inputs = deltas + L::AREA, *y = inputs + L::AREA, *states = y + L::AREA;
    L l(blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP);
    if (l.warpChannel >= sizes.channels) return;
    long long row = blockIdx.y, stateCount = (long long)sizes.states * sizes.channels;
    int chunks = (sizes.length + CHUNK - 1) / CHUNK;
    float rates[CC][4], h[CC][4], a[CC][4];
    loadRates(l, sizes, in.aLog, rates);
    loadState(l, sizes, state ? state + row * stateCount : 0, h);
    // The first batch of the next chunk is on its way while this one is worked on.
    InputBatch<S, CC> next;
    next.fetch(l, sizes, in, row, 0, 0);
    for (int chunk = 0; chunk < chunks; ++chunk) {
        int first = chunk * CHUNK;
        __syncwarp();
        next.put(l, 0, deltas, inputs);
#pragma unroll 1
        for (int start = Batch<S, CC>::SIZE; start < Batch<S, CC>::ELEMENTS; start += Batch<S, CC>::SIZE) {
            next.fetch(l, sizes, in, row, first, start);
            next.put(l, start, deltas, inputs);
        }
        stageStates(l, sizes, in, row, first, states);
        if (checkpoints) storeState(l, sizes, h, checkpoints + (row * chunks + chunk) * stateCount);
        if (chunk + 1 < chunks) next.fetch(l, sizes, in, row, first + CHUNK, 0);
        __syncwarp();
#pragma unroll 4
        for (int t = 0; t < CHUNK; ++t) {
            int at = t * L::WIDTH + l.column();
            const float* b = states + t * 2 * L::STATES + 4 * l.part;
            advance(rates, deltas + at, inputs + at, b, a, h, h);
            float cs[4], sum[CC];
            load(cs, b + L::STATES);
#pragma unroll
            for (int c = 0; c < CC; ++c)
                sum[c] = cs[0] * h[c][0] + cs[1] * h[c][1] + (cs[2] * h[c][2] + cs[3] * h[c][3]);
            sumOverLanes<CC, S, 1>(sum, l.lane);
#pragma unroll
            for (int i = 0; i < L::KEPT; ++i) y[t * L::WIDTH + l.keptColumn() + i] = sum[i];
        }
        __syncwarp();
        writeOutputs(l, sizes, in, row, first, y, sums, out);
    }
    if (state) storeState(l, sizes, h, state + row * stateCount);
}

// S·4 states that a warp holds at a time, CC channels a lane.
#define SCAN_FORWARD(S, CC, BLOCKS)                                                                                         \
    extern "C" __global__ void __launch_bounds__(128, BLOCKS) scanForward##S##x##CC(                                \
        SIZES, INPUTS, float* out, float* sums, float* checkpoints, float* state) {                                 \
        awaitEarlierKernels();                                                                                      \
        forward<S, CC>(GIVEN, out, sums, checkpoints, state);                                                       \
    }

SCAN_FORWARD(1, 2, 4)
SCAN_FORWARD(2, 2, 4)
SCAN_FORWARD(4, 2, 4)
SCAN_FORWARD(4, 4, 4)
SCAN_FORWARD(8, 2, 4)
SCAN_FORWARD(16, 2, 4)
