// Tiles of causal attention, softmax or linear: a block of four warps keeps 64 tokens, 16 a warp, and passes others by.
#pragma once
#include "common.cuh"

#define THREADS 128
#define KEPT 64

// A block's dynamic shared memory, on 16 bytes.
__device__ __forceinline__ float* sharedFloats() {
    extern __shared__ float4 sharedMemory[];
    return (float*)sharedMemory;
}

// From row to row of a tile in shared memory. Eight rows of four numbers (multiplyRows) fall into different banks, and so
// do four pairs of rows (addEight), where widths are multiples of 8.
template <int WIDTH>
constexpr int strideOf = WIDTH + 4;

// A float's bits as a tile holds it: rounded to tf32 once for all products, or as it is where they are exact. Tensor cores
// drop the bits after tf32's, so that half of its last place is all there is to add, but to what is not finite.
template <bool EXACT>
__device__ __forceinline__ uint32 operand(float x) {
    uint32 bits = __float_as_uint(x);
    return EXACT || !(fabsf(x) < INFINITY) ? bits : bits + 0x1000u;
}

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

template <bool EXACT, class Map>
__device__ __forceinline__ uint4 operands(const float4& x, const Map& map) {
    return make_uint4(operand<EXACT>(map(x.x)), operand<EXACT>(map(x.y)), operand<EXACT>(map(x.z)),
                      operand<EXACT>(map(x.w)));
}

// (ROWS, WIDTH) of device memory to a tile, through a feature map, 0 beyond the matrix. A thread stays in its columns.
template <int ROWS, int WIDTH, bool EXACT, class Map>
__device__ __forceinline__ void loadTile(float* tile, const Rows& rows, const Map& map) {
    constexpr int ACROSS = WIDTH / 4, STEP = THREADS / ACROSS, TURNS = ROWS / STEP, BATCH = TURNS < 8 ? TURNS : 8;
    int row = threadIdx.x / ACROSS, column = threadIdx.x % ACROSS * 4;
    uint4* target = (uint4*)(tile + row * strideOf<WIDTH> + column);
    const float* source = rows.start + row * rows.stride + column;
    if (rows.aligned && rows.count >= ROWS) {
        bool inside = column < rows.width;
#pragma unroll 1
        for (int turn = 0; turn < TURNS; turn += BATCH, target += BATCH * STEP * strideOf<WIDTH> / 4) {
            float4 quads[BATCH];
#pragma unroll
            for (int i = 0; i < BATCH; ++i, source += STEP * rows.stride)
                if (inside) quads[i] = *(const float4*)source;
#pragma unroll
            for (int i = 0; i < BATCH; ++i)
                target[i * STEP * strideOf<WIDTH> / 4] =
                    inside ? operands<EXACT>(quads[i], map) : make_uint4(0, 0, 0, 0);
        }
    } else {
#pragma unroll 1
        for (int turn = 0; turn < TURNS; ++turn, row += STEP, target += STEP * strideOf<WIDTH> / 4) {
            uint4 bits = operands<EXACT>(readQuad(rows, row, column), map);
            int valid = row < rows.count ? rows.width - column : 0;
            *target = make_uint4(valid > 0 ? bits.x : 0, valid > 1 ? bits.y : 0, valid > 2 ? bits.z : 0,
                                 valid > 3 ? bits.w : 0);
        }
    }
}

