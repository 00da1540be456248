// The passes of the vocabulary's head (head_loss.cu says what they make) for compute capability 9.0: products by wgmma, of
// tiles that a warp copies to shared memory while two warpgroups, each with 64 of the rows that a block keeps, compute.
//
// The kept rows stay in registers, as left factors. A tile passes twice: as rows, whose products are logits, and transposed,
// to be added up by the weights made of these; tf32 has no other way. While a warpgroup makes weights of one tile's logits,
// the products of the weights before are under way.
//
// Both matrices come rounded to tf32 and padded with zeros, tile by tile as it is to lie in shared memory (makeTiles).
#include "head_policies.cuh"
#include "hopper.cuh"

// Numbers in a tile, and how many of each kind have a place: being read, ready or on their way.
#define TILE 8192
#define STAGES 3
// Two warpgroups, and one of which a thread starts copies.
#define HOPPER_THREADS (3 * WARPGROUP)
#define KEPT_WARPS (2 * WARPGROUP / WARP)

template <int D>
constexpr int passingRows = TILE / D;

// Where a number is in tiles of rows: (D / 32, passing rows, 32) each.
template <int D>
__device__ __forceinline__ long long straightAt(int row, int column) {
    constexpr int ROWS = passingRows<D>;
    return (long long)(row / ROWS) * TILE + column / 32 * (ROWS * 32) + swizzled(row % ROWS, column % 32);
}

// Where four numbers of a column are in transposed tiles, (passing rows / 32, D, 32) each: those of rows `first`,
// first + 2, first + 4, first + 6 of an eight. Of logits a lane has columns 2t and 2t + 1, which as weights are to be t and
// t + 4 of a left factor: the right one has its rows in that order.
template <int D>
__device__ __forceinline__ long long transposedAt(int first, int column) {
    constexpr int ROWS = passingRows<D>;
    int row = first % ROWS, place = row % 32 / 8 * 8 + row % 2 * 4;
    return (long long)(first / ROWS) * TILE + row / 32 * (D * 32) + swizzled(column, place);
}

// Tiles of the hidden rows and of the table, then both transposed, a block for 32 rows; labels, -1 for no row, go to the third
// of the statistics.
template <int D>
__device__ __forceinline__ void makeTiles(int rows, int width, int vocabulary, const float* hidden, const float* table,
                                          const int* labels, float* statistics, float* tiles) {
    __shared__ uint32 numbers[32][D + 1];
    int padded = paddedRows(rows), all = padded + paddedRows(vocabulary), first = blockIdx.x * 32;
    bool isTable = first >= padded;
    Rows source = isTable ? rowsOf(table, width, vocabulary, width) : rowsOf(hidden, width, rows, width);
    float* straight = tiles + (isTable ? (long long)padded * D : 0);
    float* transposed = straight + (long long)all * D;
    if (isTable) first -= padded;
    for (int i = threadIdx.x; i < 32 * (D / 4); i += blockDim.x) {
        int row = i / (D / 4), column = i % (D / 4) * 4;
        uint4 bits = operands<false>(readQuad(source, first + row, column), Unchanged());
        *(uint4*)(straight + straightAt<D>(first + row, column)) = bits;
        uint32* at = &numbers[row][column];
        at[0] = bits.x, at[1] = bits.y, at[2] = bits.z, at[3] = bits.w;
    }
    int row = first + threadIdx.x;
    if (!isTable && threadIdx.x < 32) ((int*)statistics)[2 * padded + row] = row < rows ? labels[row] : -1;
    __syncthreads();
    for (int i = threadIdx.x; i < 8 * D; i += blockDim.x) {
        // Columns in an order in which a warp's reads fall into different banks.
        int row = i % 8 / 2 * 8 + i % 2, column = i / 64 * 8 + i / 8 % 4 * 2 + i / 32 % 2;
        *(uint4*)(transposed + transposedAt<D>(first + row, column)) =
            make_uint4(numbers[row][column], numbers[row + 2][column], numbers[row + 4][column], numbers[row + 6][column]);
    }
}

// Of a ring, which place is next, and in which round.
struct Turn {
    int stage = 0, parity = 0;

    __device__ __forceinline__ void next() {
        if (++stage == STAGES) stage = 0, parity ^= 1;
    }
};

// The block's shared memory: places for tiles of both kinds and, beside a transposed one, for three statistics of its rows.
template <int D>
struct Ring {
    static constexpr int SIDE = 3 * passingRows<D>;
    float *tiles, *sides;
    Barrier *straightReady, *straightFree, *transposedReady, *transposedFree;

