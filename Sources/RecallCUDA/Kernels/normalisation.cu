// "Add, norm" (docs/math/backbone.md, section 3): a row in the registers of some lanes of a warp, which has one
// row or several beside each other, and ROWS times as many on their way at once. Kernels are named by how many
// numbers of a row they hold. A row that is wider than any of them holds is a whole block's, and stays in
// memory.
#include "common.cuh"

// How a row lies: RUN numbers behind each other a lane, then the next lane's, PIECES times.
template <int HELD, int RUN>
struct Layout {
    static constexpr int LANES = HELD / RUN < WARP ? HELD / RUN : WARP;
    static constexpr int PIECES = HELD / RUN / LANES;
    // Numbers a lane.
    static constexpr int COUNT = RUN * PIECES;
    // Of a warp: beside each other, and in all. NormalisationCUDA.swift knows these, and the warps of a block.
    static constexpr int BESIDE = WARP / LANES;
    static constexpr int ROWS = HELD <= 128 ? 2 : 1;
    static constexpr int BACKWARD_WARPS = HELD <= 128 ? 16 : 8;
    // Blocks of backward that a processor has at once.
    static constexpr int BLOCKS = HELD <= 128 ? 2 : 1;

    static __device__ __forceinline__ int lane() { return threadIdx.x % LANES; }
    // Of its row of the warp's first BESIDE.
    static __device__ __forceinline__ int place() { return threadIdx.x % WARP / LANES; }
    static __device__ __forceinline__ int column(int i) { return (i / RUN * LANES + lane()) * RUN + i % RUN; }

    // Zero beyond the width.
    static __device__ __forceinline__ void load(float (&x)[COUNT], const float* from, int width) {
#pragma unroll
        for (int i = 0; i < COUNT; i += RUN) {
            bool isThere = column(i) < width;
            if constexpr (RUN == 4) {
                float4 quad = isThere ? *(const float4*)(from + column(i)) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                x[i] = quad.x, x[i + 1] = quad.y, x[i + 2] = quad.z, x[i + 3] = quad.w;
            } else {
                x[i] = isThere ? from[column(i)] : 0.0f;
            }
        }
    }

    static __device__ __forceinline__ void store(const float (&x)[COUNT], float* to, int width) {
#pragma unroll
        for (int i = 0; i < COUNT; i += RUN) {
            if (column(i) >= width) continue;
            if constexpr (RUN == 4) {
                *(float4*)(to + column(i)) = make_float4(x[i], x[i + 1], x[i + 2], x[i + 3]);
            } else {
                to[column(i)] = x[i];
            }
        }
    }

    // Each of N sums over the lanes of its row.
    template <int N>
    static __device__ __forceinline__ void addLanes(float (&sums)[N]) {
#pragma unroll
        for (int offset = LANES / 2; offset > 0; offset >>= 1)
#pragma unroll
            for (int n = 0; n < N; ++n) sums[n] += __shfl_xor_sync(FULL, sums[n], offset);
    }
};

template <class Row>
__device__ __forceinline__ void forward(
    bool isLayer, int rows, int width, float epsilon, const float* __restrict__ residual,
    const float* __restrict__ branch, const float* __restrict__ gain, const float* __restrict__ bias, float* sum,
    float* y, float* statistics) {
    constexpr int ROWS = Row::ROWS, COUNT = Row::COUNT;
    int first = (blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP) * Row::BESIDE * ROWS + Row::place();
    float x[ROWS][COUNT], b[ROWS][COUNT], gains[COUNT], biases[COUNT];
    long long at[ROWS];
    // Of the row: nothing, where it is none.
    int widths[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        int row = first + r * Row::BESIDE;
        at[r] = (long long)row * width;
        widths[r] = row < rows ? width : 0;
        Row::load(x[r], residual + at[r], widths[r]);
        Row::load(b[r], branch + at[r], branch ? widths[r] : 0);
    }
    Row::load(gains, gain, width);
    Row::load(biases, bias, bias ? width : 0);
    float means[ROWS], squares[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        means[r] = squares[r] = 0.0f;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) means[r] += x[r][i] += b[r][i];
        if (branch) Row::store(x[r], sum + at[r], widths[r]);
    }
    if (isLayer) Row::addLanes(means);
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        means[r] = isLayer ? means[r] / width : 0.0f;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            float distance = Row::column(i) < width ? x[r][i] - means[r] : 0.0f;
            squares[r] += distance * distance;
        }
    }
    Row::addLanes(squares);
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        float reciprocal = 1.0f / sqrtf(squares[r] / width + epsilon);
#pragma unroll
        for (int i = 0; i < COUNT; ++i) x[r][i] = (x[r][i] - means[r]) * reciprocal * gains[i] + biases[i];
        Row::store(x[r], y + at[r], widths[r]);
        int row = first + r * Row::BESIDE;
        if (Row::lane() == 0 && row < rows) {
            statistics[row] = means[r];
            statistics[rows + row] = reciprocal;
        }
    }
}

