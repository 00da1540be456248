// Causal depthwise convolutions with few taps and what follows them: c_t = bias + Σ_j w[j] u_{t-(K-1)+j}, then
// y = c ⊙ gate + u or y = silu(c) (docs/math/convolutions.md, section 1).
//
// A warp takes 32 neighbouring channels; a thread takes RUN tokens of one channel at a time, all of whose
// inputs it loads at once: neighbouring runs' inputs come a second time, but from a cache.
#include "common.cuh"

#define RUN 16
#define ROWS 8

// A channel's filter. Fewer than TAPS taps have zeros before the oldest.
template <int TAPS>
struct Filter {
    float tap[TAPS], bias;

    __device__ __forceinline__ Filter(const float* weight, const float* biases, int taps, int channel, bool active) {
#pragma unroll
        for (int j = 0; j < TAPS; ++j) {
            int own = j - (TAPS - taps);
            tap[j] = active && own >= 0 ? weight[channel * taps + own] : 0.0f;
        }
        bias = active ? biases[channel] : 0.0f;
    }

    // c_t, where u[TAPS - 1] is the token's own input.
    __device__ __forceinline__ float apply(const float* u) const {
        float c = bias;
#pragma unroll
        for (int j = 0; j < TAPS; ++j) c = fmaf(tap[j], u[j], c);
        return c;
    }
};

// Tokens first, first + 1, … of a column; 0 where there is none.
template <int COUNT>
__device__ __forceinline__ void loadTokens(
    float (&x)[COUNT], const float* __restrict__ column, long long stride, int first, int length) {
#pragma unroll
    for (int m = 0; m < COUNT; ++m) {
        int t = first + m;
        x[m] = t >= 0 && t < length ? column[t * stride] : 0.0f;
    }
}

__device__ __forceinline__ float siluDerivative(float c) {
    float s = sigmoid(c);
    return s * (1.0f + c * (1.0f - s));
}

template <int TAPS, bool SILU>
__device__ __forceinline__ void forward(
    int batch, int length, int channels, int taps, long long inputStride, const float* __restrict__ u,
    const float* __restrict__ weight, const float* __restrict__ bias, const float* __restrict__ gate,
    float* __restrict__ y) {
    int channel = blockIdx.x * WARP + threadIdx.x;
    if (channel >= channels) return;
    Filter<TAPS> filter(weight, bias, taps, channel, true);
    int runs = (length + RUN - 1) / RUN;
    for (int run = blockIdx.y * ROWS + threadIdx.y; run < batch * runs; run += gridDim.y * ROWS) {
        int b = run / runs, first = run % runs * RUN;
        long long token = (long long)b * length;
        float inputs[RUN + TAPS - 1], gates[RUN];
        loadTokens(inputs, u + token * inputStride + channel, inputStride, first - (TAPS - 1), length);
        if (!SILU) loadTokens(gates, gate + token * channels + channel, channels, first, length);
        float* out = y + (token + first) * channels + channel;
#pragma unroll
        for (int m = 0; m < RUN; ++m) {
            float c = filter.apply(inputs + m);
            if (first + m < length)
                out[(long long)m * channels] = SILU ? silu(c) : fmaf(c, gates[m], inputs[m + TAPS - 1]);
        }
    }
}

// A thread's sums over its tokens.
template <int TAPS>
struct FilterGradient {
    float tap[TAPS], bias;
};

// A run's gradients: its tokens' du and dGate, and what they add to those of the filter.
template <int TAPS, bool SILU>
__device__ __forceinline__ void backwardRun(
    const Filter<TAPS>& filter, FilterGradient<TAPS>& sums, int first, int length, int channels, long long inputStride,
    const float* __restrict__ u, const float* __restrict__ gate, const float* __restrict__ dy, float* __restrict__ du,
    float* __restrict__ dGate) {
    // du_t is made of dc_t to dc_{t+K-1}, and silu's dc of c: so tokens after the run are looked at as well.
    constexpr int AHEAD = RUN + TAPS - 1;
    constexpr int INPUTS = (SILU ? AHEAD : RUN) + TAPS - 1;
    float inputs[INPUTS], dc[AHEAD], gates[AHEAD];
    loadTokens(inputs, u, inputStride, first - (TAPS - 1), length);
    loadTokens(dc, dy, channels, first, length);
    if (!SILU) loadTokens(gates, gate, channels, first, length);
    float skipped[RUN];
#pragma unroll
    for (int m = 0; m < AHEAD; ++m) {
        if (SILU) {
            dc[m] *= siluDerivative(filter.apply(inputs + m));
        } else {
            if (m < RUN) {
                skipped[m] = dc[m];
                if (dGate && first + m < length)
                    dGate[(long long)(first + m) * channels] = dc[m] * filter.apply(inputs + m);
            }
            dc[m] *= gates[m];
        }
    }
#pragma unroll
    for (int m = 0; m < RUN; ++m) {
        float d = SILU ? 0.0f : skipped[m];
#pragma unroll
        for (int j = 0; j < TAPS; ++j) {
            d = fmaf(filter.tap[j], dc[m + TAPS - 1 - j], d);
            sums.tap[j] = fmaf(dc[m], inputs[m + j], sums.tap[j]);
        }
        sums.bias += dc[m];
        if (first + m < length) du[(first + m) * inputStride] = d;
    }
}

