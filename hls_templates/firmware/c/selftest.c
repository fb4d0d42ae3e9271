/* Compares every output bit with the expected ones, measures speed, and prints board.json on standard output.
 * Returns 0 when all bits agree, else 1. */
#include "fpgaflow.h"
#include "fpgaflow_vectors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define RUNS 101
#define TIMEOUT_US 10000000u

static fpgaflow accelerator;
static fpgaflow_output_t answers[FPGAFLOW_VECTORS * FPGAFLOW_OUTPUT_ELEMENTS];
#ifdef FPGAFLOW_QUANTISER
static fpgaflow_input_t codes[FPGAFLOW_VECTORS * FPGAFLOW_INPUT_ELEMENTS];
#endif

static int failed(fpgaflow_status status) {
    fprintf(stderr, "fpgaflow: %s (MM2S_DMASR 0x%08" PRIx32 ", S2MM_DMASR 0x%08" PRIx32 ")\n", fpgaflow_text(status),
            accelerator.mm2s_status, accelerator.s2mm_status);
    fpgaflow_close(&accelerator);
    return 1;
}

static int earlier(const void *left, const void *right) {
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* What one run does with `samples`. */
typedef fpgaflow_status (*work)(uint32_t samples);

static fpgaflow_status transfer(uint32_t samples) { return fpgaflow_transfer(&accelerator, samples); }

static fpgaflow_status predict(uint32_t samples) {
    return fpgaflow_predict_codes(&accelerator, FPGAFLOW_X_CODES, (size_t)samples * FPGAFLOW_INPUT_ELEMENTS, answers,
                                  (size_t)samples * FPGAFLOW_OUTPUT_ELEMENTS);
}

#ifdef FPGAFLOW_QUANTISER
static fpgaflow_status values(uint32_t samples) {
    const fpgaflow_status status =
        fpgaflow_quantise(FPGAFLOW_X, codes, (size_t)samples * FPGAFLOW_INPUT_ELEMENTS);
    return status != FPGAFLOW_OK ? status
                                 : fpgaflow_predict_codes(&accelerator, codes,
                                                          (size_t)samples * FPGAFLOW_INPUT_ELEMENTS, answers,
                                                          (size_t)samples * FPGAFLOW_OUTPUT_ELEMENTS);
}
#endif

/* Median microseconds of a run; clocks of one microsecond cannot tell less. */
static double median(work run, uint32_t samples) {
    static uint64_t times[RUNS];
    size_t i;
    for (i = 0; i < RUNS; i++) {
        const uint64_t started = fpgaflow_platform_microseconds();
        if (run(samples) != FPGAFLOW_OK)
            return -1.0;
        times[i] = fpgaflow_platform_microseconds() - started;
    }
    qsort(times, RUNS, sizeof *times, earlier);
    return times[RUNS / 2] > 0 ? (double)times[RUNS / 2] : 1.0;
}

int main(void) {
    size_t i, different = 0, different_inputs = 0, first = 0;
    double one[3] = {0, 0, 0}, many[3] = {0, 0, 0};
    work kinds[3] = {transfer, predict, NULL};
    const char *names[3] = {"transfer", "codes", "values"};
    fpgaflow_status status = fpgaflow_open(&accelerator, FPGAFLOW_VECTORS, TIMEOUT_US);
    if (status != FPGAFLOW_OK)
        return failed(status);
    status = predict(FPGAFLOW_VECTORS);
    if (status != FPGAFLOW_OK)
        return failed(status);
    for (i = sizeof answers / sizeof *answers; i-- > 0;)
        if (answers[i] != FPGAFLOW_Y_CODES[i]) {
            different++;
            first = i;
        }
#ifdef FPGAFLOW_QUANTISER
    kinds[2] = values;
    status = fpgaflow_quantise(FPGAFLOW_X, codes, sizeof codes / sizeof *codes);
    if (status != FPGAFLOW_OK)
        return failed(status);
    for (i = 0; i < sizeof codes / sizeof *codes; i++)
        different_inputs += codes[i] != FPGAFLOW_X_CODES[i];
#endif
    for (i = 0; i < 3; i++)
        if (kinds[i] != NULL && ((one[i] = median(kinds[i], 1)) < 0 || (many[i] = median(kinds[i], FPGAFLOW_VECTORS)) < 0))
            return failed(FPGAFLOW_TIMEOUT);
    fpgaflow_close(&accelerator);

    printf("{%s,\n \"clock_mhz\": {\"asked\": %g, \"actual\": null},\n", FPGAFLOW_BUNDLE, (double)FPGAFLOW_CLOCK_MHZ);
    printf(" \"test\": {\"samples\": %u, \"values\": %lu, \"different\": %lu, \"different_inputs\": %lu, ",
           (unsigned)FPGAFLOW_VECTORS, (unsigned long)(sizeof answers / sizeof *answers), (unsigned long)different,
           (unsigned long)different_inputs);
    if (different > 0)
        printf("\"first\": {\"element\": %lu, \"expected\": %lld, \"found\": %lld}, ", (unsigned long)first,
               (long long)FPGAFLOW_Y_CODES[first], (long long)answers[first]);
    printf("\"passed\": %s},\n", different + different_inputs == 0 ? "true" : "false");
    printf(" \"speed\": {\"source\": \"measured\", \"batch\": %u,\n  \"latency_us\": {", (unsigned)FPGAFLOW_VECTORS);
    for (i = 0; i < 3; i++)
        if (kinds[i] != NULL)
            printf("%s\"%s\": %g", i > 0 ? ", " : "", names[i], one[i]);
    printf("},\n  \"samples_per_second\": {");
    for (i = 0; i < 3; i++)
        if (kinds[i] != NULL)
            printf("%s\"%s\": %g", i > 0 ? ", " : "", names[i], FPGAFLOW_VECTORS * 1e6 / many[i]);
    printf("},\n  \"interval_us\": ");
    if (FPGAFLOW_VECTORS > 1)
        printf("%g}}\n", (many[0] - one[0]) / (FPGAFLOW_VECTORS - 1.0));
    else
        printf("null}}\n");
    return different + different_inputs == 0 ? 0 : 1;
}
