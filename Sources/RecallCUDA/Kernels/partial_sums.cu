// What the blocks of another kernel left to be added.
#include "common.cuh"

#define MOST_THREADS 1024
#define MOST_SUMS 24
// Numbers that a thread has on their way at once.
#define AT_ONCE 8

// out[i] = Σ_n partials[n · stride + i] of `parts` rows, by blocks from `firstBlock` on: struct of PartialSumsCUDA.swift.
struct PartialSum {
    const float* partials;
    float* out;
    long long stride, count;
    int parts, firstBlock;
};
static_assert(sizeof(PartialSum) == 40, "laid out as in Swift");

struct PartialSums {
    PartialSum sums[MOST_SUMS];
};

// Every sum in an order that the number of its parts fixes. Threads (columns, slices), 32 slices where a sum has more parts than
// one thread has on their way: each slice adds every so many-th row, then the second half of the slices is added to the first
// until one is left. Of few parts the first slice adds all.
extern "C" __global__ void __launch_bounds__(MOST_THREADS) sumPartials(int count, const __grid_constant__ PartialSums all) {
    awaitEarlierKernels();
    __shared__ float sums[MOST_THREADS];
    int which = 0;
    while (which + 1 < count && all.sums[which + 1].firstBlock <= blockIdx.x) ++which;
    const float* __restrict__ partials = all.sums[which].partials;
    long long stride = all.sums[which].stride;
    long long i = (long long)(blockIdx.x - all.sums[which].firstBlock) * blockDim.x + threadIdx.x;
    int parts = i < all.sums[which].count ? all.sums[which].parts : 0;
    int slices = parts > AT_ONCE ? blockDim.y : 1;
    float sum = 0.0f;
    for (int first = threadIdx.y < slices ? threadIdx.y : parts; first < parts; first += AT_ONCE * slices) {
        float numbers[AT_ONCE];
#pragma unroll
        for (int n = 0; n < AT_ONCE; ++n) {
            int part = first + n * slices;
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
    if (threadIdx.y == 0 && i < all.sums[which].count) all.sums[which].out[i] = sums[at];
}
