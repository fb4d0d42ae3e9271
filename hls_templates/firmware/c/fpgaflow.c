#include "fpgaflow.h"

#include <string.h>

#ifdef FPGAFLOW_QUANTISER
#include <math.h>
#endif

/* AXI DMA in simple mode, AMD PG021. */
#define MM2S_CONTROL 0x00u
#define MM2S_STATUS 0x04u
#define MM2S_ADDRESS 0x18u
#define MM2S_ADDRESS_HIGH 0x1Cu
#define MM2S_LENGTH 0x28u
#define S2MM_CONTROL 0x30u
#define S2MM_STATUS 0x34u
#define S2MM_ADDRESS 0x48u
#define S2MM_ADDRESS_HIGH 0x4Cu
#define S2MM_LENGTH 0x58u
#define RUN 0x1u
#define RESET 0x4u
#define IDLE 0x2u
#define ERRORS 0x70u /* internal, slave, decode */
#define LARGEST_TRANSFER ((1u << 26) - 1u) /* the block design gives the DMA lengths of 26 bits */
#define RESET_TIMEOUT_US 1000000u

static const char *const TEXTS[] = {
    "done",
    "the counts are no whole samples, or not the same number of them",
    "an input is not finite, or outside of the input's type",
    "somebody else uses the FPGA",
    "no registers or buffers of the FPGA: see README.md",
    "the network did not answer in time",
    "the DMA stopped with an error (AMD PG021)",
    "the network answered with fewer bytes than it owes",
    "a transfer failed before and left data in the network: close, then open again",
    "the accelerator is closed",
};

const char *fpgaflow_text(fpgaflow_status status) { return TEXTS[status]; }

static fpgaflow_status reset(fpgaflow *self) {
    const uint64_t deadline = fpgaflow_platform_microseconds() + RESET_TIMEOUT_US;
    fpgaflow_platform_write(&self->platform, MM2S_CONTROL, RESET); /* of both channels */
    while (fpgaflow_platform_read(&self->platform, MM2S_CONTROL) & RESET)
        if (fpgaflow_platform_microseconds() > deadline)
            return FPGAFLOW_TIMEOUT;
    return FPGAFLOW_OK;
}

fpgaflow_status fpgaflow_open(fpgaflow *self, uint32_t batch, uint32_t timeout_us) {
    const size_t largest =
        FPGAFLOW_INPUT_BYTES > FPGAFLOW_OUTPUT_BYTES ? FPGAFLOW_INPUT_BYTES : FPGAFLOW_OUTPUT_BYTES;
    fpgaflow_status status;
    memset(self, 0, sizeof *self);
    self->state = FPGAFLOW_CLOSED;
    if (batch == 0 || batch > LARGEST_TRANSFER / largest)
        return FPGAFLOW_SHAPE;
    status = fpgaflow_platform_open(&self->platform, (size_t)batch * FPGAFLOW_INPUT_BYTES,
                                    (size_t)batch * FPGAFLOW_OUTPUT_BYTES);
    if (status != FPGAFLOW_OK)
        return status;
    self->batch = batch;
    self->timeout_us = timeout_us;
    status = reset(self);
    if (status != FPGAFLOW_OK) {
        fpgaflow_platform_close(&self->platform);
        return status;
    }
    fpgaflow_platform_write(&self->platform, S2MM_CONTROL, RUN);
    fpgaflow_platform_write(&self->platform, MM2S_CONTROL, RUN);
    self->state = FPGAFLOW_OK;
    return FPGAFLOW_OK;
}

void fpgaflow_close(fpgaflow *self) {
    if (self->state == FPGAFLOW_CLOSED)
        return;
    if (self->state == FPGAFLOW_BROKEN) /* the DMA must not write into buffers that are freed */
        reset(self);
    fpgaflow_platform_close(&self->platform);
    self->state = FPGAFLOW_CLOSED;
}

/* Until the channel of that status register is idle. */
static fpgaflow_status wait_for(fpgaflow *self, uint32_t status_register, uint64_t deadline) {
    for (;;) {
        const int late = fpgaflow_platform_microseconds() > deadline;
        self->mm2s_status = fpgaflow_platform_read(&self->platform, MM2S_STATUS);
        self->s2mm_status = fpgaflow_platform_read(&self->platform, S2MM_STATUS);
        if ((self->mm2s_status | self->s2mm_status) & ERRORS)
            return FPGAFLOW_DMA_ERROR;
        if ((status_register == MM2S_STATUS ? self->mm2s_status : self->s2mm_status) & IDLE)
            return FPGAFLOW_OK;
        if (late)
            return FPGAFLOW_TIMEOUT;
    }
}

static void start(fpgaflow *self, uint32_t address_register, uint64_t address, uint32_t length_register,
                  uint32_t length) {
    fpgaflow_platform_write(&self->platform, address_register, (uint32_t)address);
#if FPGAFLOW_ADDRESS_BITS > 32
    fpgaflow_platform_write(&self->platform, address_register + 4u, (uint32_t)(address >> 32));
#endif
    fpgaflow_platform_write(&self->platform, length_register, length);
}

