// Batches out of examples in device memory, and what is remembered of each step.
#include "common.cuh"

// Numbers that a thread has on their way at once.
#define AT_ONCE 8

// All of a cell but whether the losses so far were finite.
extern "C" __global__ void setStep(StepCell* cell, StepCell now) {
    awaitEarlierKernels();
    now.isSound = cell->isSound;
    *cell = now;
}

// tokens (batch, length), rows (batch, pairs), labels (batch, pairs) of the step's examples: a block a sequence.
extern "C" __global__ void gatherBatch(
    const StepCell* cell, int length, int pairs, int* tokens, int* rows, int* labels) {
    awaitEarlierKernels();
    int sequence = blockIdx.x;
    long long example = cell->order[sequence];
    for (int i = threadIdx.x; i < length; i += blockDim.x)
        tokens[(long long)sequence * length + i] = cell->tokens[example * length + i];
    for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
        long long at = (long long)sequence * pairs + i;
        rows[at] = sequence * length + cell->positions[example * pairs + i];
        labels[at] = cell->labels[example * pairs + i];
    }
}

// Σ x by one block, in Float64 and in an order that its 1024 threads fix. Where x are losses, a sum that is not finite
// stops the updates.
extern "C" __global__ void recordSum(StepCell* cell, int count, const float* x, bool isLoss) {
    awaitEarlierKernels();
    __shared__ double sums[1024];
    double sum = 0.0;
    for (int first = threadIdx.x; first < count; first += AT_ONCE * blockDim.x) {
        float terms[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) {
            int at = first + i * blockDim.x;
            terms[i] = at < count ? x[at] : 0.0f;
        }
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) sum += (double)terms[i];
    }
    sums[threadIdx.x] = sum;
    for (int half = blockDim.x / 2; half > 0; half >>= 1) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x != 0) return;
    *(isLoss ? cell->loss : cell->correct) = sums[0];
    if (isLoss && !isfinite(sums[0])) cell->isSound = 0;
}
