/* The processor's register of how a thread's arithmetic is done, which Swift has no name for and <fenv.h> reaches in some
   hundred nanoseconds: as long as a small kernel takes. */
#include <stdint.h>

#if defined(__x86_64__)
/* MXCSR: bit 15 flushes subnormal results to zero, bit 6 takes subnormal operands as zero. */
static const uint64_t subnormalsAsZero = 1 << 15 | 1 << 6;
static inline uint64_t floatingPointMode(void) { return __builtin_ia32_stmxcsr(); }
static inline void setFloatingPointMode(uint64_t mode) { __builtin_ia32_ldmxcsr((uint32_t)mode); }
#elif defined(__aarch64__)
/* FPCR: bit 24 does both. */
static const uint64_t subnormalsAsZero = 1 << 24;
static inline uint64_t floatingPointMode(void) {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static inline void setFloatingPointMode(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
static const uint64_t subnormalsAsZero = 0;
static inline uint64_t floatingPointMode(void) { return 0; }
static inline void setFloatingPointMode(uint64_t mode) { (void)mode; }
#endif
