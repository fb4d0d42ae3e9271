/* What the driver says to wrong counts, integers out of range, two users, and use after a failure; FAULT as in the model. */
#include "fpgaflow.h"
#include "fpgaflow_vectors.h"

#include <stdio.h>

#define INPUTS (FPGAFLOW_VECTORS * FPGAFLOW_INPUT_ELEMENTS)
#define OUTPUTS (FPGAFLOW_VECTORS * FPGAFLOW_OUTPUT_ELEMENTS)

static fpgaflow first, second;
static fpgaflow_output_t answers[OUTPUTS];
static fpgaflow_input_t codes[INPUTS];

static void say(const char *what, fpgaflow_status status) { printf("%s: %s\n", what, fpgaflow_text(status)); }

int main(void) {
    size_t i;
    say("no batch", fpgaflow_open(&first, 0, 1000));
    say("large batch", fpgaflow_open(&first, 0xFFFFFFFFu, 1000));
    say("open", fpgaflow_open(&first, 2, 1000));
    say("second user", fpgaflow_open(&second, 1, 1000));
    say("half a sample", fpgaflow_predict_codes(&first, FPGAFLOW_X_CODES, INPUTS - 1, answers, OUTPUTS));
    say("fewer results", fpgaflow_predict_codes(&first, FPGAFLOW_X_CODES, INPUTS, answers, OUTPUTS - 1));
    say("too many", fpgaflow_transfer(&first, 3));
#ifdef FPGAFLOW_INPUT_FITS
    codes[INPUTS - 1] = (fpgaflow_input_t)(FPGAFLOW_TOO_LARGE);
    say("out of range", fpgaflow_predict_codes(&first, codes, INPUTS, answers, OUTPUTS));
#else
    (void)codes;
#endif
    say("all", fpgaflow_predict_codes(&first, FPGAFLOW_X_CODES, INPUTS, answers, OUTPUTS));
    for (i = 0; i < OUTPUTS; i++)
        if (answers[i] != FPGAFLOW_Y_CODES[i])
            break;
    printf("right: %d\n", i == OUTPUTS);
    say("again", fpgaflow_predict_codes(&first, FPGAFLOW_X_CODES, INPUTS, answers, OUTPUTS));
    fpgaflow_close(&first);
    say("closed", fpgaflow_transfer(&first, 1));
    say("reopened", fpgaflow_open(&second, 1, 1000));
    return 0;
}