// partial (gridDim.x, 2, width): the block's parts of dGain and dBias, from each lane's.
template <class Row>
__device__ __forceinline__ void addParameterGradients(
    int width, const float (&dGain)[Row::COUNT], const float (&dBias)[Row::COUNT], float* partial) {
    extern __shared__ float shared[];  // (2, slices, width)
    int slices = blockDim.x / Row::LANES;
    float* slice = shared + threadIdx.x / Row::LANES * width;
#pragma unroll
    for (int i = 0; i < Row::COUNT; ++i) {
        if (Row::column(i) >= width) continue;
        slice[Row::column(i)] = dGain[i];
        slice[slices * width + Row::column(i)] = dBias[i];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < 2 * width; i += blockDim.x) {
        const float* from = i < width ? shared + i : shared + slices * width + i - width;
        float total = 0.0f;
#pragma unroll 8
        for (int s = 0; s < slices; ++s) total += from[s * width];
        partial[(long long)blockIdx.x * 2 * width + i] = total;
    }
}

// A warp takes its rows, then as many again behind those of all warps.
template <class Row>
__device__ __forceinline__ void backward(
    bool isLayer, int rows, int width, const float* __restrict__ sum, const float* __restrict__ gain,
    const float* __restrict__ statistics, const float* __restrict__ dy, const float* __restrict__ dSum,
    float* dInput, float* partial) {
    constexpr int ROWS = Row::ROWS, COUNT = Row::COUNT;
    int warps = blockDim.x / WARP, atOnce = Row::BESIDE * ROWS;
    float gains[COUNT], dGain[COUNT], dBias[COUNT];
    Row::load(gains, gain, width);
#pragma unroll
    for (int i = 0; i < COUNT; ++i) dGain[i] = dBias[i] = 0.0f;
    for (int first = (blockIdx.x * warps + threadIdx.x / WARP) * atOnce; first < rows;
         first += gridDim.x * warps * atOnce) {
        float x[ROWS][COUNT], d[ROWS][COUNT], rest[ROWS][COUNT], means[ROWS], reciprocals[ROWS];
        // Of the gradient and of its product with the normalised row.
        float sums[2 * ROWS];
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            int row = first + r * Row::BESIDE + Row::place(), there = row < rows ? width : 0;
            long long at = (long long)row * width;
            Row::load(x[r], sum + at, there);
            Row::load(d[r], dy + at, there);
            Row::load(rest[r], dSum + at, dSum ? there : 0);
            means[r] = row < rows ? statistics[row] : 0.0f;
            reciprocals[r] = row < rows ? statistics[rows + row] : 0.0f;
        }
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            sums[2 * r] = sums[2 * r + 1] = 0.0f;
#pragma unroll
            for (int i = 0; i < COUNT; ++i) {
                x[r][i] = (x[r][i] - means[r]) * reciprocals[r];
                dGain[i] += d[r][i] * x[r][i];
                dBias[i] += d[r][i];
                d[r][i] *= gains[i];
                sums[2 * r] += d[r][i];
                sums[2 * r + 1] += d[r][i] * x[r][i];
            }
        }
        Row::addLanes(sums);
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            int row = first + r * Row::BESIDE + Row::place();
            float gradient = isLayer ? sums[2 * r] / width : 0.0f, product = sums[2 * r + 1] / width;
#pragma unroll
            for (int i = 0; i < COUNT; ++i)
                d[r][i] = (d[r][i] - gradient - x[r][i] * product) * reciprocals[r] + rest[r][i];
            Row::store(d[r], dInput + (long long)row * width, row < rows ? width : 0);
        }
    }
    addParameterGradients<Row>(width, dGain, dBias, partial);
}