// A block's sums as a row of partial sums: (channels, taps), then (channels).
template <int TAPS>
__device__ __forceinline__ void writePartials(
    const FilterGradient<TAPS>& sums, int channels, int taps, int channel, float* partials) {
    __shared__ float shared[TAPS + 1][ROWS][WARP];
#pragma unroll
    for (int j = 0; j < TAPS; ++j) shared[j][threadIdx.y][threadIdx.x] = sums.tap[j];
    shared[TAPS][threadIdx.y][threadIdx.x] = sums.bias;
    __syncthreads();
    if (channel >= channels) return;
    float* row = partials + (long long)blockIdx.y * channels * (taps + 1);
    for (int j = TAPS - taps + threadIdx.y; j <= TAPS; j += ROWS) {
        float sum = 0.0f;
#pragma unroll
        for (int y = 0; y < ROWS; ++y) sum += shared[j][y][threadIdx.x];
        row[j == TAPS ? channels * taps + channel : channel * taps + j - (TAPS - taps)] = sum;
    }
}

template <int TAPS, bool SILU>
__device__ __forceinline__ void backward(
    int batch, int length, int channels, int taps, long long inputStride, const float* __restrict__ u,
    const float* __restrict__ weight, const float* __restrict__ bias, const float* __restrict__ gate,
    const float* __restrict__ dy, float* __restrict__ du, float* __restrict__ dGate, float* __restrict__ partials) {
    int channel = blockIdx.x * WARP + threadIdx.x;
    bool active = channel < channels;
    Filter<TAPS> filter(weight, bias, taps, channel, active);
    FilterGradient<TAPS> sums = {};
    int runs = (length + RUN - 1) / RUN;
    for (int run = blockIdx.y * ROWS + threadIdx.y; active && run < batch * runs; run += gridDim.y * ROWS) {
        long long token = (long long)(run / runs) * length;
        long long plain = token * channels + channel, strided = token * inputStride + channel;
        backwardRun<TAPS, SILU>(
            filter, sums, run % runs * RUN, length, channels, inputStride, u + strided, gate ? gate + plain : 0,
            dy + plain, du + strided, dGate ? dGate + plain : 0);
    }
    writePartials<TAPS>(sums, channels, taps, channel, partials);
}

#define SHORT_CONVOLUTION(TAPS, NAME, SILU)                                                                        \
    extern "C" __global__ void shortForward##TAPS##NAME(                                                           \
        int batch, int length, int channels, int taps, long long inputStride, const float* u, const float* weight, \
        const float* bias, const float* gate, float* y) {                                                          \
        awaitEarlierKernels();                                                                                     \
        forward<TAPS, SILU>(batch, length, channels, taps, inputStride, u, weight, bias, gate, y);                 \
    }                                                                                                              \
    extern "C" __global__ void __launch_bounds__(WARP * ROWS) shortBackward##TAPS##NAME(                           \
        int batch, int length, int channels, int taps, long long inputStride, const float* u, const float* weight, \
        const float* bias, const float* gate, const float* dy, float* du, float* dGate, float* partials) {         \
        awaitEarlierKernels();                                                                                     \
        backward<TAPS, SILU>(                                                                                      \
            batch, length, channels, taps, inputStride, u, weight, bias, gate, dy, du, dGate, partials);           \
    }

SHORT_CONVOLUTION(4, Gated, false)
SHORT_CONVOLUTION(4, Silu, true)
SHORT_CONVOLUTION(8, Gated, false)
SHORT_CONVOLUTION(8, Silu, true)
SHORT_CONVOLUTION(16, Gated, false)
SHORT_CONVOLUTION(16, Silu, true)

// With more taps than fit registers, a thread an element, each input from the caches as often as there are taps.

__device__ __forceinline__ float wideConvolution(
    int taps, int t, int channel, long long inputStride, const float* u, const float* weight, const float* bias) {
    float c = bias[channel];
    for (int j = max(0, taps - 1 - t); j < taps; ++j)
        c = fmaf(weight[channel * taps + j], u[(j - (taps - 1)) * inputStride], c);
    return c;
}