// Asks for (ROWS, …) of device memory to be brought near, without waiting for it.
template <int ROWS>
__device__ __forceinline__ void prefetch(const Rows& rows) {
    int across = (rows.width + 31) / 32;
    for (int n = threadIdx.x; n < ROWS * across; n += THREADS) {
        int row = n / across, column = n % across * 32;
        if (row < rows.count) prefetchLine(rows.start + row * rows.stride + column);
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

// Two tiles of as many rows; where registers allow, all of both is on its way before any arrives.
template <int ROWS, int F, int E, bool EXACT, class Map>
__device__ __forceinline__ void loadTiles(float* a, float* b, const Rows& aRows, const Rows& bRows, const Map& map) {
    constexpr int A_ACROSS = F / 4, A_STEP = THREADS / A_ACROSS, A_TURNS = ROWS / A_STEP;
    constexpr int B_ACROSS = E / 4, B_STEP = THREADS / B_ACROSS, B_TURNS = ROWS / B_STEP;
    int aRow = threadIdx.x / A_ACROSS, aColumn = threadIdx.x % A_ACROSS * 4;
    int bRow = threadIdx.x / B_ACROSS, bColumn = threadIdx.x % B_ACROSS * 4;
    bool whole = aRows.aligned && bRows.aligned && aRows.count >= ROWS && bRows.count >= ROWS && aRows.width == F &&
                 bRows.width == E;
    if (A_TURNS + B_TURNS > 10 || !whole) {
        loadTile<ROWS, F, EXACT>(a, aRows, map);
        loadTile<ROWS, E, EXACT>(b, bRows, Unchanged());
        return;
    }
    float4 x[A_TURNS], y[B_TURNS];
    const float* aSource = aRows.start + aRow * aRows.stride + aColumn;
    const float* bSource = bRows.start + bRow * bRows.stride + bColumn;
#pragma unroll
    for (int i = 0; i < A_TURNS; ++i, aSource += A_STEP * aRows.stride) x[i] = *(const float4*)aSource;
#pragma unroll
    for (int i = 0; i < B_TURNS; ++i, bSource += B_STEP * bRows.stride) y[i] = *(const float4*)bSource;
#pragma unroll
    for (int i = 0; i < A_TURNS; ++i)
        *(uint4*)(a + (aRow + i * A_STEP) * strideOf<F> + aColumn) = operands<EXACT>(x[i], map);
#pragma unroll
    for (int i = 0; i < B_TURNS; ++i)
        *(uint4*)(b + (bRow + i * B_STEP) * strideOf<E> + bColumn) = operands<EXACT>(y[i], Unchanged());
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

template <int TILES>
__device__ __forceinline__ void clear(float (&d)[TILES][4]) {
#pragma unroll
    for (int c = 0; c < TILES; ++c)
#pragma unroll
        for (int i = 0; i < 4; ++i) d[c][i] = 0.0f;
}

// out (16, 8·TILES) += x (16, 8) · eight rows of b, of which x's columns 0 to 3 belong to the even ones, 4 to 7 to the odd
// ones.
template <int TILES, int STRIDE, bool EXACT>
__device__ __forceinline__ void addEight(float (&out)[TILES][4], const uint32 (&x)[4], const float* b) {
    int lane = threadIdx.x % WARP;
    const uint32* at = (const uint32*)b + 2 * (lane % 4) * STRIDE + lane / 4;
#pragma unroll
    for (int c = 0; c < TILES; ++c) multiply<EXACT>(out[c], x, {at[8 * c], at[STRIDE + 8 * c]});
}

// out (16, 8·TILES) += w (16, 32) · b (32, …), w as multiplyRows left it: in addEight's order of rows, no number of w has to
// change lanes. Tensor cores cut off what does not fit when they add: EXACT sums begin at 0 here and are then added rounded, or
// those of a thousand tokens would all be too small.
template <int TILES, int STRIDE, bool EXACT>
__device__ __forceinline__ void addProduct(float (&out)[TILES][4], const float (&w)[4][4], const float* b) {
    float sums[EXACT ? TILES : 1][4];
    if constexpr (EXACT) clear(sums);
#pragma unroll
    for (int n = 0; n < 4; ++n) {
        uint32 x[4] = {operand<EXACT>(w[n][0]), operand<EXACT>(w[n][2]), operand<EXACT>(w[n][1]),
                       operand<EXACT>(w[n][3])};
        if constexpr (EXACT) {
            addEight<TILES, STRIDE, EXACT>(sums, x, b + 8 * n * STRIDE);
        } else {
            addEight<TILES, STRIDE, EXACT>(out, x, b + 8 * n * STRIDE);
        }
    }
    if constexpr (EXACT) {
#pragma unroll
        for (int c = 0; c < TILES; ++c)
#pragma unroll
            for (int i = 0; i < 4; ++i) out[c][i] += sums[c][i];
    }
}

// Where row `x` of each eight lies among the columns of addEight's left factor.
__device__ __forceinline__ int addEightColumn(int x) { return x / 2 + x % 2 * 4; }

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

// Over the four lanes that hold a row of an accumulator.
__device__ __forceinline__ float sumOfQuad(float x) {
    x += __shfl_xor_sync(FULL, x, 1);
    return x + __shfl_xor_sync(FULL, x, 2);
}

__device__ __forceinline__ float largestOfQuad(float x) {
    x = fmaxf(x, __shfl_xor_sync(FULL, x, 1));
    return fmaxf(x, __shfl_xor_sync(FULL, x, 2));
}
