/* What people may see of an address. */
#include "base/mask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_password_is_hidden_and_the_rest_is_shown(void **state)
{
    static const struct example {
        const char *text, *masked;
    } examples[] = {
        {"redis://me:s3cret@host:1/2", "redis://me:********@host:1/2"},
        {"redis://:s3c@r/et@host", "redis://:********@host"},
        {"redis://me@host:1/2", "redis://me@host:1/2"},
        {"redis://host:6379/0", "redis://host:6379/0"},
        {"unix:///run/redis.sock", "unix:///run/redis.sock"},
        {"host=h password=s3cret user=u", "host=h password=******** user=u"},
        {"password = s3cret user=u", "password = ******** user=u"},
        {"host=h password='s3 c\\'ret' user=u", "host=h password=********"},
        {"postgresql://h/d?password=s3cret&sslmode=require",
         "postgresql://h/d?password=********&sslmode=require"},
        {"host=h user=u", "host=h user=u"},
        {"password=s3c&ret user=u", "password=******** user=u"},
        {"password=s3c\\ ret user=u", "password=********"},
        {"sslpassword=s3cret password=s3cret", "sslpassword=********"},
        {"password=s3cret application_name=x://y:z@w", "password=********"},
        {"postgresql://u:s3cret@h/d?password=s3cret", "postgresql://u:********"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        char shown[100];
        assert_string_equal(mask_address(examples[i].text, shown, sizeof shown),
                            examples[i].masked);
    }
}

static void what_does_not_fit_is_cut_at_a_character(void **state)
{
    char shown[8];

    (void)state;
    assert_string_equal(mask_address("host=\xc3\xb6\xc3\xb6", shown, sizeof shown),
                        "host=\xc3\xb6");
    assert_string_equal(mask_address("a\nb\x1b", shown, sizeof shown), "a b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_password_is_hidden_and_the_rest_is_shown),
        cmocka_unit_test(what_does_not_fit_is_cut_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
