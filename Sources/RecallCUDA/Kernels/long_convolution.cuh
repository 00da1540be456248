// Causal depthwise convolutions with a filter as long as the sequence, c = f * u, as products with Toeplitz
// matrices on tensor cores: y = (c + u) ⊙ gate + u and its gradients (docs/math/convolutions.md, section 6).
//
// A block takes 8 channels of 8 sequences and a tile of TILE tokens; a warp takes one of the channels. Its
// product is Y (TILE, 8 sequences) += T (TILE, TILE) U (TILE, 8). T's fragments are made from the filter, and
// one serves every tile of 16 × 8 at the same distance from the diagonal. In memory channels are innermost;
// shared memory holds a tile channel by channel.
#pragma once
#include "common.cuh"

#define CHANNELS 8
#define ROWS 8
#define THREADS (CHANNELS * WARP)

// A tile in shared memory: (channel, sequence, token), padded so that neither the loads of fragments nor the transposing
// stores meet in a bank.
template <int TILE>
struct Layout {
    static constexpr int PITCH = TILE + 8;
    static constexpr int PLANE = ROWS * PITCH + 4;
    static constexpr int SIZE = CHANNELS * PLANE;
};

struct LongSizes {
    int batch, length, channels;
};

// Numbers of an operand's fragment, rounded to tf32; EXACT with what the rounding left over as a second number.
template <bool EXACT, int COUNT>
struct Operand {
    uint32 big[COUNT], small[EXACT ? COUNT : 1];

    __device__ __forceinline__ void set(int i, float x) {
        big[i] = tf32(x);
        if (EXACT) small[i] = tf32(x - __uint_as_float(big[i]));
    }
    __device__ __forceinline__ void copy(int to, int from) {
        big[to] = big[from];
        if (EXACT) small[to] = small[from];
    }
};

// d += a·b. The tensor cores cut off what they add, so that errors of long sums all go one way: EXACT adds each product to the
// sum by additions that round to nearest, its own small parts first.
template <bool EXACT>
__device__ __forceinline__ void multiply(float (&d)[4], const Operand<EXACT, 4>& a, const Operand<EXACT, 2>& b) {
    if constexpr (EXACT) {
        float product[4] = {};
        multiplyTile(product, a.big, b.small);
        multiplyTile(product, a.small, b.big);
        multiplyTile(product, a.big, b.big);
#pragma unroll
        for (int i = 0; i < 4; ++i) d[i] += product[i];
    } else {
        multiplyTile(d, a.big, b.big);
    }
}

// Which of a tile's numbers a thread moves: channels fastest, as in memory.
template <int TILE>
struct Element {
    int channel, row, t;
    long long at;
    bool exists;

    __device__ __forceinline__ Element(const LongSizes& sizes, int firstChannel, int firstRow, int tile, int index) {
        channel = index % CHANNELS;
        t = index / CHANNELS % TILE;
        row = index / (CHANNELS * TILE);
        int token = tile * TILE + t, b = firstRow + row;
        at = ((long long)b * sizes.length + token) * sizes.channels + firstChannel + channel;
        exists = firstChannel + channel < sizes.channels && token < sizes.length && b < sizes.batch;
    }
    __device__ __forceinline__ int shared() const {
        return channel * Layout<TILE>::PLANE + row * Layout<TILE>::PITCH + t;
    }
};

// A tile of x, or of x ⊙ factor where that is not null; zero where there is nothing. A thread loads a batch of numbers before
// it stores any: a store, which may be to where the next would be loaded from for all that the compiler knows, would hold
// that up.
template <int TILE>
__device__ __forceinline__ void stageTile(
    const LongSizes& sizes, int firstChannel, int firstRow, int tile, const float* x, const float* factor,
    float* shared) {
    constexpr int BATCH = 8;
#pragma unroll 1
    for (int start = 0; start < CHANNELS * ROWS * TILE / THREADS; start += BATCH) {
        float values[BATCH], factors[BATCH];
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            Element<TILE> e(sizes, firstChannel, firstRow, tile, (start + i) * THREADS + threadIdx.x);
            values[i] = e.exists ? x[e.at] : 0.0f;
            if (factor) factors[i] = e.exists ? factor[e.at] : 0.0f;
        }
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            Element<TILE> e(sizes, firstChannel, firstRow, tile, (start + i) * THREADS + threadIdx.x);
            shared[e.shared()] = factor ? values[i] * factors[i] : values[i];
        }
    }
}

// The filter's lags from `first` on of each channel, `count` of them; zero before lag 0.
__device__ __forceinline__ void stageFilter(
    const LongSizes& sizes, int firstChannel, int first, int count, const float* __restrict__ filter, float* shared,
    int pitch) {
    for (int index = threadIdx.x; index < CHANNELS * count; index += THREADS) {
        int channel = index % CHANNELS, i = index / CHANNELS, lag = first + i;
        bool exists = firstChannel + channel < sizes.channels && lag >= 0 && lag < sizes.length;
        shared[channel * pitch + i] =
            exists ? filter[(long long)lag * sizes.channels + firstChannel + channel] : 0.0f;
    }
}

