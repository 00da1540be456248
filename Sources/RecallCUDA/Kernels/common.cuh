// What every kernel shares. Letters are those of docs/math/README.md, section 1; (B, L, D) at a pointer is its
// shape, row-major.
#pragma once

#define WARP 32
#define FULL 0xffffffffu
#define INFINITY __int_as_float(0x7f800000)
#define LOG2E 1.4426950408889634f
#define LN2 0.6931471805599453f

typedef unsigned int uint32;
typedef unsigned long long uint64;

// The first statement of every kernel, for every thread: waits until the kernel before is over and all that it wrote can be
// seen, for where the device has it a kernel is started before that (Launch.swift). Every kernel so waits for all before it.
// The next one's blocks are let in as its own end, not sooner: waiting blocks take room that the runs beside could use.
__device__ __forceinline__ void awaitEarlierKernels() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Waits for all copies to shared memory that this thread has on their way.
__device__ __forceinline__ void awaitCopies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// Has the level-2 cache fetch a line, without waiting for it.
__device__ __forceinline__ void prefetchLine(const float* from) { asm volatile("prefetch.global.L2 [%0];" ::"l"(from)); }

// What differs from step to step, in device memory while steps are replayed: struct StepCell in StepCell.swift.
struct StepCell {
    // The optimiser steps done before, which key dropout.
    uint32 step;
    // 0 once a loss was not finite: the parameters then stay as they are.
    uint32 isSound;
    double learningRate;
    // -lr/(1 - β₁ᵗ) and 1/√(1 - β₂ᵗ).
    float stepSize, rootCorrection;
    // The examples to choose from and which are chosen: BatchKernels.swift.
    const int *tokens, *positions, *labels, *order;
    double *loss, *correct;
};
static_assert(sizeof(StepCell) == 72, "laid out as in Swift");

// A dropout mask that is never stored: RecallRandom/Dropout.swift. A threshold of 0 keeps everything, unscaled.
struct Mask {
    uint32 threshold;
    float scale;
    uint32 key0, key1, step, site;
    // Where the step is, if not here: in a step that is replayed from a graph.
    const uint32* stepCell;
};
static_assert(sizeof(Mask) == 32, "laid out as in Launch.swift");

// Philox4x32-10 (Salmon et al. 2011): RecallRandom/Philox.swift.
__device__ __forceinline__ uint4 philox(uint4 c, uint32 k0, uint32 k1) {
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        uint64 p0 = (uint64)0xD2511F53u * c.x;
        uint64 p1 = (uint64)0xCD9E8D57u * c.z;
        c = make_uint4((uint32)(p1 >> 32) ^ c.y ^ k0, (uint32)p1, (uint32)(p0 >> 32) ^ c.w ^ k1, (uint32)p0);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

// RandomPurpose.dropout of RecallRandom/RandomStream.swift; a test holds the two together.
#define DROPOUT_PURPOSE 3u

// The eight halves of a block of eight elements: element 8·block + i is dropped where half i is below the threshold.
__device__ __forceinline__ uint4 maskWords(const Mask& m, uint64 block) {
    uint32 step = m.stepCell ? *m.stepCell : m.step;
    return philox(make_uint4((uint32)block, step, m.site, DROPOUT_PURPOSE), m.key0, m.key1);
}

// Whether element i (0 to 7) of a block is kept, as its multiplier.
__device__ __forceinline__ float maskOf(const Mask& m, const uint4& words, int i) {
    uint32 word = (i < 2) ? words.x : (i < 4) ? words.y : (i < 6) ? words.z : words.w;
    uint32 half = (i & 1) ? word >> 16 : word & 0xffffu;
    return half >= m.threshold ? m.scale : 0.0f;
}

// The multiplier of one element. Where eight neighbours are at hand, maskWords once and maskOf for each is cheaper.
__device__ __forceinline__ float maskAt(const Mask& m, uint64 element) {
    if (m.threshold == 0) return 1.0f;
    return maskOf(m, maskWords(m, element >> 3), (int)(element & 7));
}

// Sums in an order that only the layout decides, so that a result never depends on who comes first.
__device__ __forceinline__ float warpSum(float x) {
#pragma unroll
    for (int offset = 16; offset > 0; offset >>= 1) x += __shfl_xor_sync(FULL, x, offset);
    return x;
}

__device__ __forceinline__ float warpMax(float x) {
#pragma unroll
    for (int offset = 16; offset > 0; offset >>= 1) x = fmaxf(x, __shfl_xor_sync(FULL, x, offset));
    return x;
}

// The sum over a block of whole warps, in every thread. `shared` holds 33 floats; the block must not be divergent.
__device__ __forceinline__ float blockSum(float x, float* shared) {
    x = warpSum(x);
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    __syncthreads();
    if (lane == 0) shared[warp] = x;
    __syncthreads();
    if (warp == 0) {
        float y = warpSum(lane < warps ? shared[lane] : 0.0f);
        if (lane == 0) shared[32] = y;
    }
    __syncthreads();
    return shared[32];
}

__device__ __forceinline__ float blockMax(float x, float* shared) {
    x = warpMax(x);
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    __syncthreads();
    if (lane == 0) shared[warp] = x;
    __syncthreads();
    if (warp == 0) {
        float y = warpMax(lane < warps ? shared[lane] : -INFINITY);
        if (lane == 0) shared[32] = y;
    }
    __syncthreads();
    return shared[32];
}

// 2ˣ to the last bits of float32, 0 for what is below its normal numbers.
__device__ __forceinline__ float power2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
__device__ __forceinline__ float silu(float x) { return x * sigmoid(x); }

// A float's bits rounded to tf32 (10 bits of mantissa), as the tensor cores take them.
__device__ __forceinline__ uint32 tf32(float x) {
    uint32 bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}

// d += a·b on the tensor cores: a (16, 8) row-major, b (8, 8) column-major, d (16, 8), of a warp. Lane l = 4g + t holds
// a: (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4); b: (t, g), (t + 4, g); d: (g, 2t), (g, 2t + 1), (g + 8, 2t),
// (g + 8, 2t + 1) (PTX ISA, mma.m16n8k8).
__device__ __forceinline__ void multiplyTile(float (&d)[4], const uint32 (&a)[4], const uint32 (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Whether rows of `width` numbers can be read and written four at a time.
__device__ __forceinline__ bool isInQuads(int width, const void* a, const void* b, const void* c = nullptr) {
    return width % 4 == 0 && (((uint64)a | (uint64)b | (uint64)c) & 15) == 0;
}

// The walk of a grid over `count` things, a thread each at a time.
#define FOR_EACH(i, count)                                                                        \
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x, i##Step =                 \
             (long long)gridDim.x * blockDim.x;                                                   \
         i < (count); i += i##Step)
