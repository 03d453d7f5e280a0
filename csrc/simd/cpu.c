/* cpu: pick the variant of the inner loops at run time. */
#include "simd/cpu.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic(const ff_rows *) active;

/* Best first; the plain one is always there. */
static const ff_rows *available(int position)
{
    const ff_rows *list[4];
    int n = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const int avx2 = __builtin_cpu_supports("avx2"); /* F16C is older, and clang cannot ask for it */
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni"))
        list[n++] = &ff_rows_avx512;
    if (avx2)
        list[n++] = &ff_rows_avx2;
#endif
#if defined(__aarch64__)
    list[n++] = &ff_rows_neon;
#endif
    list[n++] = &ff_rows_plain;
    return position < n ? list[position] : NULL;
}

static const ff_rows *find(const char *name)
{
    if (strcmp(name, "auto") == 0)
        return available(0);
    for (int i = 0; available(i) != NULL; i++)
        if (strcmp(available(i)->name, name) == 0)
            return available(i);
    return NULL;
}

static const char *asked(void)
{
    const char *name = getenv("FASTFEED_SIMD");
    return name != NULL && *name != '\0' ? name : "auto";
}

const ff_rows *ff_rows_active(void)
{
    /* Two threads may both come here first; they store the same pointer. */
    const ff_rows *rows = atomic_load_explicit(&active, memory_order_acquire);
    if (rows == NULL) {
        rows = find(asked());
        if (rows == NULL)
            rows = available(0);
        atomic_store_explicit(&active, rows, memory_order_release);
    }
    return rows;
}

const char *ff_simd_name(void)
{
    return ff_rows_active()->name;
}

int ff_simd_select(const char *name)
{
    const ff_rows *rows = find(name);
    if (rows == NULL)
        return -1;
    atomic_store_explicit(&active, rows, memory_order_release);
    return 0;
}

const char *ff_simd_refused(void)
{
    return find(asked()) == NULL ? asked() : NULL;
}
