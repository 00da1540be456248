// Causal depthwise convolutions with a filter as long as the sequence, c = f * u, as products with Toeplitz matrices on the
// tensor cores (MODELS.md D.6): y = (c + u) ⊙ gate + u and its gradients.
//
// A block takes 8 channels of 8 sequences and a tile of TILE tokens; a warp takes one of the channels. Its product is
// Y (TILE, 8 sequences) += T (TILE, TILE) U (TILE, 8): T's fragments are made from the filter, and one serves every tile of 16 × 8
// that lies as far from the diagonal. In memory channels are innermost; shared memory holds a tile channel by channel.
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
    // Lags from -TILE to TILE - 1 around a distance of tiles.
    static constexpr int FILTER_PITCH = 2 * TILE + 4;
    static constexpr int FILTER_SIZE = CHANNELS * FILTER_PITCH;
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

template <bool EXACT>
__device__ __forceinline__ void multiply(float (&d)[4], const Operand<EXACT, 4>& a, const Operand<EXACT, 2>& b) {
    if constexpr (EXACT) {
        multiplyTile(d, a.big, b.small);
        multiplyTile(d, a.small, b.big);
    }
    multiplyTile(d, a.big, b.big);
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

// A tile of x, or of x ⊙ factor where that is not null; zero where there is nothing.
template <int TILE>
__device__ __forceinline__ void stageTile(
    const LongSizes& sizes, int firstChannel, int firstRow, int tile, const float* __restrict__ x,
    const float* __restrict__ factor, float* shared) {
#pragma unroll 8
    for (int i = 0; i < CHANNELS * ROWS * TILE / THREADS; ++i) {
        Element<TILE> e(sizes, firstChannel, firstRow, tile, i * THREADS + threadIdx.x);
        float value = e.exists ? x[e.at] : 0.0f;
        if (factor) value *= e.exists ? factor[e.at] : 0.0f;
        shared[e.shared()] = value;
    }
}

// The filter's lags (distance - 1)·TILE to (distance + 1)·TILE - 1 of each channel; zero before lag 0.
template <int TILE>
__device__ __forceinline__ void stageFilter(
    const LongSizes& sizes, int firstChannel, int distance, const float* __restrict__ filter, float* shared) {
    for (int index = threadIdx.x; index < CHANNELS * 2 * TILE; index += THREADS) {
        int channel = index % CHANNELS, i = index / CHANNELS, lag = (distance - 1) * TILE + i;
        bool exists = firstChannel + channel < sizes.channels && lag >= 0 && lag < sizes.length;
        shared[channel * Layout<TILE>::FILTER_PITCH + i] =
            exists ? filter[(long long)lag * sizes.channels + firstChannel + channel] : 0.0f;
    }
}

// out (tile of 16 i rows, 8 sequences) += T x with T[t, τ] = f[SIGN·(t - τ)], f[0] being at `centre`; x: (sequence, token).
// `isDiagonal`: f is zero at negative lags, and tiles that see no others are left out.
//
// The k-th slots of a product are given to tokens 0, 2, 4, 6, 1, 3, 5, 7 of its eight: a lane's two are neighbours then.
template <int TILE, int SIGN, bool EXACT>
__device__ __forceinline__ void multiplyToeplitz(
    float (&out)[TILE / 16][4], const float* centre, const float* x, bool isDiagonal) {
    int lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    Operand<EXACT, 2> xs[TILE / 8];
#pragma unroll
    for (int j = 0; j < TILE / 8; ++j) {
        float2 pair = *(const float2*)(x + g * Layout<TILE>::PITCH + 8 * j + 2 * t);
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

// Lays the warp's product out as tiles lie in shared memory: (sequence, token).
template <int TILE>
__device__ __forceinline__ void storeProduct(const float (&product)[TILE / 16][4], float* plane) {
    int lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int i = 0; i < TILE / 16; ++i) {
#pragma unroll
        for (int k = 0; k < 4; ++k)
            plane[(2 * t + k % 2) * Layout<TILE>::PITCH + 16 * i + g + k / 2 * 8] = product[i][k];
    }
}

// What becomes of c = f * x, or c_τ = Σ_t f[t-τ] x_t, in the block's tile.
enum Epilogue {
    // y = (c + u) ⊙ gate + u; x = u, other = gate.
    OUTPUT,
    // dGate = (c + u) ⊙ dy; x = u, other = dy.
    GATE_GRADIENT,
    // du = c + dc + dy; x = dc = dy ⊙ gate, other = dy.
    INPUT_GRADIENT,
};

// Blocks: (groups of 8 channels, tiles of tokens, groups of 8 sequences). Of the tiles that a tile needs, its own is the last.
template <int TILE, Epilogue EPILOGUE, bool EXACT>
__device__ __forceinline__ void convolve(
    const LongSizes& sizes, const float* __restrict__ filter, const float* __restrict__ x,
    const float* __restrict__ factor, const float* __restrict__ other, float* __restrict__ out) {
    constexpr int SIGN = EPILOGUE == INPUT_GRADIENT ? -1 : 1;
    extern __shared__ float4 shared4[];
    float *input = (float*)shared4, *product = input + Layout<TILE>::SIZE, *lags = product + Layout<TILE>::SIZE;
    int firstChannel = blockIdx.x * CHANNELS, firstRow = blockIdx.z * ROWS, warp = threadIdx.x / WARP;
    // The tiles with the most to do first.
    int tile = SIGN > 0 ? gridDim.y - 1 - blockIdx.y : blockIdx.y;
    int furthest = SIGN > 0 ? tile : gridDim.y - 1 - tile;
    float c[TILE / 16][4] = {};
    for (int distance = furthest; distance >= 0; --distance) {
        __syncthreads();
        stageTile<TILE>(sizes, firstChannel, firstRow, tile - SIGN * distance, x, factor, input);
        stageFilter<TILE>(sizes, firstChannel, distance, filter, lags);
        __syncthreads();
        multiplyToeplitz<TILE, SIGN, EXACT>(
            c, lags + warp * Layout<TILE>::FILTER_PITCH + TILE, input + warp * Layout<TILE>::PLANE, distance == 0);
    }
    storeProduct<TILE>(c, product + warp * Layout<TILE>::PLANE);
    __syncthreads();
#pragma unroll 8
    for (int i = 0; i < CHANNELS * ROWS * TILE / THREADS; ++i) {
        Element<TILE> e(sizes, firstChannel, firstRow, tile, i * THREADS + threadIdx.x);
        if (!e.exists) continue;
        float own = input[e.shared()], sum = product[e.shared()] + own;
        if (EPILOGUE == OUTPUT) out[e.at] = fmaf(sum, other[e.at], own);
        if (EPILOGUE == GATE_GRADIENT) out[e.at] = sum * other[e.at];
        if (EPILOGUE == INPUT_GRADIENT) out[e.at] = sum + other[e.at];
    }
}

// Tokens of a tile in the filter's gradient.
#define FILTER_TILE 64
// Distances of eights of tokens within two tiles, from -7 to 6.
#define DISTANCES (FILTER_TILE / 4 - 2)

// The products of one pair of tiles, summed over sequences: sums[d] (16, 8) += dc (16 i.., sequences) u (sequences, 8 j..) of
// all tiles with 2i - j = d - 7, in which the lag is as far from that of row and column 0.
template <bool EXACT>
__device__ __forceinline__ void multiplyPairs(
    float (&sums)[DISTANCES][4], const float* dc, const float* u, bool isDiagonal) {
    constexpr int PITCH = Layout<FILTER_TILE>::PITCH;
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
            if (isDiagonal && 2 * i - j < -1) continue;
            multiply(sums[2 * i - j + 7], a, us[j]);
        }
    }
}

