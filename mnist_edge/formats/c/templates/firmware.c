#define NET_IMPLEMENTATION
#include "net.h"

#include <stddef.h>

static net_workspace workspace;
uint8_t image[NET_PIXELS];
float logits[NET_LABELS];

#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(#name)))
EXPORT(image_address) uint8_t *image_address(void) { return image; }
EXPORT(logits_address) float *logits_address(void) { return logits; }
#else
#define EXPORT(name)
#endif

EXPORT(_start) void _start(void);
void _start(void)
{
    net_logits(&workspace, image, logits);
}

#include "builtins.h"
