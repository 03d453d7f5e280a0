/* frames_neon: the loops of a JPEG decoder for 64-bit Arm; the same bytes as frames_plain.c. */
#if defined(__aarch64__)

#if defined(__GNUC__) && !defined(__clang__)
/* The short loops over eight vectors must be unrolled, and no load be moved up, or the vectors lie in memory. */
#pragma GCC optimize("O3", "no-schedule-insns")
#endif

#include "simd/frames.h"

#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))

/* ---- transform: one block at a time, a row of it in a vector ---- */

/* The factors of frames_plain.c, and the lanes in which they lie. */
enum { C11363, C9633, C6437, C2260, C11362, C6436, C2261, C2259 };
static const int16_t ODD[8] = {11363, 9633, 6437, 2260, 11362, 6436, 2261, 2259};
enum { C4433, C10703, C10704 };
static const int16_t EVEN[4] = {4433, 10703, 10704, 0};

/* Half of the columns of eight rows, before the last shift. */
INLINE void half_of_eight(const int16x4_t in[8], int32x4_t even[4], int32x4_t odd[4])
{
    const int16x8_t by = vld1q_s16(ODD);
    const int16x4_t by_even = vld1_s16(EVEN);
    const int32x4_t sum = vshlq_n_s32(vaddl_s16(in[0], in[4]), 13);
    const int32x4_t difference = vshlq_n_s32(vsubl_s16(in[0], in[4]), 13);
    const int32x4_t turned = vmlsl_lane_s16(vmull_lane_s16(in[2], by_even, C4433), in[6], by_even, C10704);
    const int32x4_t other = vmlal_lane_s16(vmull_lane_s16(in[2], by_even, C10703), in[6], by_even, C4433);
    even[0] = vaddq_s32(sum, other);
    even[1] = vaddq_s32(difference, turned);
    even[2] = vsubq_s32(difference, turned);
    even[3] = vsubq_s32(sum, other);
#define TIMES(row, lane) vmull_laneq_s16(in[row], by, lane)
#define PLUS(sum, row, lane) vmlal_laneq_s16(sum, in[row], by, lane)
#define MINUS(sum, row, lane) vmlsl_laneq_s16(sum, in[row], by, lane)
    odd[0] = PLUS(PLUS(PLUS(TIMES(1, C11363), 3, C9633), 5, C6437), 7, C2260);
    odd[1] = MINUS(MINUS(MINUS(TIMES(1, C9633), 3, C2259), 5, C11362), 7, C6436);
    odd[2] = PLUS(PLUS(MINUS(TIMES(1, C6437), 3, C11362), 5, C2261), 7, C9633);
    odd[3] = MINUS(PLUS(MINUS(TIMES(1, C2260), 3, C6436), 5, C9633), 7, C11363);
}

INLINE void low_half_of_eight(const int16x8_t v[8], int32x4_t even[4], int32x4_t odd[4])
{
    const int16x4_t in[8] = {vget_low_s16(v[0]), vget_low_s16(v[1]), vget_low_s16(v[2]), vget_low_s16(v[3]),
                             vget_low_s16(v[4]), vget_low_s16(v[5]), vget_low_s16(v[6]), vget_low_s16(v[7])};
    half_of_eight(in, even, odd);
}

INLINE void high_half_of_eight(const int16x8_t v[8], int32x4_t even[4], int32x4_t odd[4])
{
    const int16x4_t in[8] = {vget_high_s16(v[0]), vget_high_s16(v[1]), vget_high_s16(v[2]), vget_high_s16(v[3]),
                             vget_high_s16(v[4]), vget_high_s16(v[5]), vget_high_s16(v[6]), vget_high_s16(v[7])};
    half_of_eight(in, even, odd);
}

/* The first pass: columns, shifted by 11. */
INLINE void down(int16x8_t v[8])
{
    int32x4_t even[4], odd[4];
    int16x4_t low[8];
    low_half_of_eight(v, even, odd);
    for (int k = 0; k < 4; k++) {
        low[k] = vrshrn_n_s32(vaddq_s32(even[k], odd[k]), 11);
        low[7 - k] = vrshrn_n_s32(vsubq_s32(even[k], odd[k]), 11);
    }
    high_half_of_eight(v, even, odd);
    for (int k = 0; k < 4; k++) {
        v[k] = vrshrn_high_n_s32(low[k], vaddq_s32(even[k], odd[k]), 11);
        v[7 - k] = vrshrn_high_n_s32(low[7 - k], vsubq_s32(even[k], odd[k]), 11);
    }
}

/* The second pass: rows, shifted by 18, which is 16 where the sums are narrowed, and 2 with the rounding. */
INLINE void across(const int16x8_t v[8], int8x8_t out[8])
{
    int32x4_t even[4], odd[4];
    int16x4_t low[8];
    low_half_of_eight(v, even, odd);
    for (int k = 0; k < 4; k++) {
        low[k] = vaddhn_s32(even[k], odd[k]);
        low[7 - k] = vsubhn_s32(even[k], odd[k]);
    }
    high_half_of_eight(v, even, odd);
    for (int k = 0; k < 4; k++) {
        out[k] = vqrshrn_n_s16(vaddhn_high_s32(low[k], even[k], odd[k]), 2);
        out[7 - k] = vqrshrn_n_s16(vsubhn_high_s32(low[7 - k], even[k], odd[k]), 2);
    }
}

