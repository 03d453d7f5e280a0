/* codes: write the sentence that goes with a code. */
#include "base/codes.h"

#include <stdarg.h>
#include <stdio.h>

const char *ff_code_text(int code)
{
    switch (code) {
    case FF_E_TRUNCATED:
        return "it ends before its image does";
    case FF_E_LIMIT:
        return "it is beyond max_pixels, max_bytes or max_scans";
    case FF_E_MEMORY:
        return "no memory to decode it";
    case FF_E_PLAN:
        return "the transforms do not give the size of a row";
    case FF_E_OPEN:
        return "it cannot be opened or read";
    case FF_E_NOT_FILE:
        return "it is not a regular file";
    default:
        return "it cannot be decoded";
    }
}

int ff_fail(char err[FF_ERR_LEN], int code, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(err, FF_ERR_LEN, format, values);
    va_end(values);
    return code;
}
