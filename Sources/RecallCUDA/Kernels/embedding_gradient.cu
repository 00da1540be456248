// The gradients of token embeddings (docs/math/backbone.md, section 1). For the table's, positions are sorted
// by token, then the gradients of each row's positions are added in their order. Rows with many positions are
// cut into parts, which are added afterwards: one frequent token does not keep the others waiting.
#include "common.cuh"

// Of sortPositions: its warps, as many as a warp has lanes, and the most rows of the table that a block owns.
#define SORT_WARPS 32
#define MOST_OWNED 256
#define TOKENS_AT_ONCE 8
// Positions of its rows that a warp remembers: where they are more, it looks for them again.
#define MOST_KEPT 64
// Positions of a row that are added without a cut, and those of a part. EmbeddingGradientCUDA.swift knows these too.
#define PART 64
#define SUM_THREADS 256
// Gradients that a thread has on their way.
#define AT_ONCE 4

// Calls visit(position, token) for positions first ..< end, 32 at a time in order, with a token of -1 for those beyond.
template <class Visit>
__device__ __forceinline__ void visitTokens(int first, int end, const int* tokens, Visit visit) {
    int lane = threadIdx.x % WARP;
    for (int start = first; start < end; start += TOKENS_AT_ONCE * WARP) {
        int found[TOKENS_AT_ONCE];
#pragma unroll
        for (int i = 0; i < TOKENS_AT_ONCE; ++i) {
            int position = start + i * WARP + lane;
            found[i] = position < end ? tokens[position] : -1;
        }
#pragma unroll
        for (int i = 0; i < TOKENS_AT_ONCE; ++i) visit(start + i * WARP + lane, found[i]);
    }
}

// The sum of x in this lane and those before it.
__device__ __forceinline__ int sumUpToLane(int x) {
    int lane = threadIdx.x % WARP;
#pragma unroll
    for (int offset = 1; offset < WARP; offset <<= 1) {
        int other = __shfl_up_sync(FULL, x, offset);
        if (lane >= offset) x += other;
    }
    return x;
}

// places (rows, warps) from how many positions each warp has of each row to how many are before its first in `sorted`.
__device__ __forceinline__ void turnIntoPlaces(int rows, int before, int (&places)[MOST_OWNED][SORT_WARPS + 1],
                                               int (&starts)[MOST_OWNED]) {
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (int row = warp; row < rows; row += SORT_WARPS) {
        int mine = places[row][lane], upTo = sumUpToLane(mine);
        places[row][lane] = upTo - mine;
        if (lane == WARP - 1) starts[row] = upTo;
    }
    __syncthreads();
    if (warp == 0)
        for (int first = 0; first < rows; first += WARP) {
            int row = first + lane, mine = row < rows ? starts[row] : 0, upTo = sumUpToLane(mine);
            if (row < rows) starts[row] = before + upTo - mine;
            before += __shfl_sync(FULL, upTo, WARP - 1);
        }
    __syncthreads();
}

// sorted (count): the positions by their tokens' rows of the table, those of a row ascending. starts (vocabulary + 1):
// where each row's begin.
//
// A block owns `owned` rows of the table and looks through all tokens, each warp through a run of them, for how many there
// are of each row and of all rows before its own. That has told where each belongs, and the warp puts them there.
extern "C" __global__ void __launch_bounds__(SORT_WARPS * WARP) sortPositions(
    int count, int vocabulary, int owned, const int* __restrict__ tokens, int* starts, int* sorted) {
    awaitEarlierKernels();
    __shared__ int places[MOST_OWNED][SORT_WARPS + 1], ownStarts[MOST_OWNED], kept[SORT_WARPS][MOST_KEPT], before;
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    int firstRow = blockIdx.x * owned, rows = min(owned, vocabulary - firstRow);
    int each = (count + SORT_WARPS * WARP - 1) / (SORT_WARPS * WARP) * WARP;
    int first = warp * each, end = min(count, first + each);
    for (int row = warp; row < rows; row += SORT_WARPS) places[row][lane] = 0;
    if (threadIdx.x == 0) before = 0;
    __syncthreads();
    int lower = 0, found = 0;
    visitTokens(first, end, tokens, [&](int position, int token) {
        lower += (uint32)token < (uint32)firstRow;
        int row = token - firstRow;
        bool isOwn = token >= firstRow && row < rows;
        uint32 own = __ballot_sync(FULL, isOwn);
        if (!own) return;
        int at = found + __popc(own & ((1u << lane) - 1));
        if (isOwn && at < MOST_KEPT) kept[warp][at] = position;
        found += __popc(own);
        uint32 peers = __match_any_sync(FULL, isOwn ? row : -1);
        if (isOwn && lane == __ffs(peers) - 1) places[row][warp] += __popc(peers);
        __syncwarp();
    });
    // Whole numbers are the same in any order.
    lower = sumUpToLane(lower);
    if (lane == WARP - 1) atomicAdd(&before, lower);
    __syncthreads();
    turnIntoPlaces(rows, before, places, ownStarts);
    for (int row = threadIdx.x; row < rows; row += SORT_WARPS * WARP) starts[firstRow + row] = ownStarts[row];
    if (blockIdx.x == gridDim.x - 1 && threadIdx.x == 0) starts[vocabulary] = count;
    auto place = [&](int position, int token) {
        int row = token - firstRow;
        bool isOwn = token >= firstRow && row < rows;
        if (!__any_sync(FULL, isOwn)) return;
        uint32 peers = __match_any_sync(FULL, isOwn ? row : -1);
        if (isOwn) sorted[ownStarts[row] + places[row][warp] + __popc(peers & ((1u << lane) - 1))] = position;
        __syncwarp();
        if (isOwn && lane == __ffs(peers) - 1) places[row][warp] += __popc(peers);
        __syncwarp();
    };
    if (found > MOST_KEPT) return visitTokens(first, end, tokens, place);
    for (int start = 0; start < found; start += WARP) {
        int position = start + lane < found ? kept[warp][start + lane] : -1;
        place(position, position < 0 ? -1 : tokens[position]);
    }
}

