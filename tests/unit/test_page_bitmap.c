/* SPDX-License-Identifier: MIT */
#include "core/page_bitmap.h"
#include "mock.h"

#include <errno.h>
#include <pthread.h>

#define PAGES 201u
#define SHIFT 16u

static struct page_bitmap *bitmap;

static int make(void **state)
{
    struct multifd_error err;

    mock_setup(state);
    bitmap = page_bitmap_new((uint64_t)PAGES << SHIFT, SHIFT, &err);
    return bitmap == NULL ? -1 : 0;
}

static int release(void **state)
{
    page_bitmap_delete(&bitmap);
    if (bitmap != NULL) {
        return -1;
    }
    page_bitmap_delete(&bitmap);
    return mock_teardown(state);
}

static bool has(uint64_t page)
{
    return page_bitmap_has(bitmap, page << SHIFT);
}

static void mark(const uint32_t *pages, uint32_t num)
{
    uint64_t offsets[PAGES];

    for (uint32_t i = 0; i < num; i++) {
        offsets[i] = (uint64_t)pages[i] << SHIFT;
    }
    page_bitmap_mark(bitmap, offsets, num);
}

static void no_page_is_marked_at_first(void **state)
{
    (void)state;
    mark(NULL, 0);
    for (uint32_t i = 0; i < PAGES; i++) {
        assert_false(has(i));
    }
}

/* The edges of words, the last page, in no order, some twice. */
static void just_those_are_marked(void **state)
{
    static const uint32_t pages[] = {5, 6, 63, 64, 127, 0, 200, 6, 130, 128, 191, 192};
    bool marked[PAGES] = {false};

    (void)state;
    mark(pages, COUNT_OF(pages));
    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        marked[pages[i]] = true;
    }
    for (uint32_t i = 0; i < PAGES; i++) {
        assert_int_equal(has(i), marked[i]);
    }
    mark(pages, COUNT_OF(pages));
    assert_true(has(5));
    assert_false(has(4));
}

static void all_of_a_word(void **state)
{
    uint32_t pages[128];

    (void)state;
    for (uint32_t i = 0; i < 128; i++) {
        pages[i] = 64 + i;
    }
    mark(pages, 128);
    assert_false(has(63));
    for (uint32_t i = 64; i < 192; i++) {
        assert_true(has(i));
    }
    assert_false(has(192));
}

/* Each thread marks its own pages of every word, one by one. */
static void *mark_every_fourth(void *arg)
{
    for (uint32_t page = (uint32_t)(uintptr_t)arg; page < PAGES; page += 4) {
        uint64_t offset = (uint64_t)page << SHIFT;

        page_bitmap_mark(bitmap, &offset, 1);
    }
    return NULL;
}

static void threads_mark_neighbours(void **state)
{
    for (unsigned turn = 0; turn < 200; turn++) {
        pthread_t threads[4];

        for (uintptr_t i = 0; i < 4; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, mark_every_fourth, (void *)i), 0);
        }
        for (unsigned i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
        }
        for (uint32_t i = 0; i < PAGES; i++) {
            assert_true(has(i));
        }
        assert_int_equal(release(state), 0);
        assert_int_equal(make(state), 0);
    }
}

static void no_memory(void **state)
{
    struct multifd_error err = ERROR_UNTOUCHED;

    mock_setup(state);
    mock_fail("malloc", ENOMEM);
    assert_null(page_bitmap_new(4096, 12, &err));
    assert_error(&err, MULTIFD_ERROR_SYSTEM, "memory");
    mock_teardown(state);
}

#define with_bitmap(function) cmocka_unit_test_setup_teardown(function, make, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_bitmap(no_page_is_marked_at_first),
        with_bitmap(just_those_are_marked),
        with_bitmap(all_of_a_word),
        with_bitmap(threads_mark_neighbours),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests_name("core/page_bitmap", tests, NULL, NULL);
}
