// What the blocks of another kernel left to be added.
#include "common.cuh"

#define MOST_THREADS 1024

// Numbers that a thread has on their way at once.
#define AT_ONCE 8

// Rows of `parts` partial sums, `stride` apart, added in an order that the block fixes. Threads (columns, slices):
// each slice adds every so many-th row, then the second half of the slices is added to the first until one is left. A row
// is up to three runs of numbers behind each other, each with its own output.
extern "C" __global__ void __launch_bounds__(MOST_THREADS) sumPartials(
    int parts, long long stride, const float* __restrict__ partials, long long count0, float* out0, long long count1,
    float* out1, long long count2, float* out2) {
    awaitEarlierKernels();
    __shared__ float sums[MOST_THREADS];
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x, count = count0 + count1 + count2;
    float sum = 0.0f;
    for (int first = threadIdx.y; first < parts && i < count; first += AT_ONCE * blockDim.y) {
        float numbers[AT_ONCE];
#pragma unroll
        for (int n = 0; n < AT_ONCE; ++n) {
            int part = first + n * blockDim.y;
            numbers[n] = part < parts ? partials[part * stride + i] : 0.0f;
        }
#pragma unroll
        for (int n = 0; n < AT_ONCE; ++n) sum += numbers[n];
    }
    int at = threadIdx.y * blockDim.x + threadIdx.x;
    sums[at] = sum;
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half) sums[at] += sums[at + half * blockDim.x];
    }
    if (threadIdx.y > 0 || i >= count) return;
    sum = sums[at];
    if (i < count0) {
        out0[i] = sum;
    } else if (i < count0 + count1) {
        out1[i - count0] = sum;
    } else {
        out2[i - count0 - count1] = sum;
    }
}
