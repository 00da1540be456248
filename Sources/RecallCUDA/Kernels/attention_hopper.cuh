// Tiles of causal attention for wgmma, which multiplies in tf32 beyond what mma.sync can: in shared memory, 32 columns of all
// rows and then the next 32, swizzled (hopper.cuh). Straight, a tile's rows are tokens; turned, they are the matrix's columns,
// since both factors of wgmma have to run along what is summed over.
#pragma once
#include "attention_passes.cuh"
#include "hopper.cuh"

// Tokens that pass by at a time.
#define STEP 32

#define SIXTEEN(d)                                                                                                        \
    "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]), "+f"(d[1][0]), "+f"(d[1][1]), "+f"(d[1][2]),              \
        "+f"(d[1][3]), "+f"(d[2][0]), "+f"(d[2][1]), "+f"(d[2][2]), "+f"(d[2][3]), "+f"(d[3][0]), "+f"(d[3][1]),          \
        "+f"(d[3][2]), "+f"(d[3][3])
#define PRODUCT "wgmma.mma_async.sync.aligned.m64n32k8.f32.tf32.tf32 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, "

// d (64, 32) += a (64, 8) · bᵀ of a warpgroup, as multiplyGroup.
__device__ __forceinline__ void multiplyStep(float (&d)[4][4], const uint32 (&a)[4], uint64 b) {
    asm volatile(PRODUCT "{%16,%17,%18,%19}, %20, 1, 1, 1;"
                 : SIXTEEN(d)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// The same with a in shared memory, its rows as b's.
__device__ __forceinline__ void multiplyStep(float (&d)[4][4], uint64 a, uint64 b) {
    asm volatile(PRODUCT "%16, %17, 1, 1, 1;" : SIXTEEN(d) : "l"(a), "l"(b));
}

#undef PRODUCT
#undef SIXTEEN

// Eight columns, number k, of all rows of a tile of ROWS, as a factor.
template <int ROWS>
__device__ __forceinline__ uint64 columnsAt(const float* tile, int k) {
    return factorAt(tile + k / 4 * (ROWS * 32)) + k % 4 * NEXT_EIGHT;
}

template <int ROWS>
__device__ __forceinline__ int placeInTile(int row, int column) {
    return column / 32 * (ROWS * 32) + swizzled(row, column % 32);
}

// Keeps the compiler from using registers of left factors again while products of them are under way.
template <int N>
__device__ __forceinline__ void pin(uint32 (&x)[N][4]) {
#pragma unroll
    for (int n = 0; n < N; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) asm volatile("" : "+r"(x[n][i])::"memory");
}

// What this thread wrote to shared memory is there for the products that come after the next barrier.
__device__ __forceinline__ void showProducts() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// How the block's threads share a tile of WIDTH: four numbers of a row each, DOWN rows at once; every eighth row is swizzled
// as the first.
template <int WIDTH>
struct Shares {
    static constexpr int ACROSS = WIDTH / 4, DOWN = THREADS / ACROSS, KINDS = 8 / DOWN;
    int row = threadIdx.x / ACROSS, column = threadIdx.x % ACROSS * 4;

    // Where the thread's first rows are in a tile of ROWS, one of each kind.
    template <int ROWS>
    __device__ __forceinline__ void places(int (&at)[KINDS]) const {
#pragma unroll
        for (int kind = 0; kind < KINDS; ++kind) at[kind] = placeInTile<ROWS>(row + kind * DOWN, column);
    }
};

// (ROWS, WIDTH) of device memory, rows on 16 bytes, on their way to a straight tile as they are, 0 beyond the matrix.
template <int ROWS, int WIDTH>
__device__ __forceinline__ void copyTile(float* tile, const Rows& rows) {
    constexpr int DOWN = Shares<WIDTH>::DOWN, KINDS = Shares<WIDTH>::KINDS;
    Shares<WIDTH> share;
    int at[KINDS], left = share.column < rows.width ? rows.count - share.row : 0;
    share.template places<ROWS>(at);
    uint32 target = sharedAddress(tile);
    const float* source = rows.start + share.row * rows.stride + share.column;
#pragma unroll
    for (int i = 0; i < ROWS / DOWN; ++i, source += DOWN * rows.stride) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                         target + at[i % KINDS] * 4 + i / KINDS * (8 * 32 * 4)),
                     "l"(source), "r"(i * DOWN < left ? 16 : 0)
                     : "memory");
    }
}

