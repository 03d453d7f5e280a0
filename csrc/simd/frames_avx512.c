/* frames_avx512: the loops of a JPEG decoder with the registers and the dot products of AVX-512. */
#if defined(__x86_64__)

#define TARGET __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512vnni")))
#define PLUS_PRODUCTS(sum, a, b) _mm256_dpwssd_epi32(sum, a, b)
#define FRAMES ff_frames_avx512

#include "simd/frames_x86.h"

#else
typedef int ff_frames_avx512_is_empty; /* ISO C wants a declaration in every file */
#endif
