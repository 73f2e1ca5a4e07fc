/* Addresses of Redis, and the numbers with units that settings have: what is taken means one thing,
 * and says it again when it is written again. */
#include "fuzz.h"

#include "base/arena.h"
#include "base/mask.h"
#include "base/text.h"
#include "link/redis_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Every byte that could mean something is escaped. */
static const char *escaped(struct arena *arena, const char *text)
{
    char *out = arena_alloc(arena, 3 * strlen(text) + 1), *at = out;

    for (; *text; text++)
        at += snprintf(at, 4, "%%%02X", (unsigned char)*text);
    *at = '\0';
    return out;
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_address(const char *text)
{
    struct redis_address address = {.port = -1}, again;
    struct heddle_error err;
    struct arena arena;
    const char *written;

    heddle_status status = redis_address_parse(text, &address, &err);
    if (status != HEDDLE_OK) {
        FUZZ_CHECK(status == HEDDLE_FATAL && address.port == -1 && !address.host);
        fuzz_check_error(&err);
        return;
    }
    FUZZ_CHECK((address.socket_path == NULL) != (address.host == NULL));
    FUZZ_CHECK(address.port >= 1 && address.port <= 65535);
    FUZZ_CHECK(address.database >= 0 && address.database <= 65535);
    FUZZ_CHECK(!address.user || (*address.user && address.password));
    FUZZ_CHECK(!address.password || *address.password);
    arena_init(&arena, 0);
    if (address.socket_path)
        written = arena_format(&arena, "unix://%s?db=%d", address.socket_path, address.database);
    else
        written = arena_format(
            &arena, "redis://%s%s%s%s%s%s%s:%d/%d",
            address.user ? escaped(&arena, address.user) : "", address.password ? ":" : "",
            address.password ? escaped(&arena, address.password) : "", address.password ? "@" : "",
            strchr(address.host, ':') ? "[" : "", address.host,
            strchr(address.host, ':') ? "]" : "", address.port, address.database);
    FUZZ_CHECK(redis_address_parse(written, &again, &err) == HEDDLE_OK);
    FUZZ_CHECK(same(address.socket_path, again.socket_path) && same(address.host, again.host));
    FUZZ_CHECK(same(address.user, again.user) && same(address.password, again.password));
    FUZZ_CHECK(address.port == again.port && address.database == again.database);
    redis_address_done(&again);
    redis_address_done(&address);
    arena_done(&arena);
}

static void check_number(const char *text)
{
    static const struct unit {
        const char *name;
        bool (*parse)(const char *string, int64_t *value);
    } kinds[] = {{"", text_parse_integer}, {"us", text_parse_duration_us}, {"", text_parse_bytes}};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int64_t value = 4711, again;
        char written[32];
        if (!kinds[i].parse(text, &value)) {
            FUZZ_CHECK(value == 4711);
            continue;
        }
        FUZZ_CHECK(text_is_utf8(text, strlen(text)));
        FUZZ_CHECK((*text == '-') == (value < 0) || value == 0);
        snprintf(written, sizeof written, "%" PRId64 "%s", value, kinds[i].name);
        FUZZ_CHECK(kinds[i].parse(written, &again) && again == value);
    }
}

/* A password is never shown, whatever stands behind it. */
static void check_mask(const char *text)
{
    static const char *const heads[] = {"redis://ann:s3CRET@", "postgresql://h/d?password=s3CRET&",
                                        "host=h password=s3CRET ", "password = 's3CRET' "};

    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        char shown[256], *whole = NULL;
        FUZZ_CHECK(asprintf(&whole, "%s%s", heads[i], text) > 0);
        mask_address(whole, shown, sizeof shown);
        FUZZ_CHECK(text_is_utf8(shown, strlen(shown)));
        FUZZ_CHECK(!strstr(shown, "s3CRET") || strstr(text, "s3CRET"));
        FUZZ_CHECK(strstr(shown, MASK_STARS));
        free(whole);
    }
}

/* A NUL ends it, as it ends every value of a setting. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *text = fuzz_string(&input, '\0');

    check_address(text);
    check_number(text);
    check_mask(text);
    free(text);
    return 0;
}
