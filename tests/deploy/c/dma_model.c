/* An AXI DMA (PG021) and the network behind it as the C driver's platform. beats.h holds what the network knows: the
 * bytes of each sample, and of its answer. FAULT in the environment: stuck, short, error, busy, reset. */
#include "fpgaflow.h"

#include "beats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE (1u << 20)
#define INPUT_ADDRESS 0x1000u
#define OUTPUT_ADDRESS 0x200000u
#define HALTED 1u
#define IDLE 2u

static uint8_t input[SIZE], output[SIZE], dram_input[SIZE], dram_output[SIZE];
static uint32_t registers[64];
static uint32_t polls;
static uint64_t now;
static int taken;

static int fault(const char *name) {
    const char *asked = getenv("FAULT");
    return asked != NULL && strcmp(asked, name) == 0;
}

static void stop(const char *why) {
    fprintf(stderr, "model: %s\n", why);
    exit(3);
}

fpgaflow_status fpgaflow_platform_open(fpgaflow_platform *platform, size_t input_bytes, size_t output_bytes) {
    if (taken || fault("busy"))
        return FPGAFLOW_BUSY;
    if (input_bytes > SIZE || output_bytes > SIZE)
        return FPGAFLOW_NO_DEVICE;
    taken = 1;
    memset(input, 0xA5, SIZE);
    memset(output, 0x5A, SIZE);
    platform->input = input;
    platform->output = output;
    platform->input_address = INPUT_ADDRESS;
    platform->output_address = OUTPUT_ADDRESS;
    registers[0x04 / 4] = registers[0x34 / 4] = HALTED;
    return FPGAFLOW_OK;
}

void fpgaflow_platform_close(fpgaflow_platform *platform) {
    (void)platform;
    taken = 0;
}

/* Caches that nobody keeps coherent: what is not flushed or invalidated stays stale. */
void fpgaflow_platform_flush(fpgaflow_platform *platform, size_t bytes) { memcpy(dram_input, platform->input, bytes); }
void fpgaflow_platform_invalidate(fpgaflow_platform *platform, size_t bytes) {
    memcpy(platform->output, dram_output, bytes);
}

uint64_t fpgaflow_platform_microseconds(void) { return now += 7; }

static void network(uint32_t length) {
    const uint32_t samples = length / FPGAFLOW_INPUT_BYTES, owed = registers[0x58 / 4];
    uint32_t sample, known;
    if (length % FPGAFLOW_INPUT_BYTES != 0)
        stop("no whole samples");
    for (sample = 0; sample < samples; sample++) {
        for (known = 0; known < BEATS_SAMPLES; known++)
            if (memcmp(dram_input + sample * FPGAFLOW_INPUT_BYTES, BEATS_INPUT[known], FPGAFLOW_INPUT_BYTES) == 0)
                break;
        if (known == BEATS_SAMPLES)
            stop("a sample that nobody packed so");
        if ((sample + 1) * FPGAFLOW_OUTPUT_BYTES > owed)
            stop("an answer longer than asked for");
        memcpy(dram_output + sample * FPGAFLOW_OUTPUT_BYTES, BEATS_OUTPUT[known], FPGAFLOW_OUTPUT_BYTES);
    }
    registers[0x58 / 4] = samples * FPGAFLOW_OUTPUT_BYTES - (fault("short") ? 4u : 0u);
}

uint32_t fpgaflow_platform_read(fpgaflow_platform *platform, uint32_t offset) {
    (void)platform;
    now += 1;
    if (offset == 0x34 && polls > 0 && --polls == 0) {
        registers[0x34 / 4] |= IDLE;
        registers[0x04 / 4] |= IDLE;
    }
    return registers[offset / 4];
}

void fpgaflow_platform_write(fpgaflow_platform *platform, uint32_t offset, uint32_t value) {
    (void)platform;
    registers[offset / 4] = value;
    if (offset == 0x00 && (value & 4u)) {
        fprintf(stderr, "model: reset\n");
        registers[0x04 / 4] = registers[0x34 / 4] = HALTED;
        registers[0] = fault("reset") ? 4u : 0u;
    } else if (offset == 0x00 || offset == 0x30) {
        registers[offset / 4 + 1] &= ~HALTED;
    } else if (offset == 0x58 || offset == 0x28) {
        if (registers[(offset == 0x58 ? 0x34u : 0x04u) / 4] & HALTED)
            stop("a transfer on a channel that is halted");
        registers[(offset == 0x58 ? 0x34u : 0x04u) / 4] &= ~IDLE;
    }
    if (offset == 0x28) {
        if (registers[0x18 / 4] != INPUT_ADDRESS || registers[0x48 / 4] != OUTPUT_ADDRESS)
            stop("another address");
        if (fault("error")) {
            registers[0x04 / 4] |= 0x40u | HALTED;
            return;
        }
        network(value);
        polls = fault("stuck") ? 0 : 3;
    }
}
