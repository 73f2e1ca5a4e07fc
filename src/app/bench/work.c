/* See work.h. */
#include "app/bench/work.h"

#include "app/bench/corpus.h"
#include "app/bench/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"

enum { USER_BYTES = 24, THREAD_BYTES = HEDDLE_ID_SIZE + 1 };

#define NOOP_HEAD "{\"n\":\""
#define MESSAGE_HEAD "{\"role\":\"user\",\"content\":\""
#define TAIL "\"}"

/* One place of the window; only what differs is written anew. */
struct slot {
    char user[USER_BYTES];
    char thread[THREAD_BYTES];
    char *payload;
};

struct work {
    struct bench_plan plan;
    size_t head_size, payload_size;
    uint64_t random;
    int64_t left;   /* operations */
    uint32_t *turn; /* users in the order of this round */
    uint32_t *done; /* operations of each user so far */
    int64_t at;     /* in `turn` */
    int64_t in_burst;
    struct slot *slots;
    struct heddle_submission *submissions;
};

static size_t next_of_corpus(struct work *work, const struct heddle_submission **submissions);
static void fill(struct work *work, size_t index, uint32_t turn, uint32_t number);
static bool next_user(struct work *work, uint32_t *user);
static void shuffle(struct work *work);
static uint64_t next_random(struct work *work);
static void put_digits(char *place, int count, uint64_t number);

struct work *work_new(const struct bench_plan *plan)
{
    const bool is_message = plan->is_message;
    const char *head = is_message ? MESSAGE_HEAD : NOOP_HEAD;
    struct work *work = memory_take_zeroed(1, sizeof *work);
    const size_t filler =
        plan->content_bytes > BENCH_LABEL_SIZE ? (size_t)plan->content_bytes - BENCH_LABEL_SIZE : 0;

    work->plan = *plan;
    work->random = 88172645463325252u;
    work->left = plan->operations;
    work->head_size = strlen(head);
    work->payload_size = work->head_size + BENCH_LABEL_SIZE + filler + strlen(TAIL);
    work->turn = memory_take((size_t)plan->users * sizeof *work->turn);
    work->done = memory_take_zeroed((size_t)plan->users + 1, sizeof *work->done);
    for (int64_t i = 0; i < plan->users; i++)
        work->turn[i] = (uint32_t)i + 1;
    work->slots = memory_take_zeroed((size_t)plan->window, sizeof *work->slots);
    work->submissions = memory_take_zeroed((size_t)plan->window, sizeof *work->submissions);
    for (int64_t i = 0; i < plan->window; i++) {
        char *payload = memory_take(work->payload_size + 1);
        memset(payload, 'x', work->payload_size);
        memcpy(payload, head, work->head_size);
        memset(payload + work->head_size, ' ', BENCH_LABEL_SIZE);
        memcpy(payload + work->payload_size - strlen(TAIL), TAIL, strlen(TAIL) + 1);
        work->slots[i].payload = payload;
        work->submissions[i].payload = (struct heddle_text){payload, work->payload_size};
        work->submissions[i].op = is_message ? TEXT("send_message") : TEXT(BENCH_NOOP_OP);
    }
    return work;
}

void work_free(struct work *work)
{
    if (!work)
        return;
    for (int64_t i = 0; i < work->plan.window; i++)
        free(work->slots[i].payload);
    free(work->slots);
    free(work->submissions);
    free(work->turn);
    free(work->done);
    free(work);
}

int64_t work_of_user(const struct bench_plan *plan, int64_t user)
{
    return plan->operations / plan->users + (user <= plan->operations % plan->users);
}

size_t work_next(struct work *work, const struct heddle_submission **submissions)
{
    size_t count = 0;
    uint32_t user;

    if (work->plan.corpus)
        return next_of_corpus(work, submissions);
    while (count < (size_t)work->plan.window && next_user(work, &user))
        fill(work, count++, user, ++work->done[user]);
    *submissions = work->submissions;
    return count;
}

static size_t next_of_corpus(struct work *work, const struct heddle_submission **submissions)
{
    const size_t window = (size_t)work->plan.window;
    const size_t count = corpus_operations(work->plan.corpus, submissions);
    const size_t begin = count - (size_t)work->left;
    const size_t taken = count - begin < window ? count - begin : window;

    *submissions += begin;
    work->left -= (int64_t)taken;
    return taken;
}

static void fill(struct work *work, size_t index, uint32_t turn, uint32_t number)
{
    const uint32_t user = turn + (uint32_t)work->plan.users_before;
    static const char base[] = BENCH_USER_PREFIX "0000000";
    struct slot *slot = &work->slots[index];
    struct heddle_submission *submission = &work->submissions[index];
    const unsigned thread = (unsigned)(next_random(work) % BENCH_THREADS) + 1;
    char *label = slot->payload + work->head_size;

    memcpy(slot->user, base, sizeof base);
    put_digits(slot->user + sizeof base - 8, 7, user);
    submission->user = (struct heddle_text){slot->user, sizeof base - 1};
    put_digits(label, BENCH_NUMBER_DIGITS, number);
    put_digits(label + BENCH_NUMBER_DIGITS + 1, 2, thread);
    if (!work->plan.is_message)
        return;
    snprintf(slot->thread, sizeof slot->thread, "%08u-0000-4000-8000-%012u", user, thread);
    submission->thread = (struct heddle_text){slot->thread, HEDDLE_ID_SIZE};
}

/* Rounds of all users, a burst of each; the last ones of a user may be fewer. */
static bool next_user(struct work *work, uint32_t *user)
{
    const struct bench_plan *plan = &work->plan;

    if (work->left == 0)
        return false;
    for (;;) {
        if (work->at == 0 && work->in_burst == 0 && plan->burst > 1)
            shuffle(work);
        *user = work->turn[work->at];
        bool has_more = work->done[*user] < work_of_user(plan, *user);
        if (has_more)
            work->in_burst++;
        if (!has_more || work->in_burst == plan->burst) {
            work->at = (work->at + 1) % plan->users;
            work->in_burst = 0;
        }
        if (has_more) {
            work->left--;
            return true;
        }
    }
}

/* Source: R. Durstenfeld, "Algorithm 235: Random permutation", 1964. */
static void shuffle(struct work *work)
{
    for (int64_t i = work->plan.users - 1; i > 0; i--) {
        uint64_t k = next_random(work) % (uint64_t)(i + 1);
        uint32_t user = work->turn[i];
        work->turn[i] = work->turn[k];
        work->turn[k] = user;
    }
}

/* The same numbers in each run. Source: G. Marsaglia, "Xorshift RNGs", 2003. */
static uint64_t next_random(struct work *work)
{
    work->random ^= work->random << 13;
    work->random ^= work->random >> 7;
    work->random ^= work->random << 17;
    return work->random;
}

static void put_digits(char *place, int count, uint64_t number)
{
    for (int i = count - 1; i >= 0; i--, number /= 10)
        place[i] = (char)('0' + number % 10);
}
