// Causal softmax attention (softmax_policy.cuh) for compute capability 9.0, products in tf32, rows on 16 bytes.
#include "attention_hopper_backward.cuh"
#include "attention_hopper_forward.cuh"
#include "softmax_policy.cuh"

#define FORWARD(F, BLOCKS)                                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                     \
        attentionForward##F(ATTENTION_PARAMETERS, const float* q, const float* k, const float* v, float* out, \
                            float* logSumExp) {                                                       \
        awaitEarlierKernels();                                                                        \
        AttentionSizes sizes ATTENTION_SIZES;                                                         \
        Softmax policy{scale, dropout};                                                               \
        HopperForward<F, Softmax>(sizes, policy, k, v).run(q, out, logSumExp);                        \
    }

#define BACKWARD(F, BLOCKS)                                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                     \
        attentionWhole##F(ATTENTION_PARAMETERS, const float* q, const float* k, const float* v, const float* out, \
                          const float* logSumExp, const float* dOut, float* dq, float* dk, float* dv) { \
        awaitEarlierKernels();                                                                        \
        AttentionSizes sizes ATTENTION_SIZES;                                                         \
        Softmax policy{scale, dropout};                                                               \
        AttentionArrays arrays{q, k, v, out, logSumExp, dOut, dq, dk, dv, nullptr};                   \
        HopperBackward<F, Softmax>(sizes, policy, arrays).run();                                      \
    }

#if defined(ALL) || defined(GROUP_64)
FORWARD(64, 4)
BACKWARD(64, 3)
#endif
#if defined(ALL) || defined(GROUP_128)
FORWARD(128, 2)
BACKWARD(128, 2)
#endif
