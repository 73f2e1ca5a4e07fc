/* See admin.h. */
#include "queue/admin.h"

#include "base/arena.h"
#include "base/text.h"
#include "link/redis.h"
#include "queue/command.h"
#include "queue/partitions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { LIBRARY_VERSION = 3 };

extern const char heddle_lua_data[];
extern const size_t heddle_lua_size;

static heddle_status install(struct redis_link *link, unsigned partitions,
                             int64_t payload_bytes_max, bool awaits_controls,
                             struct heddle_error *err);
static heddle_status load_library(struct redis_link *link, struct heddle_error *err);
static heddle_status installed_version(struct redis_link *link, int *version,
                                       struct heddle_error *err);
static heddle_status match_partitions(struct redis_link *link, unsigned partitions,
                                      struct heddle_error *err);
static heddle_status fix_partitions(struct redis_link *link, unsigned partitions,
                                    struct heddle_error *err);
static heddle_status info_field(struct redis_link *link, const char *section, const char *field,
                                char value[32], struct heddle_error *err);

int queue_library_version(void)
{
    return LIBRARY_VERSION;
}

heddle_status queue_install(struct redis_link *link, unsigned partitions, int64_t payload_bytes_max,
                            struct heddle_error *err)
{
    return install(link, partitions, payload_bytes_max, false, err);
}

heddle_status queue_install_awaiting_controls(struct redis_link *link, unsigned partitions,
                                              int64_t payload_bytes_max, struct heddle_error *err)
{
    return install(link, partitions, payload_bytes_max, true, err);
}

heddle_status queue_facts_get(struct redis_link *link, struct queue_facts *facts,
                              struct heddle_error *err)
{
    struct queue_facts found = {0};

    heddle_status status = info_field(link, "server", "redis_version", found.redis_version, err);
    if (status == HEDDLE_OK)
        status = info_field(link, "memory", "maxmemory_policy", found.eviction_policy, err);
    if (status == HEDDLE_OK)
        status = installed_version(link, &found.library_version, err);
    if (status == HEDDLE_OK)
        status = partitions_get(link, &found.partitions, err);
    if (status == HEDDLE_OK)
        *facts = found;
    return status;
}

heddle_status queue_is_whole(struct redis_link *link, bool *is_whole, struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;
    int installed = 0;

    heddle_status status = installed_version(link, &installed, err);
    if (status == HEDDLE_OK)
        status = redis_callf(link, &reply, err, "EXISTS", "heddle:partitions", NULL);
    if (status == HEDDLE_OK)
        *is_whole = installed > 0 && redis_reply_integer(reply) == 1;
    return status;
}

heddle_status queue_facts_judge(const struct queue_facts *facts, struct heddle_error *err)
{
    if (strcmp(facts->eviction_policy, "noeviction") != 0)
        return heddle_fail(err, HEDDLE_FATAL, "redis",
                           "maxmemory-policy is '%s': only noeviction keeps operations safe",
                           facts->eviction_policy);
    if (facts->library_version == 0 || facts->partitions == 0)
        return heddle_fail(err, HEDDLE_FATAL, "redis",
                           "Redis is not set up for Heddle: run `heddle migrate`");
    if (facts->library_version < LIBRARY_VERSION)
        return heddle_fail(err, HEDDLE_FATAL, "redis",
                           "the functions in Redis are version %d, this binary needs %d: run "
                           "`heddle migrate`",
                           facts->library_version, LIBRARY_VERSION);
    return HEDDLE_OK;
}

static heddle_status install(struct redis_link *link, unsigned partitions,
                             int64_t payload_bytes_max, bool awaits_controls,
                             struct heddle_error *err)
{
    int installed = 0;

