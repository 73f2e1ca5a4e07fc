/* heddle version: of the program, and of what it was compiled against. */
#include "app/command.h"
#include "app/json_out.h"

#include <stdio.h>

#include "heddle/version.h"
#include "ledger/migrate.h"
#include "queue/admin.h"

/* The build defines each from what pkg-config says. */
static const struct library {
    const char *name, *version;
} libraries[] = {
    {"hiredis", VERSION_HIREDIS}, {"libpq", VERSION_LIBPQ},         {"jansson", VERSION_JANSSON},
    {"libcurl", VERSION_LIBCURL}, {"libcrypto", VERSION_LIBCRYPTO}, {"zlib", VERSION_ZLIB},
};

static enum exit_code run(const struct invocation *invocation)
{
    json_t *object;

    if (!invocation->with_json) {
        printf("heddle %s\nhandler interface %d, functions %d, schema %d\nbuilt with",
               heddle_version(), HEDDLE_ABI, queue_library_version(), migrate_newest());
        for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
            printf("%s %s %s", i ? "," : "", libraries[i].name, libraries[i].version);
        printf("\n");
        return EXIT_DONE;
    }
    object = json_pack("{s:s, s:i, s:i, s:i}", "version", heddle_version(), "abi", HEDDLE_ABI,
                       "functions", queue_library_version(), "schema", migrate_newest());
    json_t *built = json_object();
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        json_object_set_new(built, libraries[i].name, json_string(libraries[i].version));
    json_object_set_new(object, "libraries", built);
    json_out(object);
    return EXIT_DONE;
}

const struct command command_version = {
    .name = "version",
    .usage = "",
    .summary = "show the version of the program and of its libraries",
    .run = run,
};
