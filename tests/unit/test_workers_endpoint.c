/* Titles by an endpoint, against an HTTP server of our own that answers, hangs,
 * errs and talks nonsense. It serves one connection a test. */
#include "workers/options.h"
#include "workers/title_endpoint.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { REQUEST_SIZE = 64 << 10, PATIENCE_MS = 5000, TIMEOUT_MS = 2000, HANG_TIMEOUT_MS = 200 };

#define OK_HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
#define OK_ANSWER(content)                                                                         \
    OK_HEAD "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":" content "}}]}"

struct server {
    int listener;
    pthread_t thread;
    char url[64];
    const char *answer; /* NULL: hangs until the client has gone */
    size_t repeat;      /* how often the answer's body goes on with a blank */
    char request[REQUEST_SIZE];
};

static void receive_request(struct server *server, int connection)
{
    size_t used = 0, body_size = 0;
    char *body = NULL;

    while (used < REQUEST_SIZE - 1) {
        ssize_t got = recv(connection, server->request + used, REQUEST_SIZE - 1 - used, 0);
        if (got <= 0)
            return;
        used += (size_t)got;
        server->request[used] = '\0';
        body = strstr(server->request, "\r\n\r\n");
        const char *length = strstr(server->request, "Content-Length: ");
        if (body && length)
            body_size = (size_t)strtoul(length + strlen("Content-Length: "), NULL, 10);
        if (body && used == (size_t)(body + 4 - server->request) + body_size)
            return;
    }
}

static void *serve(void *argument)
{
    struct server *server = argument;
    struct pollfd ready = {.fd = server->listener, .events = POLLIN};
    char blanks[1024];

    if (poll(&ready, 1, PATIENCE_MS) != 1)
        return NULL;
    int connection = accept(server->listener, NULL, NULL);
    receive_request(server, connection);
    if (server->answer) {
        (void)!send(connection, server->answer, strlen(server->answer), MSG_NOSIGNAL);
        memset(blanks, ' ', sizeof blanks);
        for (size_t i = 0; i < server->repeat; i++)
            if (send(connection, blanks, sizeof blanks, MSG_NOSIGNAL) < 0)
                break;
    } else {
        struct pollfd gone = {.fd = connection, .events = POLLIN};
        poll(&gone, 1, PATIENCE_MS);
    }
    close(connection);
    return NULL;
}

static void start(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;

    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listener, 8), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d/v1/chat/completions",
             ntohs(address.sin_port));
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void stop(struct server *server)
{
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    close(server->listener);
}

static heddle_status ask(struct server *server, int timeout_ms, char title[TITLE_SIZE],
                         struct heddle_error *err)
{
    const struct title_endpoint endpoint = {
        .url = server->url, .model = "small", .api_key = "secret", .timeout_ms = timeout_ms};

    start(server);
    heddle_status status = title_endpoint_ask(&endpoint, "I need \"one\" room", title, err);
    stop(server);
    return status;
}

static void assert_title(const char *answer, const char *expected)
{
    struct server server = {.answer = answer};
    char title[TITLE_SIZE] = "untouched";
    struct heddle_error err = {0};

    assert_int_equal(ask(&server, TIMEOUT_MS, title, &err), HEDDLE_OK);
    assert_string_equal(title, expected);
}

static void assert_failure(const char *answer, size_t repeat, const char *reason)
{
    struct server server = {.answer = answer, .repeat = repeat};
    char title[TITLE_SIZE] = "untouched";
    struct heddle_error err = {0};

    assert_int_equal(ask(&server, TIMEOUT_MS, title, &err), HEDDLE_RETRY);
    assert_string_equal(title, "untouched");
    assert_string_equal(err.text, reason);
}

static void an_answer_is_cleaned_by_the_rule(void **state)
{
    (void)state;
    assert_title(OK_ANSWER("\"Hotel room\""), "Hotel room");
    assert_title(OK_ANSWER("\" \\\"Hotel  room\\\"\\n\""), "Hotel room");
    assert_title(OK_ANSWER("\"H\\u00f4tel \\ud83d\\ude42\""), "Hôtel 🙂");
    assert_title(OK_ANSWER("\"A title that goes on and on until nobody reads it any more\""),
                 "A title that goes on and on until nobody reads it");
}

