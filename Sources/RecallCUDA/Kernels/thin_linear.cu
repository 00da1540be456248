// Linear layers of many rows and few columns that read the same x, in one launch: y = x·Wᵀ + bias of each, or dx = Σ dy·W.
// The weights stay in shared memory, x and dy go straight to registers, and each row is read and written once.
//
// In which order a product's sum is taken is free, so long as both factors agree: a lane's four numbers of a quad serve two
// products of eight columns, the first two as its columns t and t + 4 of one, the others of the next. So both factors are
// read a quad at a time; and outputs are dealt out in such a way that a lane ends up with four neighbours.
#include "attention_tiles.cuh"

// Columns that four lanes' quads cover.
#define GROUP 16
// Columns of dy that a warp has in registers at once.
#define CHUNK 64
// Quads of weights that a thread has on their way.
#define FILLED_AT_ONCE 8
// ThinLinearCUDA.swift knows this, the paddings and the rows of a block.
#define MOST_LAYERS 4
#define WARP_ROWS 16

// One of the layers: `numbers` is y, or dy.
struct ThinLayer {
    const float *weight, *bias;
    float* numbers;
    int outputs, padding;
};
static_assert(sizeof(ThinLayer) == 32, "laid out as in Swift");

struct ThinLayers {
    ThinLayer of[MOST_LAYERS];
};

__device__ __forceinline__ int paddedTo(int multiple, int count) { return (count + multiple - 1) / multiple * multiple; }

// COLUMNS of a warp's 16 rows as they come.
template <int COLUMNS>
struct RowQuads {
    float4 of[COLUMNS / GROUP][2];

    // Of rows g and g + 8 (null where there is none), from column `first` on.
    __device__ __forceinline__ void load(const float* low, const float* high, int first, int width) {
#pragma unroll
        for (int j = 0; j < COLUMNS / GROUP; ++j) {
            int column = first + j * GROUP + threadIdx.x % 4 * 4;
            of[j][0] = of[j][1] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
            if (low && column < width) of[j][0] = *(const float4*)(low + column);
            if (high && column < width) of[j][1] = *(const float4*)(high + column);
        }
    }
};

// The same as left factors.
template <int COLUMNS>
struct LeftFactors {
    uint32 of[COLUMNS / 8][4];

    __device__ __forceinline__ LeftFactors(const RowQuads<COLUMNS>& quads) {
#pragma unroll
        for (int j = 0; j < COLUMNS / GROUP; ++j) {
            uint4 a = operands<false>(quads.of[j][0], Unchanged()), b = operands<false>(quads.of[j][1], Unchanged());
            uint32 first[4] = {a.x, b.x, a.y, b.y}, second[4] = {a.z, b.z, a.w, b.w};
#pragma unroll
            for (int i = 0; i < 4; ++i) of[2 * j][i] = first[i], of[2 * j + 1][i] = second[i];
        }
    }
};

// Calls place(i, quad as factors) for quads i below `count`, read(i) each, the block's threads in turn.
template <class Read, class Place>
__device__ __forceinline__ void fill(int count, Read read, Place place) {
    for (int start = threadIdx.x; start < count; start += FILLED_AT_ONCE * THREADS) {
        float4 quads[FILLED_AT_ONCE];
#pragma unroll
        for (int n = 0; n < FILLED_AT_ONCE; ++n) {
            int i = start + n * THREADS;
            if (i < count) quads[n] = read(i);
        }
#pragma unroll
        for (int n = 0; n < FILLED_AT_ONCE; ++n) {
            int i = start + n * THREADS;
            if (i < count) place(i, operands<false>(quads[n], Unchanged()));
        }
    }
}

// Adds a group's products to the sums of 16 outputs: `right` is at this lane's quad of its first output's factors.
__device__ __forceinline__ void multiplyGroup(float (&sums)[2][4], const uint32 (*left)[4], const float* right, int stride) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        uint4 bits = *(const uint4*)(right + 2 * half * stride);
        uint32 first[2] = {bits.x, bits.y}, second[2] = {bits.z, bits.w};
        multiplyTile(sums[half], left[0], first);
        multiplyTile(sums[half], left[1], second);
    }
}

