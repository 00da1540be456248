// The pass over all logits of the vocabulary's head that stores none: a block keeps 128 rows of one matrix, 32 a warp, and lets
// rows of the other pass by. Of its 32 rows and 32 that pass a warp makes logits, turns them into weights in its registers,
// and adds the rows that pass, weighted, to its sums. A block takes a share of what passes.
//
// Matrices come padded to rows of D numbers and whole blocks of rows, zeros beyond, rounded to tf32 (headOperands).
#pragma once
#include "head_sums.cuh"

#define WARP_ROWS 32
// Columns of logits that a warp makes at once.
#define PART 32

// Rows that pass at once: there are always two tiles of them, one on its way.
template <int D>
constexpr int passingOf = D <= 64 ? 64 : 32;

// Whether a warp keeps its rows in registers; from shared memory they are read again for each part.
template <int D>
constexpr bool isHeld = D <= 64;

// 16 bytes of device memory on their way to shared memory.
__device__ __forceinline__ void copyAhead(float* target, const float* source) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((uint32)__cvta_generic_to_shared(target)), "l"(source)
                 : "memory");
}

template <int D, int ROWS>
__device__ __forceinline__ void copyRowsAhead(float* tile, const float* rows) {
    constexpr int ACROSS = D / 4, STEP = THREADS / ACROSS;
    float* target = tile + threadIdx.x / ACROSS * strideOf<D> + threadIdx.x % ACROSS * 4;
    const float* source = rows + threadIdx.x * 4;
#pragma unroll
    for (int i = 0; i < ROWS / STEP; ++i) copyAhead(target + i * STEP * strideOf<D>, source + i * THREADS * 4);
}

// The rows that a warp keeps, as left factors.
template <int D>
struct KeptRows {
    uint32 held[isHeld<D> ? D / 8 : 1][2][4];
    const float* row;

    __device__ __forceinline__ void read(uint32 (&x)[2][4], int column) const {
        loadMatrices(x[0], row + column);
        loadMatrices(x[1], row + 16 * strideOf<D> + column);
    }

    __device__ __forceinline__ KeptRows(const float* tile) {
        int lane = threadIdx.x % WARP;
        row = tile + (threadIdx.x / WARP * WARP_ROWS + (lane & 15)) * strideOf<D> + (lane >> 4) * 4;
        if constexpr (isHeld<D>) {
#pragma unroll
            for (int step = 0; step < D / 8; ++step) read(held[step], 8 * step);
        }
    }

    // s (32, PART) = these rows · rowsᵀ of a tile; s[m][n] is the accumulator of rows from 16m and columns from 8n.
    __device__ __forceinline__ void logits(float (&s)[2][4][4], const float* passing) const {
        int lane = threadIdx.x % WARP;
        const float* at = passing + ((lane & 7) + (lane >> 4) * 8) * strideOf<D> + ((lane >> 3) & 1) * 4;
        clear(s[0]);
        clear(s[1]);
#pragma unroll
        for (int step = 0; step < D / 8; ++step) {
            uint32 again[2][4];
            if constexpr (!isHeld<D>) read(again, 8 * step);
            const uint32(&x)[2][4] = *(isHeld<D> ? &held[isHeld<D> ? step : 0] : &again);
#pragma unroll
            for (int pair = 0; pair < 2; ++pair) {
                uint32 y[4];
                loadMatrices(y, at + pair * 16 * strideOf<D> + 8 * step);
#pragma unroll
                for (int m = 0; m < 2; ++m) {
                    multiplyTile(s[m][2 * pair], x[m], {y[0], y[1]});
                    multiplyTile(s[m][2 * pair + 1], x[m], {y[2], y[3]});
                }
            }
        }
    }
};

// What a warp adds up, transposed: (D, 32), so that weights are right factors as KeptRows left them. Accumulator c of rows 8n
// to 8n + 7 has columns 16c to 16c + 15, its row g being column 2g, its row g + 8 column 2g + 1: a lane reads two numbers of
// a row at once, and lanes of a half warp fall into different banks.
template <int D>
struct WeightedSums {
    float d[D / 16][4][4];

    __device__ __forceinline__ WeightedSums() {
#pragma unroll
        for (int c = 0; c < D / 16; ++c) clear(d[c]);
    }

