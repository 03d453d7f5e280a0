/* cpu: which variant of the inner loops runs on this machine; nobody else asks. */
#ifndef FF_CPU_H
#define FF_CPU_H

#include "simd/loops.h"

/* The variant in use: the best one, or the one that FASTFEED_SIMD names, or the one last selected. */
const ff_loops *ff_loops_active(void);

/* Its name. */
const char *ff_simd_name(void);

/* The names of the variants that this machine can run, best first; NULL behind the last one. */
const char *ff_simd_variant(int position);

/* Use that variant from now on; "auto" is the best one.  0, or -1: unknown, or not available on this machine. */
int ff_simd_select(const char *name);

/* What FASTFEED_SIMD asked for and cannot have, or NULL; the best variant runs then. */
const char *ff_simd_refused(void);

#endif