    __device__ __forceinline__ Ring() {
        uint64 start = (uint64)sharedFloats();
        // On 1024 bytes, as the tiles' layout wants it.
        tiles = (float*)(start + (-sharedAddress((void*)start) & 1023));
        sides = tiles + 2 * STAGES * TILE;
        straightReady = (Barrier*)(sides + STAGES * SIDE);
        straightFree = straightReady + STAGES;
        transposedReady = straightFree + STAGES;
        transposedFree = transposedReady + STAGES;
        if (threadIdx.x == 0) {
            for (int stage = 0; stage < STAGES; ++stage) {
                straightReady[stage].start(1), transposedReady[stage].start(1);
                straightFree[stage].start(KEPT_WARPS);
                // Every thread has read statistics beside a transposed tile, so every thread says when it is done.
                transposedFree[stage].start(2 * WARPGROUP);
            }
            publishBarriers();
        }
        __syncthreads();
    }

    __device__ __forceinline__ float* straight(int stage) const { return tiles + stage * TILE; }
    __device__ __forceinline__ float* transposed(int stage) const { return tiles + (STAGES + stage) * TILE; }
    __device__ __forceinline__ float* side(int stage) const { return sides + stage * SIDE; }
};

// Which rows a block keeps, and which tiles pass it by: blocks are (kept, shares).
template <int D>
struct HopperShare {
    int kept, firstTile, tiles;

    __device__ __forceinline__ HopperShare(int passing, int tilesEach) {
        kept = blockIdx.x * BLOCK_ROWS;
        firstTile = blockIdx.y * tilesEach;
        tiles = min(tilesEach, (passing + passingRows<D> - 1) / passingRows<D> - firstTile);
    }
};

// What one thread does: copies a share's tiles as places become free. `statistics` (3, padded rows) where they are wanted.
template <int D, bool GRADIENT>
__device__ __forceinline__ void copyTiles(const Ring<D>& ring, const HopperShare<D>& share, const float* straight,
                                          const float* transposed, const float* statistics, int padded) {
    constexpr int TILE_BYTES = TILE * 4, ROWS = passingRows<D>;
    Turn turn;
#pragma unroll 1
    for (int n = 0; n < share.tiles; ++n, turn.next()) {
        long long tile = share.firstTile + n;
        ring.straightFree[turn.stage].await(turn.parity ^ 1);
        Barrier& ready = ring.straightReady[turn.stage];
        ready.expect(TILE_BYTES);
        ready.copy(ring.straight(turn.stage), straight + tile * TILE, TILE_BYTES);
        if constexpr (GRADIENT) {
            ring.transposedFree[turn.stage].await(turn.parity ^ 1);
            Barrier& ready = ring.transposedReady[turn.stage];
            ready.expect(TILE_BYTES + (statistics ? 3 * ROWS * 4 : 0));
            ready.copy(ring.transposed(turn.stage), transposed + tile * TILE, TILE_BYTES);
            for (int which = 0; which < 3 && statistics; ++which)
                ready.copy(ring.side(turn.stage) + which * ROWS, statistics + (long long)which * padded + tile * ROWS,
                           ROWS * 4);
        }
    }
}

// What the warps with kept rows hold: left factors, and what they add up.
template <int D>
struct Products {
    static constexpr int N = passingRows<D> / 8;
    uint32 kept[D / 8][4];
    // Of 64 passing rows, or 128: logits, then weights; and the weights that are multiplied meanwhile.
    float s[1][N][4];
    uint32 weights[N][4];
    float sums[D / 8][4];

