// Token embeddings (docs/math/backbone.md, section 1), gathering of labelled rows and softmax cross-entropy
// (docs/math/backbone.md, section 6).
#include "common.cuh"

// Eight numbers of a row of y at once.
__device__ __forceinline__ void embedEight(const float* table, const float* positions, bool drops, const Mask& mask,
                                           const uint4& words, float* y) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float4 x = ((const float4*)table)[half];
        if (positions) {
            float4 p = ((const float4*)positions)[half];
            x = make_float4(x.x + p.x, x.y + p.y, x.z + p.z, x.w + p.w);
        }
        if (drops) {
            x.x *= maskOf(mask, words, 4 * half), x.y *= maskOf(mask, words, 4 * half + 1);
            x.z *= maskOf(mask, words, 4 * half + 2), x.w *= maskOf(mask, words, 4 * half + 3);
        }
        ((float4*)y)[half] = x;
    }
}

// y = dropout(table[token] + positions[t]); a thread takes eight numbers of y, which share their random words.
extern "C" __global__ void embeddingForward(
    int batch, int length, int width, const int* tokens, const float* table, const float* positions, Mask mask,
    float* y) {
    awaitEarlierKernels();
    long long count = (long long)batch * length * width;
    bool whole = width % 8 == 0 && isInQuads(width, table, positions, y);
    FOR_EACH(block, (count + 7) / 8) {
        uint4 words = make_uint4(0, 0, 0, 0);
        if (mask.threshold) words = maskWords(mask, block);
        long long row = 8 * block / width;
        int column = (int)(8 * block - row * width);
        if (whole) {
            const float* position = positions ? positions + row % length * width + column : nullptr;
            embedEight(table + (long long)tokens[row] * width + column, position, mask.threshold != 0, mask, words,
                       y + 8 * block);
            continue;
        }
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            long long at = 8 * block + i;
            if (at < count) {
                float x = table[(long long)tokens[row] * width + column];
                if (positions) x += positions[row % length * width + column];
                y[at] = mask.threshold ? x * maskOf(mask, words, i) : x;
            }
            if (++column == width) {
                column = 0;
                ++row;
            }
        }
    }
}

// y[i] = x[rows[i]], rows of `across` of Number.
template <class Number>
__device__ __forceinline__ void gather(long long count, int across, const float* x, const int* rows, float* y) {
    FOR_EACH(i, count * across) {
        long long row = i / across;
        ((Number*)y)[i] = ((const Number*)x)[(long long)rows[row] * across + (i - row * across)];
    }
}

extern "C" __global__ void gatherRows(long long count, int width, const float* x, const int* rows, float* y) {
    awaitEarlierKernels();
    if (isInQuads(width, x, y)) {
        gather<float4>(count, width / 4, x, rows, y);
    } else {
        gather<float>(count, width, x, rows, y);
    }
}

// How many of ascending rows lie before one: a warp looks at 32 of them at once.
__device__ __forceinline__ int countBefore(long long row, int count, const int* rows) {
    int low = 0, high = count;
    while (low < high) {
        int step = (high - low + WARP - 1) / WARP, at = low + (threadIdx.x % WARP + 1) * step - 1;
        int before = __popc(__ballot_sync(FULL, at < high && rows[at] < row));
        high = min(high, low + (before + 1) * step - 1);
        low += before * step;
    }
    return low;
}

// Of dx that a warp writes. EmbeddingLossCUDA.swift knows it too.
#define SCATTER_ROWS 8

// dx[row] = dy[i] where rows[i] is the row, else 0: rows of `across` of Number, from `first` on, of a warp.
template <class Number>
__device__ __forceinline__ void scatter(long long first, int total, int count, int across, const float* dy,
                                        const int* rows, float* dx) {
    int lane = threadIdx.x % WARP, low = countBefore(first, count, rows), source = -1;
    int mine = lane < SCATTER_ROWS && lane < count - low ? rows[low + lane] : -1;
#pragma unroll
    for (int row = 0; row < SCATTER_ROWS; ++row) {
        uint32 found = __ballot_sync(FULL, mine == first + row);
        if (lane == row && found) source = low + __ffs(found) - 1;
    }
    for (int start = 0; start < SCATTER_ROWS * across; start += WARP) {
        int at = start + lane, row = at / across, from = __shfl_sync(FULL, source, row % SCATTER_ROWS);
        if (row >= SCATTER_ROWS || first + row >= total) continue;
        Number x = {};
        if (from >= 0) x = ((const Number*)dy)[(long long)from * across + (at - row * across)];
        ((Number*)dx)[first * across + at] = x;
    }
}

extern "C" __global__ void scatterRows(
    int total, int count, int width, const float* dy, const int* rows, float* dx) {
    awaitEarlierKernels();
    long long first = ((long long)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP) * SCATTER_ROWS;
    if (first >= total) return;
    if (isInQuads(width, dy, dx)) {
        scatter<float4>(first, total, count, width / 4, dy, rows, dx);
    } else {
        scatter<float>(first, total, count, width, dy, rows, dx);
    }
}