INLINE void transpose(int16x8_t v[8])
{
    int32x4_t a[8];
    int64x2_t b[8];
    for (int k = 0; k < 8; k += 2) {
        a[k] = vreinterpretq_s32_s16(vtrn1q_s16(v[k], v[k + 1]));
        a[k + 1] = vreinterpretq_s32_s16(vtrn2q_s16(v[k], v[k + 1]));
    }
    for (int k = 0; k < 4; k++) {
        const int at = k + (k & 2); /* 0 1 4 5 */
        b[at] = vreinterpretq_s64_s32(vtrn1q_s32(a[at], a[at + 2]));
        b[at + 2] = vreinterpretq_s64_s32(vtrn2q_s32(a[at], a[at + 2]));
    }
    for (int k = 0; k < 4; k++) {
        v[k] = vreinterpretq_s16_s64(vtrn1q_s64(b[k], b[k + 4]));
        v[k + 4] = vreinterpretq_s16_s64(vtrn2q_s64(b[k], b[k + 4]));
    }
}

/* One block to its columns of levels; then its coefficients are zero. */
INLINE int one_block(int16_t *coef, const int16_t *quantiser, int8x8_t columns[8])
{
    int16x8_t v[8], beyond = vdupq_n_s16(0);
    uint16x8_t sizes = vdupq_n_u16(0);
    for (int y = 0; y < 8; y++) {
        const int16x8_t in = vld1q_s16(coef + 8 * y), by = vld1q_s16(quantiser + 8 * y), size = vqabsq_s16(in);
        beyond = vorrq_s16(beyond, vqdmulhq_s16(size, by)); /* not 0 where the product is 2^15 or more */
        sizes = vqaddq_u16(sizes, vreinterpretq_u16_s16(vmulq_s16(size, by)));
        v[y] = vmulq_s16(in, by);
    }
    const uint16x8_t more = vqsubq_u16(sizes, vdupq_n_u16(FF_COLUMN_MOST));
    if (vmaxvq_u16(vorrq_u16(more, vreinterpretq_u16_s16(beyond))) != 0)
        return 0;
    for (int y = 0; y < 8; y++)
        vst1q_s16(coef + 8 * y, vdupq_n_s16(0));
    down(v);
    transpose(v);
    across(v, columns);
    return 1;
}

/* Two blocks side by side; both are turned into rows at once, each in its half of the vectors. */
INLINE int two_blocks(int16_t *left, int16_t *right, const int16_t *quantiser, uint8_t *to, int64_t stride)
{
    int8x8_t a[8], b[8];
    if (!one_block(left, quantiser, a) || !one_block(right, quantiser, b))
        return 0;
    int8x16_t bytes[8];
    int16x8_t words[8];
    int32x4_t pairs[8];
    for (int k = 0; k < 8; k++)
        bytes[k] = veorq_s8(vcombine_s8(a[k], b[k]), vdupq_n_s8(-128));
    for (int k = 0; k < 8; k += 2) {
        words[k] = vreinterpretq_s16_s8(vtrn1q_s8(bytes[k], bytes[k + 1]));
        words[k + 1] = vreinterpretq_s16_s8(vtrn2q_s8(bytes[k], bytes[k + 1]));
    }
    for (int k = 0; k < 4; k++) {
        const int at = k + (k & 2);
        pairs[at] = vreinterpretq_s32_s16(vtrn1q_s16(words[at], words[at + 2]));
        pairs[at + 2] = vreinterpretq_s32_s16(vtrn2q_s16(words[at], words[at + 2]));
    }
    for (int k = 0; k < 4; k++) {
        vst1q_u8(to + k * stride, vreinterpretq_u8_s32(vtrn1q_s32(pairs[k], pairs[k + 4])));
        vst1q_u8(to + (k + 4) * stride, vreinterpretq_u8_s32(vtrn2q_s32(pairs[k], pairs[k + 4])));
    }
    return 1;
}

static int transform(int16_t *const blocks[4], const int16_t *quantiser, uint8_t *to, int64_t stride)
{
    for (int k = 0; k < 4; k += 2)
        if (!two_blocks(blocks[k], blocks[k + 1], quantiser, to + 8 * k, stride))
            return 0;
    return 1;
}

static void halve(const uint8_t *pixels, uint8_t *to, int64_t stride)
{
    for (int y = 0; y < 4; y++, pixels += 64) {
        const uint16x8_t left = vpadalq_u8(vpaddlq_u8(vld1q_u8(pixels)), vld1q_u8(pixels + 32));
        const uint16x8_t right = vpadalq_u8(vpaddlq_u8(vld1q_u8(pixels + 16)), vld1q_u8(pixels + 48));
        vst1q_u8(to + y * stride, vrshrn_high_n_u16(vrshrn_n_u16(left, 2), right, 2));
    }
}

/* ---- chroma ---- */