    // Of tiles in device memory, the block's first row being `first`.
    __device__ __forceinline__ Products(const float* straight, int first) {
#pragma unroll
        for (int step = 0; step < D / 8; ++step)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                int row = first + threadIdx.x / WARP * 16 + accumulatorRow(i % 2 * 2);
                kept[step][i] = __float_as_uint(straight[straightAt<D>(row, 8 * step + i / 2 * 4 + threadIdx.x % 4)]);
                sums[step][i] = 0.0f;
            }
    }

    __device__ __forceinline__ void multiplyKept(const float* tile) {
        uint64 factor = factorAt(tile);
        beginProducts();
        multiplyGroup<false>(s[0], kept[0], factor);
#pragma unroll
        for (int step = 1; step < D / 8; ++step)
            multiplyGroup<true>(s[0], kept[step], factor + step / 4 * (passingRows<D> * 8) + step % 4 * NEXT_EIGHT);
        endProducts();
    }

    __device__ __forceinline__ void addWeighted(const float* transposed) {
        uint64 factor = factorAt(transposed);
        beginProducts();
#pragma unroll
        for (int step = 0; step < N; ++step)
            multiplyGroup<true>(sums, weights[step], factor + step / 4 * (D * 8) + step % 4 * NEXT_EIGHT);
        endProducts();
    }

    // Rounding adds half of a last place of tf32, and is not to run over into the sign of NaN as the kernels make it.
    __device__ __forceinline__ void limitWeights() {
#pragma unroll
        for (int n = 0; n < N; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) s[0][n][i] = __int_as_float(min(__float_as_int(s[0][n][i]), 0x7fffffff - 0x1000));
    }

    // Rounds them. Were they only moved, the compiler would take them for registers written while products read them.
    __device__ __forceinline__ void takeWeights() {
#pragma unroll
        for (int n = 0; n < N; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) weights[n][i] = __float_as_uint(s[0][n][i % 2 * 2 + i / 2]) + 0x1000u;
    }

    __device__ __forceinline__ void scale(const float (&factors)[2]) {
#pragma unroll
        for (int c = 0; c < D / 8; ++c)
#pragma unroll
            for (int i = 0; i < 4; ++i) sums[c][i] *= factors[i / 2];
    }

    // To rows of D numbers, the block's first at `out`.
    __device__ __forceinline__ void store(float* out) const {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            int row = threadIdx.x / WARP * 16 + accumulatorRow(2 * half);
            float* at = out + row * D + accumulatorColumn(0);
#pragma unroll
            for (int c = 0; c < D / 8; ++c) *(float2*)(at + 8 * c) = make_float2(sums[c][2 * half], sums[c][2 * half + 1]);
        }
    }
};

__device__ __forceinline__ void release(Barrier& free) {
    __syncwarp();
    if (threadIdx.x % WARP == 0) free.arrive();
}

// The pass: policy.weigh(s, part, side, factors) makes weights of the logits of rows from `part` on, whose statistics are at
// `side`, and says whether what was added up before is to be scaled.
template <int D, bool GRADIENT, class Policy>
__device__ __forceinline__ void passTiles(const Ring<D>& ring, const HopperShare<D>& share, Policy& policy,
                                          Products<D>& products) {
    Turn now;
    float factors[2];
    auto weigh = [&](int n) {
        if constexpr (Policy::HAS_SIDES) ring.transposedReady[now.stage].await(now.parity);
        bool grew = policy.weigh(products.s, (share.firstTile + n) * passingRows<D>, ring.side(now.stage), factors);
        if constexpr (GRADIENT) products.limitWeights();
        return grew;
    };
    ring.straightReady[0].await(0);
    products.multiplyKept(ring.straight(0));
    awaitProducts<0>();
    pin(products.s[0]);
    release(ring.straightFree[0]);
    weigh(0);
    if constexpr (GRADIENT) products.takeWeights();
#pragma unroll 1
    for (int n = 1; n < share.tiles; ++n) {
        Turn before = now;
        now.next();
        ring.straightReady[now.stage].await(now.parity);
        products.multiplyKept(ring.straight(now.stage));
        if constexpr (GRADIENT) {
            ring.transposedReady[before.stage].await(before.parity);
            products.addWeighted(ring.transposed(before.stage));
        }
        awaitProducts<GRADIENT ? 1 : 0>();
        pin(products.s[0]);
        release(ring.straightFree[now.stage]);
        bool grew = weigh(n);
        if constexpr (GRADIENT) {
            awaitProducts<0>();
            pin(products.sums);
            pin(products.s[0]);
            ring.transposedFree[before.stage].arrive();
            if (grew) products.scale(factors);
            products.takeWeights();
        }
    }
    if constexpr (GRADIENT) {
        ring.transposedReady[now.stage].await(now.parity);
        products.addWeighted(ring.transposed(now.stage));
        awaitProducts<0>();
        pin(products.sums);
    }
}

template <int D>
struct RowsPolicy : LossPolicy<1, passingRows<D> / 8> {
    using Base = LossPolicy<1, passingRows<D> / 8>;
    using Base::Base;
    static constexpr bool HAS_SIDES = false;

    __device__ __forceinline__ bool weigh(float (&s)[1][passingRows<D> / 8][4], int part, const float*,
                                          float (&factors)[2]) {
        return Base::weigh(s, part, factors);
    }
};

