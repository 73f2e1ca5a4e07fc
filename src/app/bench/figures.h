/* How figures are told: by the operation, for people and as JSON. Main thread. */
#ifndef APP_BENCH_FIGURES_H
#define APP_BENCH_FIGURES_H

#include "app/bench/course.h"
#include "app/bench/load.h"

#include <jansson.h>

/* A stretch of the measurement. */
struct figures {
    double seconds, rate;
    double client_us, processor_us, redis_us, postgres_us; /* CPU time; -1: not known */
};

struct figures figures_of(const struct meter_reading *from, const struct meter_reading *to,
                          int64_t span_us, int64_t operations);
void figures_print(const char *what, const struct figures *figures);
json_t *figures_json(const struct figures *figures);

/* In µs. */
void quantiles_print(const char *what, const int64_t quantiles[QUANTILES]);
json_t *quantiles_json(const int64_t quantiles[QUANTILES]);

/* What belongs to every measurement: the verdict, and the conditions; `others` as of
 * meter_others. The JSON object is printed and released. */
void conditions_print(const struct course *course, const char *conditions, double others);
void conditions_json(const struct course *course, const char *conditions, double others,
                     json_t *object);

#endif