    heddle_status status = installed_version(link, &installed, err);
    if (status == HEDDLE_OK && installed <= LIBRARY_VERSION)
        status = load_library(link, err);
    if (status == HEDDLE_OK)
        status = match_partitions(link, partitions, err);
    for (unsigned p = 0; status == HEDDLE_OK && p < partitions; p++) {
        AUTO_REPLY reply = NULL;
        char key[32], count[16], bytes[24];
        snprintf(key, sizeof key, "heddle:{%u}", p);
        snprintf(count, sizeof count, "%u", partitions);
        snprintf(bytes, sizeof bytes, "%lld", (long long)payload_bytes_max);
        status = redis_callf(link, &reply, err, "FCALL", "heddle_setup", "1", key, count, bytes,
                             awaits_controls ? "1" : "0", NULL);
        if (status == HEDDLE_OK && redis_reply_integer(reply) != partitions)
            return heddle_refuse(err, HEDDLE_KIND_CONFLICT,
                                 "partition %u was set up for %lld partitions, not %u", p,
                                 (long long)redis_reply_integer(reply), partitions);
    }
    /* Last: where this is, all of it is, though we die on the way or a replica that lags takes
     * over. */
    if (status == HEDDLE_OK)
        status = fix_partitions(link, partitions, err);
    return status;
}

static heddle_status load_library(struct redis_link *link, struct heddle_error *err)
{
    static const char mark[] = "@SALT@";
    AUTO_REPLY reply = NULL;
    unsigned char salt[3];

    if (getrandom(salt, sizeof salt, 0) != sizeof salt)
        return heddle_fail(err, HEDDLE_FATAL, "getrandom", "no random bytes");
    char *code = memory_take(heddle_lua_size + 1);
    memcpy(code, heddle_lua_data, heddle_lua_size + 1);
    char *place = strstr(code, mark);
    char hex[sizeof mark];
    snprintf(hex, sizeof hex, "%02x%02x%02x", salt[0], salt[1], salt[2]);
    memcpy(place, hex, sizeof mark - 1);
    heddle_status status =
        redis_callf(link, &reply, err, "FUNCTION", "LOAD", "REPLACE", code, NULL);
    free(code);
    return status;
}

static heddle_status installed_version(struct redis_link *link, int *version,
                                       struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;
    static const char *const arguments[] = {"FCALL", "heddle_version", "0"};
    static const size_t sizes[] = {5, 14, 1};

    heddle_status status = redis_append(link, 3, arguments, sizes, err);
    if (status == HEDDLE_OK)
        status = redis_next(link, 0, &reply, err);
    if (status != HEDDLE_OK)
        return status;
    if (redis_reply_type(reply) == REDIS_ERROR &&
        strstr(redis_reply_text(reply).data, "Function not found")) {
        *version = 0;
        return HEDDLE_OK;
    }
    *version = (int)redis_reply_integer(reply);
    return redis_refusal(reply, err);
}

/* HEDDLE_REFUSED where Redis has another number of partitions; none is fine. */
static heddle_status match_partitions(struct redis_link *link, unsigned partitions,
                                      struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    heddle_status status = redis_callf(link, &reply, err, "GET", "heddle:partitions", NULL);
    if (status != HEDDLE_OK || redis_reply_type(reply) == REDIS_NIL ||
        redis_reply_integer(reply) == partitions)
        return status;
    return heddle_refuse(err, HEDDLE_KIND_CONFLICT,
                         "partitions is %u, but this Redis was set up with %lld: the number "
                         "can't be changed",
                         partitions, (long long)redis_reply_integer(reply));
}

static heddle_status fix_partitions(struct redis_link *link, unsigned partitions,
                                    struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;
    char count[16];

    snprintf(count, sizeof count, "%u", partitions);
    heddle_status status =
        redis_callf(link, &reply, err, "SET", "heddle:partitions", count, "NX", NULL);
    return status == HEDDLE_OK ? match_partitions(link, partitions, err) : status;
}

/* A field of INFO: unlike CONFIG GET, allowed by hosted Redis too. */
static heddle_status info_field(struct redis_link *link, const char *section, const char *field,
                                char value[32], struct heddle_error *err)
{
    AUTO_REPLY reply = NULL;

    heddle_status status = redis_callf(link, &reply, err, "INFO", section, NULL);
    if (status != HEDDLE_OK)
        return status;
    const char *place = redis_reply_text(reply).data;
    size_t size = strlen(field);
    while ((place = strstr(place, field))) {
        if (place[size] == ':') {
            snprintf(value, 32, "%.*s", (int)strcspn(place + size + 1, "\r\n"), place + size + 1);
            return HEDDLE_OK;
        }
        place += size;
    }
    return heddle_fail(err, HEDDLE_PERMANENT, "redis", "INFO %s has no %s", section, field);
}
