/* What the fuzzers share: an input taken apart piece by piece, and promises that abort when they
 * are broken. Each fuzz_NAME.c is a program of libFuzzer's; see README.md. */
#ifndef FUZZ_H
#define FUZZ_H

#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Called by libFuzzer for each input; one thread. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *count, char ***words);

/* Ends the program, with its place, where the promise is broken. */
#define FUZZ_CHECK(promise)                                                                        \
    do {                                                                                           \
        if (!(promise))                                                                            \
            fuzz_fail(__FILE__, __LINE__, #promise);                                               \
    } while (0)
void fuzz_fail(const char *file, int line, const char *promise) __attribute__((noreturn));

/* What is left of an input. Where nothing is left, zeros and empty texts are taken. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

uint8_t fuzz_byte(struct fuzz_input *input);
unsigned fuzz_number(struct fuzz_input *input, unsigned bound); /* 0 … bound-1, of one byte */

/* Everything up to the next `end` (which is taken too) or the input's end, with a NUL behind it.
 * The caller frees it. */
char *fuzz_string(struct fuzz_input *input, char end);

/* A file without a name that holds these bytes until the next call: its descriptor, and its path.
 */
enum { FUZZ_PATH_SIZE = 32 };
int fuzz_file(const void *data, size_t size, char path[FUZZ_PATH_SIZE]);

/* A failure says why: one line of UTF-8, not empty. Its text is overwritten, so that the next one
 * can't live on it. */
void fuzz_check_error(struct heddle_error *err);

/* As Heddle passes texts on: data[size] is NUL. */
void fuzz_check_text(struct heddle_text text);

/* As fuzz_check_text, and no other NUL, well-formed UTF-8, of these sizes. */
void fuzz_check_name(struct heddle_text text, size_t least, size_t most);

#endif
