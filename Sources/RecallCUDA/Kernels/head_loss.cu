// The vocabulary's head with softmax cross-entropy and its gradients (MODELS.md B.1, D.0), in tiles: no logit is stored.
//
// Two passes over the logits (head_tiles.cuh): where hidden rows are kept and the table passes, that makes the losses and
// dHidden (headRows); where the table is kept and hidden rows pass, dTable (headTable). The kernels behind them add the shares
// in order.
//
// A row's label stays out of its sum: with `others` the sum of the others' e^(x - top) and top the largest logit, a label
// that has it costs log1p(others), and the gradient at its logit is -others/(1 + others), exact however sure the model is.
#include "head_tiles.cuh"

#define NONE 0x7fffffff
#define FLOAT_MAX 3.402823466e38f

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

// By how many powers of two a weight may exceed 1 before the sums are scaled down: there is room for many.
#define HEADROOM 8.0f

// Logits of hidden rows to e^(x - base). A lane has part of four rows, 8 apart: number i of accumulator m is of row 2m + i/2.
template <int D, bool GRADIENT>
struct LossPolicy {
    int vocabulary;
    float* labelLogits;
    // The same in the four lanes of a row, in units of ln 2.
    float base[4];
    // Of the lane's own logits.
    float sum[4], largest[4];
    // Where the largest was met first: the token, or the first of its part where the label is in another.
    int first[4];
    int label[4];

    __device__ __forceinline__ LossPolicy(int vocabulary, const int* labels, float* labelLogits)
        : vocabulary(vocabulary), labelLogits(labelLogits) {
#pragma unroll
        for (int r = 0; r < 4; ++r) {
            base[r] = -FLOAT_MAX, sum[r] = 0.0f, largest[r] = -INFINITY, first[r] = NONE;
            label[r] = labels[row(r)];
        }
    }

    static __device__ __forceinline__ int row(int r) {
        return threadIdx.x / WARP * WARP_ROWS + r / 2 * 16 + accumulatorRow(r % 2 * 2);
    }

    __device__ __forceinline__ void copyAhead(int, int) const {}

    // Takes labels, and what is beyond the vocabulary, out of a part.
    __device__ __forceinline__ void setApart(float (&s)[2][4][4], int part) {
#pragma unroll
        for (int r = 0; r < 4; ++r)
#pragma unroll
            for (int n = 0; n < 4; ++n)
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    float& x = s[r / 2][n][r % 2 * 2 + i];
                    int token = part + 8 * n + accumulatorColumn(i);
                    if (token == label[r]) labelLogits[row(r)] = x;
                    if (token == label[r] || token >= vocabulary) x = -INFINITY;
                }
    }

    static __device__ __forceinline__ int firstOf(const float (&s)[4][4], int half, float x, int part) {
        int found = NONE;
#pragma unroll
        for (int n = 3; n >= 0; --n)
#pragma unroll
            for (int i = 1; i >= 0; --i)
                if (s[n][2 * half + i] == x) found = part + 8 * n + accumulatorColumn(i);
        return found;
    }

    // Raises the bases to the largest logits of a part, which these are of.
    __device__ __forceinline__ void raise(const float (&partLargest)[4], WeightedSums<D>& sums) {
        float factors[4];
#pragma unroll
        for (int r = 0; r < 4; ++r) {
            float raised = fmaxf(base[r], largestOfQuad(partLargest[r]) * LOG2E);
            factors[r] = power2(base[r] - raised);
            base[r] = raised;
            sum[r] *= factors[r];
        }
        if constexpr (GRADIENT) sums.scale(factors);
    }

    __device__ __forceinline__ void weigh(float (&s)[2][4][4], WeightedSums<D>& sums, int part, int) {
        bool special = part + PART > vocabulary, grows = false;
#pragma unroll
        for (int r = 0; r < 4; ++r) special |= (uint32)(label[r] - part) < PART;
        special = __any_sync(FULL, special);
        if (special) setApart(s, part);
        float partLargest[4];
#pragma unroll
        for (int r = 0; r < 4; ++r) {
            const float(&x)[4][4] = s[r / 2];
            int at = r % 2 * 2;
            float low = fmaxf(fmaxf(x[0][at], x[0][at + 1]), fmaxf(x[1][at], x[1][at + 1]));
            float high = fmaxf(fmaxf(x[2][at], x[2][at + 1]), fmaxf(x[3][at], x[3][at + 1]));
            partLargest[r] = fmaxf(low, high);
            if (partLargest[r] > largest[r]) {
                largest[r] = partLargest[r];
                first[r] = special ? firstOf(x, r % 2, partLargest[r], part) : part;
            }
            grows |= fmaf(partLargest[r], LOG2E, -base[r]) > HEADROOM;
        }
        if (__any_sync(FULL, grows)) raise(partLargest, sums);
#pragma unroll
        for (int r = 0; r < 4; ++r)
#pragma unroll
            for (int n = 0; n < 4; ++n)
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    float& x = s[r / 2][n][r % 2 * 2 + i];
                    x = power2(fmaf(x, LOG2E, -base[r]));
                    sum[r] += x;
                }
    }

    // To `out`, of the block's rows.
    __device__ __forceinline__ void store(RowSums* out) const {
#pragma unroll
        for (int r = 0; r < 4; ++r) {
            RowSums all = {base[r], sumOfQuad(sum[r]), largest[r], first[r]};
#pragma unroll
            for (int offset = 1; offset < 4; offset <<= 1)
                all.take(__shfl_xor_sync(FULL, all.largest, offset), __shfl_xor_sync(FULL, all.first, offset));
            if (threadIdx.x % 4 == 0) out[row(r)] = all;
        }
    }
};