/* 3/4 near and 1/4 far: the mean of near and a mean, of which one is rounded up, gives (3 near + far + 1) / 4 or, where it
 * is the outer one, (3 near + far + 2) / 4, rounded down. */
INLINE uint8x16_t plus_one(uint8x16_t near, uint8x16_t far)
{
    return vhaddq_u8(near, vrhaddq_u8(near, far));
}

INLINE uint8x16_t plus_two(uint8x16_t near, uint8x16_t far)
{
    return vrhaddq_u8(near, vhaddq_u8(near, far));
}

static void widen(uint8_t *to, const uint8_t *from, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) {
        const uint8x16_t here = vld1q_u8(from + i);
        const uint8x16x2_t both = {{plus_one(here, vld1q_u8(from + i - 1)), plus_two(here, vld1q_u8(from + i + 1))}};
        vst2q_u8(to + 2 * i, both);
    }
}

INLINE uint16x8_t blend(const uint8_t *near, const uint8_t *far)
{
    return vaddw_u8(vmull_u8(vld1_u8(near), vdup_n_u8(3)), vld1_u8(far));
}

static void widen_between(uint8_t *to, const uint8_t *near, const uint8_t *far, int64_t n)
{
    const uint16x8_t seven = vdupq_n_u16(7);
    for (int64_t i = 0; i < n; i += 8) {
        const uint16x8_t here = vmulq_n_u16(blend(near + i, far + i), 3);
        const uint16x8_t even = vaddq_u16(here, blend(near + i - 1, far + i - 1));
        const uint16x8_t odd = vaddq_u16(vaddq_u16(here, blend(near + i + 1, far + i + 1)), seven);
        const uint8x8x2_t both = {{vrshrn_n_u16(even, 4), vshrn_n_u16(odd, 4)}};
        vst2_u8(to + 2 * i, both);
    }
}

static void between(uint8_t *to, const uint8_t *near, const uint8_t *far, int64_t n, int bias)
{
    for (int64_t i = 0; i < n; i += 16) {
        const uint8x16_t a = vld1q_u8(near + i), b = vld1q_u8(far + i);
        vst1q_u8(to + i, bias == 1 ? plus_one(a, b) : plus_two(a, b));
    }
}

/* ---- colour ---- */

typedef struct channels {
    uint8x8_t r, g, b;
} channels;

INLINE uint8x8_t clipped(uint8x8_t y, int16x8_t more)
{
    return vqmovun_s16(vreinterpretq_s16_u16(vaddw_u8(vreinterpretq_u16_s16(more), y)));
}

/* 8 pixels, from twice their chroma.  The products with 22970 and 29033 are doubled as well, so the factors are 91880 and
 * 116132 instead of 91881 and 116130: the same for each of the 256 values. */
INLINE channels eight_pixels(uint8x8_t y, int16x8_t b, int16x8_t r)
{
    const int32x4_t low = vmlal_n_s16(vmull_n_s16(vget_low_s16(b), -11277), vget_low_s16(r), -23401);
    const int32x4_t high = vmlal_n_s16(vmull_n_s16(vget_high_s16(b), -11277), vget_high_s16(r), -23401);
    return (channels){
        .r = clipped(y, vqrdmulhq_n_s16(r, 22970)),
        .g = clipped(y, vrshrn_high_n_s32(vrshrn_n_s32(low, 16), high, 16)),
        .b = clipped(y, vqrdmulhq_n_s16(b, 29033)),
    };
}

INLINE void rgb_16(uint8_t *to, const uint8_t *y, const uint8_t *cb, const uint8_t *cr)
{
    const uint8x16_t level = vld1q_u8(y), middle = vdupq_n_u8(128);
    const int8x16_t b = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(cb), middle));
    const int8x16_t r = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(cr), middle));
    const channels first = eight_pixels(vget_low_u8(level), vshll_n_s8(vget_low_s8(b), 1), vshll_n_s8(vget_low_s8(r), 1));
    const channels second = eight_pixels(vget_high_u8(level), vshll_high_n_s8(b, 1), vshll_high_n_s8(r, 1));
    const uint8x16x3_t pixels = {
        {vcombine_u8(first.r, second.r), vcombine_u8(first.g, second.g), vcombine_u8(first.b, second.b)}};
    vst3q_u8(to, pixels);
}

static void rgb(uint8_t *to, const uint8_t *y, const uint8_t *cb, const uint8_t *cr, int64_t n)
{
    if (n < 16) {
        ff_frames_plain.rgb(to, y, cb, cr, n);
        return;
    }
    for (int64_t i = 0; i + 16 <= n; i += 16)
        rgb_16(to + 3 * i, y + i, cb + i, cr + i);
    if (n % 16 != 0) /* the last 16 again */
        rgb_16(to + 3 * (n - 16), y + n - 16, cb + n - 16, cr + n - 16);
}

const ff_frame_loops ff_frames_neon = {
    .transform = transform,
    .halve = halve,
    .widen = widen,
    .widen_between = widen_between,
    .between = between,
    .rgb = rgb,
};

#else
typedef int ff_frames_neon_is_empty; /* ISO C wants a declaration in every file */
#endif
