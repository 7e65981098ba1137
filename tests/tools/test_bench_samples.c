/* SPDX-License-Identifier: MIT */
#include "cmocka_all.h"

#include "bench/samples.h"

static struct samples *samples_of(uint64_t room, const uint64_t *values, size_t num)
{
    struct multifd_error err;
    struct samples *samples = samples_new(room, &err);

    assert_non_null(samples);
    for (size_t i = 0; i < num; i++) {
        samples_add(samples, values[i]);
    }
    return samples;
}

static json_int_t integer(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);

    assert_true(json_is_integer(member));
    return json_integer_value(member);
}

static void assert_histogram(const json_t *object, const char *expected)
{
    char *text = json_dumps(json_object_get(object, "histogram"), JSON_COMPACT);

    assert_string_equal(text, expected);
    free(text);
}

static void none(void **state)
{
    struct samples *samples = samples_of(4, NULL, 0);

    (void)state;
    assert_int_equal(samples_count(samples), 0);
    assert_null(samples_json(samples));
    samples_delete(&samples);
    assert_null(samples);
    samples_delete(&samples);
}

static void one(void **state)
{
    static const char *const all[] = {"min", "p50", "p90", "p99", "p99_9", "max"};
    static const uint64_t value = 1000;
    struct samples *samples = samples_of(1, &value, 1);
    json_t *object = samples_json(samples);

    (void)state;
    assert_int_equal(integer(object, "count"), 1);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        assert_int_equal(integer(object, all[i]), 1000);
    }
    assert_true(json_real_value(json_object_get(object, "mean")) == 1000.0);
    assert_histogram(object, "[[1024,1]]");
    json_decref(object);
    samples_delete(&samples);
}

/* From the largest to the smallest: 1 to 1000. */
static void percentiles(void **state)
{
    uint64_t values[1000];

    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        values[i] = 1000 - i;
    }
    struct samples *samples = samples_of(1000, values, 1000);
    json_t *object = samples_json(samples);
    assert_int_equal(integer(object, "min"), 1);
    assert_int_equal(integer(object, "p50"), 500);
    assert_int_equal(integer(object, "p90"), 900);
    assert_int_equal(integer(object, "p99"), 990);
    assert_int_equal(integer(object, "p99_9"), 999);
    assert_int_equal(integer(object, "max"), 1000);
    assert_true(json_real_value(json_object_get(object, "mean")) == 500.5);
    json_decref(object);
    samples_delete(&samples);
}

/* No percentile is between two samples. */
static void percentiles_of_few(void **state)
{
    static const uint64_t values[] = {30, 10, 20};
    struct samples *samples = samples_of(8, values, 3);
    json_t *object = samples_json(samples);

    (void)state;
    assert_int_equal(integer(object, "min"), 10);
    assert_int_equal(integer(object, "p50"), 20);
    assert_int_equal(integer(object, "p90"), 30);
    json_decref(object);
    samples_delete(&samples);
}

static void room_grows(void **state)
{
    enum { MANY = 100000 };
    static uint64_t values[MANY];

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        values[i] = MANY - i;
    }
    for (uint64_t room = 0; room <= 3; room++) {
        struct samples *samples = samples_of(room, values, MANY);
        json_t *object = samples_json(samples);

        assert_int_equal(samples_count(samples), MANY);
        assert_int_equal(integer(object, "min"), 1);
        assert_int_equal(integer(object, "p50"), MANY / 2);
        assert_int_equal(integer(object, "max"), MANY);
        json_decref(object);
        samples_delete(&samples);
    }
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

static size_t most_memory = SIZE_MAX;

void *__wrap_realloc(void *old, size_t size)
{
    return size <= most_memory ? __real_realloc(old, size) : NULL;
}

/* Results that lack samples would look as good as any. */
static void no_results_without_all_samples(void **state)
{
    static const uint64_t values[] = {1, 2, 3, 4, 5};

    (void)state;
    most_memory = 4 * sizeof(values[0]);
    struct samples *samples = samples_of(2, values, 4);
    json_t *object = samples_json(samples);
    assert_int_equal(integer(object, "count"), 4);
    json_decref(object);
    samples_add(samples, 5);
    assert_null(samples_json(samples));
    samples_delete(&samples);
    most_memory = SIZE_MAX;
}

/* Below 16 each value is a class, then there are eight for each power of two. */
static void histogram_classes(void **state)
{
    static const uint64_t values[] = {0, 0, 1, 15, 16, 17, 18, 31, 32, 35, UINT64_C(1) << 40};
    struct samples *samples = samples_of(16, values, sizeof(values) / sizeof(values[0]));
    json_t *object = samples_json(samples);

    (void)state;
    assert_histogram(object, "[[1,2],[2,1],[16,1],[18,2],[20,1],[32,1],[36,2],[1236950581248,1]]");
    json_decref(object);
    samples_delete(&samples);
}

static void medians(void **state)
{
    double odd[] = {3, 1, 2};
    double even[] = {4, 1, 3, 2};
    double single[] = {7};

    (void)state;
    assert_true(median_of(odd, 3) == 2.0);
    assert_true(median_of(even, 4) == 2.5);
    assert_true(median_of(single, 1) == 7.0);
}

static void spread(void **state)
{
    double values[] = {3, 1, 2};
    json_t *object = spread_json(values, 3);

    (void)state;
    assert_true(json_real_value(json_object_get(object, "median")) == 2.0);
    assert_true(json_real_value(json_object_get(object, "min")) == 1.0);
    assert_true(json_real_value(json_object_get(object, "max")) == 3.0);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none),
        cmocka_unit_test(one),
        cmocka_unit_test(percentiles),
        cmocka_unit_test(percentiles_of_few),
        cmocka_unit_test(room_grows),
        cmocka_unit_test(no_results_without_all_samples),
        cmocka_unit_test(histogram_classes),
        cmocka_unit_test(medians),
        cmocka_unit_test(spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
