/* See title.h. Called by auto_rename on the thread of its worker. */
#include "workers/title.h"

#include <string.h>

struct title {
    char *bytes;
    size_t used;
    size_t word_end; /* behind the last word that another one follows */
    int characters;
    bool has_gap; /* a blank is due before the next character */
};

static bool append(struct title *title, const char *bytes, size_t size);
static size_t decode(const char *bytes, size_t size, uint32_t *character);
static bool is_blank(uint32_t character);
static bool is_quote(uint32_t character);
static bool is_apostrophe(uint32_t character);
static bool is_in_word(uint32_t character);

size_t title_make(struct heddle_text text, char buffer[TITLE_SIZE])
{
    struct title title = {.bytes = buffer};
    uint32_t before = ' ', character, after;
    size_t size;
    bool fits = true;

    for (size_t at = 0; fits && at < text.size; at += size, before = character) {
        size = decode(text.data + at, text.size - at, &character);
        if (at + size == text.size)
            after = ' ';
        else
            decode(text.data + at + size, text.size - at - size, &after);
        if (is_blank(character))
            title.has_gap = title.used > 0;
        else if (!is_quote(character) ||
                 (is_apostrophe(character) && is_in_word(before) && is_in_word(after)))
            fits = append(&title, text.data + at, size);
    }
    if (!fits && title.word_end > 0)
        title.used = title.word_end;
    buffer[title.used] = '\0';
    return title.used;
}

/* False where the title is full. */
static bool append(struct title *title, const char *bytes, size_t size)
{
    if (title->has_gap) {
        title->word_end = title->used;
        if (title->characters + 2 > TITLE_CHARACTERS_MAX)
            return false;
        title->bytes[title->used++] = ' ';
        title->characters++;
        title->has_gap = false;
    }
    if (title->characters == TITLE_CHARACTERS_MAX)
        return false;
    memcpy(title->bytes + title->used, bytes, size);
    title->used += size;
    title->characters++;
    return true;
}

/* The character at `bytes` and its length. A byte that begins none counts as a
 * blank, so that a title is valid UTF-8 whatever it is made of. */
static size_t decode(const char *bytes, size_t size, uint32_t *character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)bytes[0];
    size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    uint32_t value = length == 1 ? first : first & (0x7Fu >> length);

    *character = ' ';
    if ((first >= 0x80 && first < 0xC2) || first > 0xF4 || length > size)
        return 1;
    for (size_t i = 1; i < length; i++) {
        if (((unsigned char)bytes[i] & 0xC0) != 0x80)
            return 1;
        value = value << 6 | ((unsigned char)bytes[i] & 0x3F);
    }
    if (value < least[length] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return 1;
    *character = value;
    return length;
}

/* Control characters are blanks too; so are the zero-width space and the byte
 * order mark. Source: Unicode's White_Space property. */
static bool is_blank(uint32_t character)
{
    switch (character) {
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202F:
    case 0x205F:
    case 0x3000:
    case 0xFEFF:
        return true;
    default:
        return character <= ' ' || (character >= 0x7F && character <= 0xA0) ||
               (character >= 0x2000 && character <= 0x200B);
    }
}

static bool is_quote(uint32_t character)
{
    switch (character) {
    case '"':
    case '\'':
    case '`':
    case 0xB4:   /* acute accent, typed as an apostrophe */
    case 0xAB:   /* « */
    case 0xBB:   /* » */
    case 0x2039: /* ‹ */
    case 0x203A: /* › */
    case 0xFF02: /* full-width " */
    case 0xFF07: /* full-width ' */
    case 0xFF62: /* half-width corner brackets */
    case 0xFF63:
        return true;
    default:
        return (character >= 0x2018 && character <= 0x201F) || /* ‘ to ‟ */
               (character >= 0x300C && character <= 0x300F) || /* 「 to 』 */
               (character >= 0x301D && character <= 0x301F);   /* 〝 to 〟 */
    }
}

static bool is_apostrophe(uint32_t character)
{
    return character == '\'' || character == 0x2019;
}

static bool is_in_word(uint32_t character)
{
    if (character >= 0x80)
        return !is_blank(character) && !is_quote(character);
    return (character >= '0' && character <= '9') || (character >= 'A' && character <= 'Z') ||
           (character >= 'a' && character <= 'z');
}
