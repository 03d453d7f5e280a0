/* picture: the picture so far, and one pass that makes it.
 *
 * Transforms edit the picture's two sides and its colours; nothing is done to pixels yet.  One pass then does all of it:
 *
 *   store <--row of pixels-- resample <--line-- decoder, or pixels in memory
 *
 * It is resample that asks: it calls read_lines for as many lines as the next row needs, so that the decoder runs no
 * further than the last line that is wanted and a line is used while it is in the cache.  A transform that does not fit
 * behind what is already there (a second resize, an affine map, contrast or hue) first has the picture so far made as
 * 8-bit RGB in scratch, by the same pass, and goes on from that.
 */
#ifndef FF_PICTURE_H
#define FF_PICTURE_H

#include "base/key.h"
#include "image/geometry.h"
#include "image/plan.h"
#include "image/resample.h"
#include "image/store.h"
#include "jpeg/jpeg.h"

typedef struct ff_image { /* decoder state and scratch, kept from image to image; one a thread */
    ff_jpeg *jpeg;
    ff_resampler resampler;
    ff_buffer pixels[2]; /* pictures between two passes */
    ff_buffer stage;
} ff_image;

ff_image *ff_image_new(void); /* NULL: no memory */
void ff_image_free(ff_image *im);

/* Who decoded the last JPEG, as ff_jpeg_reader names them. */
const char *ff_image_reader(const ff_image *im);

typedef struct ff_picture {
    ff_image *im;
    const ff_plan *plan;
    const ff_key *key;
    const ff_loops *loops;
    int encoded;        /* the source is the open JPEG; otherwise: */
    const uint8_t *rgb;
    int64_t stride;
    int64_t width, height; /* of the source as it is stored */
    int transposed;        /* side x runs along the source's columns and y along its rows */
    ff_side x, y;
    float fill[3];         /* of the canvases */
    int32_t last_change;   /* the last transform that does more than move pixels */
    int colour;            /* a linear jitter waits for the last pass */
    float matrix[12];
    char *err;
} ff_picture;

/* Make the picture: into store, whose target, dtype, layout and colours are set. */
int ff_picture_pass(ff_picture *p, ff_store *store);

/* Have the picture so far as 8-bit RGB in memory, upright. */
int ff_picture_materialise(ff_picture *p);

/* Room for a picture of width x height, in whichever scratch is not the source; NULL: no memory. */
uint8_t *ff_picture_other(ff_picture *p, int64_t width, int64_t height);

/* These packed pixels are the picture now. */
void ff_picture_go_on_from(ff_picture *p, const uint8_t *rgb, int64_t width, int64_t height);

#endif