fpgaflow_status fpgaflow_transfer(fpgaflow *self, uint32_t samples) {
    const uint32_t owed = samples * FPGAFLOW_OUTPUT_BYTES;
    uint64_t deadline;
    fpgaflow_status status;
    if (self->state != FPGAFLOW_OK)
        return self->state;
    if (samples == 0 || samples > self->batch)
        return FPGAFLOW_SHAPE;
    self->state = FPGAFLOW_BROKEN;
    fpgaflow_platform_flush(&self->platform, (size_t)samples * FPGAFLOW_INPUT_BYTES);
    start(self, S2MM_ADDRESS, self->platform.output_address, S2MM_LENGTH, owed);
    start(self, MM2S_ADDRESS, self->platform.input_address, MM2S_LENGTH, samples * FPGAFLOW_INPUT_BYTES);
    deadline = fpgaflow_platform_microseconds() + self->timeout_us;
    status = wait_for(self, S2MM_STATUS, deadline);
    if (status != FPGAFLOW_OK)
        return status;
    if (fpgaflow_platform_read(&self->platform, S2MM_LENGTH) != owed)
        return FPGAFLOW_SHORT;
    status = wait_for(self, MM2S_STATUS, deadline);
    if (status != FPGAFLOW_OK)
        return status;
    fpgaflow_platform_invalidate(&self->platform, owed);
    self->state = FPGAFLOW_OK;
    return FPGAFLOW_OK;
}

/* Little-endian, whatever the processor: the first element in the lowest byte of its beat. */
static void pack(const fpgaflow_input_t *codes, uint8_t *bytes) {
    size_t element, byte;
    memset(bytes, 0, FPGAFLOW_INPUT_BYTES);
    for (element = 0; element < FPGAFLOW_INPUT_ELEMENTS; element++) {
        uint8_t *slot = bytes + element / FPGAFLOW_INPUT_PER_BEAT * FPGAFLOW_INPUT_BEAT +
                        element % FPGAFLOW_INPUT_PER_BEAT * FPGAFLOW_INPUT_SLOT;
        const uint64_t code = (uint64_t)(int64_t)codes[element];
        for (byte = 0; byte < FPGAFLOW_INPUT_SLOT; byte++)
            slot[byte] = (uint8_t)(code >> (8 * byte));
    }
}

static void unpack(const uint8_t *bytes, fpgaflow_output_t *codes) {
    size_t element, byte;
    for (element = 0; element < FPGAFLOW_OUTPUT_ELEMENTS; element++) {
        const uint8_t *slot = bytes + element / FPGAFLOW_OUTPUT_PER_BEAT * FPGAFLOW_OUTPUT_BEAT +
                              element % FPGAFLOW_OUTPUT_PER_BEAT * FPGAFLOW_OUTPUT_SLOT;
        uint64_t code = 0;
        for (byte = 0; byte < FPGAFLOW_OUTPUT_SLOT; byte++)
            code |= (uint64_t)slot[byte] << (8 * byte);
        /* The sign of the slot goes on to the left; the arithmetic of unsigned numbers is the same. */
        codes[element] = (fpgaflow_output_t)((code ^ FPGAFLOW_OUTPUT_SIGN) - FPGAFLOW_OUTPUT_SIGN);
    }
}

fpgaflow_status fpgaflow_predict_codes(fpgaflow *self, const fpgaflow_input_t *codes, size_t code_count,
                                       fpgaflow_output_t *results, size_t result_count) {
    const size_t samples = code_count / FPGAFLOW_INPUT_ELEMENTS;
    size_t first, sample, count;
    if (self->state != FPGAFLOW_OK)
        return self->state;
    if (code_count % FPGAFLOW_INPUT_ELEMENTS != 0 || result_count != samples * FPGAFLOW_OUTPUT_ELEMENTS)
        return FPGAFLOW_SHAPE;
#ifdef FPGAFLOW_INPUT_FITS /* not where the type holds nothing else */
    for (first = 0; first < code_count; first++)
        if (!FPGAFLOW_INPUT_FITS(codes[first]))
            return FPGAFLOW_RANGE;
#endif
    for (first = 0; first < samples; first += count) {
        fpgaflow_status status;
        count = samples - first < self->batch ? samples - first : self->batch;
        for (sample = 0; sample < count; sample++)
            pack(codes + (first + sample) * FPGAFLOW_INPUT_ELEMENTS,
                 self->platform.input + sample * FPGAFLOW_INPUT_BYTES);
        status = fpgaflow_transfer(self, (uint32_t)count);
        if (status != FPGAFLOW_OK)
            return status;
        for (sample = 0; sample < count; sample++)
            unpack(self->platform.output + sample * FPGAFLOW_OUTPUT_BYTES,
                   results + (first + sample) * FPGAFLOW_OUTPUT_ELEMENTS);
    }
    return FPGAFLOW_OK;
}

#ifdef FPGAFLOW_QUANTISER
fpgaflow_status fpgaflow_quantise(const float *x, fpgaflow_input_t *codes, size_t count) {
    size_t i;
    for (i = 0; i < count; i++) {
        if (!isfinite(x[i]))
            return FPGAFLOW_RANGE;
        codes[i] = fpgaflow_quantise_one(x[i]);
    }
    return FPGAFLOW_OK;
}
#endif
