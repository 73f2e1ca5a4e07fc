/* Lines of a file or of stdin (lines.h). Runs on the main thread. */
#include "app/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "base/arena.h"

enum { READ_BYTES = 1 << 16 };

struct lines {
    gzFile file; /* reads plain text as well */
    char *path;
    struct stat about;
    char *buffer; /* [begin, end) has been read and not given out; one byte more for a NUL */
    size_t begin, end, size;
    size_t line_bytes_max;
    uint64_t number;
    bool is_at_end;
    bool is_in_line; /* a line was cut and its rest not taken */
};

static int open_input(const char *path, bool can_rewind, struct heddle_error *err);
static int spool(int input, const char *path, struct heddle_error *err);
static heddle_status read_more(struct lines *lines, struct heddle_error *err);
static heddle_status skip_rest(struct lines *lines, struct heddle_error *err);
static heddle_status unreadable(const char *path, const char *why, struct heddle_error *err);

heddle_status lines_open(const char *path, size_t line_bytes_max, bool can_rewind,
                         struct lines **lines, struct heddle_error *err)
{
    int input = open_input(path, can_rewind, err);
    if (input < 0)
        return HEDDLE_REFUSED;
    struct lines *fresh = memory_take_zeroed(1, sizeof *fresh);
    fresh->file = gzdopen(input, "rb");
    if (!fresh->file)
        memory_exhausted();
    if (fstat(input, &fresh->about) != 0)
        abort();
    gzbuffer(fresh->file, READ_BYTES);
    fresh->path = memory_copy(path, strlen(path));
    fresh->line_bytes_max = line_bytes_max;
    fresh->size = 2 * READ_BYTES; /* most files are read to their end without more */
    fresh->buffer = memory_take(fresh->size + 1);
    *lines = fresh;
    return HEDDLE_OK;
}

void lines_close(struct lines *lines)
{
    if (!lines)
        return;
    gzclose_r(lines->file);
    free(lines->path);
    free(lines->buffer);
    free(lines);
}

bool lines_can_rewind(const struct lines *lines)
{
    return S_ISREG(lines->about.st_mode);
}

bool lines_are_of(const struct lines *lines, int fd)
{
    struct stat other;

    return fstat(fd, &other) == 0 && other.st_dev == lines->about.st_dev &&
           other.st_ino == lines->about.st_ino;
}

heddle_status lines_rewind(struct lines *lines, struct heddle_error *err)
{
    if (gzrewind(lines->file) != 0)
        return unreadable(lines->path, "can't be read twice", err);
    lines->begin = lines->end = 0;
    lines->number = 0;
    lines->is_at_end = lines->is_in_line = false;
    return HEDDLE_OK;
}

heddle_status lines_next(struct lines *lines, struct line *line, bool *found,
                         struct heddle_error *err)
{
    heddle_status status = skip_rest(lines, err);
    size_t seen = 0;

    while (status == HEDDLE_OK) {
        char *begin = lines->buffer + lines->begin;
        size_t held = lines->end - lines->begin;
        char *newline = memchr(begin + seen, '\n', held - seen);
        size_t size = newline ? (size_t)(newline - begin) : held;
        bool is_cut = size > lines->line_bytes_max;

        if (newline || is_cut || (lines->is_at_end && held > 0)) {
            if (is_cut)
                size = lines->line_bytes_max;
            lines->begin += newline && !is_cut ? size + 1 : size;
            lines->is_in_line = is_cut;
            if (!is_cut)
                begin[size] = '\0';
            *line = (struct line){{begin, size}, ++lines->number, is_cut};
            *found = true;
            return HEDDLE_OK;
        }
        if (lines->is_at_end) {
            *found = false;
            return HEDDLE_OK;
        }
        seen = held;
        status = read_more(lines, err);
    }
    return status;
}

bool lines_is_blank(const struct line *line)
{
    return !line->is_cut && strspn(line->text.data, " \t\r") == line->text.size;
}

heddle_status lines_rest(struct lines *lines, struct heddle_text *piece, bool *found,
                         struct heddle_error *err)
{
    *found = false;
    if (!lines->is_in_line)
        return HEDDLE_OK;
    if (lines->begin == lines->end && !lines->is_at_end) {
        heddle_status status = read_more(lines, err);
        if (status != HEDDLE_OK)
            return status;
    }
    char *begin = lines->buffer + lines->begin;
    size_t held = lines->end - lines->begin;
    char *newline = memchr(begin, '\n', held);
    size_t size = newline ? (size_t)(newline - begin) : held;
    lines->begin += newline ? size + 1 : size;
    lines->is_in_line = !newline && !lines->is_at_end;
    *piece = (struct heddle_text){begin, size};
    *found = true;
    return HEDDLE_OK;
}

static int open_input(const char *path, bool can_rewind, struct heddle_error *err)
{
    struct stat about;
    int input = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                       : open(path, O_RDONLY | O_CLOEXEC);

    if (input < 0 || fstat(input, &about) != 0) {
        (void)unreadable(path, strerror(errno), err);
        if (input >= 0)
            close(input);
        return -1;
    }
    if (!can_rewind || S_ISREG(about.st_mode))
        return input;
    int copy = spool(input, path, err);
    close(input);
    return copy;
}

/* Copies what can be read only once into a file without a name. */
static int spool(int input, const char *path, struct heddle_error *err)
{
    const char *folder = getenv("TMPDIR");
    int copy = open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char *piece = memory_take(READ_BYTES);
    ssize_t size = -1;

    while (copy >= 0 && (size = read(input, piece, READ_BYTES)) > 0)
        for (ssize_t done = 0, step; done < size; done += step)
            if ((step = write(copy, piece + done, (size_t)(size - done))) < 0)
                goto out;
    size = size == 0 && lseek(copy, 0, SEEK_SET) == 0 ? 0 : -1;
out:
    free(piece);
    if (copy >= 0 && size == 0)
        return copy;
    (void)unreadable(path, strerror(errno), err);
    if (copy >= 0)
        close(copy);
    return -1;
}

/* Makes room first: what has been given out goes, then the buffer grows. */
static heddle_status read_more(struct lines *lines, struct heddle_error *err)
{
    size_t held = lines->end - lines->begin;

    memmove(lines->buffer, lines->buffer + lines->begin, held);
    lines->begin = 0;
    lines->end = held;
    if (lines->size - held < READ_BYTES) {
        lines->size = held + READ_BYTES > 2 * lines->size ? held + READ_BYTES : 2 * lines->size;
        lines->buffer = memory_resize(lines->buffer, lines->size + 1);
    }
    int got = gzread(lines->file, lines->buffer + held, READ_BYTES);
    int code;
    const char *why = gzerror(lines->file, &code);
    /* A gzip file that is cut short reads well up to its end. */
    if (got < 0 || (got < READ_BYTES && code != Z_OK && code != Z_STREAM_END))
        return unreadable(lines->path, code == Z_ERRNO ? strerror(errno) : why, err);
    lines->end += (size_t)got;
    lines->is_at_end = got == 0;
    return HEDDLE_OK;
}

static heddle_status skip_rest(struct lines *lines, struct heddle_error *err)
{
    struct heddle_text piece;
    heddle_status status;
    bool found;

    do
        status = lines_rest(lines, &piece, &found, err);
    while (status == HEDDLE_OK && found);
    return status;
}

static heddle_status unreadable(const char *path, const char *why, struct heddle_error *err)
{
    return heddle_refuse(err, HEDDLE_KIND_INVALID,
                         "--file = %.200s: can't be read: %.100s; allowed is NDJSON, plain or gzip",
                         path, why);
}
