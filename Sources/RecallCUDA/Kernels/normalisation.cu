// "Add, norm" (MODELS.md B.1, C.2): a warp a row, the row in registers. PIECES times 32 lanes cover the width.
#include "common.cuh"

template <int PIECES>
__device__ __forceinline__ void loadRow(float (&x)[PIECES], const float* from, int width, int lane) {
#pragma unroll
    for (int i = 0; i < PIECES; ++i) {
        int column = i * WARP + lane;
        x[i] = column < width ? from[column] : 0.0f;
    }
}

template <int PIECES>
__device__ __forceinline__ void forward(
    bool isLayer, int rows, int width, float epsilon, const float* residual, const float* branch, const float* gain,
    const float* bias, float* sum, float* y, float* statistics) {
    int lane = threadIdx.x % WARP, row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= rows) return;
    long long at = (long long)row * width;
    float x[PIECES];
    loadRow(x, residual + at, width, lane);
    if (branch) {
        float b[PIECES];
        loadRow(b, branch + at, width, lane);
#pragma unroll
        for (int i = 0; i < PIECES; ++i) {
            x[i] += b[i];
            int column = i * WARP + lane;
            if (column < width) sum[at + column] = x[i];
        }
    }
    float mean = 0.0f;
    if (isLayer) {
        float total = 0.0f;
#pragma unroll
        for (int i = 0; i < PIECES; ++i) total += x[i];
        mean = warpSum(total) / width;
    }
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < PIECES; ++i) {
        float distance = i * WARP + lane < width ? x[i] - mean : 0.0f;
        squares += distance * distance;
    }
    float reciprocal = 1.0f / sqrtf(warpSum(squares) / width + epsilon);
#pragma unroll
    for (int i = 0; i < PIECES; ++i) {
        int column = i * WARP + lane;
        if (column < width)
            y[at + column] = (x[i] - mean) * reciprocal * gain[column] + (bias ? bias[column] : 0.0f);
    }
    if (lane == 0) {
        statistics[row] = mean;
        statistics[rows + row] = reciprocal;
    }
}

// partial (gridDim.x, 2, width): the block's parts of dGain and dBias. A block takes every gridDim.x-th group of rows.
template <int PIECES>
__device__ __forceinline__ void backward(
    bool isLayer, int rows, int width, const float* sum, const float* gain, const float* statistics, const float* dy,
    const float* dSum, float* dInput, float* partial) {
    extern __shared__ float shared[];  // (warps, width)
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    float gains[PIECES], dGain[PIECES], dBias[PIECES];
    loadRow(gains, gain, width, lane);
#pragma unroll
    for (int i = 0; i < PIECES; ++i) dGain[i] = dBias[i] = 0.0f;
    for (int row = blockIdx.x * warps + warp; row < rows; row += gridDim.x * warps) {
        long long at = (long long)row * width;
        float mean = statistics[row], reciprocal = statistics[rows + row];
        float x[PIECES], d[PIECES];
        loadRow(x, sum + at, width, lane);
        loadRow(d, dy + at, width, lane);
        float gradient = 0.0f, product = 0.0f;
#pragma unroll
        for (int i = 0; i < PIECES; ++i) {
            x[i] = i * WARP + lane < width ? (x[i] - mean) * reciprocal : 0.0f;
            dGain[i] += d[i] * x[i];
            dBias[i] += d[i];
            d[i] *= gains[i];
            gradient += d[i];
            product += d[i] * x[i];
        }
        gradient = isLayer ? warpSum(gradient) / width : 0.0f;
        product = warpSum(product) / width;
#pragma unroll
        for (int i = 0; i < PIECES; ++i) {
            int column = i * WARP + lane;
            if (column < width)
                dInput[at + column] =
                    (d[i] - gradient - x[i] * product) * reciprocal + (dSum ? dSum[at + column] : 0.0f);
        }
    }
    for (int which = 0; which < 2; ++which) {
        __syncthreads();
#pragma unroll
        for (int i = 0; i < PIECES; ++i) {
            int column = i * WARP + lane;
            if (column < width) shared[warp * width + column] = which ? dBias[i] : dGain[i];
        }
        __syncthreads();
        for (int column = threadIdx.x; column < width; column += blockDim.x) {
            float total = 0.0f;
            for (int w = 0; w < warps; ++w) total += shared[w * width + column];
            partial[(long long)blockIdx.x * 2 * width + which * width + column] = total;
        }
    }
}

#define NORMALISATION(PIECES)                                                                                          \
    extern "C" __global__ void addNormForward##PIECES(                                                                 \
        bool isLayer, int rows, int width, float epsilon, const float* residual, const float* branch,                  \
        const float* gain, const float* bias, float* sum, float* y, float* statistics) {                               \
        forward<PIECES>(isLayer, rows, width, epsilon, residual, branch, gain, bias, sum, y, statistics);              \
    }                                                                                                                  \
    extern "C" __global__ void addNormBackward##PIECES(                                                                \
        bool isLayer, int rows, int width, const float* sum, const float* gain, const float* statistics,               \
        const float* dy, const float* dSum, float* dInput, float* partial) {                                           \
        backward<PIECES>(isLayer, rows, width, sum, gain, statistics, dy, dSum, dInput, partial);                      \
    }

NORMALISATION(1)
NORMALISATION(2)
NORMALISATION(4)
NORMALISATION(8)
NORMALISATION(16)
NORMALISATION(32)
