// Gradients of long convolutions whose whole sequences fit in shared memory, every input read once: see
// long_convolution.cuh.
#include "long_convolution.cuh"

#define TILE FILTER_TILE

// Lags from -TILE on in shared memory.
template <int TOKENS>
struct FilterLayout {
    static constexpr int PITCH = TILE + TOKENS + 4;
};

// A tile's product, added to the warp's plane (sequence, token).
template <int PITCH>
__device__ __forceinline__ void addProduct(const float (&product)[TILE / 16][4], float* plane) {
#pragma unroll
    for (int i = 0; i < TILE / 16; ++i) {
#pragma unroll
        for (int k = 0; k < 4; ++k) plane[placeInPlane<PITCH>(i, k)] += product[i][k];
    }
    __syncwarp();
}

// plane ← plane + T plane in place, T as in multiplyToeplitz: the tiles that no other needs any more first.
template <int TOKENS, int SIGN, bool EXACT>
__device__ __forceinline__ void convolveInPlace(const float* zero, float* plane) {
    constexpr int PITCH = Layout<TOKENS>::PITCH, TILES = TOKENS / TILE;
#pragma unroll 1
    for (int i = 0; i < TILES; ++i) {
        int tile = SIGN > 0 ? TILES - 1 - i : i;
        float product[TILE / 16][4] = {};
#pragma unroll 1
        for (int distance = TILES - 1 - i; distance >= 0; --distance) {
            const float* x = plane + (tile - SIGN * distance) * TILE;
            multiplyToeplitz<TILE, SIGN, EXACT, PITCH>(product, zero + distance * TILE, x, distance == 0);
        }
        __syncwarp();
        addProduct<PITCH>(product, plane + tile * TILE);
    }
}

// Adds to the sums of dFilter at each distance of eights of tokens, from -1 on, those of tiles DISTANCE and more apart.
template <int TOKENS, bool EXACT, int DISTANCE>
__device__ __forceinline__ void addPairsFrom(float (&sums)[TOKENS / 8][4], const float* dc, const float* u) {
    if constexpr (DISTANCE < TOKENS / TILE) {
#pragma unroll 1
        for (int tile = DISTANCE; tile < TOKENS / TILE; ++tile)
            multiplyPairs<EXACT, Layout<TOKENS>::PITCH, 8 * DISTANCE + 1>(
                sums, dc + tile * TILE, u + (tile - DISTANCE) * TILE, DISTANCE == 0);
        addPairsFrom<TOKENS, EXACT, DISTANCE + 1>(sums, dc, u);
    }
}

// du = c + dc + dy and dGate = (f * u + u) ⊙ dy of a group of sequences.
template <int TOKENS>
__device__ __forceinline__ void writeGradients(
    const LongSizes& sizes, int firstChannel, int firstRow, const float* us, const float* dcs,
    const float* __restrict__ dy, float* __restrict__ du, float* __restrict__ dGate) {
    constexpr int BATCH = 8;
#pragma unroll 1
    for (int start = 0; start < CHANNELS * ROWS * TOKENS / THREADS; start += BATCH) {
        float d[BATCH];
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            Element<TOKENS> e(sizes, firstChannel, firstRow, 0, (start + i) * THREADS + threadIdx.x);
            d[i] = e.exists ? dy[e.at] : 0.0f;
        }
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            Element<TOKENS> e(sizes, firstChannel, firstRow, 0, (start + i) * THREADS + threadIdx.x);
            if (!e.exists) continue;
            du[e.at] = dcs[e.shared()] + d[i];
            dGate[e.at] = us[e.shared()] * d[i];
        }
    }
}

// Blocks: (groups of 8 channels, slices of the groups of 8 sequences). A slice has a row of partial sums of dFilter (length,
// channels).
template <int TOKENS, bool EXACT>
__device__ __forceinline__ void backward(
    const LongSizes& sizes, const float* __restrict__ u, const float* __restrict__ filter,
    const float* __restrict__ gate, const float* __restrict__ dy, float* __restrict__ du, float* __restrict__ dGate,
    float* __restrict__ partials) {
    using L = Layout<TOKENS>;
    constexpr int FILTER_PITCH = FilterLayout<TOKENS>::PITCH;
    extern __shared__ float4 shared4[];
    float *us = (float*)shared4, *dcs = us + L::SIZE, *lags = dcs + L::SIZE;
    int firstChannel = blockIdx.x * CHANNELS, warp = threadIdx.x / WARP;
    int groups = (sizes.batch + ROWS - 1) / ROWS;
    float *u8 = us + warp * L::PLANE, *dc8 = dcs + warp * L::PLANE, *zero = lags + warp * FILTER_PITCH + TILE;
    float sums[TOKENS / 8][4] = {};
    stageFilter(sizes, firstChannel, -TILE, TILE + TOKENS, filter, lags, FILTER_PITCH);
#pragma unroll 1
    for (int group = blockIdx.y; group < groups; group += gridDim.y) {
        __syncthreads();
        stageTile<TOKENS>(sizes, firstChannel, group * ROWS, 0, u, 0, us);
        stageTile<TOKENS>(sizes, firstChannel, group * ROWS, 0, dy, gate, dcs);
        __syncthreads();
        addPairsFrom<TOKENS, EXACT, 0>(sums, dc8, u8);
        __syncwarp();
        convolveInPlace<TOKENS, 1, EXACT>(zero, u8);
        convolveInPlace<TOKENS, -1, EXACT>(zero, dc8);
        __syncthreads();
        writeGradients<TOKENS>(sizes, firstChannel, group * ROWS, us, dcs, dy, du, dGate);
    }
    __syncthreads();
    // From lag -16 on, over the filter's own.
    sumDiagonals<1>(sums, zero, -16, TOKENS + 16, us + warp * 128);
    __syncthreads();
    for (int index = threadIdx.x; index < CHANNELS * TOKENS; index += THREADS) {
        int channel = index % CHANNELS, lag = index / CHANNELS;
        if (lag >= sizes.length || firstChannel + channel >= sizes.channels) continue;
        partials[((long long)blockIdx.y * sizes.length + lag) * sizes.channels + firstChannel + channel] =
            lags[channel * FILTER_PITCH + TILE + lag];
    }
}

#define LONG_BACKWARD(TOKENS, BLOCKS, NAME, EXACT)                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) longBackward##TOKENS##NAME(                       \
        int batch, int length, int channels, const float* u, const float* filter, const float* gate,                \
        const float* dy, float* du, float* dGate, float* partials) {                                                \
        awaitEarlierKernels();                                                                                      \
        backward<TOKENS, EXACT>({batch, length, channels}, u, filter, gate, dy, du, dGate, partials);               \
    }

LONG_BACKWARD(64, 2, Fast, false)
LONG_BACKWARD(64, 2, Exact, true)
LONG_BACKWARD(128, 2, Fast, false)
LONG_BACKWARD(128, 1, Exact, true)
LONG_BACKWARD(256, 1, Fast, false)
LONG_BACKWARD(256, 1, Exact, true)
