/* colour: a drawn ColorJitter as matrices on either side of an optional turn of the hue.
 *
 * Brightness, contrast and saturation are linear in the pixel, and contrast's mean grey follows from the channel means,
 * so every run of them is one 3x4 matrix and nothing is clipped inside a run.  (torchvision rounds and clips after each
 * of the four.)  Turning the hue is not linear: the pixels are rounded and clipped to 0..255 before and after it.
 */
#include "image/colour.h"

#include "simd/cpu.h"
#include "random/philox.h"

#include <string.h>

/* Weights of R, G and B in grey: ITU-R BT.601, as Pillow's mode L and torchvision. */
static const float GREY[3] = {0.299f, 0.587f, 0.114f};

enum { BRIGHTNESS = 0, CONTRAST = 1, SATURATION = 2, HUE = 3, ADJUSTMENTS = 4 };

typedef struct jitter {
    int order[ADJUSTMENTS];
    float factor[ADJUSTMENTS]; /* HUE: turns, -0.5..0.5 */
} jitter;

static int changes(const jitter *j, int adjustment)
{
    return adjustment == HUE ? j->factor[HUE] < 0.0f || j->factor[HUE] > 0.0f
                             : j->factor[adjustment] < 1.0f || j->factor[adjustment] > 1.0f;
}

/* Draw 0 is the order, draws 1 to 4 the factors, whether or not a range is a single value. */
static void draw(const ff_op *op, const ff_key *key, uint32_t op_number, jitter *j)
{
    int left[ADJUSTMENTS] = {BRIGHTNESS, CONTRAST, SATURATION, HUE};
    int rank = (int)(24.0 * ff_uniform(key, op_number, 0)); /* one of the 4! orders, in lexicographic order */
    int block = 6;
    for (int i = 0; i < ADJUSTMENTS; i++) {
        const int pick = rank / block;
        rank %= block;
        block /= i < 2 ? 3 - i : 1;
        j->order[i] = left[pick];
        memmove(left + pick, left + pick + 1, (size_t)(ADJUSTMENTS - 1 - pick) * sizeof left[0]);
    }
    for (int a = 0; a < ADJUSTMENTS; a++) {
        const double low = (double)op->f[2 * a], high = (double)op->f[2 * a + 1];
        j->factor[a] = (float)(low + (high - low) * ff_uniform(key, op_number, (uint32_t)(1 + a)));
    }
}

static void identity(float m[12])
{
    memset(m, 0, 12 * sizeof m[0]);
    m[0] = m[5] = m[10] = 1.0f;
}

/* m becomes "first m, then this adjustment"; mean: channel means of the pixels that m is applied to. */
static void compose(float m[12], const jitter *j, int adjustment, const double mean[3])
{
    const float factor = j->factor[adjustment], rest = 1.0f - factor;
    if (!changes(j, adjustment))
        return;
    float grey[4] = {0.0f, 0.0f, 0.0f, 0.0f}; /* grey of m's output as a row of its own */
    for (int k = 0; k < 4; k++)
        for (int c = 0; c < 3; c++)
            grey[k] += GREY[c] * m[4 * c + k];
    for (int k = 0; k < 12; k++)
        m[k] *= factor;
    if (adjustment == CONTRAST) {
        const double level = (double)grey[0] * mean[0] + (double)grey[1] * mean[1] + (double)grey[2] * mean[2]
                           + (double)grey[3];
        for (int c = 0; c < 3; c++)
            m[4 * c + 3] += rest * (float)level;
    } else if (adjustment == SATURATION) {
        for (int c = 0; c < 3; c++)
            for (int k = 0; k < 4; k++)
                m[4 * c + k] += rest * grey[k];
    }
}

int ff_jitter_matrix(const ff_op *op, const ff_key *key, uint32_t op_number, const double mean[3], float m[12])
{
    jitter j;
    draw(op, key, op_number, &j);
    if (changes(&j, HUE))
        return 0;
    identity(m);
    for (int i = 0; i < ADJUSTMENTS; i++)
        if (j.order[i] != HUE)
            compose(m, &j, j.order[i], mean);
    return 1;
}

