/* Titles by rule: what is left of a message. */
#include "workers/title.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define TEN_SNOWMEN "☃☃☃☃☃☃☃☃☃☃"
#define FIFTY_SNOWMEN TEN_SNOWMEN TEN_SNOWMEN TEN_SNOWMEN TEN_SNOWMEN TEN_SNOWMEN
#define TEN_FACES "🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂"
#define FIFTY_FACES TEN_FACES TEN_FACES TEN_FACES TEN_FACES TEN_FACES
#define FIFTY_LETTERS "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwx"

static void assert_title(const char *text, const char *expected)
{
    char title[TITLE_SIZE];
    size_t size = title_make((struct heddle_text){text, strlen(text)}, title);

    assert_string_equal(title, expected);
    assert_int_equal(size, strlen(expected));
}

static void a_short_message_is_its_own_title(void **state)
{
    (void)state;
    assert_title("Book a room", "Book a room");
    assert_title("a", "a");
    assert_title("Zimmer für zwei, bitte!", "Zimmer für zwei, bitte!");
    assert_title("部屋を予約したい", "部屋を予約したい");
}

static void white_space_is_collapsed(void **state)
{
    (void)state;
    assert_title("  Book \t a\r\n\r\nroom  \n", "Book a room");
    assert_title("Book\va\froom", "Book a room");
    assert_title("Book\u00a0a\u3000room\u2003now\u2028", "Book a room now");
    assert_title("\ufeffBook\u200ba room", "Book a room");
    assert_title("Book\x01\x1b\x7f"
                 "a room\xc2\x85",
                 "Book a room");
}

static void quotes_are_stripped(void **state)
{
    (void)state;
    assert_title("\"Book a room\"", "Book a room");
    assert_title("'Book a room'", "Book a room");
    assert_title("`Book a room`", "Book a room");
    assert_title("“Book a room”", "Book a room");
    assert_title("‘Book a room’", "Book a room");
    assert_title("„Book a room‟", "Book a room");
    assert_title("« Book a room »", "Book a room");
    assert_title("‹Book a room›", "Book a room");
    assert_title("「Book a room」『now』", "Book a roomnow");
    assert_title("\"'“Book a room”'\"", "Book a room");
    assert_title("\" Book a room \" ", "Book a room");
}

static void quotes_inside_go_in_pairs_or_alone(void **state)
{
    (void)state;
    assert_title("What is a \"heddle\"?", "What is a heddle?");
    assert_title("\"Yes\", she said", "Yes, she said");
    assert_title("He asked: \"what now", "He asked: what now");
    assert_title("one \" two", "one two");
}

static void apostrophes_inside_a_word_stay(void **state)
{
    (void)state;
    assert_title("I don't know", "I don't know");
    assert_title("I don’t know", "I don’t know");
    assert_title("'I don't know'", "I don't know");
    assert_title("l'été", "l'été");
    assert_title("the dogs' food", "the dogs food");
}

static void a_long_message_is_cut_behind_a_word(void **state)
{
    (void)state;
    assert_title("I need to book one room in a hotel and I need your help.",
                 "I need to book one room in a hotel and I need your");
    assert_title("I should need to book a room in a hotel and your help",
                 "I should need to book a room in a hotel and your");
    /* The fiftieth character ends a word, or is the blank behind one. */
    assert_title(FIFTY_LETTERS " more", FIFTY_LETTERS);
    assert_title("a " FIFTY_LETTERS, "a");
    assert_title("aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee f",
                 "aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeee");
    assert_title("aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeeeé f",
                 "aaaaaaaaa bbbbbbbbb ccccccccc ddddddddd eeeeeeeeeé");
}

static void what_is_stripped_does_not_count(void **state)
{
    (void)state;
    assert_title("\"" FIFTY_LETTERS "\"", FIFTY_LETTERS);
    assert_title("   " FIFTY_LETTERS "   \"'", FIFTY_LETTERS);
}

static void one_long_word_is_cut_at_a_character(void **state)
{
    (void)state;
    assert_title(FIFTY_LETTERS "yz", FIFTY_LETTERS);
    assert_title(FIFTY_SNOWMEN "☃", FIFTY_SNOWMEN);
    assert_title(FIFTY_FACES "🙂 and more", FIFTY_FACES);
}

static void characters_count_and_not_bytes(void **state)
{
    (void)state;
    assert_title(FIFTY_FACES, FIFTY_FACES);
    assert_title("ä " TEN_SNOWMEN " " TEN_SNOWMEN " " TEN_SNOWMEN " " TEN_SNOWMEN " ☃☃☃☃ ☃",
                 "ä " TEN_SNOWMEN " " TEN_SNOWMEN " " TEN_SNOWMEN " " TEN_SNOWMEN " ☃☃☃☃");
}

static void nothing_makes_an_empty_title(void **state)
{
    (void)state;
    assert_title("", "");
    assert_title(" \t\r\n\u3000", "");
    assert_title("\"", "");
    assert_title("\"' “”‘’`«» \"", "");
}

static void broken_utf8_counts_as_blank(void **state)
{
    (void)state;
    assert_title("Book\xff"
                 "a\xc3 room\x80",
                 "Book a room");
    assert_title("over\xc0\xaflong \xe0\x80\xaf.", "over long .");
    assert_title("sur\xed\xa0\x80rogate", "sur rogate");
    assert_title("too \xf4\x90\x80\x80 high \xf8\x90\x80\x80", "too high");
    assert_title("cut \xe2\x98", "cut");
}

static void text_beyond_the_size_is_not_read(void **state)
{
    char title[TITLE_SIZE];

    (void)state;
    assert_int_equal(title_make((struct heddle_text){"Book\xe2\x98\x83", 6}, title), 4);
    assert_string_equal(title, "Book");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_message_is_its_own_title),
        cmocka_unit_test(white_space_is_collapsed),
        cmocka_unit_test(quotes_are_stripped),
        cmocka_unit_test(quotes_inside_go_in_pairs_or_alone),
        cmocka_unit_test(apostrophes_inside_a_word_stay),
        cmocka_unit_test(a_long_message_is_cut_behind_a_word),
        cmocka_unit_test(what_is_stripped_does_not_count),
        cmocka_unit_test(one_long_word_is_cut_at_a_character),
        cmocka_unit_test(characters_count_and_not_bytes),
        cmocka_unit_test(nothing_makes_an_empty_title),
        cmocka_unit_test(broken_utf8_counts_as_blank),
        cmocka_unit_test(text_beyond_the_size_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
