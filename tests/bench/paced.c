/* Submits operations at an exact rate, each by itself and whatever became of those before it, and
 * waits for each result: a web tier with a connection a request. One thread, which polls. Started
 * by the benchmark. It never repeats a submission.
 *
 *   heddle-paced SOCKET RATE  <  USER\tTHREAD\tPAYLOAD\tID\tREPLY-KEY, an operation a line
 *
 * Prints for each operation in turn when it was sent, accepted, and its result had arrived: in µs
 * from the moment at which it was due. */
#include <hiredis/hiredis.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FIELDS = 5, CONNECTIONS_FIRST = 16, CONNECTIONS_MAX = 256, RESULT_SECONDS = 30 };

struct operation {
    char *user, *thread, *payload, *id, *reply_key;
    int64_t due_ns, sent_ns, accepted_ns, ended_ns;
};

struct connection {
    redisContext *redis;
    struct operation *operation; /* NULL: idle */
};

struct pacer {
    const char *socket;
    int64_t gap_ns;
    struct operation *operations;
    size_t count, sent, ended;
    struct connection connections[CONNECTIONS_MAX];
    size_t connection_count;
};

static void read_operations(struct pacer *pacer, FILE *file);
static void run(struct pacer *pacer);
static void wait_until(struct pacer *pacer, int64_t until_ns);
static void submit(struct pacer *pacer, struct operation *operation);
static struct connection *idle_connection(struct pacer *pacer);
static struct connection *connect_one(struct pacer *pacer);
static void take_answers(struct pacer *pacer, struct connection *connection);
static int64_t now_ns(void);
static void fail(const char *what, const char *why) __attribute__((noreturn));

int main(int argc, char **argv)
{
    long rate = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    struct pacer pacer = {.socket = argv[argc > 1]};

    if (rate < 1 || rate > 100000)
        fail("usage", "heddle-paced SOCKET RATE");
    pacer.gap_ns = 1000000000 / rate;
    read_operations(&pacer, stdin);
    run(&pacer);
    for (size_t i = 0; i < pacer.count; i++) {
        const struct operation *o = &pacer.operations[i];
        printf("%" PRId64 " %" PRId64 " %" PRId64 "\n", (o->sent_ns - o->due_ns) / 1000,
               (o->accepted_ns - o->due_ns) / 1000, (o->ended_ns - o->due_ns) / 1000);
    }
    return 0;
}

/* The lines are kept until the program ends. */
static void read_operations(struct pacer *pacer, FILE *file)
{
    for (;;) {
        char *line = NULL, *fields[FIELDS];
        size_t size = 0;
        if (getline(&line, &size, file) < 0) {
            free(line);
            return;
        }
        line[strcspn(line, "\n")] = '\0';
        for (int i = 0; i < FIELDS; i++)
            if (!(fields[i] = strsep(&line, "\t")))
                fail("input", "a line has too few fields");
        pacer->operations =
            reallocarray(pacer->operations, pacer->count + 1, sizeof *pacer->operations);
        if (!pacer->operations)
            abort();
        pacer->operations[pacer->count++] = (struct operation){.user = fields[0],
                                                               .thread = fields[1],
                                                               .payload = fields[2],
                                                               .id = fields[3],
                                                               .reply_key = fields[4]};
    }
}

static void run(struct pacer *pacer)
{
    while (pacer->connection_count < CONNECTIONS_FIRST)
        connect_one(pacer);
    int64_t due_ns = now_ns() + pacer->gap_ns;
    for (size_t i = 0; i < pacer->count; i++, due_ns += pacer->gap_ns) {
        wait_until(pacer, due_ns);
        pacer->operations[i].due_ns = due_ns;
        submit(pacer, &pacer->operations[i]);
    }
    int64_t last_ns = now_ns() + (int64_t)RESULT_SECONDS * 1000000000;
    while (pacer->ended < pacer->count && now_ns() < last_ns)
        wait_until(pacer, now_ns() + 10000000);
    if (pacer->ended < pacer->count)
        fail("result", "has not come in time");
}

/* Takes answers until then. */
static void wait_until(struct pacer *pacer, int64_t until_ns)
{
    struct pollfd fds[CONNECTIONS_MAX];

    for (int64_t left_ns; (left_ns = until_ns - now_ns()) > 0;) {
        struct timespec left = {left_ns / 1000000000, left_ns % 1000000000};
        for (size_t i = 0; i < pacer->connection_count; i++)
            fds[i] = (struct pollfd){.fd = pacer->connections[i].redis->fd, .events = POLLIN};
        if (ppoll(fds, pacer->connection_count, &left, NULL) < 0 && errno != EINTR)
            fail("poll", strerror(errno));
        for (size_t i = 0; i < pacer->connection_count; i++)
            if (fds[i].revents)
                take_answers(pacer, &pacer->connections[i]);
    }
}

static void submit(struct pacer *pacer, struct operation *operation)
{
    struct connection *connection = idle_connection(pacer);
    int is_written = 0;

    redisAppendCommand(connection->redis,
                       "FCALL heddle_submit 0 %s send_message %s %s id %s reply 1", operation->user,
                       operation->thread, operation->payload, operation->id);
    redisAppendCommand(connection->redis, "BLPOP %s %d", operation->reply_key, RESULT_SECONDS);
    operation->sent_ns = now_ns();
    while (!is_written)
        if (redisBufferWrite(connection->redis, &is_written) != REDIS_OK)
            fail("redis", connection->redis->errstr);
    connection->operation = operation;
}

static struct connection *idle_connection(struct pacer *pacer)
{
    for (size_t i = 0; i < pacer->connection_count; i++)
        if (!pacer->connections[i].operation)
            return &pacer->connections[i];
    return connect_one(pacer);
}

static struct connection *connect_one(struct pacer *pacer)
{
    if (pacer->connection_count == CONNECTIONS_MAX)
        fail("connections", "too many operations wait");
    struct connection *fresh = &pacer->connections[pacer->connection_count++];
    fresh->redis = redisConnectUnix(pacer->socket);
    if (!fresh->redis || fresh->redis->err)
        fail("redis", fresh->redis ? fresh->redis->errstr : "out of memory");
    return fresh;
}

static void take_answers(struct pacer *pacer, struct connection *connection)
{
    int64_t at_ns = now_ns();
    void *answer;

    if (redisBufferRead(connection->redis) != REDIS_OK)
        fail("redis", connection->redis->errstr);
    while (redisReaderGetReply(connection->redis->reader, &answer) == REDIS_OK && answer) {
        redisReply *reply = answer;
        struct operation *operation = connection->operation;
        if (!operation || reply->type != REDIS_REPLY_ARRAY)
            fail("answer", reply->str ? reply->str : "not what was expected");
        if (operation->accepted_ns == 0) {
            operation->accepted_ns = at_ns;
        } else {
            operation->ended_ns = at_ns;
            connection->operation = NULL;
            pacer->ended++;
        }
        freeReplyObject(reply);
    }
}

static int64_t now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "heddle-paced: %s: %s\n", what, why);
    exit(1);
}
