// What the blocks of another kernel left to be added.
#include "common.cuh"

#define SLICES 16

// Rows of `parts` partial sums, `stride` apart, added in one fixed order: each of SLICES threads adds every SLICES-th row, then
// the first adds what they have. A row is up to three runs of numbers behind each other, each with its own output.
extern "C" __global__ void sumPartials(
    int parts, long long stride, const float* __restrict__ partials, int count0, float* out0, int count1, float* out1,
    int count2, float* out2) {
    __shared__ float slices[SLICES][WARP];
    int i = blockIdx.x * WARP + threadIdx.x, count = count0 + count1 + count2;
    float sum = 0.0f;
    if (i < count) {
#pragma unroll 4
        for (int part = threadIdx.y; part < parts; part += SLICES) sum += partials[part * stride + i];
    }
    slices[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || i >= count) return;
#pragma unroll
    for (int slice = 1; slice < SLICES; ++slice) sum += slices[slice][threadIdx.x];
    if (i < count0) {
        out0[i] = sum;
    } else if (i < count0 + count1) {
        out1[i - count0] = sum;
    } else {
        out2[i - count0 - count1] = sum;
    }
}
