/* What a submission asks for beside its retry policy, as options: their names, bounds and texts;
 * and all options of a submission as one JSON object, as the journal keeps them. Pure.
 *
 * The names are those of `FCALL heddle_submit`, of NDJSON and of the journal. */
#ifndef BASE_FLOW_H
#define BASE_FLOW_H

#include "base/arena.h"
#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdbool.h>
#include <stddef.h>

enum { FLOW_OPTIONS_COUNT = 8, FLOW_NUMBER_SIZE = 24 };

/* True for the name of one of the options. */
bool flow_has_option(struct heddle_text name);

/* True where its value is a text of the user's own, which is borrowed: see flow_set. */
bool flow_is_text(struct heddle_text name);

/* Sets the option. HEDDLE_REFUSED, kind invalid: `err` names it, its value and what is allowed. */
heddle_status flow_set(struct heddle_flow *flow, struct heddle_text name, struct heddle_text value,
                       struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Whether the options go together. HEDDLE_REFUSED likewise. */
heddle_status flow_check(const struct heddle_flow *flow,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The name of option `index` (below FLOW_OPTIONS_COUNT) and its value, a text of the flow or
 * static, or in `number`; NULL where the flow does not say it. */
const char *flow_option(const struct heddle_flow *flow, size_t index, char number[FLOW_NUMBER_SIZE],
                        struct heddle_text *value);

/* How many options it says. */
size_t flow_options_said(const struct heddle_flow *flow);

/* "normal", "interactive", "bulk"; static text. */
const char *flow_priority_name(enum heddle_priority priority);

/* All options of a submission, {"attempts":3,"batch":"b",…}, in the arena; NULL: it says none. */
const char *flow_options_to_json(const struct heddle_flow *flow, const struct heddle_policy *policy,
                                 struct arena *arena);

/* What such a JSON says of a flow; texts in the arena. Members that are no options are passed over,
 * and values out of bounds. */
struct heddle_flow flow_from_json(const char *json, struct arena *arena);

#endif
