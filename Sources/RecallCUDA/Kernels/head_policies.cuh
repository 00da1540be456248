// What the vocabulary's head makes of logits as they are there, for tiles of mma.sync and of wgmma: of s[M][N][4], in which a
// warp has 16M rows and 8N columns, s[m][n] the accumulator of rows from 16m and columns from 8n.
#pragma once
#include "head_sums.cuh"

// By how many powers of two a weight may exceed 1 before the sums are scaled down: there is room for many.
#define HEADROOM 8.0f

// Logits of hidden rows to e^(x - base). A lane has part of 2M rows, 8 apart: number i of accumulator m is of row 2m + i/2.
template <int M, int N>
struct LossPolicy {
    static constexpr int ROWS = 2 * M, PART = 8 * N;
    int vocabulary;
    float* labelLogits;
    // The same in the four lanes of a row, in units of ln 2.
    float base[ROWS];
    // Of the lane's own logits.
    float sum[ROWS], largest[ROWS];
    // Where the largest was met first: the token, or the first of its part where the label is in another.
    int first[ROWS];
    int label[ROWS];

    // Of a block's rows.
    __device__ __forceinline__ LossPolicy(int vocabulary, const int* labels, float* labelLogits)
        : vocabulary(vocabulary), labelLogits(labelLogits) {
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            base[r] = -FLOAT_MAX, sum[r] = 0.0f, largest[r] = -INFINITY, first[r] = NONE;
            label[r] = labels[row(r)];
        }
    }

    static __device__ __forceinline__ int row(int r) {
        return threadIdx.x / WARP * (16 * M) + r / 2 * 16 + accumulatorRow(r % 2 * 2);
    }

    // Takes labels, and what is beyond the vocabulary, out of a part.
    __device__ __forceinline__ void setApart(float (&s)[M][N][4], int part) {
#pragma unroll
        for (int r = 0; r < ROWS; ++r)
#pragma unroll
            for (int n = 0; n < N; ++n)
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    float& x = s[r / 2][n][r % 2 * 2 + i];
                    int token = part + 8 * n + accumulatorColumn(i);
                    if (token == label[r]) labelLogits[row(r)] = x;
                    if (token == label[r] || token >= vocabulary) x = -INFINITY;
                }
    }

    static __device__ __forceinline__ int firstOf(const float (&s)[N][4], int half, float x, int part) {
        int found = NONE;
#pragma unroll
        for (int n = N - 1; n >= 0; --n)
#pragma unroll
            for (int i = 1; i >= 0; --i)
                if (s[n][2 * half + i] == x) found = part + 8 * n + accumulatorColumn(i);
        return found;
    }

    // Raises the bases to the largest logits of a part, which these are of.
    __device__ __forceinline__ void raise(const float (&partLargest)[ROWS], float (&factors)[ROWS]) {
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            float raised = fmaxf(base[r], largestOfQuad(partLargest[r]) * LOG2E);
            factors[r] = power2(base[r] - raised);
            base[r] = raised;
            sum[r] *= factors[r];
        }
    }

    // Logits of tokens from `part` on to weights. Says whether what was weighted before is to be scaled by `factors`, each
    // a row's.
    __device__ __forceinline__ bool weigh(float (&s)[M][N][4], int part, float (&factors)[ROWS]) {
        bool special = part + PART > vocabulary, grows = false;
#pragma unroll
        for (int r = 0; r < ROWS; ++r) special |= (uint32)(label[r] - part) < PART;
        special = __any_sync(FULL, special);
        if (special) setApart(s, part);
        float partLargest[ROWS];
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            const float(&x)[N][4] = s[r / 2];
            int at = r % 2 * 2;
            float even = x[0][at], odd = x[0][at + 1];
#pragma unroll
            for (int n = 1; n < N; ++n) even = fmaxf(even, x[n][at]), odd = fmaxf(odd, x[n][at + 1]);
            partLargest[r] = fmaxf(even, odd);
            if (partLargest[r] > largest[r]) {
                largest[r] = partLargest[r];
                first[r] = special ? firstOf(x, r % 2, partLargest[r], part) : part;
            }
            grows |= fmaf(partLargest[r], LOG2E, -base[r]) > HEADROOM;
        }
        grows = __any_sync(FULL, grows);
        if (grows) raise(partLargest, factors);
#pragma unroll
        for (int r = 0; r < ROWS; ++r)
#pragma unroll
            for (int n = 0; n < N; ++n)
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    float& x = s[r / 2][n][r % 2 * 2 + i];
                    x = power2(fmaf(x, LOG2E, -base[r]));
                    sum[r] += x;
                }
        return grows;
    }

    // To `out`, of the block's rows.
    __device__ __forceinline__ void store(RowSums* out) const {
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            RowSums all = {base[r], sumOfQuad(sum[r]), largest[r], first[r]};
#pragma unroll
            for (int offset = 1; offset < 4; offset <<= 1)
                all.take(__shfl_xor_sync(FULL, all.largest, offset), __shfl_xor_sync(FULL, all.first, offset));
            if (threadIdx.x % 4 == 0) out[row(r)] = all;
        }
    }
};

// Logits of rows of the table, transposed, to softmax - onehot. `token` is the warp's first; normalisers, coefficients and
// labels are statistics (head_sums.cuh) of the hidden rows that pass.
template <int M, int N>
__device__ __forceinline__ void weighTable(float (&s)[M][N][4], int token, const float* normalisers,
                                           const float* coefficients, const int* labels) {
#pragma unroll
    for (int n = 0; n < N; ++n) {
        float2 normaliser = *(const float2*)(normalisers + 8 * n + accumulatorColumn(0));
#pragma unroll
        for (int m = 0; m < M; ++m)
#pragma unroll
            for (int i = 0; i < 4; ++i)
                s[m][n][i] = power2(fmaf(s[m][n][i], LOG2E, -(i & 1 ? normaliser.y : normaliser.x)));
    }
    bool isOne = false;
#pragma unroll
    for (int row = 0; row < 8 * N; row += WARP)
        isOne |= (uint32)(labels[row + threadIdx.x % WARP] - token) < 16 * M;
    if (!__any_sync(FULL, isOne)) return;
#pragma unroll
    for (int n = 0; n < N; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            int column = 8 * n + accumulatorColumn(i), row = labels[column] - token - accumulatorRow(i);
#pragma unroll
            for (int m = 0; m < M; ++m)
                if (row == 16 * m) s[m][n][i] = coefficients[column];
        }
}
