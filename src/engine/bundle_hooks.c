/* What plugins are told of a bundle (heddle/plugin.h). Runs on a worker's thread. */
#include "engine/bundle_internal.h"

#include "base/clock.h"
#include "engine/hooks.h"

void bundle_tell_start(struct bundle *bundle)
{
    if (!bundle->shared->options->hooks)
        return;
    for (size_t i = 0; i < bundle->count; i++) {
        post_point(bundle->post, &bundle->entries[i]);
        hooks_start(bundle->shared->options->hooks, &bundle->items[i].task);
    }
    post_point(bundle->post, NULL);
}

void bundle_tell_end(struct bundle *bundle)
{
    if (!bundle->shared->options->hooks)
        return;
    const int64_t took_us = clock_now_us() - bundle->started_us;
    for (size_t i = 0; i < bundle->count; i++) {
        const struct bundle_item *item = &bundle->items[i];
        const struct heddle_execution execution = {item->claimed->end, took_us, bundle->count};
        post_point(bundle->post, &bundle->entries[i]);
        hooks_end(&item->task, &execution);
    }
}
