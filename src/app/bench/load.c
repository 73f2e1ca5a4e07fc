/* See load.h. */
#include "app/bench/load.h"

#include "app/bench/work.h"
#include "app/door.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"

static heddle_status submit_window(struct door *door, const struct heddle_submission *submissions,
                                   size_t count, struct heddle_receipt *receipts,
                                   struct heddle_error *err);

heddle_status load_submit(const struct options *options, const struct bench_plan *plan,
                          struct load *load, struct heddle_error *err)
{
    const size_t calls_max = (size_t)(plan->operations / plan->window) + 1;
    struct heddle_receipt *receipts = memory_take((size_t)plan->window * sizeof *receipts);
    int64_t *calls_us = memory_take(calls_max * sizeof *calls_us);
    struct work *work = work_new(plan);
    const struct heddle_submission *submissions;
    struct door door = {0};
    size_t calls = 0, count;

    *load = (struct load){0};
    heddle_status status = door_open(&door, options, plan->is_durable, err);
    while (status == HEDDLE_OK && (count = work_next(work, &submissions)) > 0) {
        int64_t start_us = clock_now_us();
        status = submit_window(&door, submissions, count, receipts, err);
        calls_us[calls] = clock_now_us() - start_us;
        load->calls_us += calls_us[calls++];
    }
    take_quantiles(calls_us, calls, load->call_us);
    door_close(&door);
    work_free(work);
    free(calls_us);
    free(receipts);
    return status;
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

void take_quantiles(int64_t *values, size_t count, int64_t quantiles[QUANTILES])
{
    static const double shares[QUANTILES] = {0.5, 0.99, 0.999, 1};

    qsort(values, count, sizeof *values, compare);
    for (size_t i = 0; i < QUANTILES; i++)
        quantiles[i] = count > 0 ? values[(size_t)((double)(count - 1) * shares[i])] : 0;
}

static heddle_status submit_window(struct door *door, const struct heddle_submission *submissions,
                                   size_t count, struct heddle_receipt *receipts,
                                   struct heddle_error *err)
{
    heddle_status status = door_submit(door, submissions, count, receipts, err);

    for (size_t i = 0; status == HEDDLE_OK && i < count; i++)
        if (receipts[i].status != HEDDLE_OK) {
            *err = receipts[i].error;
            status = receipts[i].status;
        }
    return status;
}
