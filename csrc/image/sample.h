/* sample: from an entry of the source table to a finished row; pauses where only Python can go on.
 *
 *   make -> FF_STEP_DONE                       the row is finished
 *        -> FF_STEP_DECODE                     reader: bytes that only PIL can read, where they are partial perhaps
 *                                              rest(); then decoded()
 *        -> FF_STEP_CALL                       pixels: uint8 HWC for the user's callables; then called()
 *        -> negative FF_E_*                    the sample is bad; err says why
 */
#ifndef FF_SAMPLE_H
#define FF_SAMPLE_H

#include "base/step.h"
#include "image/image.h"
#include "source/read.h"

typedef struct ff_sample {
    ff_image *image;
    ff_plan plan;
    ff_plan finish_plan; /* what follows the callables; used where has_calls is set */
    int has_calls;
    ff_table table;
    uint64_t seed;
    ff_reader reader;
    uint8_t *pixels; /* out_h x out_w x 3 of plan, where has_calls is set */
    /* the sample in hand */
    ff_key key;
    void *row;
    char err[FF_ERR_LEN];
} ff_sample;

/* finish_plan is NULL where no callables follow.  0 or FF_E_MEMORY. */
int ff_sample_init(ff_sample *sample, const ff_plan *plan, const ff_plan *finish_plan, const ff_table *table,
                   uint64_t seed);
void ff_sample_free(ff_sample *sample);

int ff_sample_make(ff_sample *sample, uint64_t epoch, int64_t index, void *row);
/* Read all of a file of which only the beginning was read. */
int ff_sample_rest(ff_sample *sample);
int ff_sample_decoded(ff_sample *sample, const uint8_t *rgb, int64_t width, int64_t height, int64_t stride);
int ff_sample_called(ff_sample *sample, const uint8_t *rgb, int64_t stride);

#endif
