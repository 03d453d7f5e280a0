/* limits: how large a JPEG may be, and how much work its scans.
 *
 * A frame that comes in one scan of Huffman codes costs two bits a block at the least, and so bounds itself.  Scans of a
 * progressive or arithmetic-coded one pass over thousands of blocks for a few bits, and all its coefficients are held in
 * memory: a few bytes could ask for seconds and for hundreds of megabytes.
 */
#ifndef FF_JPEG_LIMITS_H
#define FF_JPEG_LIMITS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jpeglib.h>

#define FF_LIMIT_TEXT 140

typedef struct ff_jpeg_limits {
    size_t size; /* of the file */
    int max_scans;
    int scan;              /* the last one that was counted */
    int64_t work, allowed; /* so far; about 9 ns each */
    char text[FF_LIMIT_TEXT]; /* what is beyond which limit, once a function has returned 0 */
} ff_jpeg_limits;

/* c has read the header of a file of size bytes.  1, or 0: it is beyond a limit. */
int ff_jpeg_limits_begin(ff_jpeg_limits *l, struct jpeg_decompress_struct *c, size_t size, int64_t max_pixels,
                         int max_scans);

/* To be called at least once in each scan, where there are several.  1, or 0: it is beyond a limit. */
int ff_jpeg_limits_go_on(ff_jpeg_limits *l, const struct jpeg_decompress_struct *c);

#endif
