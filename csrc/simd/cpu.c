/* cpu: pick the variant of the inner loops at run time. */
#include "simd/cpu.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic(const ff_loops *) active;

#if defined(__x86_64__)
extern const ff_loops ff_loops_avx512, ff_loops_avx2;

static int has_avx2(void)
{
    __builtin_cpu_init();
    /* F16C is older, and clang cannot ask for it. */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}
#endif
#if defined(__aarch64__)
extern const ff_loops ff_loops_neon;
#endif

static int always(void)
{
    return 1;
}

/* Best first. */
static const struct variant {
    const ff_loops *loops;
    int (*runs_here)(void);
} VARIANTS[] = {
#if defined(__x86_64__)
    {&ff_loops_avx512, has_avx512},
    {&ff_loops_avx2, has_avx2},
#endif
#if defined(__aarch64__)
    {&ff_loops_neon, always},
#endif
    {&ff_loops_plain, always},
};

static const ff_loops *available(int position)
{
    for (size_t i = 0; i < sizeof VARIANTS / sizeof VARIANTS[0]; i++)
        if (VARIANTS[i].runs_here() && position-- == 0)
            return VARIANTS[i].loops;
    return NULL;
}

static const ff_loops *find(const char *name)
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

const ff_loops *ff_loops_active(void)
{
    /* Two threads may both come here first; they store the same pointer. */
    const ff_loops *loops = atomic_load_explicit(&active, memory_order_acquire);
    if (loops == NULL) {
        loops = find(asked());
        if (loops == NULL)
            loops = available(0);
        atomic_store_explicit(&active, loops, memory_order_release);
    }
    return loops;
}

const char *ff_simd_name(void)
{
    return ff_loops_active()->name;
}

const char *ff_simd_variant(int position)
{
    const ff_loops *loops = available(position);
    return loops == NULL ? NULL : loops->name;
}

int ff_simd_select(const char *name)
{
    const ff_loops *loops = find(name);
    if (loops == NULL)
        return -1;
    atomic_store_explicit(&active, loops, memory_order_release);
    return 0;
}

const char *ff_simd_refused(void)
{
    return find(asked()) == NULL ? asked() : NULL;
}
