/* What happens before main() on a Cortex-M: see the Armv7-M Architecture Reference Manual, B1.5. */

#include <stdint.h>

extern uint32_t stack_top, data_start, data_end, data_source, bss_start, bss_end;

int main(void);
void reset(void);
__attribute__((noinline)) void stopped(void);

void reset(void)
{
    const uint32_t *from = &data_source;
    uint32_t *to;
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: full access to the floating-point unit */
    for (to = &data_start; to != &data_end; ++to) {
        *to = *from++;
    }
    for (to = &bss_start; to != &bss_end; ++to) {
        *to = 0;
    }
    (void)main();
    stopped();
}

/* Faults, and the end of main(), come here; a debugger shows it. */
void stopped(void)
{
    for (;;) {
        __asm__ volatile("nop");
    }
}

__attribute__((section(".vectors"), used)) const void *const vectors[16] = {
    &stack_top,
    (const void *)reset,
    (const void *)stopped, /* NMI */
    (const void *)stopped, /* hard fault */
    (const void *)stopped,
    (const void *)stopped,
    (const void *)stopped,
};

/* What a compiler may call for loops. */
void *memset(void *target, int value, unsigned count);
void *memset(void *target, int value, unsigned count)
{
    unsigned char *to = (unsigned char *)target;
    while (count--) {
        *to++ = (unsigned char)value;
    }
    return target;
}

void *memcpy(void *target, const void *source, unsigned count);
void *memcpy(void *target, const void *source, unsigned count)
{
    unsigned char *to = (unsigned char *)target;
    const unsigned char *from = (const unsigned char *)source;
    while (count--) {
        *to++ = *from++;
    }
    return target;
}