static void the_request_is_a_chat_completion(void **state)
{
    static struct server server = {.answer = OK_ANSWER("\"Hotel\"")};
    char title[TITLE_SIZE];
    struct heddle_error err;

    (void)state;
    assert_int_equal(ask(&server, TIMEOUT_MS, title, &err), HEDDLE_OK);
    assert_non_null(strstr(server.request, "POST /v1/chat/completions HTTP/1.1\r\n"));
    assert_non_null(strstr(server.request, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(server.request, "Authorization: Bearer secret\r\n"));
    assert_non_null(strstr(server.request, "\"model\":\"small\""));
    assert_non_null(
        strstr(server.request, "{\"role\":\"user\",\"content\":\"I need \\\"one\\\" room\"}"));
}

static void model_and_key_may_be_left_out(void **state)
{
    static struct server server = {.answer = OK_ANSWER("\"Hotel\"")};
    char title[TITLE_SIZE];
    struct heddle_error err;

    (void)state;
    start(&server);
    const struct title_endpoint endpoint = {.url = server.url, .timeout_ms = TIMEOUT_MS};
    assert_int_equal(title_endpoint_ask(&endpoint, "room", title, &err), HEDDLE_OK);
    stop(&server);
    assert_null(strstr(server.request, "Authorization"));
    assert_null(strstr(server.request, "model"));
}

static void an_http_error_is_a_failure(void **state)
{
    (void)state;
    assert_failure("HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n{\"error\":{}}", 0,
                   "HTTP status 500");
    assert_failure("HTTP/1.1 429 Slow down\r\nConnection: close\r\n\r\n", 0, "HTTP status 429");
    assert_failure("HTTP/1.1 302 Found\r\nLocation: /else\r\nConnection: close\r\n\r\n", 0,
                   "HTTP status 302");
}

static void nonsense_is_a_failure(void **state)
{
    static const char shapeless[] = "the answer has no choices[0].message.content";

    (void)state;
    assert_failure(OK_HEAD "<html>welcome</html>", 0, "the answer is not JSON");
    assert_failure(OK_HEAD, 0, "the answer is not JSON");
    assert_failure(OK_ANSWER("\"nul \\u0000\""), 0, "the answer is not JSON");
    assert_failure(OK_ANSWER("\"\xff\xfe\""), 0, "the answer is not JSON");
    assert_failure(OK_HEAD "{}", 0, shapeless);
    assert_failure(OK_HEAD "[]", 0, shapeless);
    assert_failure(OK_HEAD "{\"choices\":[]}", 0, shapeless);
    assert_failure(OK_HEAD "{\"choices\":{\"message\":1}}", 0, shapeless);
    assert_failure(OK_HEAD "{\"choices\":[{\"text\":\"Hotel\"}]}", 0, shapeless);
    assert_failure(OK_ANSWER("null"), 0, shapeless);
    assert_failure(OK_ANSWER("7"), 0, shapeless);
}

static void an_empty_title_is_a_failure(void **state)
{
    (void)state;
    assert_failure(OK_ANSWER("\"\""), 0, "the answer holds no title");
    assert_failure(OK_ANSWER("\" \\n\\\"\\\" \""), 0, "the answer holds no title");
}

static void a_huge_answer_is_a_failure(void **state)
{
    (void)state;
    assert_failure(OK_ANSWER("\"Hotel\""), 10 << 10, "the answer is too large");
}

static void talk_that_is_not_http_is_a_failure(void **state)
{
    struct server garbage = {.answer = "220 mail.example ESMTP\r\n"}, silent = {.answer = ""};
    char title[TITLE_SIZE] = "untouched";
    struct heddle_error err;

    (void)state;
    assert_int_equal(ask(&garbage, TIMEOUT_MS, title, &err), HEDDLE_RETRY);
    assert_int_equal(ask(&silent, TIMEOUT_MS, title, &err), HEDDLE_RETRY);
    assert_string_equal(title, "untouched");
}

static void an_endpoint_that_hangs_is_left_after_the_timeout(void **state)
{
    struct server server = {.answer = NULL};
    char title[TITLE_SIZE] = "untouched";
    struct heddle_error err;

    (void)state;
    assert_int_equal(ask(&server, HANG_TIMEOUT_MS, title, &err), HEDDLE_RETRY);
    assert_string_equal(err.text, "Timeout was reached");
    assert_string_equal(title, "untouched");
}

static void nobody_there_is_a_failure(void **state)
{
    /* Port 1 of the loopback: nothing listens there. */
    const struct title_endpoint nobody = {.url = "http://127.0.0.1:1/", .timeout_ms = TIMEOUT_MS};
    const struct title_endpoint file = {.url = "file:///etc/hostname", .timeout_ms = TIMEOUT_MS};
    const struct title_endpoint broken = {.url = "http://", .timeout_ms = TIMEOUT_MS};
    char title[TITLE_SIZE] = "untouched";
    struct heddle_error err;

    (void)state;
    assert_int_equal(title_endpoint_ask(&nobody, "room", title, &err), HEDDLE_RETRY);
    assert_int_equal(title_endpoint_ask(&file, "room", title, &err), HEDDLE_RETRY);
    assert_int_equal(title_endpoint_ask(&broken, "room", title, &err), HEDDLE_RETRY);
    assert_string_equal(title, "untouched");
}

static void *ask_in_a_thread(void *argument)
{
    struct server *server = argument;
    struct heddle_error err = {0};
    char *title = calloc(1, TITLE_SIZE);

    if (ask(server, TIMEOUT_MS, title, &err) != HEDDLE_OK)
        strcpy(title, "failed");
    return title;
}

static void workers_ask_side_by_side(void **state)
{
    enum { WORKERS = 8 };
    static struct server servers[WORKERS];
    pthread_t workers[WORKERS];

    (void)state;
    for (int i = 0; i < WORKERS; i++) {
        servers[i].answer = OK_ANSWER("\"Hotel\"");
        assert_int_equal(pthread_create(&workers[i], NULL, ask_in_a_thread, &servers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        void *title;
        assert_int_equal(pthread_join(workers[i], &title), 0);
        assert_string_equal(title, "Hotel");
        free(title);
    }
}

static int prepare_curl(void **state)
{
    const struct workers_options options = {.title_url = "http://127.0.0.1:1/"};

    (void)state;
    /* A proxy of the machine's would stand between us and our own server. */
    setenv("no_proxy", "127.0.0.1", 1);
    workers_configure(&options);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_cleaned_by_the_rule),
        cmocka_unit_test(the_request_is_a_chat_completion),
        cmocka_unit_test(model_and_key_may_be_left_out),
        cmocka_unit_test(an_http_error_is_a_failure),
        cmocka_unit_test(nonsense_is_a_failure),
        cmocka_unit_test(an_empty_title_is_a_failure),
        cmocka_unit_test(a_huge_answer_is_a_failure),
        cmocka_unit_test(talk_that_is_not_http_is_a_failure),
        cmocka_unit_test(an_endpoint_that_hangs_is_left_after_the_timeout),
        cmocka_unit_test(nobody_there_is_a_failure),
        cmocka_unit_test(workers_ask_side_by_side),
    };
    return cmocka_run_group_tests(tests, prepare_curl, NULL);
}
