/* Floats of standard input, as their bits in hexadecimal, to the driver's integers. */
#include "fpgaflow.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int main(void) {
    uint32_t bits;
    while (scanf("%" SCNx32, &bits) == 1) {
        float x;
        fpgaflow_input_t code;
        memcpy(&x, &bits, sizeof x);
        if (fpgaflow_quantise(&x, &code, 1) == FPGAFLOW_OK)
            printf("%lld\n", (long long)code);
        else
            printf("refused\n");
    }
    return 0;
}
