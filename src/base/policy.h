/* Retry policies as options: their names, bounds and texts. Pure.
 *
 * The names are those of `FCALL heddle_submit`, of NDJSON and of the journal. */
#ifndef BASE_POLICY_H
#define BASE_POLICY_H

#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdbool.h>
#include <stddef.h>

enum { POLICY_OPTIONS_COUNT = 5, POLICY_VALUE_SIZE = 24, POLICY_JSON_SIZE = 200 };

/* What `first` says, and where it says nothing, what `second` says. */
struct heddle_policy policy_over(const struct heddle_policy *first,
                                 const struct heddle_policy *second);

/* True for the name of an option of a policy. */
bool policy_has_option(struct heddle_text name);

/* Sets the option. HEDDLE_REFUSED, kind invalid: `err` names it, its value and what is allowed. */
heddle_status policy_set(struct heddle_policy *policy, struct heddle_text name,
                         struct heddle_text value, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The name of option `index` (below POLICY_OPTIONS_COUNT) and its value as text; NULL where the
 * policy does not say it. */
const char *policy_option(const struct heddle_policy *policy, size_t index,
                          char value[POLICY_VALUE_SIZE]);

/* How many options it says. */
size_t policy_options_said(const struct heddle_policy *policy);

/* {"attempts":3,…} in `json`; false, and "{}", where it says nothing. */
bool policy_to_json(const struct heddle_policy *policy, char json[POLICY_JSON_SIZE]);

/* What such a JSON says; members that are no options are passed over, and values out of bounds. */
struct heddle_policy policy_from_json(const char *json);

#endif