// Sums of the diagonals: lags[FILTER_TILE + lag] of a warp, -FILTER_TILE < lag < FILTER_TILE. scratch: (16, 8).
__device__ __forceinline__ void sumDiagonals(const float (&sums)[DISTANCES][4], float* lags, float* scratch) {
    int lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    for (int i = lane; i < 2 * FILTER_TILE; i += WARP) lags[i] = 0.0f;
#pragma unroll
    for (int d = 0; d < DISTANCES; ++d) {
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
        if (difference < 16) lags[FILTER_TILE + 8 * (d - 7) + difference] += sum;
    }
    __syncwarp();
}

// dFilter[k] = Σ_b Σ_t dc_t u_{t-k}, dc = dy ⊙ gate, as partial sums. Blocks: (groups of 8 channels, distances of tiles, slices
// of the groups of 8 sequences). A distance's lags lie in two tiles; so a slice has two rows of partial sums (length,
// channels), the lags of a tile from the pairs of tiles as far apart, and those from the pairs one further.
template <bool EXACT>
__device__ __forceinline__ void filterGradient(
    const LongSizes& sizes, const float* __restrict__ u, const float* __restrict__ gate,
    const float* __restrict__ dy, float* __restrict__ partials) {
    using L = Layout<FILTER_TILE>;
    extern __shared__ float4 shared4[];
    float *us = (float*)shared4, *dcs = us + L::SIZE;
    int firstChannel = blockIdx.x * CHANNELS, warp = threadIdx.x / WARP;
    int distance = blockIdx.y, tiles = gridDim.y, groups = (sizes.batch + ROWS - 1) / ROWS;
    float sums[DISTANCES][4] = {};
    for (int group = blockIdx.z; group < groups; group += gridDim.z) {
        for (int tile = distance; tile < tiles; ++tile) {
            __syncthreads();
            stageTile<FILTER_TILE>(sizes, firstChannel, group * ROWS, tile, dy, gate, dcs);
            stageTile<FILTER_TILE>(sizes, firstChannel, group * ROWS, tile - distance, u, 0, us);
            __syncthreads();
            multiplyPairs<EXACT>(sums, dcs + warp * L::PLANE, us + warp * L::PLANE, distance == 0);
        }
    }
    __syncthreads();
    float* lags = us + warp * 3 * FILTER_TILE;
    float* scratch = dcs + warp * 128;
    sumDiagonals(sums, lags, scratch);
    __syncthreads();
    for (int index = threadIdx.x; index < CHANNELS * 2 * FILTER_TILE; index += THREADS) {
        int channel = index % CHANNELS, i = index / CHANNELS;
        bool isNext = i < FILTER_TILE;
        // Before lag 0 there is nothing: that row's last tile, which has no pairs one further, is given zeros instead.
        int target = isNext ? (distance + tiles - 1) % tiles : distance;
        int lag = target * FILTER_TILE + i % FILTER_TILE;
        if (lag >= sizes.length || firstChannel + channel >= sizes.channels) continue;
        float sum = isNext && distance == 0 ? 0.0f : us[channel * 3 * FILTER_TILE + i];
        long long row = 2 * blockIdx.z + isNext;
        partials[(row * sizes.length + lag) * sizes.channels + firstChannel + channel] = sum;
    }
}