    // += w (32, PART) · rows of a tile.
    __device__ __forceinline__ void add(const float (&w)[2][4][4], const float* passing) {
        int lane = threadIdx.x % WARP;
        const float* at = passing + 2 * (lane % 4) * strideOf<D> + lane / 4 * 2;
#pragma unroll
        for (int step = 0; step < PART / 8; ++step, at += 8 * strideOf<D>) {
            uint32 y[4][2];
#pragma unroll
            for (int n = 0; n < 4; ++n)
#pragma unroll
                for (int i = 0; i < 2; ++i) y[n][i] = operand<false>(w[n / 2][step][n % 2 * 2 + i]);
#pragma unroll
            for (int c = 0; c < D / 16; ++c) {
                uint2 even = *(const uint2*)(at + 16 * c), odd = *(const uint2*)(at + strideOf<D> + 16 * c);
#pragma unroll
                for (int n = 0; n < 4; ++n) multiplyTile(d[c][n], {even.x, even.y, odd.x, odd.y}, y[n]);
            }
        }
    }

    // By the factors of each lane's rows of logits.
    __device__ __forceinline__ void scale(const float (&factors)[4]) {
#pragma unroll
        for (int n = 0; n < 4; ++n)
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                float factor = __shfl_sync(FULL, factors[n], accumulatorColumn(i) * 4);
#pragma unroll
                for (int c = 0; c < D / 16; ++c) d[c][n][i] *= factor, d[c][n][i + 2] *= factor;
            }
    }

    // To rows of D numbers, the warp's first at `out`.
    __device__ __forceinline__ void store(float* out) const {
#pragma unroll
        for (int n = 0; n < 4; ++n)
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                float* row = out + (8 * n + accumulatorColumn(i)) * D + accumulatorRow(0) * 2;
#pragma unroll
                for (int c = 0; c < D / 16; ++c) *(float2*)(row + 16 * c) = make_float2(d[c][n][i], d[c][n][i + 2]);
            }
    }
};

// Which rows a block keeps, and which tiles pass it by: blocks are (kept, shares).
template <int D>
struct Share {
    int kept, firstTile, tiles;

    __device__ __forceinline__ Share(int passing, int tilesEach) {
        int all = (passing + passingOf<D> - 1) / passingOf<D>;
        kept = blockIdx.x * BLOCK_ROWS;
        firstTile = blockIdx.y * tilesEach;
        tiles = min(tilesEach, all - firstTile);
    }
};

template <int D>
constexpr int headFloats = (BLOCK_ROWS + 2 * passingOf<D>)*strideOf<D>;

// The pass: policy.weigh(s, sums, part, side) makes weights of the logits of rows from `part` on, a tile of which lies on a
// side; policy.copyAhead(tile, side) brings what else it wants of one.
template <int D, bool GRADIENT, class Policy>
__device__ __forceinline__ void headPass(const Share<D>& share, Policy& policy, WeightedSums<D>& sums, const float* kept,
                                         const float* passing) {
    constexpr int ROWS = passingOf<D>;
    float* keptTile = sharedFloats();
    float* tiles = keptTile + BLOCK_ROWS * strideOf<D>;
    copyRowsAhead<D, BLOCK_ROWS>(keptTile, kept + (long long)share.kept * D);
    const float* source = passing + (long long)share.firstTile * ROWS * D;
    copyRowsAhead<D, ROWS>(tiles, source);
    policy.copyAhead(share.firstTile, 0);
    awaitCopies();
    __syncthreads();
    KeptRows<D> rows(keptTile);
#pragma unroll 1
    for (int n = 0; n < share.tiles; ++n) {
        int side = n & 1;
        source += ROWS * D;
        if (n + 1 < share.tiles) {
            copyRowsAhead<D, ROWS>(tiles + (side ^ 1) * ROWS * strideOf<D>, source);
            policy.copyAhead(share.firstTile + n + 1, side ^ 1);
        }
#pragma unroll 1
        for (int part = 0; part < ROWS; part += PART) {
            const float* tile = tiles + (side * ROWS + part) * strideOf<D>;
            float s[2][4][4];
            rows.logits(s, tile);
            policy.template weigh<GRADIENT>(s, sums, (share.firstTile + n) * ROWS + part, side);
            if constexpr (GRADIENT) sums.add(s, tile);
        }
        awaitCopies();
        __syncthreads();
    }
}
