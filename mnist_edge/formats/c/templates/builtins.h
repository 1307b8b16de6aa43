/* What a compiler may call for loops. */
void *memset(void *target, int value, size_t count);
void *memset(void *target, int value, size_t count)
{
    unsigned char *to = (unsigned char *)target;
    while (count--) {
        *to++ = (unsigned char)value;
    }
    return target;
}

void *memcpy(void *target, const void *source, size_t count);
void *memcpy(void *target, const void *source, size_t count)
{
    unsigned char *to = (unsigned char *)target;
    const unsigned char *from = (const unsigned char *)source;
    while (count--) {
        *to++ = *from++;
    }
    return target;
}
