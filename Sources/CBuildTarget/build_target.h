/* What the compiler was told to build for, as the importing module's flags have it: only preprocessor facts, no code. */
#ifdef __AVX2__
static const int builtForAVX2 = 1;
#else
static const int builtForAVX2 = 0;
#endif
#ifdef __FMA__
static const int builtForFMA = 1;
#else
static const int builtForFMA = 0;
#endif
#ifdef __AVX512F__
static const int builtForAVX512F = 1;
#else
static const int builtForAVX512F = 0;
#endif
#ifdef __AVX512DQ__
static const int builtForAVX512DQ = 1;
#else
static const int builtForAVX512DQ = 0;
#endif
#ifdef __AVX512BW__
static const int builtForAVX512BW = 1;
#else
static const int builtForAVX512BW = 0;
#endif
#ifdef __AVX512VL__
static const int builtForAVX512VL = 1;
#else
static const int builtForAVX512VL = 0;
#endif
#ifdef __AVX512FP16__
static const int builtForAVX512FP16 = 1;
#else
static const int builtForAVX512FP16 = 0;
#endif
