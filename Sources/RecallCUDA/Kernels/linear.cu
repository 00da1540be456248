// What a linear layer does beside its products.
#include "common.cuh"

// y (rows, columns) += bias (columns).
extern "C" __global__ void addBias(long long rows, int columns, const float* bias, float* y) {
    awaitEarlierKernels();
    if (isInQuads(columns, bias, y)) {
        int across = columns / 4;
        FOR_EACH(i, rows * across) {
            float4 x = ((const float4*)bias)[i % across], sum = ((float4*)y)[i];
            ((float4*)y)[i] = make_float4(sum.x + x.x, sum.y + x.y, sum.z + x.z, sum.w + x.w);
        }
    } else {
        FOR_EACH(i, rows * columns) y[i] += bias[i % columns];
    }
}

// partial (gridDim.y, columns): column sums of this block's rows of x (rows, columns). Threads (32, 8): 32 columns, and
// eight rows at a time, which are added in order at the end.
extern "C" __global__ void columnSums(int rows, int columns, const float* x, float* partial) {
    awaitEarlierKernels();
    __shared__ float sums[8][33];
    int column = blockIdx.x * 32 + threadIdx.x;
    int each = (rows + gridDim.y - 1) / gridDim.y, first = blockIdx.y * each, end = min(rows, first + each);
    float sum = 0.0f;
    if (column < columns)
        for (int row = first + threadIdx.y; row < end; row += 8) sum += x[(long long)row * columns + column];
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && column < columns) {
        sum = 0.0f;
#pragma unroll
        for (int i = 0; i < 8; ++i) sum += sums[i][threadIdx.x];
        partial[(long long)blockIdx.y * columns + column] = sum;
    }
}
