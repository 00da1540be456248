// Long convolutions of any length, a block a tile of tokens: see long_convolution.cuh.
#include "long_convolution.cuh"

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
    // Lags from -TILE to TILE - 1 around a distance of tiles.
    constexpr int FILTER_PITCH = 2 * TILE + 4;
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
        stageFilter(sizes, firstChannel, (distance - 1) * TILE, 2 * TILE, filter, lags, FILTER_PITCH);
        __syncthreads();
        multiplyToeplitz<TILE, SIGN, EXACT, Layout<TILE>::PITCH>(
            c, lags + warp * FILTER_PITCH + TILE, input + warp * Layout<TILE>::PLANE, distance == 0);
    }
    // As tiles lie in shared memory.
    float* plane = product + warp * Layout<TILE>::PLANE;
#pragma unroll
    for (int i = 0; i < TILE / 16; ++i) {
#pragma unroll
        for (int k = 0; k < 4; ++k) plane[placeInPlane<Layout<TILE>::PITCH>(i, k)] = c[i][k];
    }
    __syncthreads();
    constexpr int BATCH = 8;
#pragma unroll 1
    for (int start = 0; start < CHANNELS * ROWS * TILE / THREADS; start += BATCH) {
        float others[BATCH];
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            Element<TILE> e(sizes, firstChannel, firstRow, tile, (start + i) * THREADS + threadIdx.x);
            others[i] = e.exists ? other[e.at] : 0.0f;
        }
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            Element<TILE> e(sizes, firstChannel, firstRow, tile, (start + i) * THREADS + threadIdx.x);
            if (!e.exists) continue;
            float own = input[e.shared()], sum = product[e.shared()] + own;
            if (EPILOGUE == OUTPUT) out[e.at] = fmaf(sum, others[i], own);
            if (EPILOGUE == GATE_GRADIENT) out[e.at] = sum * others[i];
            if (EPILOGUE == INPUT_GRADIENT) out[e.at] = sum + others[i];
        }
    }
}

// Distances of eights of tokens within two tiles, from -7 to 6.
#define DISTANCES (FILTER_TILE / 4 - 2)

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
            multiplyPairs<EXACT, L::PITCH, 7>(sums, dcs + warp * L::PLANE, us + warp * L::PLANE, distance == 0);
        }
    }
    __syncthreads();
    // From lag -FILTER_TILE on.
    float* lags = us + warp * 2 * FILTER_TILE;
    sumDiagonals<7>(sums, lags + FILTER_TILE, -FILTER_TILE, 2 * FILTER_TILE, dcs + warp * 128);
    __syncthreads();
    for (int index = threadIdx.x; index < CHANNELS * 2 * FILTER_TILE; index += THREADS) {
        int channel = index % CHANNELS, i = index / CHANNELS;
        bool isNext = i < FILTER_TILE;
        // Before lag 0 there is nothing: that row's last tile, which has no pairs one further, is given zeros instead.
        int target = isNext ? (distance + tiles - 1) % tiles : distance;
        int lag = target * FILTER_TILE + i % FILTER_TILE;
        if (lag >= sizes.length || firstChannel + channel >= sizes.channels) continue;
        float sum = isNext && distance == 0 ? 0.0f : us[channel * 2 * FILTER_TILE + i];
        long long row = 2 * blockIdx.z + isNext;
        partials[(row * sizes.length + lag) * sizes.channels + firstChannel + channel] = sum;
    }
}

#define LONG_CONVOLUTION(TILE, NAME, EXACT)                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) longForward##TILE##NAME(                               \
        int batch, int length, int channels, const float* filter, const float* u, const float* gate, float* y) {    \
        awaitEarlierKernels();                                                                                      \
        convolve<TILE, OUTPUT, EXACT>({batch, length, channels}, filter, u, 0, gate, y);                            \
    }                                                                                                               \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) longGateGradient##TILE##NAME(                          \
        int batch, int length, int channels, const float* filter, const float* u, const float* dy, float* dGate) {  \
        awaitEarlierKernels();                                                                                      \
        convolve<TILE, GATE_GRADIENT, EXACT>({batch, length, channels}, filter, u, 0, dy, dGate);                   \
    }                                                                                                               \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) longInputGradient##TILE##NAME(                         \
        int batch, int length, int channels, const float* filter, const float* gate, const float* dy, float* du) {  \
        awaitEarlierKernels();                                                                                      \
        convolve<TILE, INPUT_GRADIENT, EXACT>({batch, length, channels}, filter, dy, gate, dy, du);                 \
    }

#define LONG_FILTER(NAME, EXACT)                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS, 2) longFilterGradient##NAME(                              \
        int batch, int length, int channels, const float* u, const float* gate, const float* dy, float* partials) { \
        awaitEarlierKernels();                                                                                      \
        filterGradient<EXACT>({batch, length, channels}, u, gate, dy, partials);                                    \
    }

LONG_CONVOLUTION(64, Fast, false)
LONG_CONVOLUTION(64, Exact, true)
LONG_CONVOLUTION(128, Fast, false)
LONG_FILTER(Fast, false)
LONG_FILTER(Exact, true)

#define STEP_SLICES 8

// One token of decoding at `position`; past (batch, capacity, channels). Threads (32 channels, slices of the past).
extern "C" __global__ void longConvolutionStep(
    int batch, int channels, int position, int capacity, const float* __restrict__ u,
    const float* __restrict__ filter, const float* __restrict__ gate, const float* __restrict__ past,
    float* __restrict__ y) {
    awaitEarlierKernels();
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
