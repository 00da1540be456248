// Tiles of causal attention, softmax or linear: a block of four warps keeps 64 tokens, 16 a warp, and passes others by.
#pragma once
#include "common.cuh"

#define THREADS 128
#define KEPT 64

// From row to row of a tile in shared memory. Eight rows of four numbers (multiplyRows) fall into different banks, and so
// do four pairs of rows of eight numbers (addProduct), where widths are multiples of 8.
template <int WIDTH>
constexpr int strideOf = WIDTH + 4;

// A float's bits as a tile holds it: rounded once for all products, or as it is where they are exact.
template <bool EXACT>
__device__ __forceinline__ uint32 operand(float x) { return EXACT ? __float_as_uint(x) : tf32(x); }

// d += a·b of a warp (multiplyTile). EXACT splits each number into two of tf32, which loses the last bits of float32 only.
template <bool EXACT>
__device__ __forceinline__ void multiply(float (&d)[4], const uint32 (&a)[4], const uint32 (&b)[2]) {
    if constexpr (!EXACT) {
        multiplyTile(d, a, b);
    } else {
        uint32 aBig[4], aSmall[4], bBig[2], bSmall[2];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            aBig[i] = tf32(__uint_as_float(a[i]));
            aSmall[i] = tf32(__uint_as_float(a[i]) - __uint_as_float(aBig[i]));
        }
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            bBig[i] = tf32(__uint_as_float(b[i]));
            bSmall[i] = tf32(__uint_as_float(b[i]) - __uint_as_float(bBig[i]));
        }
        multiplyTile(d, aSmall, bBig);
        multiplyTile(d, aBig, bSmall);
        multiplyTile(d, aBig, bBig);
    }
}

// Some rows of a matrix in device memory; `count` and `width` may be below 1.
struct Rows {
    const float* start;
    long long stride;
    int count, width;
    // Whether rows start and end on 16 bytes.
    bool aligned;

    __device__ __forceinline__ Rows from(int row, int column = 0) const {
        return {start + row * stride + column, stride, count - row, width - column, aligned};
    }
};

__device__ __forceinline__ Rows rowsOf(const float* start, long long stride, int count, int width) {
    bool aligned = ((uint64)start & 15) == 0 && ((stride | width) & 3) == 0;
    return {start, stride, count, width, aligned};
}

// Four numbers of a row, 0 beyond the matrix.
__device__ __forceinline__ float4 readQuad(const Rows& rows, int row, int column) {
    float4 quad = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (row >= rows.count || column >= rows.width) return quad;
    const float* at = rows.start + row * rows.stride + column;
    if (rows.aligned) return *(const float4*)at;
    quad.x = at[0];
    if (column + 1 < rows.width) quad.y = at[1];
    if (column + 2 < rows.width) quad.z = at[2];
    if (column + 3 < rows.width) quad.w = at[3];
    return quad;
}

struct Unchanged {
    __device__ __forceinline__ float operator()(float x) const { return x; }
};

// (ROWS, WIDTH) of device memory to a tile, through a feature map, 0 beyond the matrix.
template <int ROWS, int WIDTH, bool EXACT, class Map>
__device__ __forceinline__ void loadTile(float* tile, const Rows& rows, const Map& map) {
    constexpr int ACROSS = WIDTH / 4, TURNS = ROWS * ACROSS / THREADS, BATCH = TURNS < 8 ? TURNS : 8;
#pragma unroll 1
    for (int turn = 0; turn < TURNS; turn += BATCH) {
        float4 quads[BATCH];
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            int n = threadIdx.x + (turn + i) * THREADS;
            quads[i] = readQuad(rows, n / ACROSS, n % ACROSS * 4);
        }
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            int n = threadIdx.x + (turn + i) * THREADS, row = n / ACROSS, column = n % ACROSS * 4;
            int valid = row < rows.count ? rows.width - column : 0;
            uint4 bits;
            bits.x = valid > 0 ? operand<EXACT>(map(quads[i].x)) : 0;
            bits.y = valid > 1 ? operand<EXACT>(map(quads[i].y)) : 0;
            bits.z = valid > 2 ? operand<EXACT>(map(quads[i].z)) : 0;
            bits.w = valid > 3 ? operand<EXACT>(map(quads[i].w)) : 0;
            *(uint4*)(tile + row * strideOf<WIDTH> + column) = bits;
        }
    }
}

// Σ_c a_rc b_rc of each of ROWS rows to sums[r], of columns below `width`, eight lanes a row.
template <int ROWS, int WIDTH>
__device__ __forceinline__ void rowProducts(const Rows& a, const Rows& b, int width, float* sums) {
    int lane = threadIdx.x % 8, row = threadIdx.x / 8;
    float products[ROWS / 16] = {};
#pragma unroll 1
    for (int chunk = 0; chunk < width; chunk += WIDTH) {
#pragma unroll
        for (int r = 0; r < ROWS / 16; ++r) {
#pragma unroll
            for (int column = 0; column < (WIDTH < 32 ? 32 : WIDTH); column += 32) {
                float4 x = readQuad(a, row + 16 * r, chunk + column + 4 * lane);
                float4 y = readQuad(b, row + 16 * r, chunk + column + 4 * lane);
                if (4 * lane + column < WIDTH) products[r] += x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
            }
        }
    }
#pragma unroll
    for (int r = 0; r < ROWS / 16; ++r) {
#pragma unroll
        for (int offset = 4; offset > 0; offset >>= 1) products[r] += __shfl_xor_sync(FULL, products[r], offset);
        if (lane == 0) sums[row + 16 * r] = products[r];
    }
}