// The smallest of the block's threads' places; each has `vocabulary` for none.
__device__ __forceinline__ int firstOfBlock(int mine, int vocabulary, int* shared) {
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
#pragma unroll
    for (int offset = 16; offset > 0; offset >>= 1) mine = min(mine, __shfl_xor_sync(FULL, mine, offset));
    if (lane == 0) shared[warp] = mine;
    __syncthreads();
    int first = vocabulary;
    for (int w = 0; w < warps; ++w) first = min(first, shared[w]);
    return first;
}

// What the block knows of its row: the largest logit and its first place, Σ e^(x - largest) of the others.
struct RowSums {
    float largest, rest;
    int best;

    __device__ __forceinline__ void write(int label, float labelLogit, float* losses, float* correct) const {
        if (threadIdx.x != 0) return;
        float loss = (float)(log1p((double)rest) + ((double)largest - (double)labelLogit));
        losses[blockIdx.x] = loss;
        correct[blockIdx.x] = best == label && loss == loss ? 1.0f : 0.0f;
    }

    // The row's gradient less its factor, from e^(x - largest), which is 1 at the best.
    __device__ __forceinline__ float gradient(int i, int label, float e) const {
        if (i != label) return e;
        return best == label ? -rest : e - (1.0f + rest);
    }
};

#define LOSS_THREADS 512
#define LOSS_HELD 16

// The cross-entropy of each row of logits (rows, stride), a block a row. Where gradients are wanted the row becomes
// gradientScale · (softmax - onehot).
//
// As on the CPU the largest term is kept out of the sum: the normaliser is 1 + rest, the loss log1p(rest) + max - x[label],
// the gradient at a label with the largest logit -rest/(1 + rest), exact however sure the model is.
//
// Of up to LOSS_THREADS · LOSS_HELD logits each is read once and kept in a register; longer rows are read four times.
extern "C" __global__ void __launch_bounds__(LOSS_THREADS) softmaxLoss(
    int vocabulary, int stride, const int* labels, float* logits, float gradientScale, bool hasGradient,
    float* losses, float* correct) {
    awaitEarlierKernels();
    __shared__ float shared[33];
    __shared__ int firsts[LOSS_THREADS / WARP];
    float* x = logits + (long long)blockIdx.x * stride;
    int label = labels[blockIdx.x];
    float labelLogit = x[label];
    bool isHeld = vocabulary <= LOSS_THREADS * LOSS_HELD;
    float held[LOSS_HELD];
    RowSums sums = {-INFINITY, 0.0f, 0};
    bool isNaN = false;
    if (isHeld) {
#pragma unroll
        for (int n = 0; n < LOSS_HELD; ++n) {
            int i = n * LOSS_THREADS + threadIdx.x;
            held[n] = i < vocabulary ? x[i] : -INFINITY;
            sums.largest = fmaxf(sums.largest, held[n]);
            isNaN |= held[n] != held[n];
        }
    } else {
        for (int i = threadIdx.x; i < vocabulary; i += LOSS_THREADS) {
            sums.largest = fmaxf(sums.largest, x[i]);
            isNaN |= x[i] != x[i];
        }
    }
    sums.largest = blockMax(sums.largest, shared);
    isNaN = __syncthreads_or(isNaN);
    int mine = vocabulary;
    if (isHeld) {
#pragma unroll
        for (int n = LOSS_HELD - 1; n >= 0; --n) {
            int i = n * LOSS_THREADS + threadIdx.x;
            if (i < vocabulary && held[n] == sums.largest) mine = i;
        }
    } else {
        for (int i = threadIdx.x; i < vocabulary && mine == vocabulary; i += LOSS_THREADS)
            if (x[i] == sums.largest) mine = i;
    }
    sums.best = firstOfBlock(mine, vocabulary, firsts);
    if (isHeld) {
#pragma unroll
        for (int n = 0; n < LOSS_HELD; ++n) {
            int i = n * LOSS_THREADS + threadIdx.x;
            held[n] = i == sums.best ? 1.0f : expf(held[n] - sums.largest);
            if (i != sums.best && i < vocabulary) sums.rest += held[n];
        }
    } else {
        for (int i = threadIdx.x; i < vocabulary; i += LOSS_THREADS)
            if (i != sums.best) sums.rest += expf(x[i] - sums.largest);
    }
    sums.rest = blockSum(sums.rest, shared);
    if (isNaN) sums.rest = __int_as_float(0x7fc00000);
    sums.write(label, labelLogit, losses, correct);
    if (!hasGradient) return;
    float factor = gradientScale / (1.0f + sums.rest);
    if (isHeld) {
#pragma unroll
        for (int n = 0; n < LOSS_HELD; ++n) {
            int i = n * LOSS_THREADS + threadIdx.x;
            if (i < vocabulary) x[i] = sums.gradient(i, label, held[n]) * factor;
        }
    } else {
        for (int i = threadIdx.x; i < vocabulary; i += LOSS_THREADS) {
            float e = i == sums.best ? 1.0f : expf(x[i] - sums.largest);
            x[i] = sums.gradient(i, label, e) * factor;
        }
    }
}
