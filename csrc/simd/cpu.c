/* cpu: pick the variant of the inner loops at run time. */
#include "simd/cpu.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic(const ff_loops *) active;

#if defined(__x86_64__)
#include <cpuid.h>

extern const ff_loops ff_loops_avx512, ff_loops_avx2;

/* Asked of the processor itself: __builtin_cpu_supports is part of a compiler's library, and zig's says no to everything. */
struct cpu {
    unsigned base, features, more; /* ECX of leaf 1, EBX and ECX of leaf 7 */
    uint32_t saved;                /* the registers that the system keeps for a process */
};

static struct cpu this_cpu(void)
{
    struct cpu cpu = {0};
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &cpu.base, &edx) || !(cpu.base & bit_OSXSAVE))
        return cpu;
    __asm__ volatile("xgetbv" : "=a"(cpu.saved), "=d"(edx) : "c"(0));
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        cpu.features = ebx;
        cpu.more = ecx;
    }
    return cpu;
}

static int has(unsigned features, unsigned wanted)
{
    return (features & wanted) == wanted;
}

static int supports_avx2(struct cpu cpu)
{
    return has(cpu.saved, 0x6) && has(cpu.base, bit_F16C) && has(cpu.features, bit_AVX2 | bit_BMI | bit_BMI2);
}

static int has_avx2(void)
{
    return supports_avx2(this_cpu());
}

static int has_avx512(void)
{
    const struct cpu cpu = this_cpu();
    return supports_avx2(cpu) && has(cpu.saved, 0xe6) && has(cpu.more, bit_AVX512VNNI) &&
           has(cpu.features, bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL);
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