#define NORMALISATION(NAME, HELD, RUN)                                                                                 \
    extern "C" __global__ void __launch_bounds__(256) addNormForward##NAME(                                            \
        bool isLayer, int rows, int width, float epsilon, const float* residual, const float* branch,                  \
        const float* gain, const float* bias, float* sum, float* y, float* statistics) {                               \
        awaitEarlierKernels();                                                                                         \
        forward<Layout<HELD, RUN>>(                                                                                    \
            isLayer, rows, width, epsilon, residual, branch, gain, bias, sum, y, statistics);                          \
    }                                                                                                                  \
    extern "C" __global__ void                                                                                         \
    __launch_bounds__(Layout<HELD, RUN>::BACKWARD_WARPS* WARP, Layout<HELD, RUN>::BLOCKS) addNormBackward##NAME(       \
        bool isLayer, int rows, int width, const float* sum, const float* gain, const float* statistics,               \
        const float* dy, const float* dSum, float* dInput, float* partial) {                                           \
        awaitEarlierKernels();                                                                                         \
        backward<Layout<HELD, RUN>>(isLayer, rows, width, sum, gain, statistics, dy, dSum, dInput, partial);           \
    }

// Rows that can be read four numbers at a time, and others.
NORMALISATION(Quads32, 32, 4)
NORMALISATION(Quads64, 64, 4)
NORMALISATION(Quads128, 128, 4)
NORMALISATION(Quads256, 256, 4)
NORMALISATION(Quads512, 512, 4)
NORMALISATION(Quads1024, 1024, 4)
NORMALISATION(32, 32, 1)
NORMALISATION(64, 64, 1)
NORMALISATION(128, 128, 1)
NORMALISATION(256, 256, 1)
NORMALISATION(512, 512, 1)
NORMALISATION(1024, 1024, 1)

// A block's row, column by column: a thread reads and writes its own columns alone, so an output may be an input.
extern "C" __global__ void __launch_bounds__(256) addNormForwardWide(
    bool isLayer, int rows, int width, float epsilon, const float* residual, const float* branch, const float* gain,
    const float* bias, float* sum, float* y, float* statistics) {
    awaitEarlierKernels();
    __shared__ float shared[33];
    int row = blockIdx.x;
    long long at = (long long)row * width;
    float total = 0.0f;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        float x = residual[at + i];
        if (branch) sum[at + i] = x += branch[at + i];
        total += x;
    }
    const float* source = branch ? sum : residual;
    float mean = isLayer ? blockSum(total, shared) / width : 0.0f, squares = 0.0f;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        float distance = source[at + i] - mean;
        squares += distance * distance;
    }
    float reciprocal = 1.0f / sqrtf(blockSum(squares, shared) / width + epsilon);
    for (int i = threadIdx.x; i < width; i += blockDim.x)
        y[at + i] = (source[at + i] - mean) * reciprocal * gain[i] + (bias ? bias[i] : 0.0f);
    if (threadIdx.x == 0) {
        statistics[row] = mean;
        statistics[rows + row] = reciprocal;
    }
}

// A block takes a row, then the one behind those of all blocks, and adds its parts of dGain and dBias where they are left.
extern "C" __global__ void __launch_bounds__(256) addNormBackwardWide(
    bool isLayer, int rows, int width, const float* sum, const float* gain, const float* statistics, const float* dy,
    const float* dSum, float* dInput, float* partial) {
    awaitEarlierKernels();
    __shared__ float shared[33];
    float* dGain = partial + (long long)blockIdx.x * 2 * width;
    float* dBias = dGain + width;
    for (int i = threadIdx.x; i < width; i += blockDim.x) dGain[i] = dBias[i] = 0.0f;
    for (int row = blockIdx.x; row < rows; row += gridDim.x) {
        long long at = (long long)row * width;
        float mean = statistics[row], reciprocal = statistics[rows + row], gradient = 0.0f, product = 0.0f;
        for (int i = threadIdx.x; i < width; i += blockDim.x) {
            float x = (sum[at + i] - mean) * reciprocal, d = dy[at + i];
            dGain[i] += d * x;
            dBias[i] += d;
            gradient += d * gain[i];
            product += d * gain[i] * x;
        }
        gradient = isLayer ? blockSum(gradient, shared) / width : 0.0f;
        product = blockSum(product, shared) / width;
        for (int i = threadIdx.x; i < width; i += blockDim.x) {
            float x = (sum[at + i] - mean) * reciprocal;
            dInput[at + i] = (dy[at + i] * gain[i] - gradient - x * product) * reciprocal + (dSum ? dSum[at + i] : 0.0f);
        }
    }
}
