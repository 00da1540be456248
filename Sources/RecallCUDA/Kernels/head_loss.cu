// The vocabulary's head with softmax cross-entropy and its gradients (docs/math/backbone.md, section 6), in
// tiles: no logit is stored.
//
// Two passes over the logits (head_tiles.cuh): where hidden rows are kept and the table passes, that makes the
// losses and dHidden (headRows); where the table is kept and hidden rows pass, dTable (headTable). The kernels
// behind them add the shares in order (head_sums.cuh).
#include "head_policies.cuh"
#include "head_tiles.cuh"

// Logits of hidden rows to weights and sums of these.
template <int D>
struct RowsPolicy : LossPolicy<2, 4> {
    using LossPolicy<2, 4>::LossPolicy;

    __device__ __forceinline__ void copyAhead(int, int) const {}

    template <bool GRADIENT>
    __device__ __forceinline__ void weigh(float (&s)[2][4][4], WeightedSums<D>& sums, int part, int) {
        float factors[4];
        bool grew = LossPolicy::weigh(s, part, factors);
        if constexpr (GRADIENT)
            if (grew) sums.scale(factors);
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
    RowsPolicy<D> policy(vocabulary, labels + share.kept, labelLogits + share.kept);
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

    template <bool GRADIENT>
    __device__ __forceinline__ void weigh(float (&s)[2][4][4], WeightedSums<D>&, int part, int side) const {
        const float* normalisers = sideOf(side) + part % passingOf<D>;
        const float* coefficients = normalisers + passingOf<D>;
        weighTable<2, 4>(s, token, normalisers, coefficients, (const int*)(coefficients + passingOf<D>));
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

#define ROWS_PASS(NAME, D, GRADIENT, BLOCKS)                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                                    \
        NAME(int rows, int vocabulary, int tilesEach, const float* hidden, const float* table, const float* statistics, \
             float* labelLogits, RowSums* sums, float* partials) {                                                   \
        awaitEarlierKernels();                                                                                       \
        headRowsPass<D, GRADIENT>(rows, vocabulary, tilesEach, hidden, table, statistics, labelLogits, sums, partials); \
    }

#define HEAD(D, BLOCKS, LOSS_BLOCKS)                                                                                 \
    extern "C" __global__ void headOperands##D(int rows, int width, int vocabulary, const float* hidden,             \
                                               const float* table, const int* labels, float* statistics,             \
                                               float* operands) {                                                    \
        awaitEarlierKernels();                                                                                       \
        makeOperands<D>(rows, width, vocabulary, hidden, table, labels, statistics, operands);                       \
    }                                                                                                                \
    ROWS_PASS(headRows##D, D, true, BLOCKS)                                                                          \
    ROWS_PASS(headRowsLoss##D, D, false, LOSS_BLOCKS)                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                                    \
        headTable##D(int rows, int vocabulary, int tilesEach, const float* hidden, const float* table,               \
                     const float* statistics, float* partials) {                                                     \
        awaitEarlierKernels();                                                                                       \
        headTablePass<D>(rows, vocabulary, tilesEach, hidden, table, statistics, partials);                          \
    }                                                                                                                \
    HEAD_SUMS(D)

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
