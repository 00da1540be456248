// A linear layer's weight gradient dWeight = dyᵀ·x with its bias's gradient, the columns' sums of dy, so that dy is read
// once for both. Rows are many and columns few: each block takes a share of the rows for one tile of dWeight.
#include "common.cuh"

#define THREADS 256
// Rows of x and dy that are fetched at once, and how many such fetches are on their way or in use.
#define ROWS 32
#define STAGES 4
// Eight words beyond a multiple of 32: a warp's reads of four rows of eight columns meet no bank twice.
#define PADDING 8

// 16 bytes of device memory on their way to shared memory, zeros if they are not inside.
__device__ __forceinline__ void copyAhead(float* target, const float* source, bool isInside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"((uint32)__cvta_generic_to_shared(target)),
                 "l"(source), "r"(isInside ? 16 : 0)
                 : "memory");
}

// Columns of a matrix that a block reads, TILE of them from `first`, those of `columns` that there are.
template <int TILE>
struct Columns {
    static constexpr int stride = TILE + PADDING, ACROSS = TILE / 4, STEP = THREADS / ACROSS;
    const float *matrix, *next;
    int row, end, rowStride, target;
    bool isInside;

    __device__ __forceinline__ Columns(const float* matrix, int first, int columns, int rowStride, int row, int end)
        : matrix(matrix), row(row + threadIdx.x / ACROSS), end(end), rowStride(rowStride) {
        int column = first + threadIdx.x % ACROSS * 4;
        isInside = column < columns;
        next = matrix + (long long)this->row * rowStride + column;
        target = threadIdx.x / ACROSS * stride + threadIdx.x % ACROSS * 4;
    }

    // The next ROWS rows.
    __device__ __forceinline__ void fetch(float* tile) {
#pragma unroll
        for (int i = 0; i < ROWS / STEP; ++i) {
            bool isThere = isInside && row < end;
            copyAhead(tile + target + i * STEP * stride, isThere ? next : matrix, isThere);
            row += STEP;
            next += (long long)STEP * rowStride;
        }
    }
};

// A warp's sums: COLUMNS16 times 16 outputs by COLUMNS8 times 8 inputs, and of its columns of dy.
template <int COLUMNS16, int COLUMNS8>
struct Sums {
    float products[COLUMNS16][COLUMNS8][4] = {};
    float columns[COLUMNS16][2] = {};

    // Adds eight rows: dy and x at this lane's first number, row t and column g.
    __device__ __forceinline__ void add(const float* dy, int dyStride, const float* x, int xStride, bool addsColumns) {
        uint32 a[COLUMNS16][4], b[COLUMNS8][2];
#pragma unroll
        for (int i = 0; i < COLUMNS16; ++i) {
            const float* at = dy + 16 * i;
            float y[4] = {at[0], at[8], at[4 * dyStride], at[4 * dyStride + 8]};
#pragma unroll
            for (int j = 0; j < 4; ++j) a[i][j] = tf32(y[j]);
            if (addsColumns) {
                columns[i][0] += y[0] + y[2];
                columns[i][1] += y[1] + y[3];
            }
        }
#pragma unroll
        for (int i = 0; i < COLUMNS8; ++i) {
            b[i][0] = tf32(x[8 * i]);
            b[i][1] = tf32(x[8 * i + 4 * xStride]);
        }
#pragma unroll
        for (int i = 0; i < COLUMNS16; ++i)
#pragma unroll
            for (int j = 0; j < COLUMNS8; ++j) multiplyTile(products[i][j], a[i], b[j]);
    }
};

