/* sample: read one entry of the source table and run the plan on it. */
#include "image/sample.h"

#include <stdlib.h>
#include <string.h>

#include "jpeg/header.h"

int ff_sample_init(ff_sample *sample, const ff_plan *plan, const ff_plan *finish_plan, const ff_table *table,
                   uint64_t seed)
{
    memset(sample, 0, sizeof *sample);
    sample->plan = *plan;
    sample->table = *table;
    sample->seed = seed;
    if (finish_plan != NULL) {
        sample->finish_plan = *finish_plan;
        sample->has_calls = 1;
        sample->pixels = malloc(ff_plan_row_bytes(plan));
    }
    sample->image = ff_image_new();
    if (sample->image == NULL || (sample->has_calls && sample->pixels == NULL)) {
        ff_sample_free(sample);
        return FF_E_MEMORY;
    }
    return 0;
}

void ff_sample_free(ff_sample *sample)
{
    ff_image_free(sample->image);
    free(sample->pixels);
    ff_reader_free(&sample->reader);
    sample->image = NULL;
    sample->pixels = NULL;
}

/* The native plan has run: the row is finished, or the callables come next. */
static int planned(const ff_sample *sample, int code)
{
    return code == 0 && sample->has_calls ? FF_STEP_CALL : code;
}

int ff_sample_make(ff_sample *sample, uint64_t epoch, int64_t index, void *row)
{
    sample->key = (ff_key){sample->seed, epoch, (uint64_t)index};
    sample->row = row;
    sample->err[0] = '\0';
    ff_reader *reader = &sample->reader;
    int code = ff_reader_read(reader, &sample->table, index, sample->plan.max_bytes, 0, sample->err);
    if (code == 0 && reader->partial && ff_jpeg_may_begin(reader->data, reader->size))
        code = ff_sample_rest(sample);
    if (code != 0)
        return code;
    if (reader->partial)
        return FF_STEP_DECODE;
    code = ff_image_encoded(sample->image, &sample->plan, reader->data, reader->size, &sample->key,
                            sample->has_calls ? sample->pixels : row, sample->err);
    return code == FF_E_NOT_JPEG ? FF_STEP_DECODE : planned(sample, code);
}

int ff_sample_rest(ff_sample *sample)
{
    return ff_reader_read(&sample->reader, &sample->table, (int64_t)sample->key.index, sample->plan.max_bytes, 1,
                          sample->err);
}

int ff_sample_decoded(ff_sample *sample, const uint8_t *rgb, int64_t width, int64_t height, int64_t stride)
{
    return planned(sample, ff_image_pixels(sample->image, &sample->plan, rgb, width, height, stride, &sample->key,
                                           sample->has_calls ? sample->pixels : sample->row, sample->err));
}

int ff_sample_called(ff_sample *sample, const uint8_t *rgb, int64_t stride)
{
    return ff_image_pixels(sample->image, &sample->finish_plan, rgb, sample->plan.out_w, sample->plan.out_h, stride,
                           &sample->key, sample->row, sample->err);
}
