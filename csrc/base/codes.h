/* codes: what a failure is called, and the one way to leave a sentence about it.
 *
 * Functions return 0 or a negative FF_E_* code, and then leave a sentence in err.
 */
#ifndef FF_CODES_H
#define FF_CODES_H

#define FF_ERR_LEN 200

/* They fit the ring's status byte as -code. */
enum ff_code {
    FF_OK = 0,
    FF_E_NOT_JPEG = -1,    /* not a JPEG: somebody else must decode it */
    FF_E_CORRUPT = -2,     /* the decoder gave up */
    FF_E_TRUNCATED = -3,   /* data ends before the image does */
    FF_E_LIMIT = -4,       /* pixels, scans or file size above the plan's limits */
    FF_E_MEMORY = -5,      /* no memory for scratch */
    FF_E_PLAN = -6,        /* the plan cannot produce its own output size */
    FF_E_OPEN = -7,        /* file cannot be opened or read */
    FF_E_NOT_FILE = -8,    /* a directory, a pipe, a device */
    FF_E_PYTHON = -9,      /* a Python decoder or transform raised */
    FF_E_POISON = -10      /* killed its worker twice, or hung it; set aside by the consumer */
};

/* What the code alone says of a file, for where there is no room for the sentence. */
const char *ff_code_text(int code);

/* Write the sentence, cut to what err holds, and return code. */
__attribute__((format(printf, 3, 4))) int ff_fail(char err[FF_ERR_LEN], int code, const char *format, ...);

#endif