static float lesser(float a, float b)
{
    return a < b ? a : b;
}

static float greater(float a, float b)
{
    return a > b ? a : b;
}

static uint8_t pixel(float value)
{
    return (uint8_t)(lesser(greater(value, 0.0f), 255.0f) + 0.5f);
}

/* k mod 6, for k < 12; below 0 it stays. */
static float below_six(float k)
{
    return k >= 6.0f ? k - 6.0f : k;
}

/* One channel of HSV turned back into RGB: V - delta * max(0, min(k, 4 - k, 1)), k = (n + hue) mod 6, n = 5, 3, 1 for
 * red, green, blue; hue in sixths of a turn.  This is the usual sextant table without its branches. */
static float channel(float n, float hue, float value, float delta)
{
    const float k = below_six(n + hue);
    return value - delta * greater(lesser(lesser(k, 4.0f - k), 1.0f), 0.0f);
}

/* What is done to rows: each function takes a run of pixels.  The vector forms do the same operations in the same order
 * and without fused products, so their bits are the same. */
typedef struct loops {
    void (*sum)(const uint8_t *rgb, int64_t width, uint64_t sum[3]);
    void (*matrix)(uint8_t *rgb, int64_t width, const float m[12]);
    void (*hue)(uint8_t *rgb, int64_t width, float sixths); /* 0..6 */
} loops;

static void sum_plain(const uint8_t *rgb, int64_t width, uint64_t sum[3])
{
    for (; width > 0; width--, rgb += 3)
        for (int c = 0; c < 3; c++)
            sum[c] += rgb[c];
}

static void matrix_plain(uint8_t *rgb, int64_t width, const float m[12])
{
    for (; width > 0; width--, rgb += 3) {
        const float r = rgb[0], g = rgb[1], b = rgb[2];
        for (int c = 0; c < 3; c++, m += 4)
            rgb[c] = pixel(m[0] * r + m[1] * g + m[2] * b + m[3]);
        m -= 12;
    }
}

static void hue_plain(uint8_t *rgb, int64_t width, float sixths)
{
    for (; width > 0; width--, rgb += 3) {
        const float r = rgb[0], g = rgb[1], b = rgb[2];
        const float value = greater(r, greater(g, b)), delta = value - lesser(r, lesser(g, b));
        const float scale = 1.0f / greater(delta, 1.0f); /* grey has no hue; otherwise whole numbers differ by 1 */
        const float red = (g - b) * scale, green = (b - r) * scale + 2.0f, blue = (r - g) * scale + 4.0f;
        const float hue = below_six((r >= value ? red : g >= value ? green : blue) + sixths); /* -1..6 */
        rgb[0] = pixel(channel(5.0f, hue, value, delta));
        rgb[1] = pixel(channel(3.0f, hue, value, delta));
        rgb[2] = pixel(channel(1.0f, hue, value, delta));
    }
}

static const loops loops_plain = {sum_plain, matrix_plain, hue_plain};

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

/* 24 bytes, not one more: pixels 0 to 3 in bytes 0..11 of the lower half, 4 to 7 in bytes 4..15 of the upper. */
AVX2 static inline __m256i load8(const uint8_t *rgb)
{
    const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)rgb);
    const __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(rgb + 8));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

/* Byte c of each of those pixels in a 32-bit lane of its own; -1 makes a zero. */
#define PLANE(c)                                                                                                       \
    _mm256_setr_epi8(c, -1, -1, -1, c + 3, -1, -1, -1, c + 6, -1, -1, -1, c + 9, -1, -1, -1, c + 4, -1, -1, -1, c + 7, \
                     -1, -1, -1, c + 10, -1, -1, -1, c + 13, -1, -1, -1)

