// AdamW (Loshchilov, Hutter 2019) over all parameters in one launch.
#include "common.cuh"

// struct of OptimiserCUDA.swift.
struct Piece {
    const float* gradient;
    float *parameter, *first, *second;
    int count;
    float weightDecay;
};
static_assert(sizeof(Piece) == 40, "laid out as in Swift");

// A block a piece. The scalars are in `cell`, or where that is null in `scalars`.
extern "C" __global__ void adamW(
    const Piece* pieces, const StepCell* cell, StepCell scalars, float beta2, float newFirst, float newSecond,
    float epsilon) {
    awaitEarlierKernels();
    Piece piece = pieces[blockIdx.x];
    StepCell now = cell ? *cell : scalars;
    if (!now.isSound) return;
    float decay = (float)(1.0 - now.learningRate * (double)piece.weightDecay);
    for (int i = threadIdx.x; i < piece.count; i += blockDim.x) {
        float g = piece.gradient[i], m = piece.first[i], v = piece.second[i];
        m = fmaf(g - m, newFirst, m);
        v = fmaf(g * newSecond, g, v * beta2);
        piece.first[i] = m;
        piece.second[i] = v;
        float denominator = fmaf(sqrtf(v), now.rootCorrection, epsilon);
        piece.parameter[i] = fmaf(now.stepSize, m / denominator, piece.parameter[i] * decay);
    }
}