// What a thread holds of a row: one number, or eight that share their random words.
template <int NUMBERS>
struct Numbers {
    float x[NUMBERS];

    __device__ __forceinline__ void load(const float* from) {
        if constexpr (NUMBERS == 1) {
            x[0] = *from;
        } else {
#pragma unroll
            for (int i = 0; i < NUMBERS; i += 4) {
                float4 quad = *(const float4*)(from + i);
                x[i] = quad.x, x[i + 1] = quad.y, x[i + 2] = quad.z, x[i + 3] = quad.w;
            }
        }
    }

    __device__ __forceinline__ void store(float* to) const {
        if constexpr (NUMBERS == 1) {
            *to = x[0];
        } else {
#pragma unroll
            for (int i = 0; i < NUMBERS; i += 4)
                *(float4*)(to + i) = make_float4(x[i], x[i + 1], x[i + 2], x[i + 3]);
        }
    }

    __device__ __forceinline__ void add(const Numbers& other) {
#pragma unroll
        for (int i = 0; i < NUMBERS; ++i) x[i] += other.x[i];
    }

    // The first of them is number `element` of all that are masked.
    __device__ __forceinline__ void drop(const Mask& mask, long long element) {
        if (mask.threshold == 0) return;
        uint4 words = maskWords(mask, element >> 3);
#pragma unroll
        for (int i = 0; i < NUMBERS; ++i) x[i] *= maskOf(mask, words, NUMBERS == 1 ? (int)(element & 7) : i);
    }
};

// sum += the gradients, from `column` on, of the positions first ..< end of `sorted`, AT_ONCE of them on their way.
template <int NUMBERS>
__device__ __forceinline__ void addPositions(Numbers<NUMBERS>& sum, int first, int end, int width, int column,
                                             const int* __restrict__ sorted, const Mask& mask,
                                             const float* __restrict__ dy) {
#pragma unroll 1
    for (; first < end; first += AT_ONCE) {
        int positions[AT_ONCE];
        Numbers<NUMBERS> terms[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) positions[i] = sorted[min(first + i, end - 1)];
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i)
            if (first + i < end) terms[i].load(dy + (long long)positions[i] * width + column);
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i)
            if (first + i < end) {
                terms[i].drop(mask, (long long)positions[i] * width + column);
                sum.add(terms[i]);
            }
    }
}

// A row of the table with its positions in `sorted`.
struct TableRow {
    int row, begin, end;

    __device__ __forceinline__ TableRow(int row, const int* starts)
        : row(row), begin(starts[row]), end(starts[row + 1]) {}
    __device__ __forceinline__ bool isLong() const { return end - begin > PART; }
};

// dTable's rows += Σ dropout(dy) over their positions, but for the long ones. What those have in part p of the sorted
// positions is added up into rows 2p and 2p + 1 of partial: as they are longer than a part, there are at most one that
// began before it and one that begins in it. Threads (a row's, rows or parts at once): parts come first, as they take
// longest.
template <int NUMBERS>
__device__ __forceinline__ void sumRows(int count, int width, int vocabulary, const int* __restrict__ tokens,
                                        const int* __restrict__ starts, const int* __restrict__ sorted,
                                        const Mask& mask, const float* __restrict__ dy, float* dTable,
                                        float* partial) {
    int item = blockIdx.x * blockDim.y + threadIdx.y, parts = (count + PART - 1) / PART;
    if (item >= parts + vocabulary) return;
    bool isPart = item < parts;
    int first = isPart ? item * PART : 0, end = isPart ? min(count, first + PART) : count;
    int firstRow = isPart ? tokens[sorted[first]] : item - parts;
    int lastRow = isPart ? tokens[sorted[end - 1]] : firstRow;
#pragma unroll 1
    for (int which = 0; which < 1 + (lastRow != firstRow); ++which) {
        TableRow row(which ? lastRow : firstRow, starts);
        if (row.begin == row.end || row.isLong() != isPart) continue;
        float* to = dTable + (long long)row.row * width;
        if (isPart) to = partial + (2ll * item + (row.begin >= first)) * width;
        for (int column = threadIdx.x * NUMBERS; column < width; column += blockDim.x * NUMBERS) {
            Numbers<NUMBERS> sum = {};
            if (!isPart) sum.load(to + column);
            addPositions(sum, max(first, row.begin), min(end, row.end), width, column, sorted, mask, dy);
            sum.store(to + column);
        }
    }
}

