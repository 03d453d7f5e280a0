/* frames_avx512: the loops of a JPEG decoder for AVX-512. */
#if defined(__x86_64__)

#include <immintrin.h>
#include <stdint.h>

#define TARGET __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define FRAMES ff_frames_avx512

/* ---- transform: four blocks at a time ---- */

#define VECTOR __m512i
#define OP(name) _mm512_##name
#define BLOCKS 4
#define PLUS_PRODUCTS(sum, a, b) _mm512_dpwssd_epi32(sum, a, b)
#define SHIFTED(v, by) _mm512_srai_epi32(v, (unsigned)(by))
#define ROWS_OF(blocks, y) rows_of(blocks, y)
#define SAME(row) _mm512_broadcast_i32x4(row)
#define SIGNED(size, v, by) _mm512_mullo_epi16(v, by)
#define ANY(v) _mm512_test_epi64_mask(v, v) != 0
#define PUT(to, stride, rows) put_rows(to, stride, rows)

TARGET static inline __m256i two_rows(int16_t *const blocks[], int y)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_load_si128((const void *)(blocks[0] + 8 * y))),
                                   _mm_load_si128((const void *)(blocks[1] + 8 * y)), 1);
}

TARGET static inline __m512i rows_of(int16_t *const blocks[], int y)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(two_rows(blocks, y)), two_rows(blocks + 2, y), 1);
}

TARGET static inline void put_rows(uint8_t *to, int64_t stride, __m512i rows)
{
    const __m512i apart = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), rows);
    _mm256_storeu_si256((void *)to, _mm512_castsi512_si256(apart));
    _mm256_storeu_si256((void *)(to + stride), _mm512_extracti64x4_epi64(apart, 1));
}

#include "simd/transform_x86.h"

#include "simd/frames_x86.h"

#else
typedef int ff_frames_avx512_is_empty; /* ISO C wants a declaration in every file */
#endif
