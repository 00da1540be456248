// The selective scan forward (see scan.cuh): a thread walks one channel of a sequence with NS states of it, so that no sum
// over states leaves the thread.
#include "scan.cuh"

// Tokens whose inputs a thread loads at once, a run ahead of their use.
#define RUN 4

// Hides from the compiler what p, in global memory, is made of: it would make each address from that anew.
template <typename T>
__device__ __forceinline__ T* opaque(T* p) {
    auto address = __cvta_generic_to_global(p);
    asm("" : "+l"(address));
    return (T*)__cvta_global_to_generic(address);
}

// A thread's channel of a sequence. Where there is none, it goes along for the barriers and changes nothing.
struct Column {
    int channel, length, channels, gateStride;
    float deltaBias, skip;

    __device__ __forceinline__ Column(const ScanSizes& sizes, const ScanInputs& in) {
        channel = blockIdx.x * blockDim.x + threadIdx.x;
        bool exists = channel < sizes.channels;
        length = exists ? sizes.length : 0;
        channels = sizes.channels, gateStride = sizes.gateStride;
        deltaBias = exists ? in.deltaBias[channel] : 0.0f;
        skip = exists ? in.skip[channel] : 0.0f;
    }
    __device__ __forceinline__ bool exists() const { return length > 0; }
};

// x, delta and z of the tokens `first`, first + 1, … that are loaded next; 0 past the last.
struct InputRun {
    float x[RUN], delta[RUN], z[RUN];
};

struct Reader {
    const float *x, *delta, *z;
    int first = 0;

    __device__ __forceinline__ Reader(const Column& column, const ScanInputs& in, long long row) {
        long long start = row * column.length * column.channels + column.channel;
        x = in.x + start, delta = in.delta + start;
        z = in.z + row * column.length * column.gateStride + column.channel;
    }
    __device__ __forceinline__ void next(const Column& column, InputRun& run) {
#pragma unroll
        for (int i = 0; i < RUN; ++i) {
            bool exists = first + i < column.length;
            run.x[i] = exists ? x[i * column.channels] : 0.0f;
            run.delta[i] = exists ? delta[i * column.channels] : 0.0f;
            run.z[i] = exists ? z[i * column.gateStride] : 0.0f;
        }
        first += RUN;
        x = opaque(x + RUN * column.channels), delta = opaque(delta + RUN * column.channels);
        z = opaque(z + RUN * column.gateStride);
    }
};

// h ← e^{ΔA} ⊙ h + Δx B, and Σ C h.
template <int NS>
__device__ __forceinline__ float advance(
    float delta, float input, const float (&rates)[NS], const float* states, float (&h)[NS]) {
    float b[NS], c[NS], y[4] = {};
    load(b, states);
    load(c, states + NS);
#pragma unroll
    for (int n = 0; n < NS; ++n) {
        h[n] = fmaf(power2(delta * rates[n]), h[n], input * b[n]);
        y[n % 4] = fmaf(c[n], h[n], y[n % 4]);
    }
    return (y[0] + y[1]) + (y[2] + y[3]);
}

// The run of tokens first, first + 1, …: out = (Σ C h + skip x) silu(z), or before the last pass its sums over states alone;
// `out` and `sums` are the channel's at the run's first token.
template <int NS>
__device__ __forceinline__ void forwardRun(
    const Column& column, const ScanSizes& sizes, const InputRun& run, const float (&rates)[NS], const float* states,
    float (&h)[NS], int first, const float* sums, float* out) {
#pragma unroll
    for (int i = 0; i < RUN; ++i) {
        bool exists = first + i < column.length;
        // Past the last token Δ = 0, and the state stays.
        float delta = softplus(exists ? run.delta[i] + column.deltaBias : -INFINITY), x = run.x[i], z = run.z[i];
        float y = advance(delta, delta * x, rates, states + i * 2 * NS, h);
        if (sums && exists) y += sums[i * column.channels];
        float gated = fmaf(column.skip, x, y) * z * fastSigmoid(z);
        if (exists) out[i * column.channels] = sizes.isLastPass ? gated : y;
    }
}

// The states of a channel of (states, channels) numbers.
template <int NS>
__device__ __forceinline__ void storeState(
    const Column& column, const ScanSizes& sizes, const float (&h)[NS], float* target) {
    target += (long long)sizes.firstState * sizes.channels + column.channel;
#pragma unroll
    for (int n = 0; n < NS; ++n)
        if (column.exists() && sizes.firstState + n < sizes.states) target[n * sizes.channels] = h[n];
}

// checkpoints (batch, chunks, states, channels) and state (batch, states, channels) may be null.
template <int NS>
__device__ __forceinline__ void forward(
    const ScanSizes& sizes, const ScanInputs& in, float* __restrict__ out, float* __restrict__ sums,
    float* __restrict__ checkpoints, float* __restrict__ state) {
    __shared__ __align__(16) float states[2][CHUNK * 2 * NS];
    long long row = blockIdx.y, stateCount = (long long)sizes.states * sizes.channels;
    Column column(sizes, in);
    // A log₂e, A = -exp(aLog): then e^{ΔA} = 2^(Δ rate). 0 where there is no such state, whose h then stays 0.
    float rates[NS], h[NS];
#pragma unroll
    for (int n = 0; n < NS; ++n) {
        int own = sizes.firstState + n;
        bool exists = column.exists() && own < sizes.states;
        rates[n] = exists ? -LOG2E * expf(in.aLog[(long long)column.channel * sizes.states + own]) : 0.0f;
        h[n] = exists && state ? state[row * stateCount + (long long)own * sizes.channels + column.channel] : 0.0f;
    }
    int chunks = (sizes.length + CHUNK - 1) / CHUNK;
    copyStates<NS>(sizes, in, row, 0, states[0]);
    Reader reader(column, in, row);
    InputRun next;
    reader.next(column, next);
    long long start = row * sizes.length * sizes.channels + column.channel;
    float *target = (sizes.isLastPass ? out : sums) + start, *before = sizes.isFirstPass ? nullptr : sums + start;
    for (int chunk = 0; chunk < chunks; ++chunk) {
        int first = chunk * CHUNK;
        awaitCopies();
        // This chunk's have come, and nobody reads the last one's, which the next one's replace.
        __syncthreads();
        if (chunk + 1 < chunks) copyStates<NS>(sizes, in, row, first + CHUNK, states[(chunk + 1) % 2]);
        if (checkpoints) storeState(column, sizes, h, checkpoints + (row * chunks + chunk) * stateCount);
#pragma unroll 1
        for (int t = 0; t < CHUNK && first + t < sizes.length; t += RUN) {
            InputRun run = next;
            reader.next(column, next);
            forwardRun(
                column, sizes, run, rates, states[chunk % 2] + t * 2 * NS, h, first + t, before, target);
            target = opaque(target + RUN * sizes.channels);
            if (before) before += RUN * sizes.channels;
        }
    }
    if (state) storeState(column, sizes, h, state + row * stateCount);
}

// NS states of a pass.
#define SCAN_FORWARD(NS)                                                                                            \
    extern "C" __global__ void __launch_bounds__(128, 4)                                                            \
        scanForward##NS(SIZES, INPUTS, float* out, float* sums, float* checkpoints, float* state) {                 \
        awaitEarlierKernels();                                                                                      \
        forward<NS>(GIVEN, out, sums, checkpoints, state);                                                          \
    }

SCAN_FORWARD(4)
SCAN_FORWARD(8)
SCAN_FORWARD(16)
