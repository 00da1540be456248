// What compute capability 9.0 alone has: products of four warps at once that read tiles from shared memory (wgmma), and copies
// into it that a thread starts and a barrier counts (PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions" and "mbarrier").
#pragma once
#include "common.cuh"

#define WARPGROUP 128

__device__ __forceinline__ uint32 sharedAddress(const void* pointer) { return (uint32)__cvta_generic_to_shared(pointer); }

// In shared memory: counts arrivals and, of copies, bytes. A wait is for the phase of a parity, phases being 0, 1, 0, 1, …
struct Barrier {
    uint64 state;

    __device__ __forceinline__ void start(int arrivals) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(sharedAddress(this)), "r"(arrivals) : "memory");
    }

    __device__ __forceinline__ void arrive() {
        asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(sharedAddress(this)) : "memory");
    }

    // Arrives, and lets the phase end only when so many bytes have come.
    __device__ __forceinline__ void expect(int bytes) {
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(sharedAddress(this)), "r"(bytes)
                     : "memory");
    }

    __device__ __forceinline__ void await(int parity) {
        asm volatile(
            "{\n.reg .pred isOver;\n"
            "again: mbarrier.try_wait.parity.shared::cta.b64 isOver, [%0], %1;\n"
            "@!isOver bra again;\n}"
            ::"r"(sharedAddress(this)), "r"(parity)
            : "memory");
    }

    // Starts a copy of device memory to shared memory, both on 16 bytes, which this barrier counts.
    __device__ __forceinline__ void copy(void* target, const void* source, int bytes) {
        asm volatile(
            "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
            ::"r"(sharedAddress(target)), "l"(source), "r"(bytes), "r"(sharedAddress(this))
            : "memory");
    }
};

// Makes barriers just started known to copies.
__device__ __forceinline__ void publishBarriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

// Before products whose registers were written: by the four warps of a group together, as all that follows.
__device__ __forceinline__ void beginProducts() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void endProducts() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits until only so many groups of products are under way.
template <int LEFT>
__device__ __forceinline__ void awaitProducts() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}

// Keeps the compiler from moving what reads or writes registers across products under way.
template <int N>
__device__ __forceinline__ void pin(float (&d)[N][4]) {
#pragma unroll
    for (int n = 0; n < N; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) asm volatile("" : "+f"(d[n][i])::"memory");
}

// Registers of a warpgroup more or less than the block was started with, for what follows.
template <int COUNT>
__device__ __forceinline__ void takeRegisters() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}
template <int COUNT>
__device__ __forceinline__ void giveRegisters() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}

// A right factor in shared memory: rows of 32 numbers each, of which the product takes 8, on 1024 bytes. In every row of 128
// bytes its eight pieces of 16 lie at their place ^ (row % 8), so that they fall into different banks.
__device__ __forceinline__ uint64 factorAt(const float* tile) {
    constexpr uint64 SWIZZLE_128 = 1ull << 62, EIGHT_ROWS = (uint64)(1024 >> 4) << 32;
    return SWIZZLE_128 | EIGHT_ROWS | 1ull << 16 | (uint64)((sharedAddress(tile) & 0x3ffff) >> 4);
}

// Where number `column` (0 to 31) of a row is.
__device__ __forceinline__ int swizzled(int row, int column) {
    return row * 32 + ((column / 4 ^ row % 8) * 4 | column % 4);
}

// Eight numbers further along the rows.
#define NEXT_EIGHT 2

#define FOUR(how, d, n) how(d[n][0]), how(d[n][1]), how(d[n][2]), how(d[n][3])
#define SIXTEEN(how, d, n) FOUR(how, d, n), FOUR(how, d, n + 1), FOUR(how, d, n + 2), FOUR(how, d, n + 3)

// d (64, 8N) += a (64, 8) · bᵀ of a warpgroup, or = where it does not ADD: each warp has 16 rows. a and every eight columns of
// d lie in a warp's lanes as multiplyTile has them.
#define PRODUCT(N, D, A, B, ADDS)                                                                                    \
    "wgmma.mma_async.sync.aligned.m64n" #N "k8.f32.tf32.tf32 {" D "}, {" A "}, " B ", " ADDS ", 1, 1;"
#define TO_31                                                                                                        \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29," \
    "%30,%31"
#define TO_63                                                                                                        \
    TO_31 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,"    \
          "%57,%58,%59,%60,%61,%62,%63"
#define LEFT(a) "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3])

template <bool ADD>
__device__ __forceinline__ void multiplyGroup(float (&d)[8][4], const uint32 (&a)[4], uint64 b) {
    if constexpr (ADD)
        asm volatile(PRODUCT(64, TO_31, "%32,%33,%34,%35", "%36", "1")
                     : SIXTEEN("+f", d, 0), SIXTEEN("+f", d, 4) : LEFT(a), "l"(b));
    else
        asm volatile(PRODUCT(64, TO_31, "%32,%33,%34,%35", "%36", "0")
                     : SIXTEEN("=f", d, 0), SIXTEEN("=f", d, 4) : LEFT(a), "l"(b));
}

template <bool ADD>
__device__ __forceinline__ void multiplyGroup(float (&d)[16][4], const uint32 (&a)[4], uint64 b) {
    if constexpr (ADD)
        asm volatile(PRODUCT(128, TO_63, "%64,%65,%66,%67", "%68", "1")
                     : SIXTEEN("+f", d, 0), SIXTEEN("+f", d, 4), SIXTEEN("+f", d, 8), SIXTEEN("+f", d, 12)
                     : LEFT(a), "l"(b));
    else
        asm volatile(PRODUCT(128, TO_63, "%64,%65,%66,%67", "%68", "0")
                     : SIXTEEN("=f", d, 0), SIXTEEN("=f", d, 4), SIXTEEN("=f", d, 8), SIXTEEN("=f", d, 12)
                     : LEFT(a), "l"(b));
}

#undef FOUR
#undef SIXTEEN
#undef PRODUCT
#undef TO_31
#undef TO_63
#undef LEFT