template <int D>
struct TablePolicy {
    static constexpr bool HAS_SIDES = true;
    // The warp's first token.
    int token;

    __device__ __forceinline__ bool weigh(float (&s)[1][passingRows<D> / 8][4], int, const float* side, float (&)[2]) const {
        constexpr int ROWS = passingRows<D>;
        weighTable<1, ROWS / 8>(s, token, side, side + ROWS, (const int*)(side + 2 * ROWS));
        return false;
    }
};

// The arguments are those of head_loss.cu's passes; after the tiles of both matrices come the transposed ones.
template <int D, bool GRADIENT>
__device__ __forceinline__ void headRowsPass(int rows, int vocabulary, int tilesEach, const float* hidden,
                                             const float* table, const float* statistics, float* labelLogits,
                                             RowSums* rowSums, float* partials) {
    Ring<D> ring;
    HopperShare<D> share(vocabulary, tilesEach);
    int padded = paddedRows(rows);
    if (threadIdx.x >= 2 * WARPGROUP) {
        giveRegisters<24>();
        const float* transposed = table + (long long)(padded + paddedRows(vocabulary)) * D;
        if (threadIdx.x == 2 * WARPGROUP) copyTiles<D, GRADIENT>(ring, share, table, transposed, nullptr, 0);
        return;
    }
    takeRegisters<240>();
    const int* labels = (const int*)statistics + 2 * padded;
    RowsPolicy<D> policy(vocabulary, labels + share.kept, labelLogits + share.kept);
    Products<D> products(hidden, share.kept);
    passTiles<D, GRADIENT>(ring, share, policy, products);
    long long at = (long long)blockIdx.y * padded + share.kept;
    policy.store(rowSums + at);
    if constexpr (GRADIENT) products.store(partials + at * D);
}

template <int D>
__device__ __forceinline__ void headTablePass(int rows, int vocabulary, int tilesEach, const float* hidden,
                                              const float* table, const float* statistics, float* partials) {
    Ring<D> ring;
    HopperShare<D> share(rows, tilesEach);
    int padded = paddedRows(rows), paddedTable = paddedRows(vocabulary);
    if (threadIdx.x >= 2 * WARPGROUP) {
        giveRegisters<24>();
        const float* transposed = hidden + (long long)(padded + paddedTable) * D;
        if (threadIdx.x == 2 * WARPGROUP) copyTiles<D, true>(ring, share, hidden, transposed, statistics, padded);
        return;
    }
    takeRegisters<240>();
    TablePolicy<D> policy = {share.kept + (int)threadIdx.x / WARP * 16};
    Products<D> products(table, share.kept);
    passTiles<D, true>(ring, share, policy, products);
    products.store(partials + ((long long)blockIdx.y * paddedTable + share.kept) * D);
}

#define ROWS_PASS(NAME, D, GRADIENT)                                                                                 \
    extern "C" __global__ void __launch_bounds__(HOPPER_THREADS, 1)                                                  \
        NAME(int rows, int vocabulary, int tilesEach, const float* hidden, const float* table, const float* statistics, \
             float* labelLogits, RowSums* sums, float* partials) {                                                   \
        awaitEarlierKernels();                                                                                       \
        headRowsPass<D, GRADIENT>(rows, vocabulary, tilesEach, hidden, table, statistics, labelLogits, sums, partials); \
    }

#define HEAD(D)                                                                                                      \
    extern "C" __global__ void headOperands##D(int rows, int width, int vocabulary, const float* hidden,             \
                                               const float* table, const int* labels, float* statistics,             \
                                               float* tiles) {                                                       \
        awaitEarlierKernels();                                                                                       \
        makeTiles<D>(rows, width, vocabulary, hidden, table, labels, statistics, tiles);                             \
    }                                                                                                                \
    ROWS_PASS(headRows##D, D, true)                                                                                  \
    ROWS_PASS(headRowsLoss##D, D, false)                                                                             \
    extern "C" __global__ void __launch_bounds__(HOPPER_THREADS, 1)                                                  \
        headTable##D(int rows, int vocabulary, int tilesEach, const float* hidden, const float* table,               \
                     const float* statistics, float* partials) {                                                     \
        awaitEarlierKernels();                                                                                       \
        headTablePass<D>(rows, vocabulary, tilesEach, hidden, table, statistics, partials);                          \
    }                                                                                                                \
    HEAD_SUMS(D)

#if defined(ALL) || defined(GROUP_64)
HEAD(64)
#endif
#if defined(ALL) || defined(GROUP_128)
HEAD(128)
#endif
