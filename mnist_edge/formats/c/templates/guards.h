#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__)
#error "this changes the logits: compile without -ffast-math, -Ofast, -funsafe-math-optimizations and parts of these"
#elif defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#error "an image of NaN would have a certain answer: compile without -ffinite-math-only"
#endif
#include <float.h>
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "floats are computed with more digits here, which changes the logits: on x86 compile with -msse2 -mfpmath=sse"
#endif

/* A product and a sum must be rounded one after the other, not by one fused instruction. */
#if defined(__clang__)
#define NET_EXACT _Pragma("STDC FP_CONTRACT OFF")
#else
#define NET_EXACT
#if defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize ("fp-contract=off")
#endif
#endif