extern "C" __global__ void shortForwardWide(
    int batch, int length, int channels, int taps, long long inputStride, const float* __restrict__ u,
    const float* __restrict__ weight, const float* __restrict__ bias, const float* __restrict__ gate,
    float* __restrict__ y) {
    awaitEarlierKernels();
    FOR_EACH(i, (long long)batch * length * channels) {
        long long token = i / channels;
        int channel = i % channels;
        const float* own = u + token * inputStride + channel;
        float c = wideConvolution(taps, token % length, channel, inputStride, own, weight, bias);
        y[i] = gate ? fmaf(c, gate[i], *own) : silu(c);
    }
}

// dc (batch, length, channels) for the two kernels below, and dGate.
extern "C" __global__ void shortBackwardWideCore(
    int batch, int length, int channels, int taps, long long inputStride, const float* __restrict__ u,
    const float* __restrict__ weight, const float* __restrict__ bias, const float* __restrict__ gate,
    const float* __restrict__ dy, float* __restrict__ dc, float* __restrict__ dGate) {
    awaitEarlierKernels();
    FOR_EACH(i, (long long)batch * length * channels) {
        long long token = i / channels;
        int channel = i % channels;
        const float* own = u + token * inputStride + channel;
        float c = wideConvolution(taps, token % length, channel, inputStride, own, weight, bias);
        dc[i] = dy[i] * (gate ? gate[i] : siluDerivative(c));
        if (dGate) dGate[i] = dy[i] * c;
    }
}

// skipped: dy where u also goes past the convolution, else null.
extern "C" __global__ void shortBackwardWideInput(
    int batch, int length, int channels, int taps, long long inputStride, const float* __restrict__ weight,
    const float* __restrict__ dc, const float* __restrict__ skipped, float* __restrict__ du) {
    awaitEarlierKernels();
    FOR_EACH(i, (long long)batch * length * channels) {
        long long token = i / channels;
        int channel = i % channels, t = token % length;
        float d = skipped ? skipped[i] : 0.0f;
        for (int ahead = 0; ahead < min(taps, length - t); ++ahead)
            d = fmaf(weight[channel * taps + taps - 1 - ahead], dc[i + (long long)ahead * channels], d);
        du[token * inputStride + channel] = d;
    }
}

// A tap's sums (blockIdx.y; the one after the last is the bias) over a slice (blockIdx.z) of the tokens, for sumPartials.
extern "C" __global__ void shortBackwardWideFilter(
    int batch, int length, int channels, int taps, long long inputStride, const float* __restrict__ u,
    const float* __restrict__ dc, float* __restrict__ partials) {
    awaitEarlierKernels();
    __shared__ float shared[ROWS][WARP];
    int channel = blockIdx.x * WARP + threadIdx.x, j = blockIdx.y;
    int back = j < taps ? taps - 1 - j : 0;
    float sum = 0.0f;
    for (int token = blockIdx.z * ROWS + threadIdx.y; token < batch * length; token += gridDim.z * ROWS) {
        if (channel >= channels || token % length < back) continue;
        float d = dc[(long long)token * channels + channel];
        sum = fmaf(d, j < taps ? u[(long long)(token - back) * inputStride + channel] : 1.0f, sum);
    }
    shared[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || channel >= channels) return;
#pragma unroll
    for (int y = 1; y < ROWS; ++y) sum += shared[y][threadIdx.x];
    float* row = partials + (long long)blockIdx.z * channels * (taps + 1);
    row[j == taps ? channels * taps + channel : channel * taps + j] = sum;
}

// One token of decoding; past (batch, taps - 1, channels) moves on by one.
extern "C" __global__ void shortConvolutionStep(
    int batch, int channels, int taps, long long inputStride, const float* __restrict__ u,
    const float* __restrict__ weight, const float* __restrict__ bias, const float* __restrict__ gate,
    float* __restrict__ past, float* __restrict__ y) {
    awaitEarlierKernels();
    FOR_EACH(i, (long long)batch * channels) {
        long long b = i / channels;
        int channel = i % channels;
        float* row = past + b * (taps - 1) * channels + channel;
        float current = u[b * inputStride + channel], c = bias[channel];
        for (int j = 0; j < taps - 1; ++j) {
            c = fmaf(weight[channel * taps + j], row[(long long)j * channels], c);
            row[(long long)j * channels] = j < taps - 2 ? row[(long long)(j + 1) * channels] : current;
        }
        c = fmaf(weight[channel * taps + taps - 1], current, c);
        y[i] = gate ? fmaf(c, gate[i], current) : silu(c);
    }
}