AVX2 static inline void load8_planes(const uint8_t *rgb, __m256 *r, __m256 *g, __m256 *b)
{
    const __m256i pixels = load8(rgb);
    *r = _mm256_cvtepi32_ps(_mm256_shuffle_epi8(pixels, PLANE(0)));
    *g = _mm256_cvtepi32_ps(_mm256_shuffle_epi8(pixels, PLANE(1)));
    *b = _mm256_cvtepi32_ps(_mm256_shuffle_epi8(pixels, PLANE(2)));
}

AVX2 static inline __m256i whole(__m256 v)
{
    const __m256 in = _mm256_min_ps(_mm256_max_ps(v, _mm256_setzero_ps()), _mm256_set1_ps(255.0f));
    return _mm256_cvttps_epi32(_mm256_add_ps(in, _mm256_set1_ps(0.5f)));
}

AVX2 static inline void store8(uint8_t *rgb, __m256 r, __m256 g, __m256 b)
{
    const __m256i pack = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4, 5, 6, 8,
                                          9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m256i words = _mm256_or_si256(whole(r), _mm256_or_si256(_mm256_slli_epi32(whole(g), 8),
                                                                    _mm256_slli_epi32(whole(b), 16)));
    uint8_t out[32];
    _mm256_storeu_si256((__m256i *)(void *)out, _mm256_shuffle_epi8(words, pack));
    memcpy(rgb, out, 12);
    memcpy(rgb + 12, out + 16, 12);
}

AVX2 static void sum_avx2(const uint8_t *rgb, int64_t width, uint64_t sum[3])
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i r = zero, g = zero, b = zero;
    for (; width >= 8; width -= 8, rgb += 24) {
        const __m256i pixels = load8(rgb);
        r = _mm256_add_epi64(r, _mm256_sad_epu8(_mm256_shuffle_epi8(pixels, PLANE(0)), zero));
        g = _mm256_add_epi64(g, _mm256_sad_epu8(_mm256_shuffle_epi8(pixels, PLANE(1)), zero));
        b = _mm256_add_epi64(b, _mm256_sad_epu8(_mm256_shuffle_epi8(pixels, PLANE(2)), zero));
    }
    uint64_t lanes[3][4];
    _mm256_storeu_si256((__m256i *)(void *)lanes[0], r);
    _mm256_storeu_si256((__m256i *)(void *)lanes[1], g);
    _mm256_storeu_si256((__m256i *)(void *)lanes[2], b);
    for (int c = 0; c < 3; c++)
        sum[c] += lanes[c][0] + lanes[c][1] + lanes[c][2] + lanes[c][3];
    sum_plain(rgb, width, sum);
}

AVX2 static inline __m256 dot(const float m[4], __m256 r, __m256 g, __m256 b)
{
    const __m256 rg = _mm256_add_ps(_mm256_mul_ps(_mm256_set1_ps(m[0]), r), _mm256_mul_ps(_mm256_set1_ps(m[1]), g));
    return _mm256_add_ps(_mm256_add_ps(rg, _mm256_mul_ps(_mm256_set1_ps(m[2]), b)), _mm256_set1_ps(m[3]));
}

AVX2 static void matrix_avx2(uint8_t *rgb, int64_t width, const float m[12])
{
    for (; width >= 8; width -= 8, rgb += 24) {
        __m256 r, g, b;
        load8_planes(rgb, &r, &g, &b);
        store8(rgb, dot(m, r, g, b), dot(m + 4, r, g, b), dot(m + 8, r, g, b));
    }
    matrix_plain(rgb, width, m);
}

AVX2 static inline __m256 below_six_avx2(__m256 k)
{
    const __m256 six = _mm256_set1_ps(6.0f);
    return _mm256_blendv_ps(k, _mm256_sub_ps(k, six), _mm256_cmp_ps(k, six, _CMP_GE_OQ));
}

AVX2 static inline __m256 channel_avx2(float n, __m256 hue, __m256 value, __m256 delta)
{
    const __m256 k = below_six_avx2(_mm256_add_ps(_mm256_set1_ps(n), hue));
    const __m256 ramp = _mm256_min_ps(_mm256_min_ps(k, _mm256_sub_ps(_mm256_set1_ps(4.0f), k)), _mm256_set1_ps(1.0f));
    return _mm256_sub_ps(value, _mm256_mul_ps(delta, _mm256_max_ps(ramp, _mm256_setzero_ps())));
}

