/* The reason, from all that is known of an operation. Pure. */
#ifndef ENGINE_WHY_REASON_H
#define ENGINE_WHY_REASON_H

struct json_t;

/* `facts`: id; at_ms, the time; queue, the answer of heddle_why (queue/lua/look.lua), or null;
 * ledger, the answer of the SQL function heddle.why; processors, their reports (report_read_all).
 *
 * The answer, released by the caller: id, user, op; state (CONTRACT 7); reason, a word that stays;
 * detail, a sentence that says it; release, what would let the operation run; and by reason:
 *
 *   ended               code, error
 *   cancelled, expired  it ends, without effect, when its lane has come to it
 *   unknown
 *   scheduled, parked   until_ms
 *   relay               the journal has it and Redis has still to hear of it; leader
 *   missing             Redis has lost it
 *   behind              before: how many of its lane come first; first: such an answer, of the
 *                       one that comes next
 *   running             holder, worker, phase, since_ms
 *   claimed             holder; since_ms of what that runs of the lane
 *   silent              holder, which does not answer; until_ms: the end of its lease
 *   paused              key (all, user:U, op:OP), by, since_ms, why
 *   rate, busy          key (also users), limit, by; until_ms where it is known; before: lanes in
 *                       line, next_ms: when the first of them goes
 *   held                another reason of the queue
 *   retry               until_ms, attempt, error
 *   outage              until_ms
 *   halted              error, since_ms
 *   unknown_op
 *   suspect             its processor died of it, perhaps
 *   uncontrolled        the partition has still to hear what is paused
 *   unserved            no processor serves the partition, or all of them are quiet
 *   turn                before: lanes that come first; busy and workers of the processors
 *   lost                its lane is in no state: heddle check --repair */
struct json_t *why_reason(const struct json_t *facts);

#endif
