// What the shares of the vocabulary's head say of a row, or of a token's gradient, and their sums in order.
//
// A row's label stays out of its sum: with `others` the sum of the others' e^(x - top) and top the largest logit, a label
// that has it costs log1p(others), and the gradient at its logit is -others/(1 + others), exact however sure the model is.
#pragma once
#include "attention_tiles.cuh"

#define NONE 0x7fffffff
#define FLOAT_MAX 3.402823466e38f
// Rows of both matrices come in whole blocks of so many.
#define BLOCK_ROWS 128

__device__ __forceinline__ int paddedRows(int rows) { return (rows + BLOCK_ROWS - 1) / BLOCK_ROWS * BLOCK_ROWS; }

// What a share of the vocabulary says of a row: Σ e^x of all but the label as sum · 2^base, the largest logit of these and
// the first token that has it.
struct RowSums {
    float base, sum, largest;
    int first;

    __device__ __forceinline__ void take(float otherLargest, int otherFirst) {
        bool better = otherLargest > largest || (otherLargest == largest && otherFirst < first);
        largest = better ? otherLargest : largest;
        first = better ? otherFirst : first;
    }
};

// Four numbers of a row of `width`, but for those beyond it.
__device__ __forceinline__ void writeQuad(float* row, int column, int width, const float4& x) {
    float* at = row + column;
    if (column + 3 < width && ((uint64)at & 15) == 0) {
        *(float4*)at = x;
    } else {
        if (column < width) at[0] = x.x;
        if (column + 1 < width) at[1] = x.y;
        if (column + 2 < width) at[2] = x.z;
        if (column + 3 < width) at[3] = x.w;
    }
}

__device__ __forceinline__ void addScaled(float4& sum, float factor, const float4& x) {
    sum.x = fmaf(factor, x.x, sum.x), sum.y = fmaf(factor, x.y, sum.y);
    sum.z = fmaf(factor, x.z, sum.z), sum.w = fmaf(factor, x.w, sum.w);
}

// What a row's shares say together, a warp a row: top, the largest logit; `others`, Σ e^(x - top) of all but the label.
struct WholeRow {
    float top, others, own;
    int label;

    __device__ __forceinline__ float total() const { return others + own; }

    // Writes what is known of the row without its gradient.
    __device__ __forceinline__ void add(int shares, long long stride, const RowSums* sums, float logit, int label,
                                        float* loss, float* correct) {
        RowSums all = {0.0f, 0.0f, -INFINITY, NONE};
        for (int share = threadIdx.x % WARP; share < shares; share += WARP)
            all.take(sums[share * stride].largest, sums[share * stride].first);
#pragma unroll
        for (int offset = 16; offset > 0; offset >>= 1)
            all.take(__shfl_xor_sync(FULL, all.largest, offset), __shfl_xor_sync(FULL, all.first, offset));
        top = fmaxf(all.largest, logit);
        others = 0.0f;
        for (int share = threadIdx.x % WARP; share < shares; share += WARP)
            others += sums[share * stride].sum * factor(sums[share * stride].base);
        others = warpSum(others);
        own = logit == top ? 1.0f : exp2f((logit - top) * LOG2E);
        if (threadIdx.x % WARP != 0) return;
        // Terms of one sign: no digit is lost in float32.
        float log = logit >= all.largest ? log1pf(others) : logf(total());
        float x = log + (top - logit);
        *loss = x;
        bool isFirst = logit > all.largest || (logit == all.largest && label < all.first);
        *correct = isFirst && x == x ? 1.0f : 0.0f;
    }

    // Of a share's sums to those against the top.
    __device__ __forceinline__ float factor(float base) const { return exp2f(fmaf(-top, LOG2E, base)); }
};

// Adds up the shares of the rows, a warp a row: losses, correct and, where wanted, dHidden. What headTable wants of each
// padded row goes to statistics, (3, padded rows): its normaliser in units of ln 2, the gradient at its label, the label.
template <int D>
__device__ __forceinline__ void finishRows(int rows, int width, int shares, float gradientScale, const float* table,
                                           const float* labelLogits, const RowSums* sums, const float* partials,
                                           float* statistics, float* losses, float* correct, float* dHidden) {
    constexpr int ACROSS = D / 4, GROUPS = WARP / ACROSS;
    long long padded = paddedRows(rows), row = (long long)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (row >= rows) {
        if (lane == 0 && row < padded) statistics[row] = INFINITY, statistics[padded + row] = 0.0f;
        return;
    }
    int label = ((const int*)statistics)[2 * padded + row];
    WholeRow whole;
    whole.add(shares, padded, sums + row, labelLogits[row], label, losses + row, correct + row);
    if (lane == 0) {
        statistics[row] = fmaf(whole.top, LOG2E, log2f(whole.total()));
        // NaN as other kernels make it, whatever its sign would be.
        float coefficient = -whole.others / whole.total();
        statistics[padded + row] = coefficient == coefficient ? coefficient : __int_as_float(0x7fffffff);
    }
    if (!dHidden) return;
    int column = lane % ACROSS * 4;
    float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll 4
    for (int share = lane / ACROSS; share < shares; share += GROUPS) {
        long long at = share * padded + row;
        addScaled(sum, whole.factor(sums[at].base), *(const float4*)(partials + at * D + column));
    }
#pragma unroll
    for (int offset = ACROSS; offset < WARP; offset <<= 1) {
        sum.x += __shfl_xor_sync(FULL, sum.x, offset), sum.y += __shfl_xor_sync(FULL, sum.y, offset);
        sum.z += __shfl_xor_sync(FULL, sum.z, offset), sum.w += __shfl_xor_sync(FULL, sum.w, offset);
    }
    uint4 own = ::operands<false>(readQuad(rowsOf(table, width, label + 1, width), label, column), Unchanged());
    addScaled(sum, -whole.others, *(const float4*)&own);
    float factor = gradientScale / whole.total();
    sum = make_float4(sum.x * factor, sum.y * factor, sum.z * factor, sum.w * factor);
    if (lane < ACROSS) writeQuad(dHidden + row * width, column, width, sum);
}

// dTable = gradientScale · the sum of the shares.
template <int D>
__device__ __forceinline__ void finishTable(int width, int vocabulary, int shares, float gradientScale,
                                            const float* partials, float* dTable) {
    long long stride = (long long)paddedRows(vocabulary) * D;
    FOR_EACH(i, (long long)vocabulary * (D / 4)) {
        float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll 4
        for (int share = 0; share < shares; ++share)
            addScaled(sum, gradientScale, *(const float4*)(partials + share * stride + 4 * i));
        writeQuad(dTable + i / (D / 4) * width, (int)(i % (D / 4)) * 4, width, sum);
    }
}

// What adds the shares up behind the passes.
#define HEAD_SUMS(D)                                                                                                 \
    extern "C" __global__ void headLosses##D(                                                                        \
        int rows, int width, int shares, float gradientScale, const float* table, const float* labelLogits,          \
        const RowSums* sums, const float* partials, float* statistics, float* losses, float* correct, float* dHidden) { \
        awaitEarlierKernels();                                                                                       \
        finishRows<D>(rows, width, shares, gradientScale, table, labelLogits, sums, partials, statistics, losses, correct, \
                      dHidden);                                                                                      \
    }                                                                                                                \
    extern "C" __global__ void headTableSum##D(int width, int vocabulary, int shares, float gradientScale,           \
                                               const float* partials, float* dTable) {                               \
        awaitEarlierKernels();                                                                                       \
        finishTable<D>(width, vocabulary, shares, gradientScale, partials, dTable);                                  \
    }