// Where number k of the 16 rows from 16 i on of a warp's product lies in its plane (sequence, token).
template <int PITCH>
__device__ __forceinline__ int placeInPlane(int i, int k) {
    int lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    return (2 * t + k % 2) * PITCH + 16 * i + g + k / 2 * 8;
}

// out (tiles of 16 rows, 8 sequences) += T x with T[t, τ] = f[SIGN·(t - τ)], f[0] being at `centre`; x: (sequence, token).
// `isDiagonal`: f is zero at negative lags, and tiles that see no others are left out.
//
// The k-th slots of a product are given to tokens 0, 2, 4, 6, 1, 3, 5, 7 of its eight: a lane's two are neighbours then.
template <int TILE, int SIGN, bool EXACT, int PITCH>
__device__ __forceinline__ void multiplyToeplitz(
    float (&out)[TILE / 16][4], const float* centre, const float* x, bool isDiagonal) {
    int lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    Operand<EXACT, 2> xs[TILE / 8];
#pragma unroll
    for (int j = 0; j < TILE / 8; ++j) {
        float2 pair = *(const float2*)(x + g * PITCH + 8 * j + 2 * t);
        xs[j].set(0, pair.x);
        xs[j].set(1, pair.y);
    }
    // Row 0's lag in the lane's column, for tiles on the diagonal; each eight rows further down are one `distance` more.
    const float* lag = centre + SIGN * (g - 2 * t);
    constexpr int FIRST = 1 - TILE / 8, LAST = TILE / 8 - 2;
    Operand<EXACT, 4> a;
    a.set(1, lag[SIGN * 8 * FIRST]);
    a.set(3, lag[SIGN * (8 * FIRST - 1)]);
#pragma unroll
    for (int distance = FIRST; distance <= LAST; ++distance) {
        a.copy(0, 1);
        a.copy(2, 3);
        a.set(1, lag[SIGN * 8 * (distance + 1)]);
        a.set(3, lag[SIGN * (8 * (distance + 1) - 1)]);
        if (isDiagonal && (SIGN > 0 ? distance < -1 : distance > 0)) continue;
#pragma unroll
        for (int i = 0; i < TILE / 16; ++i) {
            int j = 2 * i - distance;
            if (j >= 0 && j < TILE / 8) multiply(out[i], a, xs[j]);
        }
    }
}

// Tokens of a tile in the filter's gradient.
#define FILTER_TILE 64

// The products of one pair of tiles, summed over sequences: sums[2i - j + BASE] (16, 8) += dc (16 tokens from 16 i, sequences)
// u (sequences, 8 tokens from 8 j). In all tiles with the same 2i - j, the lags are the same.
template <bool EXACT, int PITCH, int BASE, int COUNT>
__device__ __forceinline__ void multiplyPairs(
    float (&sums)[COUNT][4], const float* dc, const float* u, bool isDiagonal) {
    int lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    Operand<EXACT, 2> us[FILTER_TILE / 8];
#pragma unroll
    for (int j = 0; j < FILTER_TILE / 8; ++j) {
        us[j].set(0, u[t * PITCH + 8 * j + g]);
        us[j].set(1, u[(t + 4) * PITCH + 8 * j + g]);
    }
#pragma unroll
    for (int i = 0; i < FILTER_TILE / 16; ++i) {
        const float* rows = dc + t * PITCH + 16 * i + g;
        Operand<EXACT, 4> a;
        a.set(0, rows[0]);
        a.set(1, rows[8]);
        a.set(2, rows[4 * PITCH]);
        a.set(3, rows[4 * PITCH + 8]);
#pragma unroll
        for (int j = 0; j < FILTER_TILE / 8; ++j) {
            int index = 2 * i - j + BASE;
            if (index < 0 || (isDiagonal && 2 * i - j < -1)) continue;
            multiply(sums[index], a, us[j]);
        }
    }
}

// Sums of the diagonals: zero[lag] of a warp is the sum of what sums[d] (16, 8), d = 0…, has at that lag; that of its row and
// column 0 is 8 (d - BASE). All lags from `first` on, `count` of them, are written. scratch: (16, 8).
template <int BASE, int COUNT>
__device__ __forceinline__ void sumDiagonals(
    const float (&sums)[COUNT][4], float* zero, int first, int count, float* scratch) {
    int lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    for (int i = lane; i < count; i += WARP) zero[first + i] = 0.0f;
#pragma unroll
    for (int d = 0; d < COUNT; ++d) {
        __syncwarp();
#pragma unroll
        for (int k = 0; k < 4; ++k) scratch[(g + k / 2 * 8) * 8 + 2 * t + k % 2] = sums[d][k];
        __syncwarp();
        // Row minus column, -7 to 15, a lane each.
        int difference = lane - 7;
        float sum = 0.0f;
#pragma unroll
        for (int column = 0; column < 8; ++column) {
            int row = column + difference;
            if (row >= 0 && row < 16) sum += scratch[row * 8 + column];
        }
        if (difference < 16) zero[8 * (d - BASE) + difference] += sum;
    }
    __syncwarp();
}
