// Put before every C++ file of llama.cpp by setup.sh: where an Intel processor has AMX, llama.cpp built by GCC before
// 12.4, 13.3 and 14 crashes with the first product of quantised weights. These compilers take it that the instruction
// reads 8 bytes of its 64 byte configuration, and leave out what fills the rest (https://gcc.gnu.org/PR114098;
// https://github.com/ggml-org/llama.cpp/issues/20824). The barrier says that all of it is read.
#if defined(__AMX_TILE__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
#define _tile_loadconfig(config)                                      \
    do {                                                              \
        const void *const whole_ = (config);                          \
        __asm__ volatile("" : : "r"(whole_) : "memory");              \
        _tile_loadconfig(whole_);                                     \
    } while (0)
#endif
