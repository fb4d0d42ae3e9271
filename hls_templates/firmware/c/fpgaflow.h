/* The network of this archive from C99: packs integers into beats, drives the AXI DMA, never waits without a deadline.
 * Sizes and the quantiser are generated: fpgaflow_model.h. One platform file gives registers, buffers and time. */
#ifndef FPGAFLOW_H_
#define FPGAFLOW_H_

#include <stddef.h>
#include <stdint.h>

#include "fpgaflow_model.h"

typedef enum {
    FPGAFLOW_OK,
    FPGAFLOW_SHAPE,     /* the counts are no whole samples, or not the same number of them */
    FPGAFLOW_RANGE,     /* an input is not finite, or an integer outside of the input's type */
    FPGAFLOW_BUSY,      /* somebody else uses the FPGA */
    FPGAFLOW_NO_DEVICE, /* no registers or no buffers; Linux: errno tells more */
    FPGAFLOW_TIMEOUT,   /* the network did not answer in time */
    FPGAFLOW_DMA_ERROR, /* the DMA stopped with an error: `mm2s_status`, `s2mm_status` (AMD PG021) */
    FPGAFLOW_SHORT,     /* the network answered with fewer bytes than it owes */
    FPGAFLOW_BROKEN,    /* a transfer failed before and left data in the network: close, then open again */
    FPGAFLOW_CLOSED
} fpgaflow_status;

/* What a platform gives: buffers that the FPGA sees at these addresses. */
typedef struct {
    uint8_t *input, *output;
    uint64_t input_address, output_address;
    void *handle;
} fpgaflow_platform;

fpgaflow_status fpgaflow_platform_open(fpgaflow_platform *platform, size_t input_bytes, size_t output_bytes);
void fpgaflow_platform_close(fpgaflow_platform *platform);
uint32_t fpgaflow_platform_read(fpgaflow_platform *platform, uint32_t offset);
void fpgaflow_platform_write(fpgaflow_platform *platform, uint32_t offset, uint32_t value);
void fpgaflow_platform_flush(fpgaflow_platform *platform, size_t input_bytes);
void fpgaflow_platform_invalidate(fpgaflow_platform *platform, size_t output_bytes);
uint64_t fpgaflow_platform_microseconds(void);

typedef struct {
    fpgaflow_platform platform;
    uint32_t batch;
    uint32_t timeout_us;
    uint32_t mm2s_status, s2mm_status; /* of the last transfer */
    fpgaflow_status state;
} fpgaflow;

/* `batch` samples go in one transfer at most, which may take `timeout_us`. */
fpgaflow_status fpgaflow_open(fpgaflow *self, uint32_t batch, uint32_t timeout_us);
void fpgaflow_close(fpgaflow *self);

/* Input integers to output integers, in C order; the counts are of elements, whole samples of each. */
fpgaflow_status fpgaflow_predict_codes(fpgaflow *self, const fpgaflow_input_t *codes, size_t code_count,
                                       fpgaflow_output_t *results, size_t result_count);

/* The first `samples` of the input buffer through the network, into the output buffer. */
fpgaflow_status fpgaflow_transfer(fpgaflow *self, uint32_t samples);

#ifdef FPGAFLOW_QUANTISER
/* Reals to the integers that the model's own quantiser gives, exactly. */
fpgaflow_status fpgaflow_quantise(const float *x, fpgaflow_input_t *codes, size_t count);
#endif

const char *fpgaflow_text(fpgaflow_status status);

#endif