AVX2 static void hue_avx2(uint8_t *rgb, int64_t width, float sixths)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    for (; width >= 8; width -= 8, rgb += 24) {
        __m256 r, g, b;
        load8_planes(rgb, &r, &g, &b);
        const __m256 value = _mm256_max_ps(r, _mm256_max_ps(g, b));
        const __m256 delta = _mm256_sub_ps(value, _mm256_min_ps(r, _mm256_min_ps(g, b)));
        const __m256 scale = _mm256_div_ps(one, _mm256_max_ps(delta, one));
        const __m256 red = _mm256_mul_ps(_mm256_sub_ps(g, b), scale);
        const __m256 green = _mm256_add_ps(_mm256_mul_ps(_mm256_sub_ps(b, r), scale), _mm256_set1_ps(2.0f));
        const __m256 blue = _mm256_add_ps(_mm256_mul_ps(_mm256_sub_ps(r, g), scale), _mm256_set1_ps(4.0f));
        __m256 hue = _mm256_blendv_ps(blue, green, _mm256_cmp_ps(g, value, _CMP_GE_OQ));
        hue = _mm256_blendv_ps(hue, red, _mm256_cmp_ps(r, value, _CMP_GE_OQ));
        hue = below_six_avx2(_mm256_add_ps(hue, _mm256_set1_ps(sixths)));
        store8(rgb, channel_avx2(5.0f, hue, value, delta), channel_avx2(3.0f, hue, value, delta),
               channel_avx2(1.0f, hue, value, delta));
    }
    hue_plain(rgb, width, sixths);
}

static const loops loops_avx2 = {sum_avx2, matrix_avx2, hue_avx2};
#endif

static const loops *loops_in_use(void)
{
#if defined(__x86_64__)
    if (ff_rows_active() != &ff_rows_plain)
        return &loops_avx2;
#endif
    return &loops_plain;
}

void ff_channel_means(const uint8_t *rgb, int64_t stride, int64_t width, int64_t height, double mean[3])
{
    const loops *use = loops_in_use();
    uint64_t sum[3] = {0, 0, 0};
    for (int64_t y = 0; y < height; y++)
        use->sum(rgb + y * stride, width, sum);
    for (int c = 0; c < 3; c++)
        mean[c] = (double)sum[c] / ((double)width * (double)height);
}

void ff_jitter_rgb8(const ff_op *op, const ff_key *key, uint32_t op_number, uint8_t *rgb, int64_t stride, int64_t width,
                    int64_t height)
{
    jitter j;
    draw(op, key, op_number, &j);
    const loops *use = loops_in_use();
    const float turn = j.factor[HUE] < 0.0f ? 1.0f + j.factor[HUE] : j.factor[HUE]; /* 0..1 */
    for (int i = 0; i < ADJUSTMENTS;) {
        if (j.order[i] == HUE) {
            if (changes(&j, HUE))
                for (int64_t y = 0; y < height; y++)
                    use->hue(rgb + y * stride, width, 6.0f * turn);
            i++;
            continue;
        }
        /* A run of linear adjustments: one matrix, and the means only if contrast is among them. */
        float m[12];
        double mean[3] = {0.0, 0.0, 0.0};
        int any = 0, first = i;
        for (; i < ADJUSTMENTS && (j.order[i] != HUE || !changes(&j, HUE)); i++)
            if (j.order[i] != HUE && changes(&j, j.order[i])) {
                any = 1;
                if (j.order[i] == CONTRAST)
                    ff_channel_means(rgb, stride, width, height, mean);
            }
        if (!any)
            continue;
        identity(m);
        for (; first < i; first++)
            if (j.order[first] != HUE)
                compose(m, &j, j.order[first], mean);
        for (int64_t y = 0; y < height; y++)
            use->matrix(rgb + y * stride, width, m);
    }
}