#define LONG_CONVOLUTION(TILE, NAME, EXACT)                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) longForward##TILE##NAME(                               \
        int batch, int length, int channels, const float* filter, const float* u, const float* gate, float* y) {    \
        convolve<TILE, OUTPUT, EXACT>({batch, length, channels}, filter, u, 0, gate, y);                            \
    }                                                                                                               \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) longGateGradient##TILE##NAME(                          \
        int batch, int length, int channels, const float* filter, const float* u, const float* dy, float* dGate) {  \
        convolve<TILE, GATE_GRADIENT, EXACT>({batch, length, channels}, filter, u, 0, dy, dGate);                   \
    }                                                                                                               \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) longInputGradient##TILE##NAME(                         \
        int batch, int length, int channels, const float* filter, const float* gate, const float* dy, float* du) {  \
        convolve<TILE, INPUT_GRADIENT, EXACT>({batch, length, channels}, filter, dy, gate, dy, du);                 \
    }

#define LONG_FILTER(NAME, EXACT)                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) longFilterGradient##NAME(                              \
        int batch, int length, int channels, const float* u, const float* gate, const float* dy, float* partials) { \
        filterGradient<EXACT>({batch, length, channels}, u, gate, dy, partials);                                    \
    }

LONG_CONVOLUTION(64, Fast, false)
LONG_CONVOLUTION(64, Exact, true)
LONG_CONVOLUTION(128, Fast, false)
LONG_CONVOLUTION(128, Exact, true)
LONG_FILTER(Fast, false)
LONG_FILTER(Exact, true)

#define STEP_SLICES 8

// One token of decoding at `position`; past (batch, capacity, channels). Threads (32 channels, slices of the past).
extern "C" __global__ void longConvolutionStep(
    int batch, int channels, int position, int capacity, const float* __restrict__ u,
    const float* __restrict__ filter, const float* __restrict__ gate, const float* __restrict__ past,
    float* __restrict__ y) {
    __shared__ float slices[STEP_SLICES][WARP];
    int channel = blockIdx.x * WARP + threadIdx.x;
    bool exists = channel < channels;
    for (int b = blockIdx.y; b < batch; b += gridDim.y) {
        const float* column = past + (long long)b * capacity * channels + channel;
        float sum = 0.0f;
#pragma unroll 4
        for (int s = threadIdx.y; s < position; s += STEP_SLICES) {
            if (!exists) break;
            long long lag = (long long)(position - s) * channels + channel;
            sum = fmaf(column[(long long)s * channels], filter[lag], sum);
        }
        __syncthreads();
        slices[threadIdx.y][threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.y > 0 || !exists) continue;
#pragma unroll
        for (int slice = 1; slice < STEP_SLICES; ++slice) sum += slices[slice][threadIdx.x];
        long long at = (long long)b * channels + channel;
        float current = u[at];
        sum = fmaf(filter[channel], current, sum) + current;
        y[at] = fmaf(sum, gate[at], current);
    }
}