// Four 8×4 matrices of shared memory, lane l giving row l % 8 of matrix l / 8; lane 4g + t gets (g, t) of each.
__device__ __forceinline__ void loadMatrices(uint32 (&d)[4], const float* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"((uint32)__cvta_generic_to_shared(row)));
}

// s (16, 32) += a (16, WIDTH) · b (32, WIDTH)ᵀ, both tiles. s[n] is the accumulator of columns 8n to 8n + 7.
template <int WIDTH, bool EXACT>
__device__ __forceinline__ void multiplyRows(float (&s)[4][4], const float* a, const float* b) {
    constexpr int STRIDE = strideOf<WIDTH>;
    int lane = threadIdx.x % WARP;
    const float* aRow = a + (lane & 15) * STRIDE + (lane >> 4) * 4;
    const float* bRow = b + ((lane & 7) + (lane >> 4) * 8) * STRIDE + ((lane >> 3) & 1) * 4;
#pragma unroll
    for (int k = 0; k < WIDTH; k += 8) {
        uint32 x[4];
        loadMatrices(x, aRow + k);
#pragma unroll
        for (int pair = 0; pair < 2; ++pair) {
            uint32 y[4];
            loadMatrices(y, bRow + pair * 16 * STRIDE + k);
            multiply<EXACT>(s[2 * pair], x, {y[0], y[1]});
            multiply<EXACT>(s[2 * pair + 1], x, {y[2], y[3]});
        }
    }
}

// out (16, 8·TILES) += w (16, 32) · b (32, …), w as multiplyRows left it. The sum over eight rows of b may run in any order:
// in that of w's registers, no number has to change lanes.
template <int TILES, int STRIDE, bool EXACT>
__device__ __forceinline__ void addProduct(float (&out)[TILES][4], const float (&w)[4][4], const float* b) {
    int lane = threadIdx.x % WARP;
    const uint32* at = (const uint32*)b + 2 * (lane % 4) * STRIDE + lane / 4;
#pragma unroll
    for (int n = 0; n < 4; ++n) {
        uint32 x[4] = {operand<EXACT>(w[n][0]), operand<EXACT>(w[n][2]), operand<EXACT>(w[n][1]),
                       operand<EXACT>(w[n][3])};
#pragma unroll
        for (int c = 0; c < TILES; ++c) {
            const uint32* y = at + 8 * n * STRIDE + 8 * c;
            multiply<EXACT>(out[c], x, {y[0], y[STRIDE]});
        }
    }
}

// Where number i of a warp's accumulator lies: its row of 16 and its column of 8 (multiplyTile).
__device__ __forceinline__ int accumulatorRow(int i) { return threadIdx.x % WARP / 4 + (i >> 1) * 8; }
__device__ __forceinline__ int accumulatorColumn(int i) { return threadIdx.x % 4 * 2 + (i & 1); }

// Writes a warp's (16, 8·TILES) to device memory, each number through finish(number, row, column), but for what is not of
// the matrix: (rows, columns) at target.
template <int TILES, class Finish>
__device__ __forceinline__ void storeRows(const float (&d)[TILES][4], float* target, long long stride, int rows,
                                          int columns, const Finish& finish) {
    bool paired = ((uint64)target & 7) == 0 && ((stride | columns) & 1) == 0;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        int row = accumulatorRow(2 * half);
        if (row >= rows) continue;
#pragma unroll
        for (int c = 0; c < TILES; ++c) {
            int column = 8 * c + accumulatorColumn(0);
            if (column >= columns) continue;
            float* at = target + row * stride + column;
            float x = finish(d[c][2 * half], row, column);
            if (paired) {
                *(float2*)at = make_float2(x, finish(d[c][2 * half + 1], row, column + 1));
            } else {
                at[0] = x;
                if (column + 1 < columns) at[1] = finish(d[c][2 * half + 1], row, column + 1);
            }
        }
    }
}

template <int TILES>
__device__ __forceinline__ void clear(float (&d)[TILES][4]) {
#pragma unroll
    for (int c = 0; c < TILES; ++c)
#pragma unroll
        for (int i = 0; i < 4; ++i) d[c][i] = 0.0f;
}

// Over the four lanes that hold a row of an accumulator.
__device__ __forceinline__ float sumOfQuad(float x) {
    x += __shfl_xor_sync(FULL, x, 1);
    return x + __shfl_xor_sync(FULL, x, 2);
}

__device__ __forceinline__ float largestOfQuad(float x) {
    x = fmaxf(x, __shfl_xor_sync(FULL, x, 1));
    return fmaxf(x, __shfl_xor_sync(FULL, x, 2));
}
