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

struct Update {
    float decay, stepSize, rootCorrection, newFirst, newSecond, epsilon;

    __device__ __forceinline__ void operator()(float g, float& p, float& m, float& v) const {
        m = fmaf(g - m, newFirst, m);
        // v - v(1 - β₂) in one rounding: a product with β₂ in Float32 would add 1.3e-5 to a steady v.
        v = fmaf(g * newSecond, g, fmaf(-newSecond, v, v));
        float denominator = fmaf(sqrtf(v), rootCorrection, epsilon);
        p = fmaf(stepSize, m / denominator, p * decay);
    }
};

// A block a piece, a thread mostly four numbers. The scalars are in `cell`, or where that is null in `scalars`.
extern "C" __global__ void adamW(
    const Piece* pieces, const StepCell* cell, StepCell scalars, float newFirst, float newSecond, float epsilon) {
    awaitEarlierKernels();
    Piece piece = pieces[blockIdx.x];
    StepCell now = cell ? *cell : scalars;
    if (!now.isSound) return;
    float decay = (float)(1.0 - now.learningRate * (double)piece.weightDecay);
    Update update = {decay, now.stepSize, now.rootCorrection, newFirst, newSecond, epsilon};
    bool isAligned = isInQuads(4, piece.gradient, piece.parameter) && isInQuads(4, piece.first, piece.second);
    int quads = isAligned ? piece.count / 4 : 0;
    for (int i = threadIdx.x; i < quads; i += blockDim.x) {
        float4 g = ((const float4*)piece.gradient)[i];
        float4 p = ((float4*)piece.parameter)[i], m = ((float4*)piece.first)[i], v = ((float4*)piece.second)[i];
        update(g.x, p.x, m.x, v.x);
        update(g.y, p.y, m.y, v.y);
        update(g.z, p.z, m.z, v.z);
        update(g.w, p.w, m.w, v.w);
        ((float4*)piece.parameter)[i] = p;
        ((float4*)piece.first)[i] = m;
        ((float4*)piece.second)[i] = v;
    }
    for (int i = 4 * quads + threadIdx.x; i < piece.count; i += blockDim.x)
        update(piece.gradient[i], piece.parameter[i], piece.first[i], piece.second[i]);
}
