/* frames_avx2: the loops of a JPEG decoder for AVX2. */
#if defined(__x86_64__)

#include <immintrin.h>
#include <stdint.h>

#define TARGET __attribute__((target("avx2")))
#define FRAMES ff_frames_avx2

/* ---- transform: two blocks at a time ---- */

#define VECTOR __m256i
#define OP(name) _mm256_##name
#define BLOCKS 2
#define PLUS_PRODUCTS(sum, a, b) _mm256_add_epi32(sum, _mm256_madd_epi16(a, b))
#define SHIFTED(v, by) _mm256_srai_epi32(v, by)
#define ROWS_OF(blocks, y) rows_of(blocks, y)
#define SAME(row) _mm256_broadcastsi128_si256(row)
#define SIGNED(size, v, by) _mm256_sign_epi16(size, v)
#define ANY(v) !_mm256_testz_si256(v, v)
#define PUT(to, stride, rows) put_rows(to, stride, rows)

TARGET static inline __m256i rows_of(int16_t *const blocks[], int y)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_load_si128((const void *)(blocks[0] + 8 * y))),
                                   _mm_load_si128((const void *)(blocks[1] + 8 * y)), 1);
}

TARGET static inline void put_rows(uint8_t *to, int64_t stride, __m256i rows)
{
    const __m256i apart = _mm256_permute4x64_epi64(rows, 0xd8);
    _mm_storeu_si128((void *)to, _mm256_castsi256_si128(apart));
    _mm_storeu_si128((void *)(to + stride), _mm256_extracti128_si256(apart, 1));
}

#include "simd/transform_x86.h"

#include "simd/frames_x86.h"

#else
typedef int ff_frames_avx2_is_empty; /* ISO C wants a declaration in every file */
#endif
