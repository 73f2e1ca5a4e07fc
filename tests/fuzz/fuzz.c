/* See fuzz.h. */
#include "fuzz.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *__asan_default_options(void);

/* Short stacks of allocations, for they are most of the time; ASAN_OPTIONS gives longer ones. An
 * answer of Redis may claim to be of any length: memory for more than anybody sends is refused. */
const char *__asan_default_options(void)
{
    return "malloc_context_size=3:quarantine_size_mb=32:"
           "allocator_may_return_null=1:max_allocation_size_mb=256";
}

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count;
    (void)words;
    /* What is refused is ordered here; its reports would only bury a finding. */
    log_configure((enum heddle_log_level)(HEDDLE_LOG_ERROR + 1), LOG_FORMAT_TEXT);
    return 0;
}

void fuzz_fail(const char *file, int line, const char *promise)
{
    fprintf(stderr, "%s:%d: broken: %s\n", file, line, promise);
    abort();
}

uint8_t fuzz_byte(struct fuzz_input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->at++;
}

unsigned fuzz_number(struct fuzz_input *input, unsigned bound)
{
    return fuzz_byte(input) % bound;
}

char *fuzz_string(struct fuzz_input *input, char end)
{
    const uint8_t *place = input->left > 0 ? memchr(input->at, end, input->left) : NULL;
    size_t size = place ? (size_t)(place - input->at) : input->left;
    char *string = memory_take(size + 1);

    if (size > 0)
        memcpy(string, input->at, size);
    string[size] = '\0';
    size += place != NULL;
    input->at += size;
    input->left -= size;
    return string;
}

int fuzz_file(const void *data, size_t size, char path[FUZZ_PATH_SIZE])
{
    static int file = -1;

    if (file < 0)
        file = memfd_create("input", MFD_CLOEXEC);
    FUZZ_CHECK(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
    snprintf(path, FUZZ_PATH_SIZE, "/proc/self/fd/%d", file);
    return file;
}

void fuzz_check_error(struct heddle_error *err)
{
    size_t size = strnlen(err->text, sizeof err->text);

    FUZZ_CHECK(size > 0 && size < sizeof err->text);
    FUZZ_CHECK(text_is_utf8(err->text, size));
    for (size_t i = 0; i < size; i++)
        FUZZ_CHECK((unsigned char)err->text[i] >= 0x20);
    memset(err, 0xA5, sizeof *err);
}

void fuzz_check_text(struct heddle_text text)
{
    FUZZ_CHECK(text.data != NULL && text.data[text.size] == '\0');
}

void fuzz_check_name(struct heddle_text text, size_t least, size_t most)
{
    fuzz_check_text(text);
    FUZZ_CHECK(text.size >= least && text.size <= most);
    FUZZ_CHECK(text_is_utf8(text.data, text.size));
}