// rowSums, partials: (shares, padded rows), (shares, padded rows, D); statistics as headLosses has them; each label's logit
// goes to labelLogits.
template <int D, bool GRADIENT>
__device__ __forceinline__ void headRowsPass(int rows, int vocabulary, int tilesEach, const float* hidden,
                                             const float* table, const float* statistics, float* labelLogits,
                                             RowSums* rowSums, float* partials) {
    Share<D> share(vocabulary, tilesEach);
    int padded = paddedRows(rows);
    long long at = (long long)blockIdx.y * padded + share.kept;
    const int* labels = (const int*)statistics + 2 * padded;
    LossPolicy<D, GRADIENT> policy(vocabulary, labels + share.kept, labelLogits + share.kept);
    WeightedSums<D> sums;
    headPass<D, GRADIENT>(share, policy, sums, hidden, table);
    policy.store(rowSums + at);
    if constexpr (GRADIENT) sums.store(partials + (at + threadIdx.x / WARP * WARP_ROWS) * D);
}

// Logits of rows of the table, transposed, to softmax - onehot.
template <int D>
struct TablePolicy {
    // Of device memory: statistics as headLosses has them.
    const float* statistics;
    int padded;
    // The warp's first token.
    int token;

    // Of a tile that passes: the three statistics of its rows.
    static __device__ __forceinline__ float* sideOf(int side) {
        return sharedFloats() + headFloats<D> + side * 3 * passingOf<D>;
    }

    __device__ __forceinline__ void copyAhead(int tile, int side) const {
        constexpr int EACH = passingOf<D> / 4;
        int which = threadIdx.x / EACH, row = threadIdx.x % EACH * 4;
        if (which < 3)
            ::copyAhead(sideOf(side) + which * passingOf<D> + row,
                        statistics + (long long)which * padded + tile * passingOf<D> + row);
    }

    __device__ __forceinline__ void weigh(float (&s)[2][4][4], WeightedSums<D>&, int part, int side) const {
        const float* normalisers = sideOf(side) + part % passingOf<D>;
        const float* coefficients = normalisers + passingOf<D>;
        const int* labels = (const int*)(coefficients + passingOf<D>);
#pragma unroll
        for (int n = 0; n < 4; ++n) {
            float2 normaliser = *(const float2*)(normalisers + 8 * n + accumulatorColumn(0));
#pragma unroll
            for (int m = 0; m < 2; ++m)
#pragma unroll
                for (int i = 0; i < 4; ++i)
                    s[m][n][i] = power2(fmaf(s[m][n][i], LOG2E, -(i & 1 ? normaliser.y : normaliser.x)));
        }
        if (!__any_sync(FULL, (uint32)(labels[threadIdx.x % WARP] - token) < WARP_ROWS)) return;
#pragma unroll
        for (int n = 0; n < 4; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                int column = 8 * n + accumulatorColumn(i), row = labels[column] - token - accumulatorRow(i);
                if (row == 0) s[0][n][i] = coefficients[column];
                if (row == 16) s[1][n][i] = coefficients[column];
            }
    }
};

