/* codes: write the sentence that goes with a code. */
#include "base/codes.h"

#include <stdarg.h>
#include <stdio.h>

int ff_fail(char err[FF_ERR_LEN], int code, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(err, FF_ERR_LEN, format, values);
    va_end(values);
    return code;
}
