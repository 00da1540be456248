// Mamba's selective scan with its softplus, skip and gate (docs/math/selective-scan.md, section 2): what its
// two directions share.
//
// A chunk is the 16 tokens between checkpoints. All of a block's threads walk one sequence, so they share its B
// and C, which are copied to shared memory a chunk ahead. States that do not fit a kernel are gone through in
// passes, the sums over states handed on from pass to pass in `sums`.
#pragma once
#include "common.cuh"

#define CHUNK 16

struct ScanInputs {
    const float *x, *delta, *deltaBias, *aLog, *b, *c, *skip, *z;
};

struct ScanSizes {
    int length, channels, states, stateStride, gateStride;
    // Of this pass.
    int firstState;
    bool isFirstPass, isLastPass;
};

__device__ __forceinline__ float fastSigmoid(float x) { return __fdividef(1.0f, 1.0f + power2(-LOG2E * x)); }

// max(x, 0) + ln(1 + e), e = e^{-|x|}: ln(1 + e) = 2 artanh s, s = e/(2 + e), of which the polynomial in s² has a relative
// error of 4e-9 up to s = 1/3, so that small steps keep their digits too.
__device__ __forceinline__ float softplus(float x) {
    float e = power2(-LOG2E * fabsf(x));
    float s = __fdividef(e, 2.0f + e), u = s * s;
    float series = fmaf(fmaf(fmaf(fmaf(0.28178334f, u, 0.27960604f), u, 0.40024910f), u, 0.66666315f), u, 2.0f);
    return fmaf(s, series, fmaxf(x, 0.0f));
}

template <int COUNT>
__device__ __forceinline__ void load(float (&x)[COUNT], const float* shared) {
    if constexpr (COUNT % 4 == 0) {
#pragma unroll
        for (int i = 0; i < COUNT; i += 4) {
            float4 v = *(const float4*)(shared + i);
            x[i] = v.x, x[i + 1] = v.y, x[i + 2] = v.z, x[i + 3] = v.w;
        }
    } else {
        static_assert(COUNT == 2, "by fours or a pair");
        float2 v = *(const float2*)shared;
        x[0] = v.x, x[1] = v.y;
    }
}

// Has the block copy B and C of a chunk to shared memory, (token, B ‖ C) of STATES states each from the pass's first on; 0
// where there is no such token or state. They have come after awaitCopies and a barrier.
template <int STATES>
__device__ __forceinline__ void copyStates(
    const ScanSizes& sizes, const ScanInputs& in, long long row, int first, float* shared) {
    for (int index = threadIdx.x; index < CHUNK * 2 * STATES; index += blockDim.x) {
        int t = index / (2 * STATES), k = index % (2 * STATES), n = sizes.firstState + k % STATES;
        bool exists = first + t < sizes.length && n < sizes.states;
        const float* source = k < STATES ? in.b : in.c;
        long long at = exists ? (row * sizes.length + first + t) * sizes.stateStride + n : 0;
        uint32 target = __cvta_generic_to_shared(shared + index);
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(target), "l"(source + at),
                     "r"(exists ? 4 : 0)
                     : "memory");
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