// What block (output tile, input tile, share of `each` rows) makes of partial (shares, outputs · inputs and, if
// hasBias, outputs more). Its eight warps are two of outputs by four of inputs.
template <int OUTPUTS, int INPUTS>
__device__ __forceinline__ void weightGradient(
    int rows, int inputs, int outputs, int inputStride, int each, bool hasBias, const float* x, const float* dy,
    float* partial) {
    extern __shared__ float4 quads[];
    float* shared = (float*)quads;
    typedef Columns<OUTPUTS> Left;
    typedef Columns<INPUTS> Right;
    constexpr int leftFloats = ROWS * Left::stride, stageFloats = leftFloats + ROWS * Right::stride;
    int first = blockIdx.z * each, end = min(rows, first + each), steps = (end - first + ROWS - 1) / ROWS;
    Left left(dy, blockIdx.x * OUTPUTS, outputs, outputs, first, end);
    Right right(x, blockIdx.y * INPUTS, inputs, inputStride, first, end);
    auto fetch = [&](int step) {
        if (step < steps) {
            float* stage = shared + step % STAGES * stageFloats;
            left.fetch(stage);
            right.fetch(stage + leftFloats);
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    };
    for (int step = 0; step < STAGES - 1; ++step) fetch(step);

    int warp = threadIdx.x / WARP, g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    int output = warp / 4 * (OUTPUTS / 2) + g, input = warp % 4 * (INPUTS / 4);
    Sums<OUTPUTS / 32, INPUTS / 32> sums;
    for (int step = 0; step < steps; ++step) {
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
        __syncthreads();
        fetch(step + STAGES - 1);
        const float* stage = shared + step % STAGES * stageFloats;
        const float *y = stage + t * Left::stride + output, *z = stage + leftFloats + t * Right::stride + input + g;
        // Four warps read the same columns of dy; each adds a quarter of their rows.
#pragma unroll
        for (int i = 0; i < ROWS / 8; ++i)
            sums.add(y + 8 * i * Left::stride, Left::stride, z + 8 * i * Right::stride, Right::stride, warp % 4 == i);
    }

    partial += blockIdx.z * ((long long)outputs * inputs + (hasBias ? outputs : 0));
#pragma unroll
    for (int i = 0; i < OUTPUTS / 32; ++i)
#pragma unroll
        for (int j = 0; j < INPUTS / 32; ++j)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                int row = blockIdx.x * OUTPUTS + output + 16 * i + 8 * half;
                int column = blockIdx.y * INPUTS + input + 8 * j + 2 * t;
                if (row < outputs && column < inputs)
                    *(float2*)(partial + (long long)row * inputs + column) =
                        make_float2(sums.products[i][j][2 * half], sums.products[i][j][2 * half + 1]);
            }
    if (!hasBias || blockIdx.y > 0) return;
    // The last stage may still be read by other warps.
    __syncthreads();
#pragma unroll
    for (int i = 0; i < OUTPUTS / 32; ++i)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            float sum = sums.columns[i][half];
            sum += __shfl_xor_sync(FULL, sum, 1);
            sum += __shfl_xor_sync(FULL, sum, 2);
            if (t == 0) shared[warp % 4 * OUTPUTS + output + 16 * i + 8 * half] = sum;
        }
    __syncthreads();
    int column = blockIdx.x * OUTPUTS + threadIdx.x;
    if (threadIdx.x >= OUTPUTS || column >= outputs) return;
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 4; ++i) sum += shared[i * OUTPUTS + threadIdx.x];
    partial[(long long)outputs * inputs + column] = sum;
}

#define WEIGHT_GRADIENT(OUTPUTS, INPUTS)                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS) weightGradient##OUTPUTS##x##INPUTS(                \
        int rows, int inputs, int outputs, int inputStride, int each, bool hasBias, const float* x,          \
        const float* dy, float* partial) {                                                                   \
        awaitEarlierKernels();                                                                               \
        weightGradient<OUTPUTS, INPUTS>(rows, inputs, outputs, inputStride, each, hasBias, x, dy, partial);  \
    }

WEIGHT_GRADIENT(64, 64)
WEIGHT_GRADIENT(64, 128)
WEIGHT_GRADIENT(128, 64)
WEIGHT_GRADIENT(128, 128)