// Makes operands of what copyTile brought: each thread of its own numbers, once they are there.
template <int ROWS, int WIDTH>
__device__ __forceinline__ void roundTile(float* tile) {
    constexpr int DOWN = Shares<WIDTH>::DOWN, KINDS = Shares<WIDTH>::KINDS;
    int at[KINDS];
    Shares<WIDTH>().template places<ROWS>(at);
#pragma unroll 8
    for (int i = 0; i < ROWS / DOWN; ++i) {
        float* quad = tile + at[i % KINDS] + i / KINDS * (8 * 32);
        *(uint4*)quad = operands<false>(*(const float4*)quad, Unchanged());
    }
}

// Makes operands of STEP tokens that copyTile brought, and turns them: of eight tokens, those that addProduct's left factor has
// in columns 0 to 3, the even ones, then the odd ones. ROUNDS: whether the straight tile is wanted too.
template <int WIDTH, bool ROUNDS>
__device__ __forceinline__ void turnTile(float* straight, float* turned) {
    // A lane has a token, a warp every fourth four of its columns.
    int lane = threadIdx.x % WARP, column = threadIdx.x / WARP * 4, place = (lane & ~7) + lane % 8 / 2 + lane % 2 * 4;
    int from[2] = {placeInTile<STEP>(lane, column), placeInTile<STEP>(lane, column + 16)}, to[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) to[i] = swizzled(column + i, place);
#pragma unroll
    for (int n = 0; n < WIDTH / 16; ++n) {
        float* at = straight + from[n % 2] + n / 2 * (STEP * 32);
        uint4 bits = operands<false>(*(const float4*)at, Unchanged());
        if (ROUNDS) *(uint4*)at = bits;
        uint32* target = (uint32*)turned + n * (16 * 32);
        target[to[0]] = bits.x, target[to[1]] = bits.y, target[to[2]] = bits.z, target[to[3]] = bits.w;
    }
}

// A warp's 16 rows, from `row` on, of a straight tile of KEPT as left factors of eight columns each.
template <int WIDTH>
__device__ __forceinline__ void readLeft(uint32 (&x)[WIDTH / 8][4], const float* tile, int row) {
    int lane = threadIdx.x % WARP;
#pragma unroll
    for (int k = 0; k < WIDTH / 8; ++k) {
        loadMatrices(x[k], tile + placeInTile<KEPT>(row + (lane & 15), 8 * k + (lane >> 4) * 4));
#pragma unroll
        for (int i = 0; i < 4; ++i) x[k][i] = operand<false>(__uint_as_float(x[k][i]));
    }
}

// Weights as multiplyRows left them as left factors, in the order of tokens that turnTile has.
__device__ __forceinline__ void makeLeft(uint32 (&x)[4][4], const float (&w)[4][4]) {
#pragma unroll
    for (int n = 0; n < 4; ++n) {
        x[n][0] = operand<false>(w[n][0]), x[n][1] = operand<false>(w[n][2]);
        x[n][2] = operand<false>(w[n][1]), x[n][3] = operand<false>(w[n][3]);
    }
}

// Writes a warp's (16, 8·TILES) times `factor`, but for what is not of the matrix, whose rows lie on 16 bytes: (rows, columns)
// at target.
template <int TILES>
__device__ __forceinline__ void storePairs(const float (&d)[TILES][4], float factor, float* target, long long stride, int rows,
                                           int columns) {
    int left = columns - accumulatorColumn(0);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        int row = accumulatorRow(2 * half);
        float* at = target + row * stride + accumulatorColumn(0);
        if (row < rows) {
#pragma unroll
            for (int c = 0; c < TILES; ++c)
                if (8 * c < left) *(float2*)(at + 8 * c) = make_float2(d[c][2 * half] * factor, d[c][2 * half + 1] * factor);
        }
    }
}

// The block's shared memory from its first 1024 bytes on, as swizzled tiles want it.
__device__ __forceinline__ float* swizzledFloats() {
    float* start = sharedFloats();
    // By an index: of an address made from a number the compiler would not know what memory it is in.
    return start + (-sharedAddress(start) & 1023) / sizeof(float);
}
