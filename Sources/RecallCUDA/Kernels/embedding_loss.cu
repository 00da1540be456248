// Token embeddings, gathering of labelled rows, softmax cross-entropy (MODELS.md B.1, D.0).
#include "common.cuh"

// y = dropout(table[token] + positions[t]); a thread takes eight numbers of y, which share their random words.
extern "C" __global__ void embeddingForward(
    int batch, int length, int width, const int* tokens, const float* table, const float* positions, Mask mask,
    float* y) {
    long long count = (long long)batch * length * width;
    FOR_EACH(block, (count + 7) / 8) {
        uint4 words = make_uint4(0, 0, 0, 0);
        if (mask.threshold) words = maskWords(mask, block);
        long long row = 8 * block / width;
        int column = (int)(8 * block % width);
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

// dPositions[t] += Σ_b dropout(dy[b, t]): a block a position, threads (32 columns, 8 sequences at a time).
extern "C" __global__ void positionGradient(
    int batch, int length, int width, Mask mask, const float* dy, float* dPositions) {
    __shared__ float sums[8][33];
    int t = blockIdx.x;
    for (int start = 0; start < width; start += 32) {
        int column = start + threadIdx.x;
        float sum = 0.0f;
        if (column < width)
            for (int b = threadIdx.y; b < batch; b += 8) {
                long long at = ((long long)b * length + t) * width + column;
                sum += dy[at] * maskAt(mask, at);
            }
        __syncthreads();
        sums[threadIdx.y][threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.y == 0 && column < width) {
            sum = 0.0f;
#pragma unroll
            for (int i = 0; i < 8; ++i) sum += sums[i][threadIdx.x];
            dPositions[(long long)t * width + column] += sum;
        }
    }
}

#define TABLE_ROWS 32
#define TOKENS_EACH 16
#define TABLE_THREADS 256
#define TOKENS_AT_ONCE (TABLE_THREADS * TOKENS_EACH)

// dTable[token] += Σ dropout(dy) over the token's positions, in the order of positions. A block owns 32 rows of the table
// and looks through all tokens, 4096 at a time: each time it lists its own in order (counts before a thread by a prefix
// sum), then its threads take a column and a share of the rows each and walk the list.
extern "C" __global__ void tableGradient(
    int count, int width, int vocabulary, const int* tokens, Mask mask, const float* dy, float* dTable) {
    __shared__ int listed[TOKENS_AT_ONCE];
    __shared__ int warpCounts[TABLE_THREADS / WARP + 1];
    extern __shared__ float sums[];  // (TABLE_ROWS, width)
    int firstRow = blockIdx.x * TABLE_ROWS, lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (int i = threadIdx.x; i < TABLE_ROWS * width; i += TABLE_THREADS) sums[i] = 0.0f;
    // Threads beyond whole groups of columns have nothing to add.
    int groups = max(1, TABLE_THREADS / width), columns = min(width, TABLE_THREADS);
    int group = threadIdx.x / columns;
    for (int start = 0; start < count; start += TOKENS_AT_ONCE) {
        int at = start + threadIdx.x * TOKENS_EACH, mine = 0;
        uint32 found = 0;
#pragma unroll
        for (int i = 0; i < TOKENS_EACH; ++i) {
            int row = at + i < count ? tokens[at + i] - firstRow : -1;
            if (row >= 0 && row < TABLE_ROWS) {
                found |= 1u << i;
                ++mine;
            }
        }
        int before = mine;
#pragma unroll
        for (int offset = 1; offset < WARP; offset <<= 1) {
            int other = __shfl_up_sync(FULL, before, offset);
            if (lane >= offset) before += other;
        }
        if (lane == WARP - 1) warpCounts[warp + 1] = before;
        if (threadIdx.x == 0) warpCounts[0] = 0;
        __syncthreads();
        if (threadIdx.x == 0)
            for (int w = 1; w <= TABLE_THREADS / WARP; ++w) warpCounts[w] += warpCounts[w - 1];
        __syncthreads();
        int place = warpCounts[warp] + before - mine;
        for (int i = 0; i < TOKENS_EACH; ++i)
            if (found >> i & 1) listed[place++] = at + i;
        int total = warpCounts[TABLE_THREADS / WARP];
        __syncthreads();
        if (group < groups)
            for (int entry = 0; entry < total; ++entry) {
                int position = listed[entry], row = tokens[position] - firstRow;
                if (row % groups != group) continue;
                for (int column = threadIdx.x % columns; column < width; column += columns) {
                    long long from = (long long)position * width + column;
                    sums[row * width + column] += dy[from] * maskAt(mask, from);
                }
            }
        __syncthreads();
    }
    for (int i = threadIdx.x; i < TABLE_ROWS * width; i += TABLE_THREADS)
        if (firstRow + i / width < vocabulary) dTable[(long long)firstRow * width + i] += sums[i];
}

// y[i] = x[rows[i]].
extern "C" __global__ void gatherRows(long long count, int width, const float* x, const int* rows, float* y) {
    FOR_EACH(i, count * width) y[i] = x[(long long)rows[i / width] * width + i % width];
}

// dx[row] = dy[i] where rows[i] is the row, else 0: rows are ascending, so a search finds i. A warp a row.
extern "C" __global__ void scatterRows(
    int total, int count, int width, const float* dy, const int* rows, float* dx) {
    int lane = threadIdx.x % WARP;
    long long row = (long long)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= total) return;
    int low = 0, high = count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (rows[middle] < row) low = middle + 1;
        else high = middle;
    }
    bool isThere = low < count && rows[low] == row;
    for (int column = lane; column < width; column += WARP)
        dx[row * width + column] = isThere ? dy[(long long)low * width + column] : 0.0f;
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