// partials: (shares, padded vocabulary, D), less gradientScale.
template <int D>
__device__ __forceinline__ void headTablePass(int rows, int vocabulary, int tilesEach, const float* hidden,
                                              const float* table, const float* statistics, float* partials) {
    Share<D> share(rows, tilesEach);
    int token = share.kept + threadIdx.x / WARP * WARP_ROWS;
    TablePolicy<D> policy = {statistics, paddedRows(rows), token};
    WeightedSums<D> sums;
    headPass<D, true>(share, policy, sums, table, hidden);
    sums.store(partials + ((long long)blockIdx.y * paddedRows(vocabulary) + token) * D);
}

// The hidden rows, then the table's, as the passes want them; labels, -1 for no row, as the third of the statistics.
template <int D>
__device__ __forceinline__ void makeOperands(int rows, int width, int vocabulary, const float* hidden, const float* table,
                                             const int* labels, float* statistics, float* operands) {
    long long padded = paddedRows(rows), quads = (padded + paddedRows(vocabulary)) * (D / 4);
    FOR_EACH(i, quads) {
        long long row = i / (D / 4);
        int column = (int)(i % (D / 4)) * 4;
        bool isTable = row >= padded;
        Rows source = isTable ? rowsOf(table, width, vocabulary, width) : rowsOf(hidden, width, rows, width);
        float4 quad = readQuad(source, (int)(isTable ? row - padded : row), column);
        ((uint4*)operands)[i] = ::operands<false>(quad, Unchanged());
        if (column == 0 && !isTable) ((int*)statistics)[2 * padded + row] = row < rows ? labels[row] : -1;
    }
}

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
        statistics[padded + row] = -whole.others / whole.total();
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
    addScaled(sum, -whole.others, *(const float4*)(table + (long long)label * D + column));
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

#define ROWS_PASS(NAME, D, GRADIENT, BLOCKS)                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                                    \
        NAME(int rows, int vocabulary, int tilesEach, const float* hidden, const float* table, const float* statistics, \
             float* labelLogits, RowSums* sums, float* partials) {                                                   \
        headRowsPass<D, GRADIENT>(rows, vocabulary, tilesEach, hidden, table, statistics, labelLogits, sums, partials); \
    }

#define HEAD(D, BLOCKS, LOSS_BLOCKS)                                                                                 \
    extern "C" __global__ void headOperands##D(int rows, int width, int vocabulary, const float* hidden,             \
                                               const float* table, const int* labels, float* statistics,             \
                                               float* operands) {                                                    \
        makeOperands<D>(rows, width, vocabulary, hidden, table, labels, statistics, operands);                       \
    }                                                                                                                \
    ROWS_PASS(headRows##D, D, true, BLOCKS)                                                                          \
    ROWS_PASS(headRowsLoss##D, D, false, LOSS_BLOCKS)                                                                \
    extern "C" __global__ void headLosses##D(                                                                        \
        int rows, int width, int shares, float gradientScale, const float* table, const float* labelLogits,          \
        const RowSums* sums, const float* partials, float* statistics, float* losses, float* correct, float* dHidden) { \
        finishRows<D>(rows, width, shares, gradientScale, table, labelLogits, sums, partials, statistics, losses, correct, \
                      dHidden);                                                                                      \
    }                                                                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                                    \
        headTable##D(int rows, int vocabulary, int tilesEach, const float* hidden, const float* table,               \
                     const float* statistics, float* partials) {                                                     \
        headTablePass<D>(rows, vocabulary, tilesEach, hidden, table, statistics, partials);                          \
    }                                                                                                                \
    extern "C" __global__ void headTableSum##D(int width, int vocabulary, int shares, float gradientScale,           \
                                               const float* partials, float* dTable) {                               \
        finishTable<D>(width, vocabulary, shares, gradientScale, partials, dTable);                                  \
    }

// A model needs one width: KernelLibrary.swift asks for it by its suffix.
#if defined(ALL) || defined(GROUP_32)
HEAD(32, 3, 4)
#endif
#if defined(ALL) || defined(GROUP_64)
HEAD(64, 2, 3)
#endif
#if defined(ALL) || defined(GROUP_128)
HEAD(128, 2, 2)
#endif
