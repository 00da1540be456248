// Passes over plain runs of numbers. In each, an output may be the same buffer as an input.
#include "common.cuh"

extern "C" __global__ void fillZero(long long count, float* y) {
    awaitEarlierKernels();
    long long quads = isInQuads(4, y, y) ? count / 4 : 0;
    FOR_EACH(i, quads) ((float4*)y)[i] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    FOR_EACH(i, count - 4 * quads) y[4 * quads + i] = 0.0f;
}

extern "C" __global__ void add(long long count, const float* a, const float* b, float* y) {
    awaitEarlierKernels();
    long long quads = isInQuads(4, a, b, y) ? count / 4 : 0;
    FOR_EACH(i, quads) {
        float4 p = ((const float4*)a)[i], q = ((const float4*)b)[i];
        ((float4*)y)[i] = make_float4(p.x + q.x, p.y + q.y, p.z + q.z, p.w + q.w);
    }
    FOR_EACH(i, count - 4 * quads) y[4 * quads + i] = a[4 * quads + i] + b[4 * quads + i];
}

extern "C" __global__ void multiply(long long count, const float* a, const float* b, float* y) {
    awaitEarlierKernels();
    FOR_EACH(i, count) y[i] = a[i] * b[i];
}

// A thread a block of eight elements, which share their random words.
extern "C" __global__ void applyDropout(long long count, const float* x, Mask mask, float* y) {
    awaitEarlierKernels();
    FOR_EACH(block, (count + 7) / 8) {
        uint4 words = maskWords(mask, block);
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            long long at = 8 * block + i;
            if (at < count) y[at] = x[at] * maskOf(mask, words, i);
        }
    }
}

extern "C" __global__ void reluForward(long long count, const float* x, float* y) {
    awaitEarlierKernels();
    // As max(x, 0) on the CPU: NaN stays NaN.
    FOR_EACH(i, count) y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

extern "C" __global__ void reluBackward(long long count, const float* y, const float* dy, float* dx) {
    awaitEarlierKernels();
    FOR_EACH(i, count) dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

__device__ __forceinline__ float normalCDF(float x) { return 0.5f * erfcf(-x * 0.70710678118654752f); }

extern "C" __global__ void geluForward(long long count, const float* x, float* y) {
    awaitEarlierKernels();
    FOR_EACH(i, count) y[i] = x[i] * normalCDF(x[i]);
}

extern "C" __global__ void geluBackward(long long count, const float* x, const float* dy, float* dx) {
    awaitEarlierKernels();
    FOR_EACH(i, count) {
        float u = x[i];
        float density = 0.39894228040143268f * expf(-0.5f * u * u);
        dx[i] = dy[i] * (normalCDF(u) + u * density);
    }
}

// (value ‖ gate) of each row of x (rows, 2·width) to value ⊙ silu(gate).
extern "C" __global__ void swigluForward(long long rows, int width, const float* x, float* y) {
    awaitEarlierKernels();
    FOR_EACH(i, rows * width) {
        long long row = i / width, column = i % width;
        const float* at = x + row * 2 * width + column;
        y[i] = at[0] * silu(at[width]);
    }
}

// dx may be x: a thread reads its two numbers before it writes them.
extern "C" __global__ void swigluBackward(long long rows, int width, const float* x, const float* dy, float* dx) {
    awaitEarlierKernels();
    FOR_EACH(i, rows * width) {
        long long row = i / width, column = i % width, at = row * 2 * width + column;
        float value = x[at], gate = x[at + width], s = sigmoid(gate), d = dy[i];
        dx[at] = d * gate * s;
        dx[at + width] = d * value * (s + gate * s * (1.0f - s));
    }
}

// found, zero before, becomes 1 where a number is not finite. Whoever writes, writes the same.
extern "C" __global__ void findNotFinite(long long count, const float* x, int* found) {
    awaitEarlierKernels();
    FOR_EACH(i, count) if (!isfinite(x[i])) *found = 1;
}

// Numbers from -1 to 1 for measurements.
extern "C" __global__ void fillUniform(long long count, float* y) {
    awaitEarlierKernels();
    FOR_EACH(i, count) y[i] = (int)philox(make_uint4((uint32)i, 0, 0, 0), 1, 2).x * 0x1p-31f;
}
