/* Heddle's settings: the one table behind flags, environment, file, help,
 * `heddle config` and the example file, and the struct that it fills. */
#ifndef APP_OPTIONS_H
#define APP_OPTIONS_H

#include "base/settings.h"
#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum durability { DURABILITY_DURABLE, DURABILITY_DIRECT };

/* Filled by the table's rows; read-only after options_load. */
struct options {
    const char *config;
    const char *redis;
    const char *postgres;
    int64_t partitions;
    int64_t processes;
    int64_t poison_crashes;
    int64_t workers;
    const char *handlers;
    int64_t lease_ms;
    int64_t drain_ms;
    int durability; /* enum durability */
    int64_t soft_deadline_ms;
    int64_t hard_deadline_ms;
    int64_t user_idle_ms;
    int64_t result_ttl_ms;
    int64_t result_bytes_max;
    int64_t claim_lanes;
    int64_t claim_operations;
    int64_t user_concurrency;
    int64_t bundle_max;
    int64_t bundle_time_ms;
    int64_t redis_timeout_ms;
    int64_t connect_timeout_ms;
    int64_t statement_timeout_ms;
    int64_t lock_timeout_ms;
    int64_t idle_in_transaction_timeout_ms;
    int64_t commit_deadline_ms;
    int64_t retry_attempts;
    int64_t retry_base_ms;
    int64_t retry_cap_ms;
    int64_t attempts;
    int64_t backoff_ms;
    int64_t backoff_max_ms;
    bool prepared_statements;
    int64_t payload_bytes_max;
    bool reveal_forbidden;
    const char *title_url;
    const char *title_model;
    const char *title_api_key;
    int64_t title_timeout_ms;
    int log_level;  /* enum heddle_log_level */
    int log_format; /* enum log_format */
};

/* Ends with a row whose key is NULL. */
extern const struct setting options_table[];

/* Reads environment and file (flags are set before), then judges what no row
 * can judge alone. HEDDLE_FATAL: one line for people. */
heddle_status options_load(struct settings *settings, const struct options *options,
                           char *const *environment, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Puts the log controls in force. Before threads exist. */
void options_configure_log(const struct options *options);

/* The table as an INI file whose every setting is a comment. */
void options_print_example(FILE *file);

/* The table as flags, for a help text. */
void options_print_flags(FILE *file);

/* What a processor is told; borrows texts from `options`. */
struct processor_options;
struct processor_options options_for_processor(const struct options *options,
                                               const struct heddle_handler *const *handlers);

/* What the handlers are told; borrows likewise. */
struct workers_options;
struct workers_options options_for_workers(const struct options *options);

#endif
