/* Operations of a file, for `heddle bench corpus`: as the file has them, but of users whose names
 * begin as a benchmark's do, and with ids that count. Main thread. */
#ifndef APP_BENCH_CORPUS_H
#define APP_BENCH_CORPUS_H

#include "heddle/client.h"
#include "heddle/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct corpus;

/* Reads NDJSON, plain or gzip. HEDDLE_REFUSED: `err` names the line that is wrong. */
heddle_status corpus_read(const char *path, int64_t payload_bytes_max, struct corpus **corpus,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;
void corpus_free(struct corpus *corpus);

/* All of them, in the order of the file. */
size_t corpus_operations(const struct corpus *corpus, const struct heddle_submission **submissions);

int64_t corpus_users(const struct corpus *corpus);

/* How many of them leave a row in the ledger; `is_durable`: those that only read do too. */
int64_t corpus_recorded(const struct corpus *corpus, bool is_durable);

#endif
