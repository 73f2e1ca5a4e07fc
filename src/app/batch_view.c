/* See batch_view.h. */
#include "app/batch_view.h"

#include "app/json_out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "ledger/batches.h"
#include "queue/batches.h"

static int64_t count_of(const json_t *view, const char *name);
static void set_count(json_t *view, const char *name, int64_t count);
static void take_view(void *argument, const char *json);
static void append_view(void *argument, const char *json);
static void add_pending(void *argument, const char *name, int64_t pending);

heddle_status batch_view_get(const struct batch_source *source, const char *name, json_t **view,
                             struct heddle_error *err)
{
    int64_t pending, running;
    json_t *fresh = NULL;

    heddle_status status =
        partition_batches(source->queue, source->partitions, &name, 1, &pending, err);
    if (status == HEDDLE_OK)
        status = partition_batch_running(source->queue, source->partitions, name, &running, err);
    /* What has left Redis since then is in Postgres. */
    if (status == HEDDLE_OK)
        status = batches_show(source->ledger, name, take_view, &fresh, err);
    if (status != HEDDLE_OK)
        return status;
    int64_t left = count_of(fresh, "queued") + pending;
    running = running < left ? running : left;
    set_count(fresh, "queued", left - running);
    set_count(fresh, "running", running);
    *view = fresh;
    return HEDDLE_OK;
}

heddle_status batch_view_list(const struct batch_source *source, int most, json_t **views,
                              struct heddle_error *err)
{
    json_t *fresh = json_array();

    heddle_status status = batches_list(source->ledger, most, append_view, fresh, err);
    if (status == HEDDLE_OK)
        status = partition_batch_list(source->queue, source->partitions, add_pending, fresh, err);
    if (status != HEDDLE_OK) {
        json_decref(fresh);
        return status;
    }
    while (json_array_size(fresh) > (size_t)most)
        json_array_remove(fresh, json_array_size(fresh) - 1);
    *views = fresh;
    return HEDDLE_OK;
}

int64_t batch_view_left(const json_t *view)
{
    return count_of(view, "queued") + count_of(view, "running");
}

int64_t batch_view_ended(const json_t *view)
{
    return count_of(view, "done") + batch_view_bad(view);
}

int64_t batch_view_bad(const json_t *view)
{
    return count_of(view, "failed") + count_of(view, "dead") + count_of(view, "cancelled");
}

bool batch_view_is_unknown(const json_t *view)
{
    return strcmp(json_text(view, "state"), "open") == 0 &&
           batch_view_left(view) + batch_view_ended(view) == 0;
}

void batch_view_print(const json_t *view)
{
    static const char *const counts[] = {"queued", "running", "done",
                                         "failed", "dead",    "cancelled"};
    char name[420];

    snprintf(name, sizeof name, "%s", json_text(view, "name"));
    text_make_line(name);
    printf("%s %s", name, json_text(view, "state"));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (json_object_get(view, counts[i]))
            printf(" %s=%" PRId64, counts[i], count_of(view, counts[i]));
    if (*json_text(view, "completion_id"))
        printf(" completion=%s%s", json_text(view, "completion_id"),
               json_is_true(json_object_get(view, "is_followed")) ? "" : " (not submitted)");
    putchar('\n');
}

static int64_t count_of(const json_t *view, const char *name)
{
    return json_integer_value(json_object_get(view, name));
}

static void set_count(json_t *view, const char *name, int64_t count)
{
    json_object_set_new(view, name, json_integer((json_int_t)count));
}

static void take_view(void *argument, const char *json)
{
    json_t **view = argument;

    *view = json_loads(json, 0, NULL);
}

static void append_view(void *argument, const char *json)
{
    json_array_append_new(argument, json_loads(json, 0, NULL));
}

static void add_pending(void *argument, const char *name, int64_t pending)
{
    size_t index;
    json_t *view;

    json_array_foreach((json_t *)argument, index, view)
    {
        if (strcmp(json_text(view, "name"), name) == 0) {
            set_count(view, "queued", count_of(view, "queued") + pending);
            return;
        }
    }
    json_array_insert_new(argument, 0,
                          json_pack("{s:s, s:s, s:I, s:i, s:i, s:i, s:i}", "name", name, "state",
                                    "open", "queued", (json_int_t)pending, "done", 0, "failed", 0,
                                    "dead", 0, "cancelled", 0));
}