// *to += the sums that a block's threads (a strip's, slices) have of `numbers` numbers.
template <int NUMBERS>
__device__ __forceinline__ void addSlices(const Numbers<NUMBERS>& sum, int numbers, float* to) {
    __shared__ __align__(16) float slices[SUM_THREADS * NUMBERS];
    int across = blockDim.x * NUMBERS, thread = threadIdx.y * blockDim.x + threadIdx.x;
    sum.store(slices + thread * NUMBERS);
    __syncthreads();
    for (int i = thread; i < min(across, numbers); i += blockDim.x * blockDim.y) {
        float total = 0.0f;
#pragma unroll 8
        for (int slice = 0; slice < blockDim.y; ++slice) total += slices[slice * across + i];
        to[i] += total;
    }
}

// dTable += the long rows' parts. Blocks (parts, strips of a row): part p's has the row that begins in it, which is that
// of its last position. Threads (a strip's, slices): each slice adds every so many-th part.
template <int NUMBERS>
__device__ __forceinline__ void sumLongRows(int count, int width, const int* __restrict__ tokens,
                                            const int* __restrict__ starts, const int* __restrict__ sorted,
                                            const float* __restrict__ partial, float* dTable) {
    int part = blockIdx.x, start = blockIdx.y * blockDim.x * NUMBERS, column = start + threadIdx.x * NUMBERS;
    TableRow row(tokens[sorted[min(count, (part + 1) * PART) - 1]], starts);
    if (!row.isLong() || row.begin < part * PART) return;
    int parts = (row.end - 1) / PART - part + 1;
    Numbers<NUMBERS> sum = {}, term;
    if (column < width) {
#pragma unroll 4
        for (int i = threadIdx.y; i < parts; i += blockDim.y) {
            term.load(partial + (2ll * (part + i) + (i == 0)) * width + column);
            sum.add(term);
        }
    }
    addSlices(sum, width - start, dTable + (long long)row.row * width + start);
}

// dPositions[t] += Σ_b dropout(dy[b, t]). Blocks (positions, strips), threads (a strip's, slices): each slice adds
// every so many-th sequence.
template <int NUMBERS>
__device__ __forceinline__ void sumSequences(int batch, int length, int width, const Mask& mask,
                                             const float* __restrict__ dy, float* dPositions) {
    int t = blockIdx.x, start = blockIdx.y * blockDim.x * NUMBERS, column = start + threadIdx.x * NUMBERS;
    Numbers<NUMBERS> sum = {};
#pragma unroll 1
    for (int first = threadIdx.y; first < batch && column < width; first += AT_ONCE * blockDim.y) {
        Numbers<NUMBERS> terms[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) {
            int b = first + i * blockDim.y;
            if (b < batch) terms[i].load(dy + ((long long)b * length + t) * width + column);
        }
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) {
            int b = first + i * blockDim.y;
            if (b >= batch) continue;
            terms[i].drop(mask, ((long long)b * length + t) * width + column);
            sum.add(terms[i]);
        }
    }
    addSlices(sum, width - start, dPositions + (long long)t * width + start);
}

#define EMBEDDING_GRADIENT(NUMBERS)                                                                                    \
    extern "C" __global__ void __launch_bounds__(SUM_THREADS, 3) sumTableRows##NUMBERS(                                \
        int count, int width, int vocabulary, const int* tokens, const int* starts, const int* sorted, Mask mask,      \
        const float* dy, float* dTable, float* partial) {                                                              \
        awaitEarlierKernels();                                                                                         \
        sumRows<NUMBERS>(count, width, vocabulary, tokens, starts, sorted, mask, dy, dTable, partial);                 \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(SUM_THREADS) sumLongTableRows##NUMBERS(                               \
        int count, int width, const int* tokens, const int* starts, const int* sorted, const float* partial,           \
        float* dTable) {                                                                                               \
        awaitEarlierKernels();                                                                                         \
        sumLongRows<NUMBERS>(count, width, tokens, starts, sorted, partial, dTable);                                   \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(SUM_THREADS, 3) positionGradient##NUMBERS(                            \
        int batch, int length, int width, Mask mask, const float* dy, float* dPositions) {                             \
        awaitEarlierKernels();                                                                                         \
        sumSequences<NUMBERS>(batch, length, width, mask, dy, dPositions);                                             \
    }

EMBEDDING_GRADIENT(1)
EMBEDDING_GRADIENT(8)
