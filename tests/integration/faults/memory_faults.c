/* See memory_faults.h. Called by every thread of the program; the counts are for one. */
#include "memory_faults.h"

#include <errno.h>
#include <dlfcn.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

static struct {
    bool is_armed, stays, has_happened;
    long nth, count, live;
    char library[64]; /* whose allocation failed last */
} faults;

void memory_faults_arm(long nth, bool stays)
{
    faults.nth = nth;
    faults.stays = stays;
    faults.has_happened = false;
    faults.count = 0;
    faults.is_armed = true;
}

void memory_faults_disarm(void)
{
    faults.is_armed = false;
}

bool memory_faults_happened(void)
{
    return faults.has_happened;
}

long memory_faults_allocations(void)
{
    return faults.count;
}

long memory_faults_live(void)
{
    return faults.live;
}

const char *memory_faults_library(void)
{
    return faults.library;
}

/* The file name of the program or library that has this code. */
static void name_library(const void *code, char name[64])
{
    Dl_info about;

    bool is_known = dladdr(code, &about) && about.dli_fname;
    const char *slash = is_known ? strrchr(about.dli_fname, '/') : NULL;
    snprintf(name, 64, "%s", slash ? slash + 1 : "?");
}

static bool fails(const void *caller)
{
    if (!faults.is_armed)
        return false;
    faults.count++;
    if (faults.count != faults.nth && !(faults.stays && faults.has_happened))
        return false;
    faults.has_happened = true;
    name_library(caller, faults.library);
    errno = ENOMEM;
    return true;
}

/* hiredis of version 0.14 aborts by itself, without a word: it says who it is here. */
void abort(void)
{
    char library[64];

    name_library(__builtin_return_address(0), library);
    if (strncmp(library, "libhiredis.", 11) == 0)
        dprintf(STDERR_FILENO, "hiredis: out of memory\n");
    raise(SIGABRT);
    _exit(127);
}

#ifdef HAS_SANITIZER
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __real_realloc(memory, size);
}

#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

static void *counted(void *memory)
{
    faults.live += memory != NULL;
    return memory;
}

void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : counted(__libc_calloc(count, size));
}

void *realloc(void *memory, size_t size)
{
    if (fails(__builtin_return_address(0)))
        return NULL;
    void *fresh = __libc_realloc(memory, size);
    faults.live += (fresh != NULL) - (memory != NULL && (fresh != NULL || size == 0));
    return fresh;
}

void free(void *memory)
{
    faults.live -= memory != NULL;
    __libc_free(memory);
}

#endif
