/* frames_avx2: the loops of a JPEG decoder for AVX2. */
#if defined(__x86_64__)

#define TARGET __attribute__((target("avx2")))
#define PLUS_PRODUCTS(sum, a, b) _mm256_add_epi32(sum, _mm256_madd_epi16(a, b))
#define FRAMES ff_frames_avx2

#include "simd/frames_x86.h"

#else
typedef int ff_frames_avx2_is_empty; /* ISO C wants a declaration in every file */
#endif