// Where a lane's factors begin in rows of right factors, one an output: outputs 4⌊g/2⌋ + g mod 2, and two further.
__device__ __forceinline__ int rightAt(int stride) {
    int g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    return (g / 2 * 4 + g % 2) * stride + 4 * t;
}

// Which rows a warp takes, and the next after them.
struct WarpRows {
    int first, step;

    __device__ __forceinline__ WarpRows()
        : first((blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP) * WARP_ROWS),
          step(gridDim.x * (blockDim.x / WARP) * WARP_ROWS) {}
    __device__ __forceinline__ void next() { first += step; }

    // This lane's row g, or g + 8; null beyond the last.
    template <class Number>
    __device__ __forceinline__ Number* at(Number* matrix, int half, int rows, int stride) const {
        int row = first + threadIdx.x % WARP / 4 + 8 * half;
        return row < rows ? matrix + (long long)row * stride : nullptr;
    }
};

// A quad of this lane's sums of row g, or g + 8.
__device__ __forceinline__ float4 quadOf(const float (&sums)[2][4], int half) {
    return make_float4(sums[0][2 * half], sums[0][2 * half + 1], sums[1][2 * half], sums[1][2 * half + 1]);
}

__device__ __forceinline__ float4 operator+(const float4& a, const float4& b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

// y = x·Wᵀ + bias of each layer. Shared memory: (Σ outputs, to 32 each, INPUTS + 16).
template <int INPUTS>
__device__ __forceinline__ void forward(int rows, int inputs, int stride, int count, const ThinLayers& layers,
                                        const float* __restrict__ x) {
    constexpr int STRIDE = INPUTS + GROUP, ACROSS = INPUTS / 4;
    float* weights = sharedFloats();
    WarpRows now;
    RowQuads<INPUTS> quads;
    quads.load(now.at(x, 0, rows, stride), now.at(x, 1, rows, stride), 0, inputs);
    for (int layer = 0, firstRow = 0; layer < count; ++layer) {
        const ThinLayer& of = layers.of[layer];
        int padded = paddedTo(2 * GROUP, of.outputs);
        Rows source = rowsOf(of.weight, inputs, of.outputs, inputs);
        fill(padded * ACROSS, [&](int i) { return readQuad(source, i / ACROSS, i % ACROSS * 4); },
             [&](int i, const uint4& bits) {
                 *(uint4*)(weights + (firstRow + i / ACROSS) * STRIDE + i % ACROSS * 4) = bits;
             });
        firstRow += padded;
    }
    __syncthreads();
    while (now.first < rows) {
        LeftFactors<INPUTS> left(quads);
        const float* right = weights + rightAt(STRIDE);
        for (int layer = 0; layer < count; ++layer) {
            const ThinLayer& of = layers.of[layer];
            float *low = now.at(of.numbers, 0, rows, of.outputs), *high = now.at(of.numbers, 1, rows, of.outputs);
#pragma unroll 1
            for (int output = 0; output < of.outputs; output += 2 * GROUP, right += 2 * GROUP * STRIDE) {
                float sums[2][2][4] = {};
#pragma unroll
                for (int j = 0; j < INPUTS / GROUP; ++j)
#pragma unroll
                    for (int pair = 0; pair < 2; ++pair)
                        multiplyGroup(sums[pair], left.of + 2 * j, right + pair * GROUP * STRIDE + j * GROUP, STRIDE);
#pragma unroll
                for (int pair = 0; pair < 2; ++pair) {
                    int column = output + pair * GROUP + threadIdx.x % 4 * 4;
                    if (column >= of.outputs) continue;
                    float4 bias = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    if (of.bias) bias = *(const float4*)(of.bias + column);
                    if (low) *(float4*)(low + column) = quadOf(sums[pair], 0) + bias;
                    if (high) *(float4*)(high + column) = quadOf(sums[pair], 1) + bias;
                }
            }
        }
        now.next();
        quads.load(now.at(x, 0, rows, stride), now.at(x, 1, rows, stride), 0, inputs);
    }
}

// CHUNK columns of a layer's dy in a warp's rows; then the next of that layer, of the next layer, of the next rows.
struct DyChunk {
    WarpRows at;
    int layer, first;

    template <int COLUMNS>
    __device__ __forceinline__ void load(RowQuads<COLUMNS>& quads, const ThinLayers& layers, int rows) const {
        const ThinLayer& of = layers.of[layer];
        const float* dy = of.numbers;
        quads.load(at.at(dy, 0, rows, of.outputs), at.at(dy, 1, rows, of.outputs), first, of.outputs);
    }

    // Goes on; whether that was the rows' last.
    __device__ __forceinline__ bool next(const ThinLayers& layers, int count) {
        first += CHUNK;
        if (first < layers.of[layer].outputs) return false;
        first = 0;
        if (++layer < count) return false;
        layer = 0;
        at.next();
        return true;
    }
};

// dx = Σ dy·W, or more by that. Shared memory: (INPUTS, Σ outputs, to 16 each, an odd number of these).
template <int INPUTS>
__device__ __forceinline__ void backward(int rows, int inputs, int stride, int count, const ThinLayers& layers,
                                         bool addsToDx, float* dx) {
    float* weights = sharedFloats();
    DyChunk chunk = {};
    RowQuads<CHUNK> quads;
    chunk.load(quads, layers, rows);
    int wide = 0;
    for (int layer = 0; layer < count; ++layer) wide += paddedTo(GROUP, layers.of[layer].outputs);
    wide |= GROUP;
    for (int layer = 0, first = 0; layer < count; ++layer) {
        const ThinLayer& of = layers.of[layer];
        int padded = paddedTo(GROUP, of.outputs);
        Rows source = rowsOf(of.weight, inputs, of.outputs, inputs);
        // Neighbouring threads write neighbouring numbers.
        fill(INPUTS / 4 * padded, [&](int i) { return readQuad(source, i % padded, i / padded * 4); },
             [&](int i, const uint4& bits) {
                 uint32* to = (uint32*)weights + i / padded * 4 * wide + first + i % padded;
                 to[0] = bits.x, to[wide] = bits.y, to[2 * wide] = bits.z, to[3 * wide] = bits.w;
             });
        first += padded;
    }
    __syncthreads();
    for (WarpRows now; now.first < rows; now.next()) {
        float sums[INPUTS / GROUP][2][4] = {};
        const float* right = weights + rightAt(wide);
        bool isLast;
        do {
            LeftFactors<CHUNK> left(quads);
            int groups = paddedTo(GROUP, layers.of[chunk.layer].outputs - chunk.first) / GROUP;
#pragma unroll
            for (int j = 0; j < CHUNK / GROUP; ++j) {
                if (j >= groups) break;
#pragma unroll
                for (int part = 0; part < INPUTS / GROUP; ++part)
                    multiplyGroup(sums[part], left.of + 2 * j, right + part * GROUP * wide, wide);
                right += GROUP;
            }
            isLast = chunk.next(layers, count);
            chunk.load(quads, layers, rows);
        } while (!isLast);
#pragma unroll
        for (int part = 0; part < INPUTS / GROUP; ++part) {
            int column = part * GROUP + threadIdx.x % 4 * 4;
            if (column >= inputs) continue;
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                float* to = now.at(dx, half, rows, stride);
                if (!to) continue;
                float4 sum = quadOf(sums[part], half);
                if (addsToDx) sum = sum + *(const float4*)(to + column);
                *(float4*)(to + column) = sum;
            }
        }
    }
}

// With how many blocks of each kernel a processor has at once.
#define THIN_LINEAR(INPUTS, FORWARD, BACKWARD)                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS, FORWARD) thinForward##INPUTS(                               \
        int rows, int inputs, int stride, int count, const __grid_constant__ ThinLayers layers, const float* x) {     \
        awaitEarlierKernels();                                                                                        \
        forward<INPUTS>(rows, inputs, stride, count, layers, x);                                                      \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(THREADS, BACKWARD) thinBackward##INPUTS(                             \
        int rows, int inputs, int stride, int count, const __grid_constant__ ThinLayers layers, bool addsToDx,        \
        float* dx) {                                                                                                  \
        awaitEarlierKernels();                                                                                        \
        backward<INPUTS>(rows, inputs, stride, count, layers, addsToDx, dx);                                          \
    }

THIN_LINEAR(64, 4, 4)
THIN_LINEAR(128, 3, 2)
