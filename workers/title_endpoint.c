/* See title_endpoint.h. A curl handle lives for one request and is never
 * shared, so workers ask side by side. */
#include "workers/title_endpoint.h"

#include <curl/curl.h>
#include <jansson.h>

#include <stdlib.h>
#include <string.h>

enum { ANSWER_BYTES_MAX = 256 << 10 };

static const char instruction[] =
    "Write a title for the conversation that begins with the user's message: at most six words, "
    "in the message's language, no quotes. Answer with the title alone.";

struct answer {
    char *data;
    size_t size;
};

static char *build_request(const struct title_endpoint *endpoint, const char *message);
static struct curl_slist *build_headers(const char *api_key);
static heddle_status exchange(const struct title_endpoint *endpoint, const char *request,
                              struct curl_slist *headers, struct answer *answer,
                              struct heddle_error *err);
static size_t receive(char *data, size_t size, size_t count, void *argument);
static heddle_status read_title(const struct answer *answer, char title[TITLE_SIZE],
                                struct heddle_error *err);
static heddle_status fail(struct heddle_error *err, const char *reason);

heddle_status title_endpoint_ask(const struct title_endpoint *endpoint, const char *message,
                                 char title[TITLE_SIZE], struct heddle_error *err)
{
    struct answer answer = {0};
    char *request = build_request(endpoint, message);
    struct curl_slist *headers = build_headers(endpoint->api_key);
    heddle_status status;

    if (!request || !headers)
        status = fail(err, "the request could not be built");
    else
        status = exchange(endpoint, request, headers, &answer, err);
    if (status == HEDDLE_OK)
        status = read_title(&answer, title, err);
    curl_slist_free_all(headers);
    free(request);
    free(answer.data);
    return status;
}

/* No limit of tokens and no temperature: the models disagree about the name of
 * the one and some refuse the other; time and size bound the answer. */
static char *build_request(const struct title_endpoint *endpoint, const char *message)
{
    json_t *root = json_pack("{s:s*, s:b, s:[{s:s, s:s}, {s:s, s:s}]}", "model", endpoint->model,
                             "stream", 0, "messages", "role", "system", "content", instruction,
                             "role", "user", "content", message);
    char *request = json_dumps(root, JSON_COMPACT);

    json_decref(root);
    return request;
}

static struct curl_slist *build_headers(const char *api_key)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *longer;
    char *authorization;

    if (!headers || !api_key || !*api_key)
        return headers;
    if (asprintf(&authorization, "Authorization: Bearer %s", api_key) < 0)
        authorization = NULL;
    longer = authorization ? curl_slist_append(headers, authorization) : NULL;
    if (!longer)
        curl_slist_free_all(headers);
    free(authorization);
    return longer;
}

static heddle_status exchange(const struct title_endpoint *endpoint, const char *request,
                              struct curl_slist *headers, struct answer *answer,
                              struct heddle_error *err)
{
    CURL *curl = curl_easy_init();
    long http_code = 0;

    if (!curl)
        return fail(err, "curl could not be set up");
    curl_easy_setopt(curl, CURLOPT_URL, endpoint->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)endpoint->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    /* Timeouts by signal belong to programs with one thread. */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http_code);
    curl_easy_cleanup(curl);

    if (code == CURLE_WRITE_ERROR)
        return fail(err, "the answer is too large");
    if (code != CURLE_OK)
        return fail(err, curl_easy_strerror(code));
    if (http_code < 200 || http_code > 299)
        return heddle_fail(err, HEDDLE_RETRY, "title_endpoint", "HTTP status %ld", http_code);
    return HEDDLE_OK;
}

/* Anything but the whole of `count` ends the transfer. */
static size_t receive(char *data, size_t size, size_t count, void *argument)
{
    struct answer *answer = argument;
    char *longer;

    count *= size;
    if (count > ANSWER_BYTES_MAX - answer->size)
        return 0;
    longer = realloc(answer->data, answer->size + count + 1);
    if (!longer)
        return 0;
    memcpy(longer + answer->size, data, count);
    answer->data = longer;
    answer->size += count;
    return count;
}

static heddle_status read_title(const struct answer *answer, char title[TITLE_SIZE],
                                struct heddle_error *err)
{
    json_t *root = json_loadb(answer->data ? answer->data : "", answer->size, 0, NULL);
    const char *content = NULL;
    char made[TITLE_SIZE] = "";

    /* A member of another type, or one that is missing, leaves NULL. */
    (void)json_unpack(root, "{s:[{s:{s:s}}]}", "choices", "message", "content", &content);
    if (content)
        title_make((struct heddle_text){content, strlen(content)}, made);
    bool is_json = root;
    bool has_content = content;
    json_decref(root);
    if (!is_json)
        return fail(err, "the answer is not JSON");
    if (!has_content)
        return fail(err, "the answer has no choices[0].message.content");
    if (!*made)
        return fail(err, "the answer holds no title");
    memcpy(title, made, sizeof made);
    return HEDDLE_OK;
}

static heddle_status fail(struct heddle_error *err, const char *reason)
{
    return heddle_fail(err, HEDDLE_RETRY, "title_endpoint", "%s", reason);
}
